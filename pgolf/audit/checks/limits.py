"""The limits of the track: bytes, seconds, hardware."""

import math
import re
from collections.abc import Sequence

from pgolf.audit.checks.review import Findings, Review, Status
from pgolf.evidence.claims import Claim
from pgolf.evidence.run import Run, Sourced


def artifact_bytes(review: Review, findings: Findings) -> str:
    """Code and model add up to the size that the log gives, under the cap, and to what is claimed."""
    cap = review.track.limits.artifact_bytes
    totals: list[Sourced[int]] = []
    for run in review.runs:
        total, model, code = run.artifact_bytes, run.model_bytes, run.code_bytes
        if model and code and total and model.value + code.value != total.value:
            text = f"code {code.value:,} + model {model.value:,} bytes are not the {total.value:,} that it says"
            findings.fail(f"{review.name_of(run)}: {text}", code, model, total)
        if model and code and not total:
            total = Sourced(model.value + code.value, model.at)
        if not total:
            findings.unknown(f"{review.name_of(run)} gives no size of the artifact")
            continue
        if total.value > cap:
            findings.fail(
                f"{review.name_of(run)}: {total.value:,} bytes, {total.value - cap:,} over the cap of {cap:,}", total
            )
        totals.append(total)
    if (claim := review.entry.claims.artifact_bytes) and totals:
        _claimed_size(review, findings, claim, [t.value for t in totals])
    findings.show(*totals)
    return f"at most {max((t.value for t in totals), default=0):,} bytes, code included; the cap is {cap:,}"


def _claimed_size(review: Review, findings: Findings, claim: Claim, totals: list[int]) -> None:
    if any(claim.agrees(t) for t in (*totals, sum(totals) / len(totals))):
        return
    if (n := review.entry.claims.n) and n > len(totals):
        findings.unknown(f"claims {claim.value:,.0f} bytes, which may be those of a seed without a log", claim)
        return
    models = [r.model_bytes for r in review.runs if r.model_bytes]
    code = review.entry.claims.code_bytes
    logged = ", ".join(f"{t:,}" for t in sorted(set(totals)))
    text = f"claims {claim.value:,.0f} bytes, the logs give {logged}"
    if code and any(claim.agrees(m.value + code.value) for m in models):
        findings.warn(f"{text} (it counts a code of {code.value:,.0f} bytes that no log ran)", claim, code)
    elif models and any(
        claim.agrees(x) for x in [*(m.value for m in models), sum(m.value for m in models) / len(models)]
    ):
        findings.fail(f"{text} (it counts the model alone)", claim)
    else:
        findings.fail(text, claim)


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
    here = {programs[main], sum(programs.values()), _size_with_unix_newlines(review, main)}
    same = [r for r in review.runs if here & {x.value for x in (r.code_bytes, r.source_bytes) if x}]
    others = [r for r in review.runs if r not in same and (r.code_bytes or r.source_bytes)]
    text = f"{main} has {programs[main]:,} bytes"
    if not same:
        findings.fail(f"{text}, the code that the logs ran has {_sizes(logged)}: it is not the code that ran", *logged)
    elif others:
        ran = [r.code_bytes or r.source_bytes for r in others]
        findings.warn(f"{text}, but {', '.join(map(review.name_of, others))} ran {_sizes([x for x in ran if x])}", *ran)
    findings.show(*logged)
    return f"{text}, as in the logs"


def _sizes(values: Sequence[Sourced[int]]) -> str:
    return ", ".join(f"{v:,}" for v in sorted({x.value for x in values})) + " bytes"


def _size_with_unix_newlines(review: Review, name: str) -> int:
    if review.entry.sizes[name] > 1 << 24:
        return review.entry.sizes[name]
    return len((review.entry.path / name).read_bytes().replace(b"\r\n", b"\n"))


def train_seconds(review: Review, findings: Findings) -> str:
    """Training fits its limit by the log's own clock."""
    times = [(r, r.train_seconds.value if r.train_seconds else None, r.train_seconds) for r in review.runs]
    return _fits(review, findings, times, review.track.limits.train_seconds, "training")


def train_plus_calibration_seconds(review: Review, findings: Findings) -> str:
    """Training fits its limit together with the pass over training data that calibrates the quantisation."""
    times: list[tuple[Run, float | None, Sourced[float] | None]] = []
    for run in review.runs:
        train, calibration = run.train_seconds, run.calibration_seconds
        findings.show(train)
        if train and run.calibration and not calibration:
            findings.unknown(f"{review.name_of(run)} calibrates, and does not say how long", run.calibration)
        elif train:
            times.append((run, train.value + (calibration.value if calibration else 0), calibration or train))
        else:
            times.append((run, None, None))
    return _fits(review, findings, times, review.track.limits.train_seconds, "training and calibration")


def _fits(
    review: Review,
    findings: Findings,
    times: Sequence[tuple[Run, float | None, Sourced[float] | None]],
    limit: float,
    what: str,
) -> str:
    over: dict[Status, list[tuple[str, Sourced[float] | None]]] = {}
    for run, seconds, at in times:
        findings.show(at)
        if seconds is None:
            findings.unknown(f"{review.name_of(run)} does not say how long {what} took")
        elif seconds > limit:
            status: Status = "warn" if seconds <= limit + review.grace else "fail"
            over.setdefault(status, []).append((f"{seconds:.3f} s in {review.name_of(run)}", at))
    for status, found_over in over.items():
        grace = f", inside the grace of {review.grace:g} s" if status == "warn" else ""
        texts, places = zip(*found_over, strict=True)
        findings.add(status, f"{what} took more than {limit:g} s{grace}: {', '.join(texts)}", *places)
    known = [s for _, s, _ in times if s is not None]
    return f"{what} took at most {max(known, default=0):.3f} s of {limit:g} s"


def eval_seconds(review: Review, findings: Findings) -> str:
    """All passes that are scored from the artifact fit their limit together."""
    limit, longest = review.track.limits.eval_seconds, (0.0, 0.0)
    for run, final in review.scored:
        total, passes = run.eval_seconds, [s for s in run.stages if s.kind != "pre-quant"]
        if total is None:
            findings.unknown(f"{review.name_of(run)} does not time its final pass", final)
            continue
        claimed = total - math.fsum(s.eval_seconds or 0 for s in passes if s.diagnostic)
        longest = max(longest, (total, final.eval_seconds or total))
        findings.show(*passes)
        over = f"{total - limit:.3f} s over {limit:g} s"
        text = f"{review.name_of(run)}: the passes over the artifact took {total:.3f} s, {over}"
        if claimed > limit:
            findings.add("warn" if claimed <= limit + review.grace else "fail", text, *passes)
        elif total > limit:
            findings.warn(f"{text}; {claimed:.3f} s without those that it calls diagnostic", *passes)
    if not review.scored:
        findings.unknown("no log has a final score")
    return (
        f"the passes over the artifact took at most {longest[0]:.3f} s of {limit:g} s, the final one {longest[1]:.3f} s"
    )


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
        if name and not _is_of(name.value, wanted[2] if wanted else review.track.hardware, review.track.hardware):
            findings.fail(f"{review.name_of(run)} ran on {name.value}, the track is for {review.track.hardware}", name)
        if ranks and wanted and ranks.value != int(wanted[1]):
            findings.fail(
                f"{review.name_of(run)} ran {ranks.value} ranks, the track is for {review.track.hardware}", ranks
            )
        findings.show(name, ranks)
    names = sorted({r.hardware.value for r in review.runs if r.hardware})
    return f"{', '.join(names)}, as the track asks"


def _is_of(name: str, wanted: str, full: str) -> bool:
    name = name.lower()
    if "sxm" in full.lower() and re.search(r"pcie|nvl\b", name):
        return False
    word = re.match(r"\w+", wanted.lower())
    return word is not None and word[0] in name
