"""Where each record of a folder stands: what `pgolf status` shows."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pgolf.errors import BadInput
from pgolf.evidence.plan import read_plans
from pgolf.phrases import counted
from pgolf.pods.places import machines_of
from pgolf.pods.processes import pods_alive
from pgolf.record.ending import Busy, is_busy
from pgolf.record.live import made_printable, read_live
from pgolf.record.orchestrator import FILE, read_orchestrator, records_in, records_starting
from pgolf.record.rows import Row
from pgolf.stages import BY_NAME

SHOWN = ("--json", "--foreground", "--no-foreground", "--yes", "-y")  # options that change nothing of a record
GONE = "the process that made it is gone"


@dataclass(frozen=True)
class Stand:
    """Where a record stands.

    Attributes
    ----------
    state : `starting`: it has no id yet. `left`: its runs go on, and nobody is at it. `stopped`: nothing of it runs.
    done, runs : how many of its runs are done; None: unknown.
    left : seconds until its runs and its probes end; None: unknown.
    said : what it is at, its verdict, or why it failed.
    command, cwd : the words that start it again, and the folder that they were given in; empty where that is not known,
        or a worker's business.
    """

    record: str
    folder: Path
    state: Literal["starting", "running", "finished", "failed", "stopped", "left"]
    track: str = ""
    done: int | None = None
    runs: int | None = None
    left: float | None = None
    said: str = ""
    command: tuple[str, ...] = ()
    cwd: str = ""

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf status --json` prints; unknown is null."""
        return asdict(self) | {"folder": str(self.folder), "command": list(self.command)}


def list_stands(runs_dir: Path) -> list[Stand]:
    """Where every record of `runs_dir` stands, the latest last."""
    alive = pods_alive()
    stands = [stand_of(folder.resolve(), alive) for folder in records_in(runs_dir)]
    for folder in records_starting(runs_dir):
        who = read_orchestrator(folder)
        started = (who.command, who.cwd) if who else ((), "")
        stands.append(Stand(folder.name, folder.resolve(), "starting", command=started[0], cwd=started[1]))
    return stands


def stand_of(folder: Path, alive: Collection[Path]) -> Stand:
    """Where a record stands; `alive` are the folders of the pods that run on this machine."""
    live, who = read_live(folder), read_orchestrator(folder)
    here = [pod for pod in alive if pod.is_relative_to(folder)]
    facts: dict[str, Any] = {"command": who.command, "cwd": who.cwd} if who else {}
    if live and live.rows:
        facts |= {"done": sum(row.state == "done" for row in live.rows), "runs": len(live.rows)}
    facts["track"] = live.track if live else _track(folder)
    if is_busy(folder):
        said = "; ".join(filter(None, [live.doing, *map(said_of, live.rows)])) if live else ""
        left = live.left if live else None
        return Stand(folder.name, folder, "running", said=said, left=left, **facts)
    if here:
        said = f"still running here, with nobody at it: {counted(len(here), 'run')}"
        return Stand(folder.name, folder, "left", said=said, **facts)
    if live and live.state in ("running", "left") and (elsewhere := _elsewhere(folder)):
        said = f"its runs may go on elsewhere: {', '.join(elsewhere)}"
        return Stand(folder.name, folder, "left", said=said, **facts)
    if live is None:
        return _without_live(folder, facts)
    if live.state in ("running", "left"):
        return Stand(folder.name, folder, "stopped", said=GONE, **facts)
    return Stand(folder.name, folder, live.state, said=live.verdict or "", **facts)


def being_made(
    runs_dir: Path, inputs: Mapping[str, str], command: Sequence[str], record_id: str | None = None
) -> Path | None:
    """The folder that another process works in just now by the same command, given in this folder, on the same `inputs`
    as far as they are known; None: there is none, or that cannot be told yet."""
    for folder in [runs_dir / record_id] if record_id else records_in(runs_dir):
        with suppress(BadInput):
            plans, who = read_plans(folder), read_orchestrator(folder)
            same = plans and who and inputs.items() <= plans[-1].inputs.items()
            if same and who and (_bare(who.command), who.cwd) == (_bare(command), os.getcwd()) and is_busy(folder):
                return folder.resolve()
    return None


def _bare(command: Sequence[str]) -> list[str]:
    return [word for word in command if word not in SHOWN]


def check_free(runs_dir: Path, inputs: Mapping[str, str], command: Sequence[str], record_id: str | None = None) -> None:
    """Busy if another process is at it; see `being_made`."""
    if folder := being_made(runs_dir, inputs, command, record_id):
        raise Busy(folder)


def _elsewhere(folder: Path) -> list[str]:
    """The machines elsewhere where runs may go on; none where the folder says nothing that can be read."""
    with suppress(BadInput):
        return [str(name) for name in made_printable(sorted(set(machines_of(folder).values())))]
    return []


def _without_live(folder: Path, facts: dict[str, Any]) -> Stand:
    """A sweep, an ablation, or a record of an earlier version. What it has written last is its end, unless somebody has
    begun with it since."""
    written = [*folder.glob("report/README.md"), *sorted(folder.glob("records/*/*/README.md"))]
    if written and not _is_newer(folder / FILE, written[-1]):
        said = f"see {written[-1].parent.relative_to(folder)}"
        return Stand(folder.name, folder, "finished", said=said, **facts)
    return Stand(folder.name, folder, "stopped", said=GONE, **facts)


def _is_newer(path: Path, other: Path) -> bool:
    """Whether a file was written after another one; not where it is missing."""
    with suppress(OSError):
        return path.stat().st_mtime_ns > other.stat().st_mtime_ns
    return False


def said_of(row: Row) -> str:
    """A run in a few words; '' for one that is done or waits."""
    if row.state in ("waiting", "done"):
        return ""
    stage = BY_NAME[row.stage].title if row.stage in BY_NAME else row.stage
    return " ".join(filter(None, [row.label, stage, f"{row.done}/{row.total}" if row.total > 1 else "", row.error]))


def _track(folder: Path) -> str:
    try:
        return read_plans(folder)[0].track
    except (BadInput, IndexError):
        return ""
