"""Small pieces of prose, the same in every table, page, plot and message.

A difference between a record and the one before is a gain: the one before − the new one. Above zero is better, whatever
is compared: bits per byte, losses, seconds, steps.
"""

from pathlib import Path


def signed(value: float, digits: int) -> str:
    """A number with its sign and so many decimals. One that is rounded to zero has no sign.

    Examples
    --------
    >>> signed(0.00123, 3), signed(-0.5, 1), signed(-0.0001, 2)
    ('+0.001', '-0.5', '0.00')
    """
    return _without_sign_of_zero(f"{value:+,.{digits}f}")


def signed_percent(share: float) -> str:
    """A share with its sign, in percent.

    Examples
    --------
    >>> signed_percent(-0.0123), signed_percent(-1e-9)
    ('-1.23%', '0.00%')
    """
    return _without_sign_of_zero(f"{share:+.2%}")


def _without_sign_of_zero(text: str) -> str:
    return text if set(text) & set("123456789an") else text[1:]


def counted(number: int, one: str, many: str = "") -> str:
    """A number and the noun that goes with it; `many`: its plural, where that is not `one` and an s.

    Examples
    --------
    >>> counted(1, "seed"), counted(2000, "seed"), counted(0, "entry", "entries")
    ('1 seed', '2,000 seeds', '0 entries')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def not_a_folder(path: Path) -> str:
    """Why a path is refused where a folder is wanted.

    >>> not_a_folder(Path("nosuch"))
    'no folder nosuch'
    """
    if not path.exists():
        return f"no folder {path}"
    return f"{path} is a file, no folder" if path.is_file() else f"{path} is no folder"


def ended(text: str) -> str:
    """A sentence with one full stop, whether its author wrote one or not.

    Examples
    --------
    >>> ended("no log has a score"), ended("No log has a score. "), ended("is it?")
    ('no log has a score.', 'No log has a score.', 'is it?')
    """
    text = text.rstrip()
    return text if text.endswith(("?", "!", "…")) else f"{text.rstrip('.')}."
