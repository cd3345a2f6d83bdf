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
    example, scored, budget = None, 0, apart.bounds.budget
    for seed in seeds:
        if not budget.fits(3):  # one before, too, takes its time
            break
        tokens = subject.stream(seed)
        fresh = watch(apart.make, tokens, want_logp=False)
        for before, name in ((subject.stream(seed + 1).flip(0), "another"), (tokens, "the same")):
            if not budget.fits(2):
                break
            seen = watch(apart.after(before), tokens, want_logp=False)
            differs = difference(fresh, seen, len(tokens), f"{name} stream was scored before", seed)
            scored += 1
            if differs and not example:
                found = differs.example
                what = f"{KEPT}: in a process that has scored {name} stream before, {found.what}"
                example = CounterExample(what, found.position, None, None, seed, found.before, found.after)
    said = (
        f"Each pass ran in a fresh process; {scored} passes in processes that had scored another stream, or the same, "
        "before gave the same bits."
    )
    if not {"root of its own", "Landlock"} & set(apart.means):
        said += " What a pass writes outside its own folder is still there for the next: no seal of files was in force."
    if not scored:
        said = "There was no time for passes in processes that have scored a stream before."
    if example and one_pass.passed:
        return replace(one_pass, passed=False, counter_example=example)
    return one_pass if example else replace(one_pass, power=f"{one_pass.power} {said}")
