"""Claims against the logs: means, spreads, single seeds, significance, units."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.checks.slips import decimals_of, of_rounded, other_byte_count, repeats
from pgolf.evidence.claimed_stage import of_artifact
from pgolf.evidence.claims import Claim
from pgolf.evidence.run import Stage


def claimed_mean(review: Review, findings: Findings) -> str:
    """The claimed score is the mean of the final scores in the logs."""
    claims = review.entry.claims
    if claims.val_bpb is None and claims.val_loss is None:
        findings.unknown("submission.json claims no score")
    _chosen_stage(review, findings)
    held = claims.val_bpb is not None and _claimed_mean(review, findings, claims.val_bpb, "bpb", lambda s: s.val_bpb)
    loss = claims.val_loss if claims.val_loss and not repeats(claims.val_bpb, claims.val_loss, review) else None
    if loss and claims.val_bpb is None and _nearer_to_bpb(loss, review):
        _claimed_mean(review, findings, loss, "bpb (as val_loss)", lambda s: s.val_bpb)
    elif loss:
        _claimed_mean(review, findings, loss, "nats", lambda s: s.val_loss, held)
    findings.show(claims.val_bpb, *(s for _, s in review.scored))
    return f"the logs give the claimed {claims.val_bpb or claims.val_loss}"


def _nearer_to_bpb(loss: Claim, review: Review) -> bool:
    return all(abs(loss.value - s.val_bpb) < abs(loss.value - (s.val_loss or s.val_bpb)) for _, s in review.scored)


def _chosen_stage(review: Review, findings: Findings) -> None:
    """Warn where the claim is of an earlier evaluation than the last one of a log."""
    for run in review.runs:
        if run.claimed:
            later = [s for s in run.stages[run.stages.index(run.claimed) + 1 :] if s.kind != "pre-quant"]
            if not later:
                continue
            gave = ", ".join(f"{s.name} {s.val_bpb:.{s.decimals}f}" for s in later)
            text = f"{review.name_of(run)}: it claims {run.claimed.name}, and leaves out what came later: {gave}"
            findings.warn(text, run.claimed, *later)


def _claimed_mean(
    review: Review,
    findings: Findings,
    claim: Claim,
    unit: str,
    value: Callable[[Stage], float | None],
    held: bool = False,
) -> bool:
    """Whether the claim holds. Where bpb holds (`held`), a loss that is claimed too high harms nobody."""
    finals = {review.name_of(r): v for r, s in review.scored if (v := value(s)) is not None}
    n = review.entry.claims.n
    if len(finals) < max(1, len(review.runs)) or (n and n > len(review.runs)):
        findings.unknown(
            f"claims {claim} {unit} of {n or 'some'} seeds, there are final scores of {len(finals)}", claim
        )
        return False
    mean, printed = math.fsum(finals.values()) / len(finals), max(map(decimals_of, finals.values()))
    if claim.agrees(mean, printed):
        return True
    digits = min(max(claim.decimals, 4), 8)
    text = f"claims {claim} {unit}, the mean of the logs is {mean:.{digits}f}"
    single = [name for name, v in finals.items() if claim.agrees(v, printed)]
    stage = next((name for name, v in _stage_means(review, value).items() if claim.agrees(v, printed)), None)
    if beside := _mean_beside(review, mean, printed) if single and unit == "bpb" else None:
        findings.warn(f"{text}: it is the score of {single[0]} alone, and {beside} gives the mean beside it", claim)
    elif single:
        findings.add(
            "fail" if n and n > 1 and not held else "warn", f"{text}: it is the score of {single[0]} alone", claim
        )
    elif stage:
        findings.warn(f"{text}: it is that of an earlier stage, {stage}", claim)
    elif (d := of_rounded(claim, list(finals.values()), lambda v: math.fsum(v) / len(v))) is not None:
        findings.warn(f"{text}: it is the mean of scores rounded to {d} digits", claim)
    elif unit == "bpb" and claim.value > mean and other_byte_count(review):
        findings.warn(f"{text}: it is the same loss over another count of bytes", claim)
    elif held and claim.value > mean:
        findings.warn(f"{text}, while its bpb is right", claim)
    else:
        findings.fail(text, claim, *(s for _, s in review.scored))
    return bool(beside)


MEAN_IN_WORDS = re.compile(r"(?<![a-z])(?:mean|average|avg)(?![a-z])", re.I)


def _mean_beside(review: Review, mean: float, printed: int) -> str | None:
    """Where the true mean stands openly: a field of submission.json, or a line on the mean there or in the README."""
    claims = review.entry.claims
    if claims.mean_bpb and claims.mean_bpb.is_of(mean, printed):
        return claims.mean_bpb.name
    for file, text in ((claims.file or "submission.json", claims.text), ("README.md", review.entry.readme)):
        for line in text.splitlines():
            numbers = (
                re.findall(r"(?<![\d.])\d\.\d{4,12}(?!\d)", line[:1000]) if MEAN_IN_WORDS.search(line[:1000]) else []
            )
            if any(abs(float(x) - mean) <= 0.5001 * 10.0 ** -min(len(x) - 2, printed) for x in numbers):
                return file
    return None


def _stage_means(review: Review, value: Callable[[Stage], float | None]) -> dict[str, float]:
    """The mean over seeds of each stage that all of them scored from the artifact."""
    by_key: dict[tuple[str, int], list[float]] = {}
    for run in review.runs:
        for key, s in of_artifact(run).items():
            if (v := value(s)) is not None:
                by_key.setdefault(key, []).append(v)
    return {name: math.fsum(v) / len(v) for (name, _), v in by_key.items() if len(v) == len(review.runs)}


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def _population_std(values: Sequence[float]) -> float:
    return float(np.std(values))


def claimed_std(review: Review, findings: Findings) -> str:
    """The claimed spread is the sample standard deviation (n − 1) of the final scores."""
    claims = review.entry.claims
    pairs = (
        (claims.val_bpb_std, "bpb", [s.val_bpb for _, s in review.scored]),
        (claims.val_loss_std, "nats", [s.val_loss for _, s in review.scored if s.val_loss is not None]),
    )
    if not claims.val_bpb_std and not claims.val_loss_std:
        return "no spread is claimed"
    for claim, unit, values in pairs:
        if claim is None:
            continue
        if len(values) < 2 or len(values) < len(review.runs) or (claims.n and claims.n > len(values)):
            findings.unknown(
                f"claims a std of {claim} {unit} over {claims.n or 'some'} seeds, logs give {len(values)}", claim
            )
            continue
        std, population = _std(values), _population_std(values)
        printed = max(map(decimals_of, values))
        if claim.agrees(std, printed):
            findings.show(claim)
        elif claim.agrees(population, printed):
            findings.warn(f"claims a std of {claim} {unit}: that divides by n; by n − 1 it is {std:.8f}", claim)
        elif of_rounded(claim, values, _std) or of_rounded(claim, values, _population_std):
            findings.warn(f"claims a std of {claim} {unit}, which is of rounded scores; it is {std:.8f}", claim)
        elif unit == "bpb" and other_byte_count(review):
            findings.warn(f"claims a std of {claim} {unit}, of another count of bytes; the logs give {std:.8f}", claim)
        else:
            findings.fail(
                f"claims a std of {claim} {unit}, the logs give {std:.8f}", claim, *(s for _, s in review.scored)
            )
    return f"the logs give the claimed std, {claims.val_bpb_std or claims.val_loss_std}"
