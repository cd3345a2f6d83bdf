"""Claims against the logs: means, spreads, single seeds, significance, units."""

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import numpy as np

from pgolf.audit.checks.review import Findings, Review
from pgolf.evidence.claims import Claim
from pgolf.evidence.run import Evidence, Stage
from pgolf.stats.sample import LN2


def decimals_of(value: float) -> int:
    """How many decimals a logged number has, as far as the number itself shows."""
    exponent = Decimal(repr(value)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def claimed_mean(review: Review, findings: Findings) -> str:
    """The claimed score is the mean of the final scores in the logs."""
    claims = review.entry.claims
    if claims.val_bpb is None and claims.val_loss is None:
        findings.unknown("submission.json claims no score")
    _chosen_stage(review, findings)
    held = claims.val_bpb is not None and _claimed_mean(review, findings, claims.val_bpb, "bpb", lambda s: s.val_bpb)
    if claims.val_loss and not repeats(claims.val_bpb, claims.val_loss, review):
        _claimed_mean(review, findings, claims.val_loss, "nats", lambda s: s.val_loss, held)
    findings.show(claims.val_bpb, *(s for _, s in review.scored))
    return f"the logs give the claimed {claims.val_bpb or claims.val_loss}"


def _chosen_stage(review: Review, findings: Findings) -> None:
    """Warn where the claim is of an earlier evaluation than the last one of a log."""
    for run in review.runs:
        if run.claimed:
            later = [s for s in run.stages[run.stages.index(run.claimed) + 1 :] if s.kind != "pre-quant"]
            gave = ", ".join(f"{s.name} {s.val_bpb:.{s.decimals}f}" for s in later)
            text = f"{review.name_of(run)}: it claims {run.claimed.name}, and leaves out what came later: {gave}"
            findings.warn(text, run.claimed, *later)


def repeats(bpb: Claim | None, loss: Claim, review: Review) -> bool:
    """Whether a claimed loss is the claimed bpb again, or the score of the logs in bpb or in nats per byte."""
    scores = [s.val_bpb for _, s in review.scored]
    values = [*([bpb.value] if bpb else []), *([math.fsum(scores) / len(scores)] if scores else []), *scores]
    return any(loss.agrees(v * unit) for v in values for unit in (1.0, LN2))


def _claimed_mean(
    review: Review,
    findings: Findings,
    claim: Claim,
    unit: str,
    value: Callable[[Stage], float | None],
    held: bool = False,
) -> bool:
    """Whether the claim holds. Where bpb holds (`held`), a loss that is another one of the logs is but a slip."""
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
    elif held and any(claim.agrees(v, printed) for r in review.runs for s in r.stages if (v := value(s))):
        findings.warn(f"{text}: it is the loss of another score in the logs", claim)
    else:
        findings.fail(text, claim, *(s for _, s in review.scored))
    return bool(beside)


MEAN_IN_WORDS = re.compile(r"\b(?:mean|average|avg)\b", re.I)


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
    by_name: dict[str, list[float]] = {}
    for run in review.runs:
        for s in run.stages:
            if s.kind != "pre-quant" and (v := value(s)) is not None:
                by_name.setdefault(s.name, []).append(v)
    return {name: math.fsum(v) / len(v) for name, v in by_name.items() if len(v) == len(review.runs)}


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
        std, population = float(np.std(values, ddof=1)), float(np.std(values))
        if claim.agrees(std):
            findings.show(claim)
        elif claim.agrees(population):
            findings.warn(f"claims a std of {claim} {unit}: that divides by n; by n − 1 it is {std:.8f}", claim)
        else:
            findings.fail(
                f"claims a std of {claim} {unit}, the logs give {std:.8f}", claim, *(s for _, s in review.scored)
            )
    return f"the logs give the claimed std, {claims.val_bpb_std or claims.val_loss_std}"


def claimed_seed_values(review: Review, findings: Findings) -> str:
    """Claims about single seeds agree with their logs."""
    for seed, claim in review.entry.claims.by_seed.items():
        run = next((r for r in review.runs if r.seed and r.seed.value == seed), None)
        run = run or next((r for r in review.runs if review.entry.named_seed(r) == seed), None)
        if run is None or run.final is None:
            findings.unknown(f"seed {seed}: no log with a final score")
            continue
        for number, what, logged in (
            (claim.val_bpb, "bpb", run.final.val_bpb),
            (claim.val_loss, "nats", run.final.val_loss),
            (claim.artifact_bytes, "bytes", run.artifact_bytes.value if run.artifact_bytes else None),
            (claim.train_seconds, "s of training", run.train_seconds.value if run.train_seconds else None),
        ):
            if number and logged is not None and not number.agrees(logged):
                text = f"seed {seed}: claims {number} {what}, {review.name_of(run)} says {round(logged, 8):,}"
                findings.fail(text, number, run.final)
        if claim.steps and run.steps and not claim.steps.agrees(run.steps.value):
            findings.warn(
                f"seed {seed}: claims {claim.steps} steps, the log has {run.steps.value}", claim.steps, run.steps
            )
        times = [t for t in (run.final.eval_seconds, run.eval_seconds) if t is not None]
        if claim.eval_seconds and times and not any(claim.eval_seconds.agrees(t) for t in times):
            text = f"seed {seed}: claims {claim.eval_seconds} s of evaluation, the log has {times[0]:.3f} s"
            findings.warn(text, claim.eval_seconds, run.final)
        findings.show(claim.val_bpb, run.final)
    _readme_table(review, findings)
    return (
        "the logs give what is claimed of each seed"
        if review.entry.claims.by_seed
        else "nothing is claimed of single seeds"
    )


def _readme_table(review: Review, findings: Findings) -> None:
    """Seeds that the README's tables give a score near their own, but nowhere their own."""
    right, wrong = set(), {}
    for number, seed, cells in _seed_rows(review.entry.readme):
        run = next((r for r in review.runs if r.final and r.seed and str(r.seed.value) == seed), None)
        if run is None or run.final is None:
            continue
        known = [v for s in run.stages for v in (s.val_bpb, s.val_loss) if v]
        scores = [c for c in cells if re.fullmatch(r"\d\.\d{4,8}", c) and abs(float(c) - run.final.val_bpb) < 0.01]
        if any(abs(float(c) - v) <= 1.0001 * 10.0 ** -len(c[2:]) for c in scores for v in known):
            right.add(seed)
        elif scores:
            score = f"{run.final.val_bpb:.{run.final.decimals}f}"
            text = f"README.md gives seed {seed} a score of {scores[0]}, {review.name_of(run)} says {score}"
            wrong[seed] = (text, Evidence("README.md", number), run.final)
    for seed, finding in wrong.items():
        if seed not in right:
            findings.fail(*finding)


def _seed_rows(readme: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line, seed, cells) of each row of the tables that have a column of seeds."""
    column: int | None = None
    inside = False
    for number, line in enumerate(readme.splitlines(), 1):
        cells = [c.strip(" *`_~") for c in line[:1000].strip().strip("|").split("|")] if "|" in line[:1000] else []
        if not inside and cells:
            column = next((i for i, c in enumerate(cells) if re.fullmatch(r"(?i)(?:random )?seeds?", c)), None)
        elif inside and column is not None and len(cells) > column:
            yield number, re.sub(r"(?i)^seed\s*", "", cells[column]), cells
        inside = bool(cells)
