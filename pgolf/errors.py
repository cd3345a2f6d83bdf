"""The two ways a command may end badly; the CLI turns them into exit codes 2 and 1."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(Exception):
    """The user's input cannot be used. The message says what was wrong, where, and what to do. Exit 2."""


class RunFailed(Exception):
    """The input was good and the work did not succeed. Exit 1."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean a, b?)' for the known names closest to `word`, else for some that have it in them; or ''.

    >>> did_you_mean("smok", ["smoke", "pr1493"]), did_you_mean("HessianSD", ["SP8192_HessianSDClip_Recurrence"])
    (' (did you mean smoke?)', ' (did you mean SP8192_HessianSDClip_Recurrence?)')
    """
    names = list(known)
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    if not near and len(word) >= 3:
        near = [name for name in names if word.lower() in name.lower()][:3]
    return f" (did you mean {', '.join(near)}?)" if near else ""
