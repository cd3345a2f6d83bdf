"""Does a process that has scored one stream score the next as a fresh process does? Part of the probe `one pass`."""

from collections.abc import Sequence
from dataclasses import replace

from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.apart import Apart
from pgolf.legality.compare import difference
from pgolf.legality.subject import Subject
from pgolf.legality.watch import watch

KEPT = "state kept from an earlier stream"


def later_streams(one_pass: ProbeResult, subject: Subject, apart: Apart, seeds: Sequence[int]) -> ProbeResult:
    """`one pass`, with passes in processes that have scored another stream before, or the same one.

    Raises
    ------
    RunFailed : the evaluator fails there, and nowhere else.
    """
    example = None
    for seed in seeds:
        tokens = subject.stream(seed)
        fresh = watch(apart.make, tokens, want_logp=False)
        for before, name in ((subject.stream(seed + 1).flip(0), "another"), (tokens, "the same")):
            seen = watch(apart.after(before), tokens, want_logp=False)
            differs = difference(fresh, seen, len(tokens), f"{name} stream was scored before", seed)
            if differs and not example:
                found = differs.example
                what = f"{KEPT}: in a process that has scored {name} stream before, {found.what}"
                example = CounterExample(what, found.position, None, None, seed, found.before, found.after)
    said = (
        f"Each pass ran in a fresh process; in one that had scored another stream before, and in one that had scored "
        f"the same, {len(seeds)} streams were scored with the same bits."
    )
    if example and one_pass.passed:
        return replace(one_pass, passed=False, counter_example=example)
    return one_pass if example else replace(one_pass, power=f"{one_pass.power} {said}")
