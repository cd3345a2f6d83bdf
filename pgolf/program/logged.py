"""What the logs of a record say of the program beside them: the settings that it ran with, and where it ran."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.run import OF_THE_RUN, Run
from pgolf.program import Variable
from pgolf.program.environment import RANKS, log_problem, value_problem

SHOWN = 8  # names in a sentence


@dataclass(frozen=True)
class Logged:
    """A record's logs as a program's evidence: settings to set again, sentences on them, and names of logs."""

    settings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def entry_of(folder: Path) -> Entry | None:
    """The record that lies in a folder; None: there is no submission.json, nor a log at its top with a final score."""
    try:
        entry = read_entry(folder)
    except BadInput:
        return None
    at_top = [run for run in _runs(entry) if run.log.parent == folder and run.final]
    return entry if entry.claims.file or at_top else None


def log_names(entry: Entry) -> set[str]:
    """Paths of the entry's logs, relative to its folder."""
    return {entry.name_of(run) for run in _runs(entry)} | {copy.file for copy in entry.copies}


def _runs(entry: Entry) -> list[Run]:
    return [*entry.runs, *entry.extras]


def read_logged(
    entry: Entry, variables: Mapping[str, Variable], not_set: Iterable[str], code_bytes: set[int]
) -> Logged:
    """The settings that the record's logs give and that differ from the source's defaults.

    Parameters
    ----------
    variables : those that the source reads.
    not_set : names of the seed's and the data's.
    code_bytes : sizes that the code here has, one way or the other.
    """
    dumps = [run.hyperparameters for run in entry.runs if run.hyperparameters]
    if not dumps:
        return Logged({}, (f"{_whose(entry)} no settings: those of the source are taken.", *_about(entry, code_bytes)))
    settings: dict[str, str] = {}
    differing, no_text, refused = [], [], []
    for name, variable in variables.items():
        if name in not_set or name.lower() in OF_THE_RUN or name.upper() in RANKS:
            continue
        values = {dump[name.lower()].value for dump in dumps if name.lower() in dump}
        same = [value for value in values if not _same(value, variable.default)]
        if log_problem(name):
            refused += [name] if same else []
        elif len(values) > 1:
            differing.append(name)
        elif same and (text := _as_set(same[0], variable.default)) is None:
            no_text.append(name)
        elif same and text is not None:
            settings[name] = text
    said = [f"Its logs give {', '.join(f'{n}={v}' for n, v in settings.items())}: set so."] if settings else []
    if not settings:
        said.append("Its logs give no setting that differs from the source's default.")
    if differing:
        said.append(f"Its logs do not agree on {_listed(differing)}: left as the source has it.")
    if no_text:
        said.append(f"Its logs give {_listed(no_text)} in a form that is no plain value: left as the source has it.")
    if refused:
        said.append(f"Its logs give {_listed(refused)}, which no log may set: left as the source has it.")
    return Logged(settings, (*said, *_about(entry, code_bytes)))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _whose(entry: Entry) -> str:
    return "Its logs give" if entry.runs else "It has no log of a run, and so"


def _number(text: str) -> float | None:
    low = text.strip().lower()
    if low in ("true", "false"):
        return float(low == "true")
    try:
        value = float(low.replace("_", "")) if len(low) < 40 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _same(logged: str, default: str | None) -> bool:
    """Whether a logged value is the default, as text or as number, with True and False as 1 and 0."""
    if default is None:
        return False
    if logged.strip() == default.strip() or logged.strip().lower() == default.strip().lower():
        return True
    if not default.strip():
        return logged.strip() in ("", "None", "False", "0", "[]", "()", "{}")
    number = _number(logged)
    return number is not None and number == _number(default)


def _as_set(logged: str, default: str | None) -> str | None:
    """A logged value as the variable takes it; None: it is no plain value."""
    text = logged.strip()
    if text in ("", "None", "True", "False"):
        digit = default is None or default.strip() in ("", "0", "1")
        return None if text in ("", "None") else str(int(text == "True")) if digit else text
    if default is None and _number(text) is None:
        return None  # a place or a name, made of others
    return None if text[0] in "[({<" or "/" in text or value_problem(text) else text  # a place is of one machine


def _about(entry: Entry, code_bytes: set[int]) -> list[str]:
    """Sentences on the environment that the runs had, and what is other here."""
    worlds = _all(run.world_size.value for run in entry.runs if run.world_size)
    cards = _all(run.hardware.value for run in entry.runs if run.hardware)
    versions = _all(run.torch_version.value for run in entry.runs if run.torch_version)
    sizes = {s.value for run in entry.runs for s in (run.code_bytes, run.source_bytes) if s}
    known = [
        f"{'x'.join(worlds)} rank{'' if worlds == ['1'] else 's'}" if worlds else "",
        " or ".join(cards),
        f"torch {' or '.join(versions)}" if versions else "",
    ]
    notes = [f"Its logs say that it ran with {', '.join(filter(None, known))}."] if any(known) else []
    unknown = [
        word for word, there in (("ranks", worlds), ("hardware", cards), ("torch's version", versions)) if not there
    ]
    if entry.runs and unknown:
        notes.append(f"Its logs do not say: {', '.join(unknown)}.")
    if versions and (here := torch_version()) and here.partition("+")[0] not in {v.partition("+")[0] for v in versions}:
        notes.append(f"Here torch is {here}.")
    if sizes and not sizes & code_bytes:
        said = " or ".join(f"{size:,}" for size in sorted(sizes))
        here_too = " or ".join(f"{size:,}" for size in sorted(code_bytes))
        notes.append(f"Its logs count {said} bytes of code, the code here has {here_too}: it may not be what ran.")
    return notes


def _all(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(re.sub(r"\s+", " ", str(value)) for value in values))


def torch_version() -> str | None:
    """The version of torch that is installed here; it is not imported. None: there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return None
