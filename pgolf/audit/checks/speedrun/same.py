"""Whether the runs of a variant are of one kind, and run as the baseline did: steps, settings, hardware, versions."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from pgolf.audit.checks.limits import is_of
from pgolf.audit.checks.review import Findings
from pgolf.audit.checks.speedrun.review import Speedrun, VariantFigures, listed
from pgolf.evidence.run import OF_THE_RUN, Evidence, Run, Sourced
from pgolf.phrases import counted
from pgolf.untrusted import Untrusted, read_beginning

MOST_SOURCE = 1 << 20  # bytes of a log that are looked through for its source
RULE = b"\n" + b"=" * 40  # and what follows of the line
PYTHON = re.compile(rb"^(?:import|from|print0?\()", re.M)


def same_steps(review: Speedrun, findings: Findings) -> str:
    """All runs of a variant make the same number of steps."""
    for figures in review.variants:
        if len(figures.steps) > 1:
            text = f"{figures.name}: runs of {listed(map(str, figures.steps))} steps"
            counts = f"; {figures.steps[-1]} count" if review.target.least == "steps" else ""
            findings.warn(f"{text}{counts}", *(r.at for r in figures.results))
        findings.show(*(r.at for r in figures.results))
    return listed(f"{v.name} {v.steps[-1]} steps" for v in review.variants if v.steps)


def same_program(review: Speedrun, findings: Findings) -> str:
    """The logs of a variant begin with one source, and print the same settings. A warning where not: what differs may
    be a comment."""
    compared = settings = 0
    for figures in review.variants:
        compared += _same_source(review, figures, findings)
        settings += _same_settings(figures, findings)
    if not compared and not settings:
        findings.unknown("no log begins with the source of its program, or prints its settings")
    begin = f"{compared} logs begin with their source, in each variant the same one"
    return begin if compared else f"{settings} printed settings are the same in all runs of a variant"


def _same_source(review: Speedrun, figures: VariantFigures, findings: Findings) -> int:
    """Compare the sources that a variant's logs begin with; the number of logs that have one."""
    sources = {run.log: source for run in figures.variant.runs if (source := _source(review.found.path, run))}
    kinds = Counter(sources.values())
    if len(kinds) > 1:
        (usual, count), *_ = kinds.most_common()
        others = [review.found.name_of(r) for r in figures.variant.runs if sources.get(r.log, usual) != usual]
        text = f"{figures.name}: {count} logs begin with one source, and {len(others)} with another"
        findings.warn(f"{text}: {listed(others)}", *(Evidence(name, 1) for name in others))
    return len(sources)


def _same_settings(figures: VariantFigures, findings: Findings) -> int:
    """Compare the settings that a variant's logs print; how many there are."""
    runs = figures.variant.runs
    knobs = sorted({k for r in runs for k in r.hyperparameters} - OF_THE_RUN)
    for knob in knobs:
        values = {v.value for r in runs if (v := r.hyperparameters.get(knob))}
        if len(values) > 1:
            text = f"{figures.name}: {knob} is {listed(sorted(values))}"
            findings.warn(text, *(r.hyperparameters.get(knob) for r in runs))
    return len(knobs)


def _source(folder: Path, run: Run) -> str | None:
    """The hash of the source that a log begins with, before its first line of `=`; None where it begins otherwise."""
    try:
        head, rule, _ = read_beginning(run.log, MOST_SOURCE, folder).partition(RULE)
    except (OSError, Untrusted):
        return None
    return hashlib.sha256(head).hexdigest() if rule and PYTHON.search(head) else None


def hardware(review: Speedrun, findings: Findings) -> str:
    """The runs were made on the track's hardware, and those of the baseline on the same as the new ones."""
    wanted = re.match(r"(\d+)\s*[x×]\s*(\w+)", review.track.hardware)
    silent = [review.found.name_of(r) for r in _runs(review) if r.hardware is None]
    if silent:
        findings.unknown(
            f"not named by {counted(len(silent), 'log')}: {listed(silent[:3])}{', …' if silent[3:] else ''}"
        )
    for figures in review.variants:
        for name, run in _first_of_each(figures.variant.runs, machine):
            kind = run.hardware.value if run.hardware else ""
            count = run.world_size or run.device_count
            if not is_of(kind, wanted[2] if wanted else review.track.hardware, review.track.hardware):
                findings.warn(f"{figures.name} ran on {name}, the track is for {review.track.hardware}", run.hardware)
            elif wanted and count and count.value != int(wanted[1]):
                findings.warn(f"{figures.name} ran on {name}, the track is for {review.track.hardware}", count)
            findings.show(run.hardware, run.device_count)
        _of_one_kind(figures, machine, "machines of several kinds", findings)
    for figures in review.new:
        if text := unlike(figures, review.baseline, machine):
            findings.warn(f"{text}: their times do not compare")
    names = dict.fromkeys(m for r in _runs(review) if (m := machine(r)))
    return listed(names)


def same_versions(review: Speedrun, findings: Findings) -> str:
    """All runs, also the baseline's, used one version of torch."""
    for figures in review.variants:
        _of_one_kind(figures, torch_version, "several versions of torch", findings)
        findings.show(*(r.torch_version for r in figures.variant.runs))
    for figures in review.new:
        if text := unlike(figures, review.baseline, torch_version):
            findings.warn(f"{text}: a part of the difference in time may be torch's")
    versions = dict.fromkeys(v for r in _runs(review) if (v := torch_version(r)))
    if not versions:
        findings.unknown("no log names its version of torch")
    return listed(versions)


def machine(run: Run) -> str | None:
    """The accelerators of a run, `8x NVIDIA H100 80GB HBM3`; None if its log does not name them."""
    if run.hardware is None:
        return None
    count: Sourced[int] | None = run.world_size or run.device_count
    return f"{count.value}x {run.hardware.value}" if count else run.hardware.value


def torch_version(run: Run) -> str | None:
    """The version of torch that a log names, `torch 2.10.0+cu128`."""
    return f"torch {run.torch_version.value}" if run.torch_version else None


def unlike(new: VariantFigures, baseline: VariantFigures | None, of: Callable[[Run], str | None]) -> str | None:
    """How a variant and the baseline differ in something that logs name, if they have none of it in common."""
    if baseline is None:
        return None
    ours, theirs = ({x for r in v.variant.runs if (x := of(r))} for v in (new, baseline))
    if not ours or not theirs or ours & theirs:
        return None
    return f"{new.name} has {listed(sorted(ours))}, {baseline.name} {listed(sorted(theirs))}"


def _of_one_kind(figures: VariantFigures, of: Callable[[Run], str | None], what: str, findings: Findings) -> None:
    kinds = _first_of_each(figures.variant.runs, of)
    if len(kinds) > 1:
        findings.warn(f"{figures.name}: {what}: {listed(kind for kind, _ in kinds)}")


def _first_of_each(runs: Sequence[Run], of: Callable[[Run], str | None]) -> list[tuple[str, Run]]:
    found: dict[str, Run] = {}
    for run in runs:
        if (kind := of(run)) is not None:
            found.setdefault(kind, run)
    return list(found.items())


def _runs(review: Speedrun) -> list[Run]:
    return [run for v in review.variants for run in v.variant.runs]
