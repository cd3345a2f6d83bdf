"""The questions of `pgolf power`, from its options: a gain between two means, or a mean below a target."""

from pgolf import tracks
from pgolf.errors import BadInput
from pgolf.stats.power import SeedPlan, plan_seeds
from pgolf.stats.runs import RunPlan, plan_runs

ALPHA, SEEDS, RUNS = 0.01, 3, 10  # where neither an option nor a track says


def target_of(track: str | None) -> tracks.Target | None:
    """The target of a track; None without a track."""
    if track is None:
        return None
    if not (target := tracks.load(track).target):
        raise BadInput(f"track {track} has no target loss: leave out --track")
    return target


def of_a_gain(
    std: float,
    delta: float,
    rules: tracks.Target | None,
    margin: float | None,
    new: int | None,
    old: int | None,
    alpha: float | None,
    chance: float,
) -> SeedPlan:
    """The seeds, or the runs of a speedrun, that show a gain; of None, what the rules or the defaults say."""
    if rules and rules.least == "steps":
        raise BadInput("a track of fewest steps has no test of a gain: give --mean, and leave out --delta")
    planned = (rules.runs if rules else SEEDS) if new is None else new
    return plan_seeds(
        std,
        delta,
        margin=0.0 if margin is None else margin,
        n_new=planned,
        n_old=(planned if rules else SEEDS) if old is None else old,
        alpha=(rules.gain_alpha if rules else ALPHA) if alpha is None else alpha,
        target=chance,
    )


def of_a_target(
    std: float,
    mean: float,
    rules: tracks.Target | None,
    target: float | None,
    runs: int | None,
    alpha: float | None,
    chance: float,
) -> RunPlan:
    """The runs that show a mean below a target; of None, what the rules or the defaults say."""
    aim = rules.loss if rules and target is None else target
    if aim is None:
        raise BadInput("--mean needs a target: give --target, or --track with a track that has one")
    planned = rules.runs if rules else RUNS
    level = rules.alpha if rules else ALPHA
    return plan_runs(
        aim,
        mean,
        std,
        runs=planned if runs is None else runs,
        alpha=level if alpha is None else alpha,
        chance=chance,
    )
