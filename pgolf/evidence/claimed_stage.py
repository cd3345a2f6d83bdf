"""Which evaluation a record claims, where that is not the last one of its logs.

A record may claim an earlier score of the same artifact, as that of a sliding window before an adaptation that failed.
Every seed's claim has to be its score to the digit, and of one and the same evaluation: nobody may take for each seed
what went best there.
"""

import math
from collections.abc import Sequence

from pgolf.evidence.claims import TELLING_DECIMALS, Claim, Claims
from pgolf.evidence.run import Run, Stage


def choose_stage(runs: Sequence[Run], claims: Claims, by_seed: Sequence[Claim | None]) -> None:
    """Set `claimed` of the runs, if the record claims another evaluation than the last one of each; `by_seed` has each
    run's own claim. Nothing is set where the last ones are claimed, or where it cannot be told."""
    last = [run.final for run in runs]
    if not runs or not all(last):
        return
    if all(by_seed):
        said = [_agreeing(run, claim) for run, claim in zip(runs, by_seed, strict=True)]
    elif claims.val_bpb and not any(by_seed) and claims.val_bpb.decimals > TELLING_DECIMALS:
        said = _agreeing_means(runs, claims.val_bpb, [s for s in last if s])
    else:
        return
    if all(s and s in stages.values() for s, stages in zip(last, said, strict=True)):
        return
    names = [name for name in said[0] if all(name in stages for stages in said)]
    if names:
        for run, stages in zip(runs, said, strict=True):
            run.claimed = stages[names[-1]]


def _of_artifact(run: Run) -> dict[str, Stage]:
    return {s.name: s for s in run.stages if s.kind != "pre-quant"}


def _agreeing(run: Run, claim: Claim | None) -> dict[str, Stage]:
    """The evaluations of a run that its claim is of, to the digit."""
    return {n: s for n, s in _of_artifact(run).items() if claim and claim.is_of(s.val_bpb, s.decimals)}


def _agreeing_means(runs: Sequence[Run], mean: Claim, last: Sequence[Stage]) -> list[dict[str, Stage]]:
    """For each run the evaluations whose mean over the runs is the claimed one, to the digit."""
    if mean.is_of(math.fsum(s.val_bpb for s in last) / len(last), max(s.decimals for s in last)):
        return [{s.name: s} for s in last]
    stages = [_of_artifact(run) for run in runs]
    shared = [name for name in stages[0] if all(name in of_run for of_run in stages)]
    fits = [
        name
        for name in shared
        if mean.is_of(math.fsum(s[name].val_bpb for s in stages) / len(stages), stages[0][name].decimals)
    ]
    return [{name: of_run[name] for name in fits} for of_run in stages]
