"""The two ways a command may end badly; the CLI turns them into exit codes 2 and 1."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(Exception):
    """The user's input cannot be used. The message says what was wrong, where, and what to do. Exit 2."""


class RunFailed(Exception):
    """The input was good and the work did not succeed. Exit 1."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean a, b?)' for the known names closest to `word`, or ''."""
    near = get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f" (did you mean {', '.join(near)}?)" if near else ""
