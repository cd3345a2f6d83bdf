"""The checks of a record, one function each: what the logs show, beside what is claimed and what is allowed.

A check fails only on evidence. If no log says, it is 'unknown'; an irregularity that harms no claim is a warning.
A check function takes the review, reports its findings, and returns the sentence for when there is nothing to report.
Its id is its name: `train_seconds` is the check `train-seconds`. `CHECKS` has the order of a report.
"""

from pgolf.audit.checks.claimed import claimed_mean, claimed_std
from pgolf.audit.checks.data import train_val_disjoint
from pgolf.audit.checks.legality import score_before_update
from pgolf.audit.checks.limits import (
    artifact_bytes,
    code_bytes,
    eval_seconds,
    hardware,
    train_plus_calibration_seconds,
    train_seconds,
)
from pgolf.audit.checks.previous import attribution, delta_disclosed
from pgolf.audit.checks.review import Check, CheckFunction, Findings, Review
from pgolf.audit.checks.runs import log_complete, loss_bpb_consistent, required_files, same_config, same_data
from pgolf.audit.checks.seed_values import claimed_seed_values
from pgolf.audit.checks.seeds import seed_count, seed_matches_name, seeds_distinct
from pgolf.audit.checks.significance import claimed_significance
from pgolf.audit.checks.units import units
from pgolf.audit.measures import Status

__all__ = ["CHECKS", "Check", "Review", "Status", "run_check", "run_checks"]

CHECKS: tuple[CheckFunction, ...] = (
    required_files,
    log_complete,
    artifact_bytes,
    code_bytes,
    train_seconds,
    train_plus_calibration_seconds,
    eval_seconds,
    hardware,
    seed_count,
    seed_matches_name,
    seeds_distinct,
    same_config,
    same_data,
    train_val_disjoint,
    loss_bpb_consistent,
    score_before_update,
    claimed_mean,
    claimed_std,
    claimed_seed_values,
    claimed_significance,
    units,
    delta_disclosed,
    attribution,
)
BY_RULES = (train_seconds, train_plus_calibration_seconds, eval_seconds, hardware)  # which ask what the track allows
OF_PAPERS = (  # which ask what the folder says and holds beside its logs: the scores are the logs' all the same
    required_files,
    claimed_mean,
    claimed_std,
    claimed_seed_values,
    claimed_significance,
    units,
    delta_disclosed,
    attribution,
)
WITHOUT_LOGS = (required_files, log_complete, seed_count)


def run_check(function: CheckFunction, review: Review) -> Check:
    """Run one check."""
    name = function.__name__.replace("_", "-")
    if not review.runs and function not in WITHOUT_LOGS:
        return Check(name, "unknown", "there is no log of a run")
    if not review.track.ruled and function in BY_RULES:
        return Check(name, "unknown", f"there are no rules here of the track '{review.track.name}' that it names")
    findings = Findings(of_papers=function in OF_PAPERS)
    return findings.check(name, function(review, findings))


def run_checks(review: Review) -> list[Check]:
    """Run all checks, in the order of a report."""
    return [run_check(function, review) for function in CHECKS]
