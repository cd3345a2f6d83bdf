"""Logs of a speedrun's runs that pgolf did not make → a draft of the folder that is submitted.

Its figures are those of an audit of the folder. All that no log says is unknown: whether the number of runs was set
before the first of them, what else was run, and whether the program is the one that ran.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgolf.audit.target import TargetAudit, audit_target
from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.files import write_atomic
from pgolf.phrases import counted
from pgolf.program import Program
from pgolf.program.find import open_program
from pgolf.report.from_logs import MOST_LOGS, About, check_target, files_alone, put
from pgolf.report.inputs import check_names
from pgolf.report.render import render
from pgolf.report.runs_figures import RunsFigures, write_curves
from pgolf.report.runs_inputs import BASELINE, NEW, OWN_NAMES
from pgolf.report.runs_submission import MOST_BYTES, files_of
from pgolf.tracks.written import as_toml, is_own
from pgolf.untrusted import Untrusted, list_folder, read_beginning, read_bytes

README, MOST_README_BYTES = "README.md", 1 << 20
SAID = "This folder was made by `pgolf draft` from logs of runs that pgolf did not make."  # by which a draft is known
LOGS = (".txt", ".log")  # the ends of names that a log has in a folder that is given


@dataclass(frozen=True)
class DraftedRuns:
    """The folder of a draft; `new` unless the same one was there already. `remarks` are what its author should know,
    `audit` is of its logs."""

    folder: Path
    new: bool
    remarks: tuple[str, ...]
    audit: TargetAudit


@dataclass(frozen=True)
class _Draft:
    """All that the README prints."""

    about: About
    program: Program
    figures: RunsFigures
    logs: tuple[tuple[str, str, str], ...]  # variant, name in the folder, name that it was given under
    audit_command: str
    said: str = SAID


def draft_runs(
    logs: Sequence[Path],
    baseline: Sequence[Path],
    program: Path,
    about: About,
    target: Path,
    force: bool = False,
) -> DraftedRuns:
    """Write the submission of a speedrun that pgolf has only the logs of.

    Parameters
    ----------
    logs : a log a run of the new program.
    baseline : the same of the standing record, run again on the same machine; a folder stands for the logs in it.
    program : the script that ran, or its folder; it is copied, and never run.
    about : what the logs do not say; its track has a target.
    target : the folder to write. It appears whole or not at all. One that is there is only replaced with `force`, and
        only if it is a draft.

    Raises
    ------
    BadInput : a log that tells of no run, or of the run of another log; a file that cannot be read within bounds; a
        folder that is not to be replaced.
    """
    given = {NEW: list(logs), BASELINE: _spread(baseline)}
    every = [log for found in given.values() for log in found]
    if len(every) > MOST_LOGS:
        raise BadInput(f"{len(every):,} logs; a draft has at most {MOST_LOGS}, one a run")
    check_target(target, [*every, program], is_draft_of_runs)
    with tempfile.TemporaryDirectory(prefix="pgolf-") as temporary:
        folder = Path(temporary) / target.name
        names = {f"{v}/run{n:02}.txt": log for v, found in given.items() for n, log in enumerate(found, 1)}
        for name, log in names.items():
            write_atomic(folder / name, read_bytes(log, MOST_BYTES, log.parent))
        ran = _program(program)
        for name, content in ran.files.items():
            write_atomic(folder / name, content)
        own = is_own(about.track)
        if own:
            write_atomic(folder / f"{about.track.name}.toml", as_toml(about.track))
        audit = audit_target(folder, about.track)
        remarks = [*_check_logs(audit, names), *ran.notes]
        write_curves(audit, folder)
        listed = tuple((name.split("/")[0], name, printable(log.name)) for name, log in names.items())
        command = f"pgolf audit . --track {f'./{about.track.name}.toml' if own else about.track.name}"
        draft = _Draft(about, ran, RunsFigures(audit), listed, command)
        write_atomic(folder / README, render("runs_draft.md.j2", d=draft, files=files_of(folder)))
        new = put(folder, target, force)
    return DraftedRuns(target, new, tuple(remarks), audit_target(target, about.track))


def is_draft_of_runs(folder: Path) -> bool:
    """Whether a folder is such a draft: its README.md says so."""
    try:
        return SAID.encode() in read_beginning(folder / README, MOST_README_BYTES, folder)
    except (OSError, Untrusted):
        return False


def _spread(given: Sequence[Path]) -> list[Path]:
    """The logs, and those in the folders among them."""
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [path / e.name for e in list_folder(path, 10 * MOST_LOGS) if e.name.endswith(LOGS) and e.is_file()]
        if not inside:
            raise BadInput(f"{path}: no log in it: a log's name ends in {' or '.join(LOGS)}")
        found += inside
    return found


def _program(path: Path) -> Program:
    """The user's program; only its files where its source cannot be read. BadInput if it has no place here."""
    try:
        program = open_program(path, speedrun=True)
    except BadInput as e:
        program = files_alone(path, str(e))
    check_names(program, OWN_NAMES)
    return program


def _check_logs(audit: TargetAudit, names: dict[str, Path]) -> list[str]:
    """Raise BadInput for a log without a run that counts, and why; return what is to be said of others."""
    remarks: list[str] = []
    counting = {run.log.relative_to(audit.folder).as_posix() for v in audit.variants for run in v.variant.runs}
    for found in (v.variant for v in audit.variants):
        for copy in found.copies:
            if copy.file in names and copy.of in names:
                raise BadInput(f"{names[copy.file]} and {names[copy.of]} tell of one run: give it once")
        for part, why in found.unread.items():
            log = names.get(part.split(", line ")[0])
            if log and part not in counting:
                remarks.append(f"{log.name}{part[len(part.split(', line ')[0]) :]} does not count: {why}")
    for name, log in names.items():
        if name not in counting:
            raise BadInput(f"{log}: tells of no run; give the logs of the runs, as they were printed")
    for figures in audit.variants:
        short = counted(len(figures.cut_short), "run")
        if figures.cut_short:
            remarks.append(f"{short} of {figures.name} not counted: ended before the others, or without a loss")
    return remarks
