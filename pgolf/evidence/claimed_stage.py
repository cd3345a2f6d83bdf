"""Which evaluation a record claims, where that is not the last one of its logs.

A record may claim an earlier score of the same artifact, as that of a sliding window before an adaptation that failed.
Every seed's claim has to be its score to the digit, and of one and the same evaluation: nobody may take for each seed
what went best there.
"""

import math
from collections import Counter
from collections.abc import Sequence

from pgolf.errors import BadInput
from pgolf.evidence.claims import TELLING_DECIMALS, Claim, Claims
from pgolf.evidence.run import Run, Stage

Key = tuple[str, int]  # an evaluation's name, and which one of that name it is


def choose_stage(runs: Sequence[Run], claims: Claims, by_seed: Sequence[Claim | None]) -> None:
    """Set `claimed` of the runs, if the record claims another evaluation than the last one of each; `by_seed` has each
    run's own claim. Nothing is set where the last ones are claimed, or where it cannot be told."""
    last = [run.final for run in runs]
    if not runs or not all(last):
        return
    if all(by_seed):
        said = [_agreeing(run, claim) for run, claim in zip(runs, by_seed, strict=True)]
    elif claims.val_bpb and not any(by_seed) and claims.val_bpb.decimals >= TELLING_DECIMALS:
        said = _agreeing_means(runs, claims.val_bpb, [s for s in last if s])
    else:
        return
    if all(s and s in stages.values() for s, stages in zip(last, said, strict=True)):
        return
    keys = [key for key in said[0] if all(key in stages for stages in said)]
    if keys:
        for run, stages in zip(runs, said, strict=True):
            run.claimed = stages[keys[-1]]


def claim_stage(runs: Sequence[Run], name: str) -> None:
    """Set `claimed` of each run to its last evaluation of the artifact that the log calls `name`.

    Raises
    ------
    BadInput : a run has none of that name; the message has the names that it has.
    """
    for run in runs:
        stages = of_artifact(run)
        named = [stage for (called, _), stage in stages.items() if called == name]
        if not named:
            there = ", ".join(dict.fromkeys(called for called, _ in stages)) or "none"
            raise BadInput(f"{run.log.name}: no evaluation of the artifact is called {name!r}; there are: {there}")
        run.claimed = named[-1]


def of_artifact(run: Run) -> dict[Key, Stage]:
    """The evaluations of the artifact, told apart by their names and, of one name, by their order. One whose name does
    not tell is of the artifact if that was there already: its size, or another score of it."""
    found: dict[Key, Stage] = {}
    seen: Counter[str] = Counter()
    size = run.model_bytes or run.artifact_bytes
    for stage in run.stages:
        there = bool(found) or (size is not None and size.at.file == stage.at.file and size.at.line < stage.at.line)
        if stage.kind in ("quantized", "sliding", "stream", "ttt") or (stage.kind == "other" and there):
            found[stage.name, seen[stage.name]] = stage
            seen[stage.name] += 1
    return found


def _agreeing(run: Run, claim: Claim | None) -> dict[Key, Stage]:
    """The evaluations of a run that its claim is of, to the digit."""
    return {k: s for k, s in of_artifact(run).items() if claim and claim.is_of(s.val_bpb, s.decimals)}


def _agreeing_means(runs: Sequence[Run], mean: Claim, last: Sequence[Stage]) -> list[dict[Key, Stage]]:
    """For each run the evaluations whose mean over the runs is the claimed one, to the digit."""
    if mean.agrees(math.fsum(s.val_bpb for s in last) / len(last), max(s.decimals for s in last)):
        return [{(s.name, 0): s} for s in last]
    stages = [of_artifact(run) for run in runs]
    fits = [
        key
        for key in stages[0]
        if all(key in of_run for of_run in stages)
        and mean.is_of(math.fsum(s[key].val_bpb for s in stages) / len(stages), stages[0][key].decimals)
    ]
    return [{key: of_run[key] for key in fits} for of_run in stages]
