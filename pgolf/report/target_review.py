"""An audit of a speedrun in Markdown: the table that its reviewers make by hand, every run, and the checks.

A stranger's words are shown as they are, never obeyed, as in `review`.
"""

from collections.abc import Iterator

from pgolf.audit.checks import Status
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.phrases import ended
from pgolf.report.review import heading, said, tally
from pgolf.report.target_rows import VariantRow, columns, name_of, remarks, run_rows, target_of, variant_rows
from pgolf.report.words import code, inert

MOST_VARIANTS = 4  # of a speedrun that a row of a summary names
MOST_RUNS = 100  # rows of the table of runs
LISTED: tuple[tuple[Status, str], ...] = (
    ("unknown", "The logs do not say"),
    ("pass", "Passed"),
    ("does not apply", "Do not apply on this track"),
)


def target_markdown(audit: TargetAudit) -> str:
    """One speedrun for a reviewer: the table of its variants, every check that is not green, and the runs."""
    return "\n".join(_lines(audit)) + "\n"


def _lines(audit: TargetAudit) -> Iterator[str]:
    yield from heading(audit)
    yield f"{tally(audit)}."
    yield ""
    yield from variants_markdown(audit)
    listed = [c for status in ("fail", "warn") for c in audit.checks if c.status == status]
    if listed:
        yield ""
        yield from (f"- {said(c)}" for c in listed)
    for status, words in LISTED:
        names = [c.id for c in audit.checks if c.status == status]
        if names:
            yield ""
            yield f"{words}: {', '.join(names)}."
    yield from ("", "<details><summary>Every run</summary>", "")
    yield from runs_markdown(audit)
    yield from ("", "</details>")


def variants_markdown(audit: TargetAudit) -> Iterator[str]:
    """The table of the variants, and the sentences that it has no room for."""
    shown = columns(audit)
    yield f"| variant | {' | '.join(heading for heading, _ in shown)} |"
    yield f"|---|{'---:|' * len(shown)}"
    for row in variant_rows(audit):
        name = code(row.name) + (" (baseline)" if row.baseline and row.name != "baseline" else "")
        yield f"| {name} | {' | '.join(getattr(row, field) for _, field in shown)} |"
    sentences = [printable(sentence) for sentence in remarks(audit)]
    if sentences:
        yield ""
        yield from (f"- {inert(ended(sentence))}" for sentence in sentences)


def runs_markdown(audit: TargetAudit) -> Iterator[str]:
    """The table of the runs, a row each."""
    yield "| variant | log | val_loss | step | seconds |"
    yield "|---|---|---:|---:|---:|"
    rows = [(name_of(figures), row) for figures in audit.variants for row in run_rows(audit, figures)]
    for name, row in rows[:MOST_RUNS]:
        log = code(row.log) + ("" if row.counts else " (does not count)")
        yield f"| {code(name)} | {log} | {row.loss} | {row.step} | {row.seconds} |"
    if rows[MOST_RUNS:]:
        yield f"\n… and {len(rows) - MOST_RUNS} more."


def target_result(audit: TargetAudit) -> str:
    """What its new variants have reached, in a cell of a table: steps or seconds, and the mean loss."""
    target = target_of(audit)
    new = [row for row in variant_rows(audit) if not row.baseline]
    said = [_result(row, target.least == "steps") for row in new[:MOST_VARIANTS]]
    return "<br>".join([*said, *([f"and {len(new) - MOST_VARIANTS} more"] if new[MOST_VARIANTS:] else [])]) or "unknown"


def _result(row: VariantRow, steps: bool) -> str:
    reached = f"{row.steps or 'unknown'} steps" if steps else f"{row.seconds} s" if row.seconds else "time unknown"
    beside = row.step_gain if steps else row.seconds_gain
    return f"{code(row.name)} {reached}{f' (gain {beside})' if beside else ''}, loss {row.loss or 'unknown'}"
