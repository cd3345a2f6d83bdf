"""Claims about single seeds against their logs, in submission.json and in the tables of the README."""

import re
from collections.abc import Iterator

from pgolf.audit import measures
from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.checks.slips import decimals_of, other_byte_count, repeats
from pgolf.audit.measures import Status
from pgolf.evidence.claimed_stage import of_artifact
from pgolf.evidence.claims import Claim, SeedClaim
from pgolf.evidence.run import Evidence, Run, Stage


def claimed_seed_values(review: Review, findings: Findings) -> str:
    """Claims about single seeds agree with their logs."""
    for seed, claim in review.entry.claims.by_seed.items():
        run = next((r for r in review.runs if r.seed and r.seed.value == seed), None)
        run = run or next((r for r in review.runs if review.entry.named_seed(r) == seed), None)
        if run is None or run.final is None:
            findings.unknown(f"seed {seed}: no log with a final score")
            continue
        _scores(review, findings, claim, run, run.final)
        _size(review, findings, claim, run)
        _times(review, findings, claim, run, run.final)
        findings.show(claim.val_bpb, run.final)
    _readme_table(review, findings)
    return (
        "the logs give what is claimed of each seed"
        if review.entry.claims.by_seed
        else "nothing is claimed of single seeds"
    )


def _says(review: Review, claim: SeedClaim, number: Claim, what: str, run: Run, logged: float) -> str:
    return f"seed {claim.seed}: claims {number} {what}, {review.name_of(run)} says {round(logged, 8):,}"


def _scores(review: Review, findings: Findings, claim: SeedClaim, run: Run, final: Stage) -> None:
    if (bpb := claim.val_bpb) and not bpb.agrees(final.val_bpb, final.decimals):
        text = _says(review, claim, bpb, "bpb", run, final.val_bpb)
        earlier = [s for s in of_artifact(run).values() if bpb.is_of(s.val_bpb, s.decimals)]
        beside = next((c for c in claim.others if c.is_of(final.val_bpb, final.decimals)), None)
        if beside:
            findings.warn(f"{text}: that stands beside it as {beside.name}", bpb, beside, final)
        elif other_byte_count(review):
            findings.warn(f"{text}: the same loss over another count of bytes", bpb, final)
        elif earlier and bpb.value > final.val_bpb:
            findings.warn(f"{text}: it is the worse score of {earlier[-1].name}", bpb, earlier[-1])
        else:
            findings.fail(text, bpb, final)
    loss = claim.val_loss if claim.val_loss and not repeats(bpb, claim.val_loss, review) else None
    if loss and final.val_loss and not loss.agrees(final.val_loss, decimals_of(final.val_loss)):
        findings.fail(_says(review, claim, loss, "nats", run, final.val_loss), loss, final)


def _size(review: Review, findings: Findings, claim: SeedClaim, run: Run) -> None:
    number, total = claim.artifact_bytes, measures.artifact_bytes(run)
    if not number or not total or number.rounded.agrees(total.value):
        return
    if run.packed_bytes and run.artifact_bytes and number.agrees(run.artifact_bytes.value):
        return  # with the code as the log counts it
    text = _says(review, claim, number, "bytes", run, total.value)
    whole = review.entry.claims.artifact_bytes
    code = run.code_bytes.value if run.code_bytes else 0
    model = run.model_bytes.value if run.model_bytes else total.value - code if code else None
    if number.value > total.value:
        findings.warn(f"{text}: it counts more", number, total)
    elif number.value == model and whole and (whole.rounded.agrees(total.value) or whole.value > total.value):
        findings.warn(f"{text}: it is the model alone, of which the total is claimed rightly", number, total)
    elif model and counts_other_code(review, number.value - model):
        findings.warn(f"{text}: it counts a code of {number.value - model:,.0f} bytes", number, total)
    else:
        findings.fail(text, number, total)


def counts_other_code(review: Review, code: float) -> bool:
    """Whether the claimed sizes are those of the models and of one smaller code, which may be the logged one packed:
    that of the file in the folder, if it is there, and the same for every seed, or claimed by itself."""
    logged = [r.code_bytes.value for r in review.runs if r.code_bytes]
    if not logged or not 0 < code < min(logged):
        return False
    entry, claims = review.entry, review.entry.claims
    if entry.program is not None:
        return code == entry.sizes.get(entry.program, entry.code_sizes.get(entry.program))
    if claims.code_bytes and claims.code_bytes.value == code:
        return True
    rests = {
        c.artifact_bytes.value - r.model_bytes.value
        for r in review.runs
        if r.seed and r.model_bytes and (c := claims.by_seed.get(r.seed.value)) and c.artifact_bytes
    }
    return rests == {code} and len(review.runs) > 1


def _times(review: Review, findings: Findings, claim: SeedClaim, run: Run, final: Stage) -> None:
    if (number := claim.train_seconds) and (took := run.train_seconds) and not number.agrees(took.value):
        over = measures.training(run, review.track.limits).status == "fail"
        status: Status = "fail" if over and number.value <= review.track.limits.train_seconds else "warn"
        findings.add(status, _says(review, claim, number, "s of training", run, took.value), number, took)
    if claim.steps and run.steps and not claim.steps.agrees(run.steps.value):
        text = f"seed {claim.seed}: claims {claim.steps} steps, the log has {run.steps.value}"
        findings.warn(text, claim.steps, run.steps)
    times = [t for t in (final.eval_seconds, run.eval_seconds) if t is not None]
    if (number := claim.eval_seconds) and times and not any(number.agrees(t, decimals_of(t)) for t in times):
        text = f"seed {claim.seed}: claims {number} s of evaluation, the log has {times[0]:.3f} s"
        findings.warn(text, number, final)


def _readme_table(review: Review, findings: Findings) -> None:
    """Seeds that the README's tables give a score near their own, but nowhere their own."""
    right, wrong = set(), {}
    for number, seed, cells in _seed_rows(review.entry.readme):
        run = next((r for r in review.runs if r.final and r.seed and str(r.seed.value) == seed), None)
        if run is None or run.final is None:
            continue
        theirs = [r for r in (*review.runs, *review.entry.extras) if r.seed and str(r.seed.value) == seed]
        known = [v for r in theirs for s in r.stages for v in (s.val_bpb, s.val_loss) if v]
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
