"""An audit for people, as tables for a terminal or a page. Words of logs and claims are shown, never interpreted."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pgolf.audit.audit import Audit
from pgolf.audit.checks import Check, Status
from pgolf.evidence.lines import printable
from pgolf.evidence.run import Run
from pgolf.ledger import value
from pgolf.report.columns import Columns
from pgolf.report.row import Row
from pgolf.report.speedrun_row import SpeedrunRow

LIGHTS: dict[Status, tuple[str, str]] = {
    "fail": ("✗ fail", "bold red"),
    "warn": ("▲ warn", "yellow"),
    "unknown": ("· unknown", "dim"),
    "pass": ("● pass", "green"),
    "does not apply": ("– does not apply", "dim"),
}
MAX_MESSAGE_CHARS = 2000  # characters of a message
MESSAGE_LEAST = 44  # columns that a message is folded to beside its check
PLACES = 4  # lines of evidence that a table names


def audit_tables(audit: Audit) -> RenderableType:
    """Everything about one record: its seeds, the comparison if there is one, and every check."""
    return Group(*_parts(audit))


def _parts(audit: Audit) -> Iterator[RenderableType]:
    title = f"{printable(str(audit.folder))} · track {audit.track.name}"
    yield Text(title, style="bold", no_wrap=True, overflow="ignore")  # a path can be copied only in one piece
    if audit.runs:
        yield _seeds(audit, audit.runs)
    if audit.mean_val_bpb is not None:
        spread = "" if audit.std_val_bpb is None else f" · std {audit.std_val_bpb:.8f}"
        yield Text(f"mean val_bpb {audit.mean_val_bpb:.8f}{spread} · n {len(audit.runs)}")
    for name, text in audit.comparison.rows() if audit.comparison else ():
        yield Text(f"{name}: {text}")
    if audit.other_runs:
        yield Text()
        yield Text("other runs in the folder, which the record does not claim")
        yield _seeds(audit, audit.other_runs)
    yield Text()
    yield check_table(audit.checks)


def check_table(checks: Sequence[Check]) -> Columns:
    """A row a check: how it came out, its name, what the logs show and where."""
    rows = []
    for check in checks:
        message = Text(printable(check.message, MAX_MESSAGE_CHARS))
        if check.status != "pass" and check.evidence:
            message.append(f"\n{where(check)}", "dim")
        rows.append((_light(check), check.id, message))
    return Columns(rows, ("", "check", "what the logs show"), least=MESSAGE_LEAST)


def _seeds(audit: Audit, runs: Sequence[Run]) -> Columns:
    rows = []
    for run in runs:
        final, size = run.final, value(run.artifact_bytes)
        calibration = f" + {_seconds(run.calibration_seconds.value)}" if run.calibration_seconds else ""
        rows.append(
            (
                f"{final.val_bpb:.{final.decimals}f}" if final else "no score",
                str(run.seed.value) if run.seed else "",
                f"{size:,}" if size else "",
                _seconds(value(run.train_seconds)) + calibration,
                _seconds(run.eval_seconds),
                audit.entry.name_of(run),
            )
        )
    timed = "training + calibration, s" if any(run.calibration_seconds for run in runs) else "training, s"
    return Columns(rows, ("val_bpb", "seed", "bytes", timed, "evaluation, s", "log"), range(5), headed=True)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _light(check: Check) -> Text:
    return Text(*LIGHTS[check.status])


def where(check: Check) -> str:
    """The first lines of evidence, those of one file together."""
    lines: dict[str, list[str]] = {}
    for place in check.evidence[:PLACES]:
        lines.setdefault(place.file, []).append(str(place.line))
    more = f" +{len(check.evidence) - PLACES}" if len(check.evidence) > PLACES else ""
    return "  ".join(f"{file}:{','.join(numbers)}" for file, numbers in lines.items()) + more


def archive_table(rows: Sequence[Row]) -> Columns:
    """One row a record: its score, and the checks that are not green."""
    cells = [
        ("no score" if row.mean is None else f"{row.mean:.5f}", str(row.seeds), printable(row.name), lights(row))
        for row in rows
    ]
    return Columns(cells, ("mean val_bpb", "n", "record", "checks"), {0, 1}, least=MESSAGE_LEAST)


def lights(row: Row | SpeedrunRow) -> Text:
    """The names of what fails and warns, the number of the rest."""
    text = Text()
    for status, (light, style) in LIGHTS.items():
        names = [c.id for c in row.checks(status)]
        if names:
            said = ", ".join(names) if status in ("fail", "warn") else f"{len(names)} {status}"
            text.append(f"{light[0]} {said}  ", style)
    return text
