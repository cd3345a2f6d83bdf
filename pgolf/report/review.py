"""An audit in Markdown, to paste into a review of a pull request, and as a GitHub job's summary.

A stranger's words are shown as they are, never obeyed: no tag, no link, nobody mentioned.
"""

from collections.abc import Iterator, Sequence

from pgolf.audit.audit import Audit, Audited
from pgolf.audit.checks import Check, Status
from pgolf.evidence.run import Evidence, Run
from pgolf.ledger import value
from pgolf.phrases import ended
from pgolf.report.words import code, inert

SIGNS: dict[Status, str] = {"fail": "✗", "warn": "▲", "unknown": "·", "pass": "●", "does not apply": "–"}
MOST_PLACES = 4  # lines of evidence that a check names
MOST_SEEDS = 40  # rows of a table of seeds


def markdown(audit: Audit) -> str:
    """One record for a reviewer: its seeds, the comparison, and every check that is not green."""
    return "\n".join(_lines(audit)) + "\n"


def _lines(audit: Audit) -> Iterator[str]:
    yield from heading(audit)
    yield f"{tally(audit)}{_mean(audit)}."
    if audit.comparison:
        yield f"Against {code(audit.comparison.old.label)}: {inert(ended(audit.comparison.verdict))}"
    if audit.runs:
        yield ""
        yield from seeds_table(audit, audit.runs)
    if audit.other_runs:
        yield from ("", "Other runs in the folder, which the record does not claim:", "")
        yield from seeds_table(audit, audit.other_runs)
    listed = [c for status in ("fail", "warn") for c in audit.checks if c.status == status]
    if listed:
        yield ""
        yield from (f"- {said(c)}" for c in listed)
    for status, words in (("unknown", "The logs do not say"), ("pass", "Passed")):
        names = [c.id for c in audit.checks if c.status == status]
        if names:
            yield ""
            yield f"{words}: {', '.join(names)}."


def heading(audit: Audited) -> list[str]:
    """The name of the record, and its track."""
    return [f"### {code(audit.folder.resolve().name)}", "", f"Track {code(audit.track.name)}."]


def tally(audit: Audited) -> str:
    """How many checks came out how."""
    counts = {status: sum(c.status == status for c in audit.checks) for status in SIGNS}
    failed = counts["fail"]
    words = f"**{failed} check{'s' * (failed != 1)} fail{'s' * (failed == 1)}**" if failed else "**No check fails**"
    return f"{words}, {counts['warn']} warn, {counts['unknown']} unknown, {counts['pass']} pass"


def _mean(audit: Audit) -> str:
    if audit.mean_val_bpb is None:
        return ""
    spread = "" if audit.std_val_bpb is None else f", sample std {audit.std_val_bpb:.8f}"
    return f"; mean val_bpb {audit.mean_val_bpb:.8f} (n {len(audit.runs)}{spread})"


def seeds_table(audit: Audit, runs: Sequence[Run]) -> Iterator[str]:
    """The table of runs, a row each."""
    yield "| log | seed | val_bpb | bytes | training, s | evaluation, s |"
    yield "|---|---:|---:|---:|---:|---:|"
    for run in runs[:MOST_SEEDS]:
        final, size, seed = run.final, value(run.artifact_bytes), value(run.seed)
        cells = (
            code(audit.entry.name_of(run)),
            "" if seed is None else str(seed),
            f"{final.val_bpb:.{final.decimals}f}" if final else "",
            "" if size is None else f"{size:,}",
            _seconds(value(run.train_seconds)),
            _seconds(run.eval_seconds),
        )
        yield f"| {' | '.join(cells)} |"
    if len(runs) > MOST_SEEDS:
        yield f"\n… and {len(runs) - MOST_SEEDS} more."


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def said(check: Check) -> str:
    """A check in one line: its sign, name, message, and where to look."""
    where = f" ({places(check.evidence)})" if check.evidence and check.status != "pass" else ""
    return f"{SIGNS[check.status]} **{check.id}** {check.status}: {inert(check.message)}{where}"


def places(evidence: Sequence[Evidence]) -> str:
    """The first lines of evidence, as code."""
    shown = ", ".join(code(f"{e.file}:{e.line}") for e in evidence[:MOST_PLACES])
    return f"{shown}, …" if len(evidence) > MOST_PLACES else shown
