"""The questions of `pgolf power`, from its options: a gain between two means, or a mean below a target."""

from dataclasses import dataclass

from pgolf import tracks
from pgolf.errors import BadInput
from pgolf.ledger.against import standing_of
from pgolf.ledger.choosing import check_standing, standing_record
from pgolf.phrases import counted
from pgolf.stats.power import SeedPlan, plan_seeds
from pgolf.stats.runs import RunPlan, plan_runs
from pgolf.stats.sample import LN2

ALPHA, SEEDS, RUNS = 0.01, 3, 10  # where neither an option nor a track says


@dataclass(frozen=True)
class Bar:
    """The rules for a record over the one that stands: the margin in bpb, the seeds of both sides, the test's level."""

    name: str
    margin: float
    seeds: int
    old_seeds: int
    alpha: float

    @property
    def row(self) -> tuple[str, str]:
        """What is to be beaten, for people."""
        return "to beat", f"{self.name}, {counted(self.old_seeds, 'seed')}; the bar is {self.margin:.7f} bpb"


Rules = tracks.Target | Bar | None


def rules_of(track: str | None, against: str | None) -> Rules:
    """The target of a track, or the bar over the record that stands for it, or over the one that is named."""
    if track is None:
        if against:
            raise BadInput("--against is for a track with a record to beat: name it with --track")
        return None
    rules = tracks.load(track)
    if rules.target:
        if against:
            raise BadInput(f"--against does not apply to the speedrun of track {rules.name}")
        return rules.target
    if not against:
        check_standing(rules)
    standing = standing_of(against, rules) if against else standing_record(rules)
    sample = standing.sample() if standing else None
    if standing is None or sample is None or sample.bytes_per_token is None:
        raise BadInput(
            f"the record to beat on track {rules.name} has no bytes per token, which convert the bar: "
            "leave out --track, and give --margin in bpb"
        )
    margin = rules.policy.margin_nats / LN2 / sample.bytes_per_token
    return Bar(standing.name, margin, len(rules.seeds), sample.n, rules.policy.alpha)


def of_a_gain(
    std: float,
    delta: float,
    rules: Rules,
    margin: float | None,
    new: int | None,
    old: int | None,
    alpha: float | None,
    chance: float,
) -> SeedPlan:
    """The seeds, or the runs of a speedrun, that show a gain; of None, what the rules or the defaults say."""
    if isinstance(rules, tracks.Target) and rules.least == "steps":
        raise BadInput("a track of fewest steps has no test of a gain: give --mean, and leave out --delta")
    if isinstance(rules, tracks.Target):
        planned = rules.runs if new is None else new
        bar = Bar("", 0.0, planned, planned, rules.gain_alpha)
    else:
        bar = rules or Bar("", 0.0, SEEDS, SEEDS, ALPHA)
    return plan_seeds(
        std,
        delta,
        margin=bar.margin if margin is None else margin,
        n_new=bar.seeds if new is None else new,
        n_old=bar.old_seeds if old is None else old,
        alpha=bar.alpha if alpha is None else alpha,
        target=chance,
    )


def of_a_target(
    std: float,
    mean: float,
    rules: Rules,
    target: float | None,
    runs: int | None,
    alpha: float | None,
    chance: float,
) -> RunPlan:
    """The runs that show a mean below a target; of None, what the rules or the defaults say."""
    if isinstance(rules, Bar):
        raise BadInput("this track has no target loss: give --delta for --mean, or leave out --track")
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
