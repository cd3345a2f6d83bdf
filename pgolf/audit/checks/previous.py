"""What is new against the previous record: every knob named, every gain at the stage where it arises."""

import re

from pgolf.audit.checks.case import Case, Findings, Status
from pgolf.audit.checks.runs import EXPECTED_KNOB, knobs
from pgolf.audit.differences import StageDelta, before_adaptation, knob_delta, stage_delta
from pgolf.ledger import seed_score


def delta_disclosed(case: Case, found: Findings) -> str:
    """Every knob that differs from the previous record's is named in the README or submission.json."""
    ours, previous = knobs(case.runs[0]), case.previous
    if previous is None:
        found.unknown(case.no_comparison)
        return ""
    if not ours or not previous.hyperparameters:
        found.unknown("a dump of knobs is missing, here or in the previous record's log")
        return ""
    deltas = [
        d
        for d in knob_delta({k: v.value for k, v in ours.items()}, previous.hyperparameters)
        if not EXPECTED_KNOB.fullmatch(d.knob)
    ]
    text = f"{case.entry.readme} {case.entry.claims.text}".lower()
    hidden = [d for d in deltas if not _names(text, d.knob)]
    no_readme = "" if case.entry.readme else ", and there is no README.md"
    for changed in (True, False):
        these = [d for d in hidden if (d.kind == "changed") == changed]
        if these:
            listed = ", ".join(f"{d.knob} ({_said(d.old)} → {_said(d.new)})" for d in these)
            status: Status = "unknown" if no_readme else "fail" if changed else "warn"
            what = "changed" if changed else "on one side only"
            found.add(status, f"{what}, and not named{no_readme}: {listed}", *(ours.get(d.knob) for d in these))
    return f"all {len(deltas)} knobs that differ from {previous.name} are named"


def _names(text: str, knob: str) -> bool:
    """Whether the text names a knob, as TTT_EPOCHS, ttt-epochs or TTT epochs, and not only a longer one."""
    words = r"[\s_-]".join(map(re.escape, knob.split("_")))
    return re.search(rf"(?<![a-z0-9_]){words}(?![a-z0-9_])", text) is not None


def _said(knob: str | None) -> str:
    return "none" if knob is None else knob


def attribution(case: Case, found: Findings) -> str:
    """The stage table beside the previous record's: a gain that is there before adaptation is not adaptation's."""
    previous = case.previous
    if previous is None or not case.scored:
        found.unknown(case.no_comparison)
        return ""
    rows = stage_delta([seed_score(r) for r, _ in case.scored], previous.seeds)
    table = ", ".join(_row(r) for r in rows)
    before, to_beat = before_adaptation(rows), previous.sample().mean
    if before and before.new_mean is not None and before.new_mean < to_beat and not _told(case, before.new_mean):
        text = f"the score before adaptation ({before.label}, {before.new_mean:.5f}) beats {previous.name} already"
        found.warn(f"{text} ({to_beat:.5f}), which the README does not tell; {table}", *(s for _, s in case.scored))
    return f"stages of {previous.name} and here: {table}"


def _row(row: StageDelta) -> str:
    old, new = (f"{m:.5f}" if m is not None else "–" for m in (row.old_mean, row.new_mean))
    return f"{row.label} {old} → {new}"


def _told(case: Case, value: float) -> bool:
    return any(f"{value:.{d}f}" in case.entry.readme for d in (4, 5, 6, 7, 8))
