"""Student's t distribution, of numbers or arrays.

`scipy.special` is imported at the first call: `scipy.stats` calls the same functions, but costs a second to import.
"""

from typing import Any


def t_cdf(t: Any, df: Any) -> Any:
    """The chance of a value below `t`, by Student's t distribution.

    Parameters
    ----------
    t : a number or an array; for the chance of a value above t, give −t.
    df : degrees of freedom, positive, a number or an array that broadcasts with `t`.

    Returns
    -------
    float64 : a scalar or an array, between 0 and 1.

    Examples
    --------
    >>> round(float(t_cdf(-3.798, 2.61)), 3)
    0.02
    """
    from scipy.special import stdtr

    return stdtr(df, t)


def t_quantile(chance: Any, df: Any) -> Any:
    """The value below which Student's t distribution has this chance: the inverse of `t_cdf`.

    Parameters
    ----------
    chance : between 0 and 1, a number or an array.
    df : degrees of freedom, positive, a number or an array that broadcasts with `chance`.

    Returns
    -------
    float64 : a scalar or an array.

    Examples
    --------
    >>> round(float(t_quantile(0.975, 2)), 3)
    4.303
    """
    from scipy.special import stdtrit

    return stdtrit(df, chance)
