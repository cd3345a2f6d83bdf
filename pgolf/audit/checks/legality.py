"""Legality of the evaluation, as far as a log shows it."""

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.measures import Status
from pgolf.evidence.run import Evidence, Stage

SEEN = (
    ("adapted_unquantised", "adapts to the validation text before it quantises: the artifact has seen what it scores"),
    ("calibrated_on_validation", "calibrates its quantisation on the validation text: the artifact has seen it"),
    ("scored_again", "scores tokens of the validation text a second time, with what it learnt from them"),
)


def score_before_update(review: Review, findings: Findings) -> str:
    """Every token is scored once, before any weight has seen it."""
    status: Status = "fail" if review.track.record else "warn"
    for run, final in review.scored:
        name = review.name_of(run)
        for field, text in SEEN:
            if (at := getattr(run, field)) and _before(at, final):
                findings.add(status, f"{name} {text}", at, final)
        if (epochs := run.adapted_epochs) and _before(epochs.at, final):
            text = f"goes over the validation text {epochs.value} times before the score: its weights may have seen it"
            findings.warn(f"{name} {text}", epochs, final)
    return "no log tells that its weights saw the validation text before its score"


def _before(at: Evidence, final: Stage) -> bool:
    return at.file == final.at.file and at.line < final.at.line
