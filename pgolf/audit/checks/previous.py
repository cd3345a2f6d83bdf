"""Against the previous record: is every changed knob named, and at which stage does the gain arise?"""

import re

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.checks.runs import EXPECTED_KNOB, knobs
from pgolf.audit.differences import StageDifference, before_adaptation, knob_differences, stage_differences
from pgolf.audit.measures import Status
from pgolf.ledger import seed_score


def delta_disclosed(review: Review, findings: Findings) -> str:
    """Every knob that differs from the previous record's is named in the README or submission.json."""
    ours, previous = knobs(review.runs[0]), review.previous
    if previous is None:
        findings.unknown(review.no_comparison)
        return ""
    if not ours or not previous.hyperparameters:
        findings.unknown("a dump of knobs is missing, here or in the previous record's log")
        return ""
    deltas = [
        d
        for d in knob_differences({k: v.value for k, v in ours.items()}, previous.hyperparameters)
        if not EXPECTED_KNOB.fullmatch(d.knob)
    ]
    text = f"{review.entry.readme} {review.entry.claims.text}".lower()
    hidden = [d for d in deltas if not _names(text, d.knob)]
    no_readme = "" if review.entry.readme else ", and there is no README.md"
    for changed in (True, False):
        these = [d for d in hidden if (d.kind == "changed") == changed]
        if these:
            listed = ", ".join(f"{d.knob} ({_said(d.old)} → {_said(d.new)})" for d in these)
            status: Status = "unknown" if no_readme else "fail" if changed else "warn"
            what = "changed" if changed else "on one side only"
            findings.add(status, f"{what}, and not named{no_readme}: {listed}", *(ours.get(d.knob) for d in these))
    differ = f"all {len(deltas)} knobs that differ" if len(deltas) > 1 else "the knob that differs"
    return f"{differ} from {previous.name} {'are' if len(deltas) > 1 else 'is'} named"


def _names(text: str, knob: str) -> bool:
    """Whether the text names a knob, as TTT_EPOCHS, ttt-epochs or TTT epochs, and not only a longer one."""
    words = r"[\s_-]".join(map(re.escape, knob.split("_")))
    return re.search(rf"(?<![a-z0-9_]){words}(?![a-z0-9_])", text) is not None


def _said(knob: str | None) -> str:
    return "none" if knob is None else knob


def attribution(review: Review, findings: Findings) -> str:
    """The stage table beside the previous record's: a gain that is there before adaptation is not adaptation's."""
    previous = review.previous
    if previous is None or not review.scored or review.other_text:
        findings.unknown(review.no_comparison)
        return ""
    rows = stage_differences([seed_score(r) for r, _ in review.scored], previous.seeds)
    table = ", ".join(_row(r) for r in rows)
    before, to_beat = before_adaptation(rows), previous.sample().mean
    if before and before.new_mean is not None and before.new_mean < to_beat and not _told(review, before.new_mean):
        text = f"the score before adaptation ({before.label}, {before.new_mean:.5f}) beats {previous.name} already"
        findings.warn(f"{text} ({to_beat:.5f}), which the README does not say; {table}", *(s for _, s in review.scored))
    return f"stages of {previous.name} and here: {table}"


def _row(row: StageDifference) -> str:
    old, new = (f"{m:.5f}" if m is not None else "–" for m in (row.old_mean, row.new_mean))
    return f"{row.label} {old} → {new}"


def _told(review: Review, value: float) -> bool:
    return any(f"{value:.{d}f}" in review.entry.readme for d in (4, 5, 6, 7, 8))
