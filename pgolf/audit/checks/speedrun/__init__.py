"""The checks of a speedrun's folder, one function each: losses against the target, times against the baseline.

As the other checks do, one fails only on evidence; if no log says, it is 'unknown'. The checks that need seeds, bits
per byte, sizes or a submission.json do not apply. `SPEEDRUN_CHECKS` has the order of a report.
"""

from pgolf.audit.checks import CHECKS
from pgolf.audit.checks.review import Check, Findings
from pgolf.audit.checks.speedrun.aim import gain, target_loss
from pgolf.audit.checks.speedrun.review import Speedrun, SpeedrunCheck
from pgolf.audit.checks.speedrun.runs import log_complete, run_count, runs_distinct, runs_left_out
from pgolf.audit.checks.speedrun.same import hardware, same_program, same_steps, same_versions
from pgolf.audit.checks.speedrun.stated import stated_losses, stated_mean, stated_p, stated_times

__all__ = ["SPEEDRUN_CHECKS", "run_checks"]

SPEEDRUN_CHECKS: tuple[SpeedrunCheck, ...] = (
    target_loss,
    gain,
    log_complete,
    run_count,
    runs_distinct,
    runs_left_out,
    same_steps,
    same_program,
    same_versions,
    hardware,
    stated_losses,
    stated_times,
    stated_mean,
    stated_p,
)
NO_SEEDS = "runs of a speedrun have no seeds"
NO_BPB = "a speedrun's score is its time or its steps, and its losses are tested against the target"
NO_LIMIT = "the track sets no such limit"
NO_CLAIMS = "a speedrun has no submission.json; its README is compared with the logs by other checks"
WHY_NOT = {
    "required-files": NO_CLAIMS,
    "artifact-bytes": NO_LIMIT,
    "code-bytes": NO_LIMIT,
    "train-seconds": NO_LIMIT,
    "train-plus-calibration-seconds": NO_LIMIT,
    "eval-seconds": NO_LIMIT,
    "seed-count": NO_SEEDS,
    "seed-matches-name": NO_SEEDS,
    "seeds-distinct": NO_SEEDS,
    "same-config": "a speedrun's settings are in its program: see same-program",
    "same-data": "the contest gives the data, and logs do not name it",
    "train-val-disjoint": "the contest gives the data, and logs do not name it",
    "loss-bpb-consistent": NO_BPB,
    "score-before-update": "nothing adapts to the validation text",
    "claimed-mean": NO_CLAIMS,
    "claimed-std": NO_CLAIMS,
    "claimed-seed-values": NO_SEEDS,
    "claimed-significance": NO_BPB,
    "units": NO_BPB,
    "delta-disclosed": "a speedrun's knobs are in its program, not in its logs",
    "attribution": "a speedrun has one evaluation, and no stages",
}


def run_checks(review: Speedrun) -> list[Check]:
    """Run all checks, in the order of a report; then those that do not apply."""
    checks = [_run(function, review) for function in SPEEDRUN_CHECKS]
    other = [f.__name__.replace("_", "-") for f in CHECKS]
    done = {c.id for c in checks}
    return checks + [Check(name, "does not apply", WHY_NOT[name]) for name in other if name not in done]


def _run(function: SpeedrunCheck, review: Speedrun) -> Check:
    findings = Findings()
    return findings.check(function.__name__.replace("_", "-"), function(review, findings))
