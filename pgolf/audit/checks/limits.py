"""The limits of the track: bytes, seconds, hardware."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import islice

from pgolf.audit import measures
from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.checks.seed_values import counts_other_code
from pgolf.audit.measures import Measure, Status
from pgolf.evidence.claims import Claim
from pgolf.evidence.lines import read_lines
from pgolf.evidence.run import Run, Sourced
from pgolf.phrases import counted
from pgolf.tracks import Limits
from pgolf.untrusted import Untrusted, read_bytes

ANY = "any"  # hardware of a track that asks for none
NEAR = 20  # lines around the total in which a log lists the parts of its artifact


def artifact_bytes(review: Review, findings: Findings) -> str:
    """Code and model add up to the size that the log gives, under the cap, and to what is claimed."""
    limits, totals = review.track.limits, []
    for run in review.runs:
        logged, model, code = run.artifact_bytes, run.model_bytes, run.code_bytes
        rest = logged.value - model.value - code.value if model and code and logged else 0
        if model and code and logged and rest and not (rest > 0 and _is_a_part(review, run, logged, rest)):
            text = f"code {code.value:,} + model {model.value:,} bytes are not the {logged.value:,} that it says"
            findings.fail(f"{review.name_of(run)}: {text}", code, model, logged)
        size, total = measures.artifact_size(run, limits), measures.artifact_bytes(run)
        if not total:
            findings.unknown(f"{review.name_of(run)} gives no size of the artifact")
            continue
        if size.status == "fail":
            over = total.value - limits.artifact_bytes
            text = f"{total.value:,} bytes, {over:,} over the cap of {limits.artifact_bytes:,}"
            findings.fail(f"{review.name_of(run)}: {text}", total)
        totals.append(total)
    if (claim := review.entry.claims.artifact_bytes) and totals:
        unpacked = any(
            r.packed_bytes and r.artifact_bytes and claim.agrees(r.artifact_bytes.value) for r in review.runs
        )
        if not unpacked:
            _claimed_size(review, findings, claim, [t.value for t in totals])
    findings.show(*totals)
    largest = max((t.value for t in totals), default=0)
    cap = f"; the cap is {limits.artifact_bytes:,}" if review.track.ruled else ""
    return f"at most {largest:,} bytes, code included{cap}"


def _is_a_part(review: Review, run: Run, total: Sourced[int], size: int) -> bool:
    """Whether the log gives a part of so many bytes beside its code and model, near their total."""
    number = re.compile(rf"(?<![\d.,]){size}(?![\d.])(?=\s*b|.{{0,80}}$)", re.I)
    try:
        for line, text in islice(read_lines(run.log, review.entry.path), total.at.line + NEAR):
            said = re.sub(r"(?<=\d)[,_](?=\d)", "", text[:1000])
            if line >= total.at.line - NEAR and "byte" in said.lower() and number.search(said):
                return True
    except (OSError, Untrusted):
        pass
    return False


def _claimed_size(review: Review, findings: Findings, claim: Claim, totals: list[int]) -> None:
    if any(claim.rounded.agrees(t) for t in (*totals, sum(totals) / len(totals))):
        return
    if (n := review.entry.claims.n) and n > len(totals):
        findings.unknown(f"claims {claim.value:,.0f} bytes, which may be those of a seed without a log", claim)
        return
    models = [r.model_bytes.value for r in review.runs if r.model_bytes]
    logged = ", ".join(f"{t:,}" for t in sorted(set(totals)))
    text = f"claims {claim.value:,.0f} bytes, the logs give {logged}"
    if claim.value > max(totals):
        findings.warn(f"{text} (it counts more than any log)", claim)
    elif claim.value > min(totals):
        findings.warn(f"{text} (it is of none of them)", claim)
    elif code := next((claim.value - m for m in models if counts_other_code(review, claim.value - m)), None):
        findings.warn(f"{text} (it counts a code of {code:,.0f} bytes that no log ran)", claim)
    elif models and any(claim.agrees(x) for x in [*models, sum(models) / len(models)]):
        findings.fail_papers(f"{text} (it counts the model alone)", claim)
    else:
        findings.fail_papers(text, claim)


def code_bytes(review: Review, findings: Findings) -> str:
    """The code in the folder has the size of the code that the logs ran."""
    programs = {n: s for n, s in review.entry.sizes.items() if n.endswith(".py")}
    logged = [x for r in review.runs for x in (r.code_bytes, r.source_bytes) if x]
    if (claim := review.entry.claims.code_bytes) and logged and not any(claim.agrees(x.value) for x in logged):
        findings.warn(f"claims {claim.value:,.0f} bytes of code, the logs ran {_sizes(logged)}", claim, *logged)
    main = review.entry.program
    if not logged or not main:
        findings.unknown(
            "no log gives the size of its code" if main else "there is no train_gpt.py to compare the logs with"
        )
        return ""
    size = programs[main] if main in programs else review.entry.code_sizes[main]
    alone = {size, _size_with_unix_newlines(review, main)}
    together = {sum(programs.values()), sum(review.entry.code_sizes.values())}
    here = alone | together
    same = [r for r in review.runs if r.packed_bytes or here & {x.value for x in (r.code_bytes, r.source_bytes) if x}]
    others = [r for r in review.runs if r not in same and (r.code_bytes or r.source_bytes)]
    text = f"{main} has {size:,} bytes"
    if not same and _counted_openly(review, logged):
        here_now = f"the files that submission.json counts have {sum(review.entry.code_sizes.values()):,} bytes"
        findings.warn(f"{here_now}, the logs count fewer, as of compressed code: it may be other code", *logged)
    elif not same:
        findings.fail(f"{text}, the code that the logs ran has {_sizes(logged)}: it is not the code that ran", *logged)
    elif others:
        ran = [r.code_bytes or r.source_bytes for r in others]
        findings.warn(f"{text}, but {', '.join(map(review.name_of, others))} ran {_sizes([x for x in ran if x])}", *ran)
    findings.show(*logged)
    values = {x.value for x in logged}
    if together & values and not alone & values:
        text = f"{main} and the code beside it have {min(together & values):,} bytes"
    if any(r.packed_bytes for r in same):
        return f"{text}, and extracts itself to the code that the logs ran, {_sizes(logged)}"
    return f"{text}, as in the logs"


def _counted_openly(review: Review, logged: Sequence[Sourced[int]]) -> bool:
    """Whether submission.json lists files of code, and counts all their bytes, which are more than any log gives."""
    claim, size = review.entry.claims.code_bytes, sum(review.entry.code_sizes.values())
    return claim is not None and claim.value == size > max(x.value for x in logged)


def _sizes(values: Sequence[Sourced[int]]) -> str:
    return ", ".join(f"{v:,}" for v in sorted({x.value for x in values})) + " bytes"


def _size_with_unix_newlines(review: Review, name: str) -> int:
    size = review.entry.sizes[name] if name in review.entry.sizes else review.entry.code_sizes[name]
    try:
        return len(read_bytes(review.entry.path / name, 1 << 24, review.entry.path).replace(b"\r\n", b"\n"))
    except Untrusted:
        return size


def train_seconds(review: Review, findings: Findings) -> str:
    """Training fits its limit by the log's own clock."""
    return _fits(review, findings, measures.training, "training")


def train_plus_calibration_seconds(review: Review, findings: Findings) -> str:
    """Training fits its limit together with the pass over training data that calibrates the quantisation."""
    for run in review.runs:
        if run.train_seconds and run.calibration and not run.calibration_seconds:
            findings.unknown(f"{review.name_of(run)} calibrates, and does not say how long", run.calibration)
    return _fits(review, findings, measures.calibrated_training, "training and calibration")


def _fits(review: Review, findings: Findings, measure: Callable[[Run, Limits], Measure], what: str) -> str:
    over: dict[Status, list[tuple[str, Measure]]] = {}
    limit, longest = review.track.limits.train_seconds, 0.0
    for run in review.runs:
        m = measure(run, review.track.limits)
        findings.show(*m.evidence)
        longest = max(longest, m.value or 0.0)
        if not run.train_seconds:
            findings.unknown(f"{review.name_of(run)} does not say how long {what} took")
        elif m.status in ("warn", "fail"):
            over.setdefault(m.status, []).append((f"{m.value:.3f} s in {review.name_of(run)}", m))
    for status, found in over.items():
        m = found[0][1]
        grace = f", inside the grace of {m.grace:g} s" if m.in_grace else ""
        texts = ", ".join(text for text, _ in found)
        places = [m.evidence[-1] for _, m in found]
        findings.add(status, f"{what} took more than {limit:g} s{grace}: {texts}", *places)
    return f"{what} took at most {longest:.3f} s {_of(limit)}"


def _of(limit: float) -> str:
    return f"of {limit:g} s" if math.isfinite(limit) else "(this track sets no limit)"


def eval_seconds(review: Review, findings: Findings) -> str:
    """All passes that are scored from the artifact fit their limit together."""
    longest = (0.0, 0.0)
    for run, final in review.scored:
        m = measures.evaluation(run, review.track.limits)
        if m.value is None:
            findings.unknown(f"{review.name_of(run)} does not time its final pass", final)
            continue
        longest = max(longest, (m.value, final.eval_seconds or m.value))
        findings.show(*m.evidence)
        if m.status == "pass":
            continue
        text = f"the passes over the artifact took {m.value:.3f} s, {m.value - m.limit:.3f} s over {m.limit:g} s"
        if m.in_grace:
            text += f", inside the grace of {m.grace:g} s"
        elif m.status == "warn":
            text += f"; {m.value - m.diagnostic:.3f} s without those that it calls diagnostic"
        findings.add(m.status, f"{review.name_of(run)}: {text}", *m.evidence)
    if not review.scored:
        findings.unknown("no log has a final score")
    limit = review.track.limits.eval_seconds
    took, last = longest
    return f"the passes over the artifact took at most {took:.3f} s {_of(limit)}, the final one {last:.3f} s"


def hardware(review: Review, findings: Findings) -> str:
    """The logs show the track's accelerators, and as many ranks."""
    wanted = re.match(r"(\d+)\s*[x×]\s*(\w+)", review.track.hardware)
    silent = [review.name_of(r) for r in review.runs if r.hardware is None]
    if silent:
        claim = review.entry.claims.hardware
        said = f"; submission.json claims '{claim}'" if claim else ""
        findings.unknown(f"not named in {', '.join(silent)}{said}")
    for run in review.runs:
        name, ranks = run.hardware, run.world_size or run.device_count
        if name and not is_of(name.value, wanted[2] if wanted else review.track.hardware, review.track.hardware):
            findings.fail(f"{review.name_of(run)} ran on {name.value}, the track is for {review.track.hardware}", name)
        if ranks and wanted and ranks.value != int(wanted[1]):
            findings.fail(
                f"{review.name_of(run)} ran {counted(ranks.value, 'rank')}, the track is for {review.track.hardware}",
                ranks,
            )
        findings.show(name, ranks)
    names = sorted({r.hardware.value for r in review.runs if r.hardware})
    return f"{', '.join(names)}, {'as the track asks' if review.track.hardware != ANY else 'and the track allows any'}"


def is_of(name: str, wanted: str, full: str) -> bool:
    """Whether an accelerator called `name` is the one that a track asks for: `wanted`, in its `full` words."""
    if full == ANY:
        return True
    name = name.lower()
    if "sxm" in full.lower() and re.search(r"pcie|nvl\b", name):
        return False
    word = re.match(r"\w+", wanted.lower())
    return word is not None and word[0] in name
