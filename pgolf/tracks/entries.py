"""The entries of a track's file: their types, and the range of every number."""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from pgolf.errors import did_you_mean

Check = Callable[[Any], str | None]  # what to give instead of a value, for a message; None: it is right
MOST_TEXT, MOST_LISTED = 1000, 1000  # characters of a text, entries of a list
MOST_BYTES, MOST_SECONDS = 10**15, 1e9


def number(least: float, most: float) -> Check:
    """A number in a range, both ends included; NaN is in none, and infinity only where `most` is."""

    def check(value: Any) -> str | None:
        good = type(value) in (int, float) and least <= value <= most
        return None if good else f"give a number from {least:g} to {most:g}"

    return check


def whole(least: int, most: int) -> Check:
    """A whole number in a range, both ends included."""

    def check(value: Any) -> str | None:
        good = type(value) is int and least <= value <= most
        return None if good else f"give a whole number from {least:,} to {most:,}"

    return check


def each(check_one: Check) -> Check:
    """A list of such values."""

    def check(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > MOST_LISTED:
            return f"give a list of at most {MOST_LISTED:,} entries"
        return next((f"in each entry, {said}" for one in value if (said := check_one(one))), None)

    return check


def text(value: Any) -> str | None:
    """One line that is not empty."""
    good = isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= MOST_TEXT
    return None if good else f"give a text of one line, of 1 to {MOST_TEXT:,} characters"


def flag(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "give true or false"


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(value: Any) -> str | None:
        return None if value in words else f"give one of {', '.join(words)}"

    return check


def pattern(value: Any) -> str | None:
    """A regular expression."""
    try:
        re.compile(value)
    except (re.error, TypeError, RecursionError, OverflowError) as e:
        return f"give a regular expression ({e})"
    return text(value)


def share_and_nats(value: Any) -> str | None:
    """A pair: a share of the steps, and nats."""
    good = isinstance(value, list) and len(value) == 2 and not number(0, 1)(value[0]) and not number(0, 100)(value[1])
    return None if good else "give a share from 0 to 1 and a number of nats from 0 to 100"


KNOWN_SPLIT: dict[str, Check] = {
    "tokenizer": text,
    "vocab_size": whole(1, 1 << 20),
    "tokens": whole(1, MOST_BYTES),
    "bytes": whole(1, MOST_BYTES),
}


def known_split(value: Any) -> str | None:
    """A table of a tokenizer's name, its vocabulary, and the tokens and bytes of the validation split under it."""
    good = isinstance(value, dict) and value.keys() == KNOWN_SPLIT.keys()
    if not good:
        return f"give a table of {', '.join(KNOWN_SPLIT)}"
    return next((f"{said} for {name}" for name, check in KNOWN_SPLIT.items() if (said := check(value[name]))), None)


SECONDS = number(1e-3, math.inf)  # inf: no limit
ENTRIES: dict[str, dict[str, Check]] = {  # by table; '' has those at the top
    "": {
        "title": text,
        "hardware": text,
        "known_as": each(pattern),
        "val_bytes": whole(1, MOST_BYTES),
        "val_spaces": whole(0, MOST_BYTES),
        "validation": each(known_split),
        "record": flag,
    },
    "limits": {
        "artifact_bytes": whole(1, MOST_BYTES),
        "train_seconds": SECONDS,
        "eval_seconds": SECONDS,
        "grace_seconds": number(0, MOST_SECONDS),
        "overhead_seconds": number(0, MOST_SECONDS),
    },
    "policy": {"margin_nats": number(0, 100), "alpha": number(1e-9, 0.5), "min_seeds": whole(0, MOST_LISTED)},
    "run": {
        "seeds": each(whole(0, 2**63 - 1)),
        "preset": text,
        "corpus": text,
        "standing": text,
        "baseline_preset": text,
        "nproc": whole(1, 1024),
    },
    "early_stop": {
        "after_share": number(0, 1),
        "over_share": number(0, 100),
        "quantile": number(0, 1),
        "hopeless": each(share_and_nats),
    },
}
WITH_TARGET: dict[str, dict[str, Check]] = {  # of a track whose aim is a target loss
    "": {"title": text, "hardware": text, "known_as": each(pattern)},
    "target": {
        "loss": number(1e-3, 100),
        "least": one_of("train_seconds", "steps"),
        "alpha": number(1e-9, 0.5),
        "gain_alpha": number(1e-9, 0.5),
        "min_runs": whole(2, MOST_LISTED),
    },
    "run": {"runs": whole(2, MOST_LISTED), "nproc": whole(1, 1024), "most_seconds": number(1, MOST_SECONDS)},
}
MAY_BE_ABSENT = frozenset(
    [
        "known_as",
        "val_bytes",
        "val_spaces",
        "validation",
        "record",
        "limits.overhead_seconds",
        "run.standing",
        "run.baseline_preset",
        "early_stop",
    ]
)


def problem(content: dict[str, Any]) -> str | None:
    """What is wrong with a track's file, naming the first entry that is; None: nothing.

    Examples
    --------
    >>> problem({"title": ""})
    'title: give a text of one line, of 1 to 1,000 characters'
    """
    entries = WITH_TARGET if "target" in content else ENTRIES
    known = {*entries[""], *(table for table in entries if table)}
    checked = (_of_table(table, checks, content) for table, checks in entries.items())
    return _unknown("", content, known) or next(filter(None, checked), None)


def _unknown(table: str, found: dict[str, Any], known: Iterable[str]) -> str | None:
    name = next((name for name in found if name not in known), None)
    return None if name is None else f"a track has no entry {_full(table, name)!r}{did_you_mean(name, known)}"


def _of_table(table: str, checks: dict[str, Check], content: dict[str, Any]) -> str | None:
    found = content.get(table, {}) if table else content
    if not isinstance(found, dict):
        return f"{table}: write a table, [{table}]"
    if table and (said := _unknown(table, found, checks)):
        return said
    for name, check in checks.items():
        full = _full(table, name)
        if name in found:
            if said := check(found[name]):
                return f"{full}: {said}"
        elif not {full, table} & MAY_BE_ABSENT:
            return f"it has no {full!r}"
    return None


def _full(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name
