"""Claimed significance against the logs of both records."""

import re

from pgolf.audit.checks.prose import NUMBER, as_float, unit_of
from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.measures import Status
from pgolf.evidence.claims import Claim
from pgolf.evidence.run import Evidence
from pgolf.stats.comparison import format_p

RULES_P = (0.01, 0.05, 0.25)  # levels that a README quotes from the rules, as a rule and not as a claim
P_TEXT = re.compile(rf"\bp(?:[- ]values?)?\s{{0,3}}(<|≤|=|≈|~)\s{{0,3}}({NUMBER})", re.I)
T_TEXT = re.compile(r"\bt(?:[- ]stat(?:istic)?)?\s{0,3}[=≈]\s{0,3}([-−]?\d{1,9}\.\d{1,9})")


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
    computed = "; ".join(f"t = {t.t:z.3f}, p = {format_p(t.p)}" for t in tests) or comparison.verdict
    if claims.t and not any(claims.t.agrees(abs(t.t)) or claims.t.agrees(-abs(t.t)) for t in tests):
        findings.fail(f"claims t = {claims.t}; the logs give {computed}", claims.t)
    if claims.p and not any(_p_holds(claims.p.bound, claims.p.value, claims.p.unit, t.p) for t in tests):
        findings.fail(f"claims p {claims.p.bound or '='} {claims.p.value:g}; the logs give {computed}", claims.p)
    for sign, number, start in texts:
        value, bound = as_float(number), "<" if sign in "<≤" else ""
        if not any(_p_holds(bound, value, unit_of(number), t.p) for t in tests):
            status: Status = "fail" if bound and value not in RULES_P else "warn"
            findings.add(
                status, f"README.md says p {sign} {number}; the logs give {computed}", _readme_line(review, start)
            )
    for m in ts:
        if not any(abs(abs(as_float(m[1])) - abs(t.t)) <= 1.01 * unit_of(m[1]) for t in tests):
            findings.warn(f"README.md says t = {m[1]}; the logs give {computed}", _readme_line(review, m.start()))
    return f"it follows from the logs: {computed}"


def _names(p: Claim | None, t: Claim | None) -> str:
    return " and ".join(x for x in (p and f"p {p.bound or '='} {p.value:g}", t and f"t = {t}") if x)


def _p_holds(bound: str, claimed: float, unit: float, p: float) -> bool:
    return p < claimed if bound else abs(p - claimed) <= 1.01 * unit


def _readme_line(review: Review, offset: int) -> Evidence:
    return Evidence("README.md", review.entry.readme.count("\n", 0, offset) + 1)
