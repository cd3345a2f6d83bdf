"""The aim of a speedrun: losses below the target, in less time or fewer steps than the baseline."""

import re

from pgolf.audit.checks.review import Findings
from pgolf.audit.checks.speedrun.review import Speedrun, VariantFigures
from pgolf.audit.checks.speedrun.same import machine, torch_version, unlike
from pgolf.audit.measures import Status
from pgolf.phrases import counted
from pgolf.stats.comparison import format_p
from pgolf.stats.target import TargetTest, TimeGain

MILDEST_FIRST: tuple[Status, ...] = ("pass", "warn", "unknown", "fail")  # of the variants that are compared
# a README that says so claims a speed-up of the systems kind: the same mathematics, which needs no p for the loss
OF_SYSTEMS = re.compile(
    r"\b(?:pure(?:ly)? (?:a )?systems?|systems? (?:only|kind|speed-?up|optimi[sz]ation|improvement|change|record)"
    r"|same math\w*|(?:mathematic|numeric|function)ally (?:equivalent|identical|the same|unchanged)"
    r"|bit-?(?:wise|identical|exact)|no (?:change|effect|impact) (?:to|on|in) (?:the )?(?:ml|loss|training|model)"
    r"|(?:ml|loss|training|model) (?:is|are|remains?) (?:unchanged|unaffected|the same|identical))\b",
    re.I,
)


def target_loss(review: Speedrun, findings: Findings) -> str:
    """The mean of a new variant's last losses is below the target, at the track's level. One variant that is will do:
    the others may be ablations."""
    held = [v for v in review.new if v.loss and _holds(review, v.loss) == "yes"]
    said = [_said(review, v) for v in review.new if v.loss]
    if held:
        findings.show(*(r.at for v in held for r in v.results))
        return "; ".join(said)
    tested = [(v, v.loss) for v in review.new if v.loss]
    if not tested:
        findings.unknown("no new variant has a run that counts")
        return ""
    judged = [(*_judged(review, v, loss), v) for v, loss in tested]
    status, text, best = min(judged, key=lambda x: (MILDEST_FIRST.index(x[0]), *_nearness(x[2])))
    others = [f"{_said(review, v)}; " for v, _ in tested if v is not best]
    findings.add(status, "".join(others) + text, *(r.at for r in best.results))
    return ""


def _nearness(figures: VariantFigures) -> tuple[float, float]:
    """Sorts variants: the one that is nearest to showing a mean below the target first."""
    loss = figures.loss
    return (1.0 if loss is None or loss.p is None else loss.p, loss.mean if loss else 0.0)


def _holds(review: Speedrun, loss: TargetTest) -> str:
    """'yes', 'no', 'perhaps' where the printed digits leave it open, or 'untold' by too few runs."""
    alpha = review.target.alpha
    low, high = loss.p_range or (loss.p, loss.p)
    if low is None or high is None:
        return "untold"
    return "yes" if high < alpha else "no" if low >= alpha else "perhaps"


def _judged(review: Speedrun, figures: VariantFigures, loss: TargetTest) -> tuple[Status, str]:
    """The outcome for a variant that does not show a mean below the target."""
    text, held = _said(review, figures), _holds(review, loss)
    if held == "untold":
        return "warn" if loss.mean > loss.target else "unknown", f"{text}: one run has no spread, and shows no p"
    if held == "perhaps":
        return "warn", f"{text}: {review.target.alpha:g} lies between what the printed digits allow"
    if loss.n < review.target.min_runs:
        return "warn", f"{text}: too few, {counted(loss.n, 'run')}"
    if OF_SYSTEMS.search(review.found.readme):
        return "warn", f"{text}; README.md claims a speed-up of the systems kind, which needs no p"
    if not review.found.readme and loss.p is not None and loss.p < 1 - review.target.alpha:
        return "warn", f"{text}; there is no README.md that says whether the mathematics is new"
    more = f"; {counted(figures.runs_to_settle or 0, 'run')} would show it, if mean and spread stay" * bool(
        figures.runs_to_settle
    )
    return "fail", f"{text}, the track asks for p < {review.target.alpha:g}{more}"


def _said(review: Speedrun, figures: VariantFigures) -> str:
    """A variant's losses beside the target in words."""
    loss = figures.loss
    if loss is None:
        return f"{figures.name}: no loss"
    spread = f" ± {loss.std:.5f}" if loss.n > 1 else ""
    p = f", p = {format_p(loss.p)}" if loss.p is not None else ""
    digits = ""
    if loss.p_range:
        low, high = map(format_p, loss.p_range)
        digits = f" ({low} to {high} by the {figures.decimals} printed digits)"
    n = f"{loss.n} run{'s' * (loss.n != 1)}"
    return f"{figures.name}: mean {loss.mean:.5f}{spread} of {n}, target {loss.target:g}{p}{digits}"


def gain(review: Speedrun, findings: Findings) -> str:
    """A new variant that reaches the target takes less time, or fewer steps, than the baseline."""
    candidates = [v for v in review.new if v.loss and _holds(review, v.loss) == "yes"]
    candidates = candidates or [v for v in review.new if v.results]
    if review.baseline is None or not review.baseline.results:
        findings.unknown(review.no_baseline or f"{review.baseline and review.baseline.name} has no run that counts")
        return ""
    if not candidates:
        findings.unknown("no new variant has a run that counts")
        return ""
    judge = _fewer_steps if review.target.least == "steps" else _less_time
    outcomes = [(*judge(review, figures, review.baseline), figures) for figures in candidates]
    status, _, best = min(outcomes, key=lambda outcome: MILDEST_FIRST.index(outcome[0]))
    said = "; ".join(text for _, text, _ in outcomes)
    if status == "pass":
        findings.show(*(r.at for r in best.results))
        return said
    findings.add(status, said, *(r.at for r in best.results))
    return ""


def _fewer_steps(review: Speedrun, new: VariantFigures, baseline: VariantFigures) -> tuple[Status, str]:
    ours, theirs = new.steps[-1], baseline.steps[-1]
    text = f"{new.name}: {ours} steps, {baseline.name} {theirs}"
    if ours < theirs:
        return "pass", f"{text}: {theirs - ours} fewer"
    return "fail", f"{text}: no fewer"


def _less_time(review: Speedrun, new: VariantFigures, baseline: VariantFigures) -> tuple[Status, str]:
    gain = new.gain
    if gain is None:
        return "unknown", f"the logs of {new.name if not new.seconds else baseline.name} give no times"
    text = f"{new.name}: {gain.mean:.3f} s, {baseline.name} {gain.base_mean:.3f} s: {_gained(gain)}"
    for of in (machine, torch_version):
        if other := unlike(new, baseline, of):
            return "unknown", f"{text}; {other}, so the times do not compare"
    if gain.difference <= 0:
        return "fail", text
    if gain.p is None:
        return "unknown", f"{text}; no p: it takes two runs of each"
    if gain.p >= review.target.gain_alpha:
        return "warn", f"{text}, which is not below {review.target.gain_alpha:g}"
    return "pass", text


def _gained(gain: TimeGain) -> str:
    share = f" ({gain.share:.2%})" if gain.share is not None else ""
    p = f", p = {format_p(gain.p)}" if gain.p is not None else ""
    if gain.difference <= 0:
        return f"{-gain.difference:.3f} s slower"
    return f"{gain.difference:.3f} s faster{share}{p}"
