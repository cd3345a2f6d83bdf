"""The runs of a speedrun's folder: each whole, enough of them, each counted once, and none left out unsaid."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from pgolf.audit.checks.review import Findings
from pgolf.audit.checks.speedrun.review import Speedrun, VariantFigures, listed, sane
from pgolf.audit.measures import Status
from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.evidence.logs import read_runs
from pgolf.evidence.plan import read_plans
from pgolf.evidence.run import CurvePoint, Evidence, Run
from pgolf.evidence.same_run import Repeat, Seen, clocked
from pgolf.evidence.unseeded import NUMBERED
from pgolf.evidence.variants import Result, result_of
from pgolf.phrases import counted

FIRST_STEPS = 0.05  # of a run, in which its clock may begin anew: after the first steps, which compile
TELLING_S, FEWEST, APART_S = 10.0, 5, 0.002  # from when clocks tell runs apart, at how many steps, and by how much
ON_ONE_SIDE = "one run can't be the baseline's and the new program's"
ON_BOTH_SIDES = "either the change leaves each loss as it was, for one seed, or one run is counted on both sides"
MOST_GAP = 20  # missing numbers among names that are worth a word


def log_complete(review: Speedrun, findings: Findings) -> str:
    """Every run has a last validation loss, at the step that it planned."""
    for figures in review.variants:
        for run in figures.variant.runs:
            _went_to_its_end(review, figures, run, findings)
    total = sum(len(v.results) for v in review.variants)
    return f"{total} run{'s' * (total != 1)}, each with a validation loss at its planned last step"


def _went_to_its_end(review: Speedrun, figures: VariantFigures, run: Run, findings: Findings) -> None:
    name, result, last = review.found.name_of(run), result_of(run), run.val_curve[-1] if run.val_curve else None
    if last and not (math.isfinite(last.loss) and sane(last.loss)):
        findings.fail(f"{name}: the last validation loss, at step {last.step}, is {last.loss}", last.at)
        return
    if result is None:
        findings.warn(f"{name} gives no validation loss after training: it does not count")
        return
    findings.show(result.at)
    _clock_runs_on(review, run, result, findings)
    if result.planned is None or result.step >= result.planned:
        return
    crash = next((p for p in run.problems if p.kind == "error" and p.at.line > result.at.line), None)
    text = f"{name}: the last validation loss is at step {result.step} of {result.planned}"
    if crash:
        findings.fail(f"{text}; then: {crash.text}", result.at, crash.at)
    elif any(run is r for r in figures.cut_short):
        others = f"other runs of {figures.name} went to step {figures.steps[-1]}: it does not count"
        findings.warn(f"{text}, {others}", result.at)
    else:
        findings.warn(f"{text}: the run stopped there, or the log's tail is left out", result.at)


def _clock_runs_on(review: Speedrun, run: Run, result: Result, findings: Findings) -> None:
    """The training clock at the result is past that of every earlier loss. The first steps are left out."""
    last = result.seconds
    before = [p for p in run.val_curve if p.seconds is not None and FIRST_STEPS * result.step <= p.step < result.step]
    latest = max(before, key=lambda p: p.seconds or 0.0, default=None)
    if last is None or latest is None or latest.seconds is None or last >= latest.seconds:
        return
    text = f"{review.found.name_of(run)}: the clock runs backwards, from {latest.seconds:.3f} s at step {latest.step}"
    status: Status = "warn" if review.target.least == "steps" else "fail"
    findings.add(status, f"{text} to {last:.3f} s at step {result.step}", latest.at, result.at)


def run_count(review: Speedrun, findings: Findings) -> str:
    """Every variant has as many runs as the track asks for. A warning where not: records from before 2025 were
    accepted with one run, and a speed-up of the systems kind needs no more. Where plan.json names the runs, before the
    first of them, there are as many."""
    least = review.target.min_runs
    for figures in review.variants:
        n = len(figures.results)
        if n < least:
            text = f"{figures.name} has {n} run{'s' * (n != 1)} that count{'s' * (n == 1)}"
            findings.warn(f"{text}, the track asks for {least}", *(r.at for r in figures.results))
    _as_planned(review, findings)
    if not review.new:
        findings.unknown("all runs of the folder are the baseline's")
    return listed(f"{v.name} {len(v.results)}" for v in review.variants)


def _as_planned(review: Speedrun, findings: Findings) -> None:
    """Compare the runs with those that plan.json names: runs that were made and left out make p smaller than it is."""
    try:
        plans = read_plans(review.found.path)
    except BadInput as e:
        findings.unknown(printable(str(e).replace(f"{review.found.path}/", "")))
        return
    for name, count in Counter(plans[-1].order if plans else ()).items():
        there = sum(len(v.variant.runs) for v in review.variants if v.variant.name == name)
        if there != count:
            text = f"plan.json names {counted(count, 'run')} of {printable(name)}, and there are logs of {there}"
            findings.add("fail" if there < count else "warn", text, Evidence("plan.json", 1))


def runs_distinct(review: Speedrun, findings: Findings) -> str:
    """No log tells of a run that another one tells of, and no two runs have one curve: no clock runs twice alike, and
    runs that differ by chance alone do not share every loss to its last digit."""
    of = {review.found.name_of(run): (v, run) for v in review.variants for run in v.variant.runs}
    for figures in review.variants:
        for copy in figures.variant.copies:
            how = "a copy of" if copy.exact else "another log of the run in"
            counted, run = of.get(copy.of, (figures, None))
            if run and not copy.exact and (edited := _contradiction(review, copy.file, run)):
                text = f"{copy.file} and {copy.of} have the clock of one run, and tell otherwise of it: {edited[0]}"
                findings.fail(text, *edited[1])
            elif figures.variant.baseline != counted.variant.baseline:
                text = f"{copy.file} is {how} {copy.of}: {ON_ONE_SIDE}"
                findings.fail(text, _beginning(copy.file), _beginning(copy.of))
            else:
                findings.warn(f"{copy.file} is {how} {copy.of}, not a run of its own", _beginning(copy.file))
        for shared in figures.variant.shared:
            text = f"{shared.file} is {'a copy of' if shared.exact else 'another log of the run in'} {shared.of}"
            findings.warn(f"{text}: it counts in both variants", _beginning(shared.file))
        for repeat in figures.variant.repeats:
            (one, run), (other, earlier) = of.get(repeat.file, (figures, None)), of.get(repeat.of, (figures, None))
            across = one.variant.baseline != other.variant.baseline
            _say_repeated(repeat, across, bool(run and earlier and _one_clock(run, earlier)), findings)
    _distinct_from_the_other_folder(review, findings)
    return "no two logs have the same losses or the same clock"


def _one_clock(a: Run, b: Run) -> bool:
    """Whether one run's clock is the other's, moved or stretched: those of two runs are apart by more than that."""
    theirs = {p.step: p.seconds for p in b.val_curve if p.seconds is not None and math.isfinite(p.seconds)}
    own = [(p.seconds, theirs[p.step]) for p in a.val_curve if p.seconds is not None and p.step in theirs]
    pairs = [(x, y) for x, y in own if math.isfinite(x) and TELLING_S <= x < 1e9 and abs(y) < 1e9]
    if len(pairs) < FEWEST:
        return False
    x, y = np.array(pairs).T
    slope, start = np.polyfit(x, y, 1)
    return bool(np.abs(slope * x + start - y).max() <= APART_S)


def _say_repeated(repeat: Repeat, across: bool, one_clock: bool, findings: Findings) -> None:
    """`across`: one of the two runs is the baseline's, the other the new program's; `one_clock`: as `_one_clock` says.
    A deterministic program whose change leaves the mathematics as it was has the same losses for one seed."""
    both, at = f"{repeat.file} and {repeat.of}", (_beginning(repeat.file), _beginning(repeat.of))
    if repeat.what == "beginning":
        text = f"{both} begin with the same {repeat.losses} training losses: of one fixed seed"
        findings.warn(f"{text}, they vary less than runs of several", *at)
        return
    most = repeat.what == "most"
    text = f"{both} have the same {repeat.losses} {f'of {repeat.common} losses' if most else 'validation losses'}"
    if across and one_clock:
        findings.fail(f"{text}, and the clock of one is that of the other, moved: {ON_ONE_SIDE}", *at)
    elif across:
        findings.warn(f"{text}: {ON_BOTH_SIDES}", *at)
    else:
        draw = "one draw, which the test counts twice"
        findings.fail(f"{text}: {f'an edited copy, or {draw}' if most else draw}", *at)


def _contradiction(review: Speedrun, name: str, run: Run) -> tuple[str, list[Evidence]] | None:
    """Where two logs of one run give different losses or times for one step; None if they do not."""
    counted = {p.step: p for p in run.val_curve if p.seconds is not None}
    with suppress(BadInput, OSError):  # it was read before: then it has changed since
        for other in read_runs(review.found.path / _beginning(name).file, review.found.path):
            if not _of_one_clock(other, run):
                continue
            for point in other.val_curve:
                if (own := counted.get(point.step)) and point.decimals == own.decimals and _differ(point, own):
                    text = f"step {point.step} has loss {_printed(point)} in one, {_printed(own)} in the other"
                    return text, [point.at, own.at]
    return None


def _differ(a: CurvePoint, b: CurvePoint) -> bool:
    return a.loss != b.loss or (a.seconds is not None and a.seconds != b.seconds)


def _printed(point: CurvePoint) -> str:
    return f"{point.loss:.{point.decimals}f} at {point.seconds:.3f} s" if point.seconds is not None else "no time"


def _of_one_clock(other: Run, run: Run) -> bool:
    seen = Seen()
    seen.add(run)
    return (clocked(run) is not None and clocked(other) == clocked(run)) or any(
        a.what == "clock" for a in seen.alike(other)
    )


def _distinct_from_the_other_folder(review: Speedrun, findings: Findings) -> None:
    """The runs of a baseline that lies in another folder (--against) are none of this folder's."""
    baseline = review.baseline
    if baseline is None or any(baseline is v for v in review.variants):
        return
    seen, by_clock = Seen(), {key: run for run in baseline.variant.runs if (key := clocked(run))}
    for run in baseline.variant.runs:
        seen.add(run)
    for run in (run for v in review.new for run in v.variant.runs):
        alike = next(seen.alike(run), None)
        timed = alike.run if alike and (alike.what == "clock" or _one_clock(run, alike.run)) else None
        name = review.found.name_of(run)
        if theirs := by_clock.get(clocked(run)) or timed:
            text = f"{name} and {theirs.log.name} of {baseline.name} have one clock"
            findings.fail(f"{text}: {ON_ONE_SIDE}", _beginning(name))
        elif alike:
            text = f"{name} and {alike.run.log.name} of {baseline.name} have the same losses"
            findings.warn(f"{text}: {ON_BOTH_SIDES}", _beginning(name))


def _beginning(name: str) -> Evidence:
    """Where the run that is called so begins: `log.txt`, or `log.txt, line 1402`."""
    file, _, line = name.partition(", line ")
    return Evidence(file, int(line) if line.isdigit() else 1)


def runs_left_out(review: Speedrun, findings: Findings) -> str:
    """Every log of the folder counts in a variant of its own place, and numbered logs have no gap."""
    for name, why in [*review.found.unread.items(), *(x for v in review.variants for x in v.variant.unread.items())]:
        findings.warn(f"{name} does not count: {why}")
    for figures in review.variants:
        for run in figures.cut_short:
            findings.warn(f"{review.found.name_of(run)} does not count: it did not go as far as the others")
        if missing := _missing(sorted(_numbers(review, figures.variant.runs))):
            findings.warn(f"{figures.name}: there is no log number {listed(map(str, missing))}")
    for inner, outer in ((a, b) for a in review.new for b in review.new if a is not b):
        name, around = inner.variant.name, outer.variant.name
        if name.startswith(f"{around}/" if around else ""):
            count = len(inner.variant.runs)
            text = f"{counted(count, 'run')} in {name}/ count{'s' * (count == 1)} apart from those of {outer.name}"
            findings.warn(f"{text}, in whose folder they lie", *(r.at for r in inner.results))
    return "every log of a run counts"


def _numbers(review: Speedrun, runs: Sequence[Run]) -> set[int]:
    """The numbers that the logs' names count by: of name_seed0.txt, name_seed1.txt; nothing if one has none."""
    found = [NUMBERED.findall(review.found.name_of(run).rpartition("/")[2]) for run in runs]
    return {int(numbers[-1]) for numbers in found} if all(found) else set()


def _missing(numbers: list[int]) -> list[int]:
    """The numbers that lack in a count from 0 or 1; none where the numbers are seeds, and so count nothing."""
    if len(numbers) < 2 or numbers[0] > 1:
        return []
    missing = sorted({*range(numbers[0], numbers[-1])} - {*numbers})
    return missing if len(missing) <= min(MOST_GAP, len(numbers)) else []
