"""The title and the body of the pull request that submits a record: the figures of its audit, and what is unknown.

Nothing in it is the author's word but the name and the summary; a stranger's words are shown as they are, never obeyed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pgolf.audit.audit import Audit, Audited
from pgolf.audit.checks import Check
from pgolf.audit.measures import Measure, worst_measures
from pgolf.audit.placeholders import SUMMARIES
from pgolf.audit.target import TargetAudit
from pgolf.evidence.lines import printable
from pgolf.evidence.run import OF_THE_RUN
from pgolf.ledger import StandingRecord
from pgolf.ledger.choosing import standing_record
from pgolf.phrases import counted, ended, signed
from pgolf.report.knobs import knob_table
from pgolf.report.review import said, seeds_table, tally
from pgolf.report.target_review import target_result, variants_markdown
from pgolf.report.words import code, inert
from pgolf.untrusted import Untrusted, parse_json

MOST_TITLE, MOST_NAME = 250, 120  # characters; GitHub takes a title of 256
SAME_MEAN = 1e-5  # bpb; a summary may be rounded
MOST_KNOBS = 40  # rows of the delta


def title(audit: Audited) -> str:
    """One line: what kind of submission it is, its name, and its result.

    It is called a record only where the bar is cleared against the record that stands, and no check fails.
    """
    if isinstance(audit, TargetAudit):
        result = target_result(audit).replace("`", "").replace("<br>", "; ")
        return printable(f"{audit.folder.resolve().name}: {result}", MOST_TITLE)
    name = printable(audit.entry.claims.name or audit.folder.resolve().name, MOST_NAME)
    return printable(f"{kind(audit)}: {name}, {_score(audit)}", MOST_TITLE)


def kind(audit: Audit) -> str:
    """'Record', 'Non-record', or 'Submission' of which nothing is shown."""
    if not audit.track.record:
        return "Non-record"
    cleared = audit.comparison and audit.comparison.clears
    return "Record" if cleared and not audit.failed and not better_than_beaten(audit) else "Submission"


def better_than_beaten(audit: Audit) -> StandingRecord | None:
    """The record that stands by pgolf's ledger, where it is better than the one that was compared with."""
    if audit.comparison is None or audit.track.baseline_preset:  # whose ledger entry is of other text
        return None
    standing = standing_record(audit.track)
    beaten = audit.comparison.old.mean
    return standing if standing and standing.sample().mean < beaten - SAME_MEAN else None


def _score(audit: Audit) -> str:
    if audit.mean_val_bpb is None:
        return "val_bpb unknown"
    seeds = "one seed" if len(audit.runs) == 1 else f"{len(audit.runs)}-seed mean"
    gain = audit.comparison
    beside = f", gain {signed(gain.delta_bpb, 5)} over {gain.old.label}" if gain else ""
    return f"val_bpb {audit.mean_val_bpb:.5f} ({seeds}{beside})"


def body(audit: Audited, path: str) -> str:
    """The body in GitHub's Markdown; `path` is the folder in the archive."""
    lines = _of_target(audit, path) if isinstance(audit, TargetAudit) else _of_record(audit, path)
    return "\n".join(lines) + "\n"


def _of_record(audit: Audit, path: str) -> Iterator[str]:
    claims = audit.entry.claims
    yield from ("## Summary", "")
    yield from _summary(claims.text)
    std = "" if audit.std_val_bpb is None else f", sample std {audit.std_val_bpb:.8f}"
    mean = "unknown" if audit.mean_val_bpb is None else f"{audit.mean_val_bpb:.8f}"
    seeds = counted(len(audit.runs), "seed")
    yield f"**val_bpb {mean}** ({seeds}{std}), track {code(audit.track.name)}. Adds {code(path)}."
    yield from ("", *seeds_table(audit, audit.runs))
    heading = "Significance" if audit.track.record else "Beside the standing record (this is no record)"
    yield from ("", f"## {heading}", "")
    yield from _significance(audit)
    yield from ("", "## Limits", "", "| limit | allowed | largest | |", "|---|---:|---:|---|")
    yield from (_limit(measure) for measure in worst_measures(audit.runs, audit.track.limits))
    yield from ("", "## What is different", "")
    yield from _delta(audit)
    yield from ("", "## What the logs show", "")
    yield from _checks(audit)


def _of_target(audit: TargetAudit, path: str) -> Iterator[str]:
    yield from ("## Summary", "", f"Track {code(audit.track.name)}. Adds {code(path)}.", "")
    yield from variants_markdown(audit)
    yield from ("", "## What the logs show", "")
    yield from _checks(audit)


def _summary(claims: str) -> Iterator[str]:
    """The author's own words on what is new, of submission.json."""
    try:
        content = parse_json(claims, "submission.json", number=str)
    except Untrusted:
        return
    known: Mapping[str, Any] = content if isinstance(content, dict) else {}
    text = next((value for key in SUMMARIES if isinstance(value := known.get(key), str) and value.strip()), None)
    if text:
        yield from (ended(inert(text)), "")


def _significance(audit: Audit) -> Iterator[str]:
    comparison = audit.comparison
    if comparison is None:
        yield ended(f"Not tested against a record to beat: {inert(audit.no_comparison or 'none was named')}")
        return
    yield from ("| | |", "|---|---|")
    yield from (f"| {name} | {inert(value)} |" for name, value in comparison.rows())
    if better := better_than_beaten(audit):
        mean = f"{better.sample().mean:.5f}"
        yield from (
            "",
            f"A better record stands by pgolf's ledger: {code(better.name)}, {mean}. It was not compared with.",
        )
    yield from ("", "Welch's t-test, one-sided, sample standard deviations (n − 1).")
    yield from (f"- {ended(inert(note))}" for note in comparison.notes)


def _limit(measure: Measure) -> str:
    def shown(value: float | None) -> str:
        if value is None:
            return "unknown"
        return f"{value:,.0f} bytes" if measure.unit == "bytes" else f"{value:.3f} s"

    allowed = shown(measure.limit) if measure.limited else "no limit"
    return f"| {measure.what} | {allowed} | {shown(measure.value)} | {measure.judged} |"


def _delta(audit: Audit) -> Iterator[str]:
    if audit.previous is None:
        yield "Unknown: no earlier record was named to compare the knobs with."
        return
    dump = {k: v.value for r in audit.runs[:1] for k, v in r.hyperparameters.items() if k not in OF_THE_RUN}
    table = knob_table(dump, audit.previous)
    yield inert(table.sentence)
    if table.rows:
        yield from ("", f"| knob | {code(table.heading)} | here |", "|---|---|---|")
    for row in table.rows[:MOST_KNOBS]:
        old, new = (table.missing if value is None else code(value) for value in (row.old, row.new))
        yield f"| {code(row.knob)} | {old} | {new} |"
    if len(table.rows) > MOST_KNOBS:
        yield f"\n… and {len(table.rows) - MOST_KNOBS} more."
    yield ""
    yield f"Beside knobs, the code may differ from that of {code(audit.previous.name)}: pgolf has not compared the two."


def _checks(audit: Audited) -> Iterator[str]:
    yield f"`pgolf audit`: {tally(audit)}."
    for status, words in (
        ("fail", "These checks fail"),
        ("warn", "Warnings"),
        ("unknown", "Unknown, as no log shows it"),
    ):
        found: list[Check] = [check for check in audit.checks if check.status == status]
        if found:
            yield from ("", f"{words}:", "", *(f"- {said(check)}" for check in found))
    yield ""
    yield "These checks read logs: they run nothing, and do not show that an evaluation is legal."
