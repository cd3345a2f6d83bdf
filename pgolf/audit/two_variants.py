"""Two variants of a speedrun side by side, as `pgolf compare` shows them: losses and times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.audit.belonging import speedrun_track
from pgolf.audit.checks.speedrun.review import VariantFigures, figures_of, only_variant
from pgolf.audit.checks.speedrun.same import machine, torch_version, unlike
from pgolf.audit.target import gain_json, loss_json
from pgolf.errors import BadInput
from pgolf.evidence.variants import read_variants
from pgolf.phrases import signed
from pgolf.stats.comparison import format_p
from pgolf.stats.target import TargetTest, TimeGain, time_gain
from pgolf.tracks import Target


@dataclass(frozen=True)
class TwoVariants:
    """The runs of two variants.

    Attributes
    ----------
    new, old : their figures.
    target : of the track that one of them is of.
    loss : old − new of the mean losses, nats per token, with Welch's one-sided test.
    time : the same of the training times, seconds; None where a side logs none.
    doubts : why the times do not compare.
    """

    new: VariantFigures
    old: VariantFigures
    target: Target
    loss: TimeGain
    time: TimeGain | None
    doubts: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """(name, figures) for a terminal."""
        sides = [(side, v) for side, v in (("new", self.new), ("old", self.old))]
        rows = [(f"{side} loss", _loss(v.loss)) for side, v in sides if v.loss]
        rows.append(("loss, old − new", _difference(self.loss, "", 5)))
        for side, v in sides:
            steps = " or ".join(map(str, v.steps))
            mean = f", {v.mean_seconds:.3f} s" if v.mean_seconds is not None else ""
            spread = f" ± {v.std_seconds:.3f}" if v.std_seconds is not None else ""
            rows.append((f"{side} time", f"{steps} steps{mean}{spread}"))
        if self.time:
            rows.append(("time, old − new", _difference(self.time, " s", 3)))
        return rows

    def as_json(self) -> dict[str, Any]:
        """The figures by their names; null is unknown."""
        sides = {
            name: {"name": v.name, "n": len(v.results), "steps": list(v.steps), "loss": loss_json(v.loss)}
            for name, v in (("new", self.new), ("old", self.old))
        }
        return {
            **sides,
            "target": self.target.loss,
            "loss": gain_json(self.loss),
            "time": gain_json(self.time),
            "notes": list(self.doubts),
        }


def _loss(test: TargetTest) -> str:
    spread = f" ± {test.std:.5f}" if test.n > 1 else ""
    p = f", p {format_p(test.p)} against {test.target:g}" if test.p is not None else ""
    return f"{test.mean:.5f}{spread} (n {test.n}){p}"


def _difference(gain: TimeGain, unit: str, digits: int) -> str:
    interval = f", 95 % interval {signed(gain.ci95[0], digits)} to {signed(gain.ci95[1], digits)}" if gain.ci95 else ""
    p = f", p {format_p(gain.p)}" if gain.p is not None else ", no p: it takes two runs of each"
    return f"{signed(gain.difference, digits)}{unit}{interval}{p}"


def of_speedruns(new: str, old: str) -> bool:
    """Whether one of these is a speedrun's folder: then both have to be."""
    return any(Path(text).is_dir() and speedrun_track(Path(text)) is not None for text in (new, old))


def compare_variants(new: Path, old: Path) -> TwoVariants:
    """Compare the runs of two folders, each of one variant beside its baseline, or of a baseline alone.

    Raises
    ------
    BadInput : a side is no folder, has no run that counts, or has several variants.
    """
    track = speedrun_track(new) or speedrun_track(old)
    if track is None or track.target is None:
        raise BadInput(f"neither {new} nor {old} lies in the folder of a speedrun's track")
    ours, theirs = (_figures(path, track.target) for path in (new, old))
    doubts = (unlike(ours, theirs, of) for of in (machine, torch_version))
    return TwoVariants(
        new=ours,
        old=theirs,
        target=track.target,
        loss=time_gain([r.loss for r in ours.results], [r.loss for r in theirs.results]),
        time=time_gain(ours.seconds, theirs.seconds) if ours.seconds and theirs.seconds else None,
        doubts=tuple(f"{text}: their times do not compare" for text in doubts if text),
    )


def _figures(path: Path, target: Target) -> VariantFigures:
    if not path.is_dir():
        raise BadInput(f"'{path}' is no folder: the runs of a speedrun are compared with those of another folder")
    figures = figures_of(only_variant(read_variants(path)), target)
    if not figures.results:
        raise BadInput(f"{path}: no run that counts")
    return figures
