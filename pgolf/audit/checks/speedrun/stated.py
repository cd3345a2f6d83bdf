"""A README's lists of losses and times, and the figures worked out of them, against the logs. Where they disagree, the
logs count."""

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgolf.audit.checks.review import Findings
from pgolf.audit.checks.speedrun.review import Speedrun, VariantFigures, listed
from pgolf.evidence.run import Evidence
from pgolf.evidence.stated import StatedFigure, StatedList
from pgolf.stats.comparison import format_p
from pgolf.stats.target import target_test

FEW = 10  # of so many values one that differs is a slip; runs of one kind share most printed losses by chance
MANY_DIGITS = 8  # after the point, of logged times and losses
QUOTED_P = (0.001, 0.01, 0.05)  # levels that a README quotes from the rules, as a rule and not as a claim
OF_RUNS = re.compile(
    r"(?<![\d.,])(\d{1,5})\s{0,3}(?:times|runs|logs|trials|seeds)\b|\bn\s{0,3}=\s{0,3}(\d{1,5})\b", re.I
)


@dataclass(frozen=True)
class _Matched:
    """A list beside the logs of a variant: the values that both have, only the list has, only the logs have."""

    figures: VariantFigures
    both: int
    only_list: tuple[float, ...]
    only_logs: tuple[float, ...]

    @property
    def logs(self) -> int:
        """How many logs there are."""
        return self.both + len(self.only_logs)

    def is_of(self, stated: StatedList) -> bool:
        """Whether the list is of these logs: half of the values are, which fewer runs do not share by chance, or the
        text names the variant."""
        return stated.variant == self.figures.variant.name or 2 * self.both >= min(len(stated.values), self.logs)

    @property
    def slips(self) -> bool:
        """Whether so few values differ that these are slips in a list of these logs, and not a list of other runs: each
        stands for one of the logs'."""
        few = len(self.only_list) <= max(1, (self.both + len(self.only_list)) // FEW)
        return bool(self.only_list) and few and len(self.only_logs) <= len(self.only_list)


def stated_losses(review: Speedrun, findings: Findings) -> str:
    """The losses that the README lists are those of the logs, all of them."""
    for stated in review.found.stated.losses:
        match = _best(review, stated, lambda v: [r.loss for r in v.results], lambda v: v.decimals)
        _compare(stated, match, "loss", findings)
        if match and match.only_logs and match.is_of(stated):
            _flips(review, stated, match, findings)
    return _nothing_found(review.found.stated.losses, "losses")


def stated_times(review: Speedrun, findings: Findings) -> str:
    """The training times that the README lists are those of the logs, all of them."""
    for stated in review.found.stated.times:
        match = _best(review, stated, lambda v: v.seconds, lambda v: MANY_DIGITS)
        _compare(stated, match, "time", findings)
    return _nothing_found(review.found.stated.times, "times")


def _nothing_found(lists: Sequence[StatedList], what: str) -> str:
    total = sum(len(stated.values) for stated in lists)
    return f"all {total} {what} that the README lists are the logs'" if lists else f"the README lists no {what}"


def _best(
    review: Speedrun,
    stated: StatedList,
    logged: Callable[[VariantFigures], Sequence[float]],
    decimals: Callable[[VariantFigures], int],
) -> _Matched | None:
    """The list beside the variant that it is of: the one that the text names, else the one whose logs fit it best."""
    matched = [_match(stated, v, logged(v), decimals(v)) for v in _candidates(review, stated.variant) if logged(v)]
    return max(matched, key=lambda m: (m.both, -len(m.only_logs)), default=None)


def _candidates(review: Speedrun, name: str | None) -> list[VariantFigures]:
    named = [v for v in review.variants if name is not None and v.variant.name == name]
    return named or list(review.variants)


def _match(stated: StatedList, figures: VariantFigures, logged: Sequence[float], decimals: int) -> _Matched:
    """Pair the values of both sides, smallest first: of equal tolerances that pairs as many as can be."""
    left, only_list = sorted(logged), []
    only_logs: list[float] = []
    for value in sorted(stated.values):
        while left and not _printed(value, stated.decimals, left[0], decimals) and left[0] < value:
            only_logs.append(left.pop(0))
        if left and _printed(value, stated.decimals, left[0], decimals):
            left.pop(0)
        else:
            only_list.append(value)
    both = len(stated.values) - len(only_list)
    return _Matched(figures, both, tuple(only_list), (*only_logs, *left))


def _printed(said: float, said_decimals: int, value: float, decimals: int) -> bool:
    """Whether `value`, known to so many decimals, may be printed as `said`: rounded, or cut off."""
    unit = 10.0 ** -min(said_decimals, decimals)
    return abs(value - said) <= 0.5001 * unit or -1e-4 * unit <= value - said < 0.9999 * unit


def _compare(stated: StatedList, match: _Matched | None, what: str, findings: Findings) -> None:
    if match is None:
        findings.unknown(f"no log gives a {what} to compare the README's list with", stated.at)
        return
    name, n, places = match.figures.name, len(stated.values), [r.at for r in match.figures.results]
    many = f"{n} {what if n == 1 else what + ('es' if what == 'loss' else 's')}"
    logs = match.logs
    said, logged = _values(match.only_list, stated.decimals), _values(match.only_logs, MANY_DIGITS)
    findings.show(stated.at)
    if match.only_list and match.only_logs:
        if match.slips:
            findings.fail(f"of {name} the README lists {said}, where the logs give {logged}", stated.at, *places)
        else:
            text = f"the README lists {many}; {len(match.only_list)} are in none of {name}'s {logs} logs: {said}"
            findings.warn(text, stated.at, *places)
    elif match.only_list:
        text = f"of {name} the README lists {many}, and the folder has logs of {logs}: of {said} there is no log"
        findings.warn(text, stated.at)
    elif match.only_logs:
        text = f"of {name} the README lists {many}, and the folder has logs of {logs}: it leaves out {logged}"
        findings.warn(text, stated.at, *places)


def _values(values: Sequence[float], decimals: int) -> str:
    shown = (f"{v:.{decimals}f}" for v in values)
    return listed(text.rstrip("0").rstrip(".") if decimals == MANY_DIGITS else text for text in shown)


def _flips(review: Speedrun, stated: StatedList, match: _Matched, findings: Findings) -> None:
    """Fail a list that leaves runs out or gives other losses, if the logs alone do not show what it shows: a mean below
    the target."""
    alpha, loss = review.target.alpha, match.figures.loss
    said = target_test(stated.values, review.target.loss, stated.decimals)
    if loss is None or loss.p is None or loss.p_range is None or said.p is None:
        return
    if said.p < alpha <= loss.p_range[0]:
        p = f"p = {format_p(loss.p)}; by the README's list it were {format_p(said.p)}"
        findings.fail(f"by all logs of {match.figures.name} {p}", stated.at, *(r.at for r in match.figures.results))


def stated_mean(review: Speedrun, findings: Findings) -> str:
    """The means and standard deviations that the README gives follow from the logs."""
    stated = review.found.stated
    losses, times = stated.losses, stated.times
    mean, std = statistics.fmean, statistics.stdev
    spread = "standard deviation of the losses"
    _figures(review, findings, "mean loss", stated.loss_means, _of_lists(losses, mean), _mean_loss)
    _figures(review, findings, spread, stated.loss_stds, _of_lists(losses, std), _loss_std, _population_loss_std)
    spread = "standard deviation of the times"
    _figures(review, findings, "mean time", stated.time_means, _of_lists(times, mean), lambda v: v.mean_seconds)
    _figures(review, findings, spread, stated.time_stds, _of_lists(times, std), lambda v: v.std_seconds, _pstd)
    count = sum(map(len, (stated.loss_means, stated.loss_stds, stated.time_means, stated.time_stds)))
    return f"all {count} means and deviations follow from the logs" if count else "the README gives no mean"


def _of_lists(lists: Sequence[StatedList], of: Callable[[Sequence[float]], float]) -> list[float]:
    return [of(stated.values) for stated in lists if len(stated.values) > 1]


def _mean_loss(figures: VariantFigures) -> float | None:
    return figures.loss.mean if figures.loss else None


def _loss_std(figures: VariantFigures) -> float | None:
    return figures.loss.std if figures.loss and figures.loss.n > 1 else None


def _population_loss_std(figures: VariantFigures) -> float | None:
    return statistics.pstdev([r.loss for r in figures.results]) if len(figures.results) > 1 else None


def _pstd(figures: VariantFigures) -> float | None:
    return statistics.pstdev(figures.seconds) if len(figures.seconds) > 1 else None


def _figures(
    review: Speedrun,
    findings: Findings,
    what: str,
    stated: Sequence[StatedFigure],
    of_lists: Sequence[float],
    of: Callable[[VariantFigures], float | None],
    by_n: Callable[[VariantFigures], float | None] = lambda _: None,
) -> None:
    """Compare each figure with that of its variant; of one that the text does not name, with that of any. `of_lists`
    are the figures of the README's own lists: if it follows from one, that list is the thing to judge."""
    outcomes = [(figure, *_fits(review, figure, of, by_n)) for figure in stated]
    some_fit = any(outcome == "fits" for _, outcome, _ in outcomes)
    for figure, outcome, logs in outcomes:
        said = f"the README gives a {what} of {_values([figure.value], figure.decimals)}"
        if outcome == "fits":
            findings.show(figure.at)
        elif outcome == "by n":
            findings.warn(f"{said}: that divides by n; by n − 1 it is {logs}", figure.at)
        elif not logs:
            findings.unknown(f"{said}, and the logs give none", figure.at)
        elif any(_near(figure, value) for value in of_lists):
            findings.warn(f"{said}, by its own list; the logs give {logs}", figure.at)
        elif more := _more_runs(review, figure.variant):
            findings.warn(f"{said}, and the logs {logs}: {more}", figure.at)
        elif "loss" in what and _about_one(review, figure.variant) and not some_fit:
            findings.fail(f"{said}, the logs give {logs}", figure.at, *_places(review, figure.variant))
        else:
            findings.warn(f"{said}, which is of no run here; the logs give {logs}", figure.at)


def _about_one(review: Speedrun, name: str | None) -> bool:
    """Whether it is plain which variant the README speaks of: the one that it names, or the only new one."""
    return len(_candidates(review, name)) == 1 or (name is None and len(review.new) == 1)


def _more_runs(review: Speedrun, name: str | None) -> str:
    """That the README speaks of more runs than there are logs of, so that its figures may be of those; '' where it does
    not, or lists as many losses as there are logs."""
    n = max((len(v.results) for v in _candidates(review, name)), default=0)
    if any(len(stated.values) == n for stated in review.found.stated.losses):
        return ""
    said = max((int(a or b) for a, b in OF_RUNS.findall(review.found.readme)), default=0)
    return f"it speaks of {said} runs, and the folder has logs of {n}" if said > n else ""


def _fits(
    review: Speedrun,
    figure: StatedFigure,
    of: Callable[[VariantFigures], float | None],
    by_n: Callable[[VariantFigures], float | None],
) -> tuple[str, str]:
    """('fits', 'by n' or 'no', the figures of the logs in words)."""
    candidates = _candidates(review, figure.variant)
    digits = min(figure.decimals + 2, MANY_DIGITS)
    logs = listed(f"{x:.{digits}f}" for v in candidates if (x := of(v)) is not None)
    for outcome, function in (("fits", of), ("by n", by_n)):
        if any((x := function(v)) is not None and _near(figure, x) for v in candidates):
            return outcome, logs
    return "no", logs


def _near(figure: StatedFigure, value: float) -> bool:
    """Whether a figure worked out of logged numbers may be `value`: rounded, cut off, or of numbers that were."""
    return abs(figure.value - value) <= 1.0001 * 10.0**-figure.decimals


def _places(review: Speedrun, name: str | None) -> list[Evidence]:
    return [r.at for v in _candidates(review, name) for r in v.results]


def stated_p(review: Speedrun, findings: Findings) -> str:
    """The p-values that the README gives follow from the logs: against the target, or of the gain in time."""
    stated = review.found.stated.p_values
    lists = [target_test(x.values, review.target.loss, x.decimals) for x in review.found.stated.losses if x.values]
    of_lists = [test.p_range for test in lists if test.p_range]
    plain = len(stated) == 1
    for figure in stated:
        candidates = [v for v in _candidates(review, figure.variant) if v.loss and v.loss.p is not None]
        ranges = [r for v in candidates for r in _p_ranges(v)]
        said = f"the README gives p = {figure.value:.4g}"
        logs = listed(f"{v.name} {format_p(v.loss.p)}" for v in candidates if v.loss and v.loss.p is not None)
        unit = 1.0001 * 10.0**-figure.decimals
        if not ranges:
            findings.unknown(f"{said}, and the logs give none", figure.at)
        elif any(low - unit <= figure.value <= high + unit for low, high in ranges):
            findings.show(figure.at)
        elif any(2 * low - unit <= figure.value <= 2 * high + unit for low, high in ranges):
            findings.warn(f"{said}: that is two-sided; one-sided the logs give {logs}", figure.at)
        elif any(low - unit <= figure.value <= high + unit for low, high in of_lists):
            findings.warn(f"{said}, by its own list; the logs give {logs}", figure.at)
        elif figure.value in QUOTED_P or figure.value > max(high for _, high in ranges):
            findings.warn(f"{said}; the logs give {logs}", figure.at)
        elif more := _more_runs(review, figure.variant):
            findings.warn(f"{said}, and the logs {logs}: {more}", figure.at)
        elif plain and _about_one(review, figure.variant):
            findings.fail(f"{said}; the logs give {logs}", figure.at, *_places(review, figure.variant))
        else:
            findings.warn(f"{said}; the logs give {logs}", figure.at)
    return f"all {len(stated)} p-values follow from the logs" if stated else "the README gives no p-value"


def _p_ranges(figures: VariantFigures) -> list[tuple[float, float]]:
    """The p that the logs may have: against the target, as far as the printed digits tell, and of the gain."""
    found = [figures.loss.p_range] if figures.loss and figures.loss.p_range else []
    gain = figures.gain.p if figures.gain else None
    return [*found, *([(gain, gain)] if gain is not None else [])]
