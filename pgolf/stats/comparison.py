"""Is the new mean really lower? Welch's test in the record's own units, with its power and its rounding.

Δ is the gain, previous mean − new mean: positive is better. `t` keeps the sign of new − previous, as Welch's
test of the new sample against the previous one gives it, so a gain has a negative t. Everything is in bits per
byte (bpb); the bar is written in nats per token and converted with the previous record's bytes per token.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from pgolf.errors import BadInput
from pgolf.phrases import counted, signed
from pgolf.stats.power import Power, power_of
from pgolf.stats.sample import LN2, Sample, same_validation
from pgolf.stats.student import t_cdf
from pgolf.stats.welch import Welch, interval_of_gain, welch_test

Outcome = Literal["clears", "undecided", "below", "worse", "no claim"]


@dataclass(frozen=True)
class Paired:
    """The differences of equal seed numbers: information only, Welch's test is the rule."""

    seeds: tuple[int, ...]
    delta_bpb: float
    std_bpb: float
    t: float | None
    p_one_sided: float | None


@dataclass(frozen=True)
class Comparison:
    """A new sample against the previous one. Unknown is None; `outcome` and `verdict` say what may be claimed.

    Attributes
    ----------
    margin_nats, margin_bpb : the bar.
    bytes_per_token : of the previous record's final stage: what converts the bar.
    any_improvement : the test of H0: Δ ≤ 0.
    clears_bar : the same test with the margin added to the new sample (H0: Δ ≤ margin).
    ci95_bpb : two-sided 95 % interval of Δ.
    doubts : why nothing can be claimed, a sentence each.
    notes : what a reader has to know beside the figures, a sentence each.
    """

    new: Sample
    old: Sample
    alpha: float
    margin_nats: float
    margin_bpb: float | None
    bytes_per_token: float | None
    any_improvement: Welch | None
    clears_bar: Welch | None
    ci95_bpb: tuple[float, float] | None
    power: Power | None
    paired: Paired | None
    doubts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def delta_bpb(self) -> float:
        """The gain in bpb, previous − new."""
        return self.old.mean - self.new.mean

    @property
    def delta_nats(self) -> float | None:
        """The gain in nats per token of the previous record's tokenizer."""
        return self.delta_bpb * LN2 * self.bytes_per_token if self.bytes_per_token else None

    @property
    def _whose_tokens(self) -> str:
        """' of <record>' where the two sides' tokens differ in length: the nats are per token of that record."""
        ours, theirs = self.new.bytes_per_token, self.old.bytes_per_token
        return f" of {self.old.label}" if ours and theirs and abs(ours / theirs - 1) > 1e-3 else ""

    @property
    def outcome(self) -> Outcome:
        """The claim that the figures allow, in a word."""
        if self.doubts or self.clears_bar is None or self.margin_bpb is None:
            return "no claim"
        if self.clears_bar.p < self.alpha:
            return "clears"
        if self.delta_bpb > self.margin_bpb:
            return "undecided"
        return "below" if self.delta_bpb > 0 else "worse"

    @property
    def clears(self) -> bool:
        """Whether the bar is cleared at the level asked for."""
        return self.outcome == "clears"

    @property
    def verdict(self) -> str:
        """The claim that is allowed, in a sentence, labelled where seeds were added after results had been seen."""
        sentence = f"cannot be claimed: {'; '.join(self.doubts)}"
        if (welch := self.any_improvement) and (bar := self.clears_bar) and self.outcome != "no claim":
            margin = f"{self.margin_nats:g} nats"
            shown = "shown" if welch.p < self.alpha else "not shown either"
            sentence = {
                "clears": f"clears the bar: better by more than {margin}, p = {format_p(bar.p)} < {self.alpha:g}",
                "undecided": f"undecided: the mean is better by more than {margin}, "
                f"but p = {format_p(bar.p)} >= {self.alpha:g}",
                "below": f"does not clear the bar: Δ is not above {margin}; "
                f"any improvement at all is {shown} (p = {format_p(welch.p)})",
                "worse": "no improvement: the new mean is not lower",
            }[self.outcome]
        if added := (*self.new.added_seeds, *self.old.added_seeds):
            names = ", ".join(map(str, added))
            sentence += f" [seeds {names} were added after results had been seen: not the p of one plan]"
        return sentence

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf compare --json` prints; unknown is null."""
        welch, bar = self.any_improvement, self.clears_bar
        return {
            "delta_bpb": self.delta_bpb,
            "delta_nats": self.delta_nats,
            "bytes_per_token": self.bytes_per_token,
            "t": welch.t if welch else None,
            "df": welch.df if welch else None,
            "p_one_sided": welch.p if welch else None,
            "margin_nats": self.margin_nats,
            "margin_bpb": self.margin_bpb,
            "t_margin": bar.t if bar else None,
            "p_margin": bar.p if bar else None,
            "ci95_bpb": list(self.ci95_bpb) if self.ci95_bpb else None,
            "n_new": self.new.n,
            "n_old": self.old.n,
            "power": asdict(self.power) if self.power else None,
            "verdict": self.verdict,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The report as (name, value) pairs, each value printed with the digits that it has."""
        digits = min(self.new.decimals, self.old.decimals)
        nats = (
            f" = {signed(self.delta_nats, 5)} nats per token{self._whose_tokens}" if self.delta_nats is not None else ""
        )
        rows = [
            ("new", str(self.new)),
            ("previous", str(self.old)),
            ("Δ (previous − new)", f"{signed(self.delta_bpb, digits)} bpb{nats}"),
        ]
        if self.ci95_bpb:
            low, high = self.ci95_bpb
            rows.append(("95 % interval of Δ", f"{signed(low, digits)} … {signed(high, digits)} bpb"))
        if self.margin_bpb is not None and self.bytes_per_token is not None:
            b = f"{self.bytes_per_token:.4f} bytes per token"
            rows.append(("bar", f"{self.margin_nats:g} nats = {self.margin_bpb:.7f} bpb at {b}"))
        if self.any_improvement:
            rows.append(("p(any improvement)", _test_text(self.any_improvement)))
        if self.clears_bar:
            rows.append(("p(clears the bar)", _test_text(self.clears_bar)))
        if self.power:
            rows += _power_rows(self.power, digits, self.outcome)
        if self.paired:
            rows.append(("paired Δ (information only)", _paired_text(self.paired, digits)))
        return [*rows, ("verdict", self.verdict)]


def _test_text(test: Welch) -> str:
    rounding = f"; rounding allows {test.p_range[0]:.2g} to {test.p_range[1]:.2g}" if test.p_range else ""
    return f"{format_p(test.p)} (t = {test.t:z.3f}, df = {test.df:.2f}{rounding})"


def _power_rows(power: Power, digits: int, outcome: Outcome) -> list[tuple[str, str]]:
    smallest = f"{power.smallest_delta_bpb:.{digits}f} bpb = {power.smallest_delta_nats:.5f} nats"
    level = f"(α {power.alpha:g}, power {power.power:g})"
    rows = [(f"smallest Δ that {counted(power.n_new, 'seed')} can show", f"{smallest} {level}")]
    if outcome == "undecided":
        needed = f"{power.seeds_to_settle} new ones, named in a new plan, if the true Δ is the one seen"
        if power.seeds_to_settle is None:
            needed = f"no number of new ones: the previous record's {power.n_old} leave too much open"
        rows.append(("seeds that would settle it", needed))
    return rows


def _paired_text(paired: Paired, digits: int) -> str:
    seeds = ", ".join(map(str, paired.seeds))
    text = f"{signed(paired.delta_bpb, digits)} bpb, std {paired.std_bpb:.{digits}f}, over seeds {seeds}"
    return text if paired.p_one_sided is None else f"{text}; paired t-test {format_p(paired.p_one_sided)}"


def format_p(p: float) -> str:
    """A p-value with the digits it has, never as a bound that it misses.

    Examples
    --------
    >>> format_p(0.020298374), format_p(5.856364e-07)
    ('0.020298', '5.856e-07')
    """
    return f"{p:.6f}" if p >= 1e-3 else f"{p:.3e}"


def compare(new: Sample, old: Sample, margin_nats: float = 0.005, alpha: float = 0.01) -> Comparison:
    """Test a new sample against the previous record's: against zero, and against the bar.

    Parameters
    ----------
    new, old : Sample
        Raw seeds, a published summary, or one of each.
    margin_nats : the bar, in nats per token of the previous record's tokenizer; 0 for none.
    alpha : level of the one-sided test.

    Returns
    -------
    Comparison
        Its `t` is of new − previous (negative for a gain), its Δ is previous − new (positive for a gain).

    Raises
    ------
    BadInput : the two were scored on different validation text, a negative margin, or alpha outside (0, 0.5].

    References
    ----------
    .. [1] B. L. Welch, "The generalization of 'Student's' problem when several different population variances
       are involved", Biometrika 34 (1947) 28-35.

    Examples
    --------
    >>> from pgolf.stats.sample import parse_numbers
    >>> new = parse_numbers("1.07928348,1.08024795,1.07996676")
    >>> old = parse_numbers("1.08079352,1.08103103,1.08118408", bytes_per_token=3.72664)
    >>> c = compare(new, old)
    >>> welch = c.any_improvement
    >>> f"{welch.t:.3f} {welch.df:.2f} {welch.p:.6f} {c.margin_bpb:.7f} {c.outcome}"
    '-3.798 2.61 0.020298 0.0019357 below'
    """
    if not (0 <= margin_nats < math.inf and 0 < alpha <= 0.5):
        raise BadInput(f"the margin ({margin_nats} nats) must be >= 0 and alpha ({alpha}) in (0, 0.5]")
    notes = [same_validation(new, old)]
    b = old.bytes_per_token or new.bytes_per_token
    if b and not old.bytes_per_token and margin_nats:
        notes.append(f"the bytes per token of {old.label} are unknown: {new.label}'s {b:.4f} convert the margin")
    margin = margin_nats / LN2 / b if b else None if margin_nats else 0.0
    testable = bool(new.std and old.std)
    welch = welch_test(new, old) if testable else None
    bar = welch_test(new, old, margin) if testable and margin is not None else None
    return Comparison(
        new=new,
        old=old,
        alpha=alpha,
        margin_nats=margin_nats,
        margin_bpb=margin,
        bytes_per_token=b,
        any_improvement=welch,
        clears_bar=bar,
        ci95_bpb=interval_of_gain(new, old, welch.df) if welch else None,
        power=power_of(new, old, margin, bar, b, alpha) if bar and margin is not None and b else None,
        paired=_paired(new, old),
        doubts=tuple(_doubts(new, old, margin)),
        notes=(*notes, *_notes(new, old)),
    )


def _doubts(new: Sample, old: Sample, margin: float | None) -> list[str]:
    doubts = [f"{s.label}: {d}" for s in (new, old) for d in s.doubts]
    for s in (new, old):
        if s.n < 2:
            doubts.append(f"{s.label} has one seed, so its spread is unknown")
        elif s.std == 0:
            doubts.append(f"{s.label} has std 0: its seeds are not distinct, or its std was rounded away")
    if margin is None:
        doubts.append("bytes per token are unknown, so the margin in nats has no value in bpb (--bytes-per-token)")
    return doubts


def _notes(new: Sample, old: Sample) -> list[str]:
    notes = []
    for s in (new, old):
        if s.rounded:
            digits = f"mean to ±{s.mean_rounding:g}, std to ±{s.std_rounding:g}"
            notes.append(f"{s.label} is a published summary, rounded: {digits}")
    if 0 < new.std < old.std / 3:
        notes.append(
            f"the new std is {new.std:.2g} and the previous one was {old.std:.2g}: "
            f"over {counted(new.n, 'seed')} so small a std can be luck"
        )
    return notes


def _paired(new: Sample, old: Sample) -> Paired | None:
    """Differences over the seed numbers that each side has exactly once; None for fewer than two."""
    ours, theirs = dict(zip(new.seeds, new.values, strict=False)), dict(zip(old.seeds, old.values, strict=False))
    shared = tuple(s for s in ours if s in theirs)
    if len(ours) < len(new.seeds) or len(theirs) < len(old.seeds) or len(shared) < 2:
        return None
    gains = np.array([theirs[s] - ours[s] for s in shared])
    std = float(gains.std(ddof=1))
    if std == 0:
        return Paired(shared, float(gains.mean()), std, None, None)
    t = -float(gains.mean()) / (std / math.sqrt(len(gains)))
    return Paired(shared, float(gains.mean()), std, t, float(t_cdf(t, len(gains) - 1)))
