"""Units: bpb and nats per token."""

import re
from statistics import median

from pgolf.audit.checks.prose import NUMBER, as_float, unit_of
from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.measures import Status
from pgolf.evidence.run import Evidence
from pgolf.stats.sample import LN2

BPB, NATS = r"\s{0,3}(?:bpb|bits?(?:/| per )byte)\b", r"\s{0,3}nats?\b(?!\s?(?:/|per)\s?byte)"
LINK = r"\s{0,3}(?:=|≈|~|≅|\(|\[|/|,|or|i\.e\.|that is|equals)[\s=≈~]{0,4}"
BPB_IS_NATS = re.compile(rf"({NUMBER}){BPB}{LINK}({NUMBER}){NATS}", re.I)
NATS_ARE_BPB = re.compile(rf"({NUMBER}){NATS}(?:/token| per token)?{LINK}({NUMBER}){BPB}", re.I)
IN_NATS = re.compile(rf"({NUMBER}){NATS}", re.I)


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
            numbers = bpb.value, bpb.unit, nats.value, nats.unit
            _one_thing(findings, *numbers, ratio, nats.at.file, nats.at, "warn")  # a field that is filled in twice
    sources = (("README.md", review.entry.readme), (claims.file or "submission.json", claims.text))
    for file, text in sources:
        plain = re.sub(r"[*`_]", " ", text)  # of the same length: offsets stay those of the text
        pairs = [(m[1], m[2], m.start()) for m in BPB_IS_NATS.finditer(plain)]
        pairs += [(m[2], m[1], m.start()) for m in NATS_ARE_BPB.finditer(plain)]
        for bpb_text, nats_text, start in pairs:
            at = Evidence(file, plain.count("\n", 0, start) + 1)
            numbers = abs(as_float(bpb_text)), unit_of(bpb_text), abs(as_float(nats_text)), unit_of(nats_text)
            _one_thing(findings, *numbers, ratio, file, at)
        if (c := review.comparison) and c.delta_nats:
            for m in IN_NATS.finditer(plain):
                value, unit = abs(as_float(m[1])), unit_of(m[1])
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
    status: Status = "fail",
) -> None:
    """Report a pair of figures for one thing that can only come of a slip: the same number in both units, or nats
    divided by ln 2 alone. Other ratios may be those of another tokenizer."""
    for wrong, why in ((1.0, "that is bpb called nats"), (LN2, "that leaves the bytes per token out")):
        slip, right = abs(nats - bpb * wrong), abs(nats - bpb * ratio)
        if bpb > 0 and slip <= 0.51 * (nats_unit + bpb_unit * wrong) and right > nats_unit + bpb_unit * ratio:
            text = f"{file} gives {bpb:g} bpb and {nats:g} nats for one thing: {why}"
            findings.add(status, f"{text}; {bpb:g} bpb is {bpb * ratio:.5f} nats per token", at)
            return
