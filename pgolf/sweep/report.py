"""The reports of a sweep and an ablation; they keep the score that was chosen and the score to report apart."""

from collections.abc import Sequence

from pgolf.phrases import counted, signed
from pgolf.stats.comparison import format_p
from pgolf.sweep.attribution import Effect
from pgolf.sweep.choice import Bounds, Choice, Luck
from pgolf.sweep.trials import Trial


def sweep_markdown(choice: Choice, kept: Bounds, luck: Luck | None, confirmed: str) -> str:
    """The report of a sweep. `confirmed` is the result of the fresh seeds, or the command that runs them."""
    winner = choice.winner
    lines = [
        "# Sweep",
        "",
        f"## Chosen: `{winner.candidate.label}`",
        "",
        f"The lowest val_bpb of {counted(choice.tried, 'candidate')}, among those that take at most "
        f"{kept.eval_seconds:g} s of evaluation and {kept.artifact_bytes:,} bytes: {winner.val_bpb:.8f} on seed "
        f"{winner.seed}. It was chosen on the validation split, so this figure is selected and no result: the best of "
        "many is low partly by luck.",
        "",
    ]
    if luck:
        lines += [
            f"Against {luck.record}, p = {format_p(luck.p)} for one try; times {luck.tried} tries (Bonferroni), "
            f"p ≤ {format_p(luck.corrected)}. H0: the winner is a further seed of that record.",
            "",
        ]
    lines += [
        "## Reported: fresh seeds",
        "",
        confirmed,
        "",
        "Fresh seeds, named in plan.json before the first candidate ran, take out the luck of the seed. They are "
        "scored on the same text, so a knob that fits it by chance still looks good; only other text could tell.",
        "",
        "## All candidates",
        "",
        "| # | candidate | val_bpb | evaluation, s | bytes | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(i, trial, why) for i, (trial, why) in enumerate(choice.ranking, start=1)]
    return "\n".join(lines) + "\n"


def _row(number: int, trial: Trial, why: str | None) -> str:
    bpb = "" if trial.val_bpb is None else f"{trial.val_bpb:.8f}"
    seconds = "" if trial.eval_seconds is None else f"{trial.eval_seconds:.1f}"
    size = "" if trial.artifact_bytes is None else f"{trial.artifact_bytes:,}"
    cells = (str(number), f"`{trial.candidate.label}`", bpb, seconds, size, (why or "").replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def ablation_markdown(old: str, new: str, seeds: Sequence[int], effects: Sequence[Effect]) -> str:
    """The attribution table between two presets."""
    every = f"all {counted(len(effects), 'row')}" if len(effects) > 1 else "the one row"
    lines = [
        f"# From {old} to {new}: which change brought what",
        "",
        f"Gains in bpb over seeds {', '.join(map(str, seeds))}: {old} minus {old} with the change, equal "
        f"seeds together. The first interval is each row's own (95 %), the second holds for {every} at once "
        "(Bonferroni); a gain is shown where the second leaves zero out.",
        "",
        "| change | gain | 95 % | all rows | shown |",
        "|---|---|---|---|---|",
    ]
    for e in effects:
        own, joint = (f"{signed(low, 6)} … {signed(high, 6)}" for low, high in (e.interval, e.joint))
        lines.append(f"| `{e.label}` | {signed(e.gain, 6)} | {own} | {joint} | {'yes' if e.shown else 'no'} |")
    return "\n".join(lines) + "\n"
