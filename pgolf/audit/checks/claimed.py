"""Claims against the logs: means, spreads, single seeds, significance, units."""

import math
import re
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.measures import Status
from pgolf.evidence.claims import Claim
from pgolf.evidence.run import Evidence, Stage
from pgolf.stats.comparison import format_p
from pgolf.stats.sample import LN2

RULES_P = (0.01, 0.05, 0.25)  # levels that a README quotes from the rules, as a rule and not as a claim

# digits are counted out, so that no README is slow to read
NUMBER = r"(?<![\d.])[-+−]?\d{1,20}(?:\.\d{1,20})?(?:[eE][-+−]?\d{1,4})?"
P_TEXT = re.compile(rf"\bp(?:[- ]values?)?\s{{0,3}}(<|≤|=|≈|~)\s{{0,3}}({NUMBER})", re.I)
T_TEXT = re.compile(r"\bt(?:[- ]stat(?:istic)?)?\s{0,3}[=≈]\s{0,3}([-−]?\d{1,9}\.\d{1,9})")
BPB, NATS = r"\s{0,3}(?:bpb|bits?(?:/| per )byte)\b", r"\s{0,3}nats?\b"
LINK = r"\s{0,3}(?:=|≈|~|≅|\(|\[|/|,|or|i\.e\.|that is|equals)[\s=≈~]{0,4}"
BPB_IS_NATS = re.compile(rf"({NUMBER}){BPB}{LINK}({NUMBER}){NATS}", re.I)
NATS_ARE_BPB = re.compile(rf"({NUMBER}){NATS}(?:/token| per token)?{LINK}({NUMBER}){BPB}", re.I)
IN_NATS = re.compile(rf"({NUMBER}){NATS}", re.I)


def claimed_mean(review: Review, findings: Findings) -> str:
    """The claimed score is the mean of the final scores in the logs."""
    claims = review.entry.claims
    if claims.val_bpb is None and claims.val_loss is None:
        findings.unknown("submission.json claims no score")
    for claim, unit, value in (
        (claims.val_bpb, "bpb", lambda s: s.val_bpb),
        (claims.val_loss, "nats", lambda s: s.val_loss),
    ):
        if claim:
            _claimed_mean(review, findings, claim, unit, value)
    findings.show(claims.val_bpb, *(s for _, s in review.scored))
    return f"the logs give the claimed {claims.val_bpb or claims.val_loss}"


def _claimed_mean(
    review: Review, findings: Findings, claim: Claim, unit: str, value: Callable[[Stage], float | None]
) -> None:
    finals = {review.name_of(r): v for r, s in review.scored if (v := value(s)) is not None}
    n = review.entry.claims.n
    if len(finals) < max(1, len(review.runs)) or (n and n > len(review.runs)):
        findings.unknown(
            f"claims {claim} {unit} of {n or 'some'} seeds, there are final scores of {len(finals)}", claim
        )
        return
    mean = math.fsum(finals.values()) / len(finals)
    if claim.agrees(mean):
        return
    digits = max(claim.decimals, 4)
    text = f"claims {claim} {unit}, the mean of the logs is {mean:.{digits}f}"
    single = [name for name, v in finals.items() if claim.agrees(v)]
    stage = next((name for name, v in _stage_means(review, value).items() if claim.agrees(v)), None)
    if single:
        findings.add("fail" if n and n > 1 else "warn", f"{text}: it is the score of {single[0]} alone", claim)
    elif stage:
        findings.warn(f"{text}: it is that of an earlier stage, {stage}", claim)
    else:
        findings.fail(text, claim, *(s for _, s in review.scored))


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


def claimed_significance(review: Review, findings: Findings) -> str:
    """Claimed t and p follow from the logs of both records."""
    claims, comparison = review.entry.claims, review.comparison
    texts = [(m[1], m[2], m.start()) for m in P_TEXT.finditer(review.entry.readme)]
    ts = list(T_TEXT.finditer(review.entry.readme))
    claimed = [x for x in (claims.p, claims.t) if x]
    if not claimed and not texts and not ts:
        return "no significance is claimed" + (f"; {comparison.verdict}" if comparison else "")
    if claimed and len(review.runs) == 1 and (claims.n or 1) == 1:
        findings.fail(f"claims {_names(claims.p, claims.t)} with one seed, which has no spread", *claimed)
    if comparison is None:
        findings.unknown(f"not checked: {review.no_comparison}")
        return ""
    tests = [t for t in (comparison.any_improvement, comparison.clears_bar) if t]
    computed = "; ".join(f"t = {t.t:.3f}, p = {format_p(t.p)}" for t in tests) or comparison.verdict
    if claims.t and not any(claims.t.agrees(abs(t.t)) or claims.t.agrees(-abs(t.t)) for t in tests):
        findings.fail(f"claims t = {claims.t}; the logs give {computed}", claims.t)
    if claims.p and not any(_p_holds(claims.p.bound, claims.p.value, claims.p.unit, t.p) for t in tests):
        findings.fail(f"claims p {claims.p.bound or '='} {claims.p.value:g}; the logs give {computed}", claims.p)
    for sign, number, start in texts:
        value, bound = _float(number), "<" if sign in "<≤" else ""
        if not any(_p_holds(bound, value, _unit(number), t.p) for t in tests):
            status: Status = "fail" if bound and value not in RULES_P else "warn"
            findings.add(
                status, f"README.md says p {sign} {number}; the logs give {computed}", _readme_line(review, start)
            )
    for m in ts:
        if not any(abs(abs(_float(m[1])) - abs(t.t)) <= 1.01 * _unit(m[1]) for t in tests):
            findings.warn(f"README.md says t = {m[1]}; the logs give {computed}", _readme_line(review, m.start()))
    return f"it follows from the logs: {computed}"


def _names(p: Claim | None, t: Claim | None) -> str:
    return " and ".join(x for x in (p and f"p {p.bound or '='} {p.value:g}", t and f"t = {t}") if x)


def _p_holds(bound: str, claimed: float, unit: float, p: float) -> bool:
    return p < claimed if bound else abs(p - claimed) <= 1.01 * unit


def _float(text: str) -> float:
    value = float(text.replace("−", "-"))
    return value if math.isfinite(value) else 0.0


def _unit(number: str) -> float:
    """One unit of the last printed digit: of 5.86e-07, 1e-9."""
    mantissa, _, exponent = number.replace("−", "-").lower().partition("e")
    return 10.0 ** (min(max(int(exponent or 0), -300), 300) - len(mantissa.partition(".")[2]))


def _readme_line(review: Review, offset: int) -> Evidence:
    return Evidence("README.md", review.entry.readme.count("\n", 0, offset) + 1)


def units(review: Review, findings: Findings) -> str:
    """No bpb is called nats: where both are given for one thing, their ratio is ln 2 · bytes per token."""
    claims = review.entry.claims
    ratios = [b * LN2 for _, s in review.scored if (b := s.bytes_per_token)]
    if not ratios:
        findings.unknown("bytes per token are unknown")
        return ""
    ratio = median(ratios)
    for bpb, nats in ((claims.val_bpb, claims.val_loss), (claims.val_bpb_std, claims.val_loss_std)):
        if bpb and nats:
            _one_thing(findings, bpb.value, bpb.unit, nats.value, nats.unit, ratio, nats.at.file, nats.at)
    sources = (("README.md", review.entry.readme), (claims.file or "submission.json", claims.text))
    for file, text in sources:
        plain = re.sub(r"[*`_]", " ", text)  # of the same length: offsets stay those of the text
        pairs = [(m[1], m[2], m.start()) for m in BPB_IS_NATS.finditer(plain)]
        pairs += [(m[2], m[1], m.start()) for m in NATS_ARE_BPB.finditer(plain)]
        for bpb_text, nats_text, start in pairs:
            at = Evidence(file, plain.count("\n", 0, start) + 1)
            numbers = abs(_float(bpb_text)), _unit(bpb_text), abs(_float(nats_text)), _unit(nats_text)
            _one_thing(findings, *numbers, ratio, file, at)
        if (c := review.comparison) and c.delta_nats:
            for m in IN_NATS.finditer(plain):
                value, unit = abs(_float(m[1])), _unit(m[1])
                in_bpb, in_nats = abs(value - abs(c.delta_bpb)), abs(value - abs(c.delta_nats))
                if value not in (0, c.margin_nats) and in_bpb <= 0.51 * unit < in_nats:
                    at = Evidence(file, plain.count("\n", 0, m.start()) + 1)
                    text = f"{file} calls the gain of {abs(c.delta_bpb):.5f} bpb '{m[0].strip()}'"
                    findings.fail(f"{text}: in nats per token it is {abs(c.delta_nats):.5f}", at)
    return f"1 bpb is {ratio:.4f} nats per token here, and nothing says otherwise"


def _one_thing(
    findings: Findings,
    bpb: float,
    bpb_unit: float,
    nats: float,
    nats_unit: float,
    ratio: float,
    file: str,
    at: Evidence,
) -> None:
    """Report a pair of figures for one thing that can only come of a slip: the same number in both units, or nats
    divided by ln 2 alone. Other ratios may be those of another tokenizer."""
    for wrong, why in ((1.0, "that is bpb called nats"), (LN2, "that leaves the bytes per token out")):
        slip, right = abs(nats - bpb * wrong), abs(nats - bpb * ratio)
        if bpb > 0 and slip <= 0.51 * (nats_unit + bpb_unit * wrong) and right > nats_unit + bpb_unit * ratio:
            text = f"{file} gives {bpb:g} bpb and {nats:g} nats for one thing: {why}"
            findings.fail(f"{text}; {bpb:g} bpb is {bpb * ratio:.5f} nats per token", at)
            return
