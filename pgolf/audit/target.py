"""Audit a speedrun's folder: its variants' figures against the track's target and the baseline, and every check."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pgolf.audit.belonging import speedrun_day
from pgolf.audit.checks.review import Check
from pgolf.audit.checks.speedrun import run_checks
from pgolf.audit.checks.speedrun.review import Speedrun, VariantFigures, speedrun
from pgolf.errors import BadInput
from pgolf.evidence.run import Run
from pgolf.evidence.variants import Result, Variants, read_variants, result_of
from pgolf.ledger import value
from pgolf.stats.target import TargetTest, TimeGain
from pgolf.tracks import Track

__all__ = ["TargetAudit", "VariantFigures", "audit_target"]


@dataclass(frozen=True)
class TargetAudit:
    """The findings about a speedrun's folder.

    Attributes
    ----------
    found : what the folder holds.
    variants : the figures of each of its variants.
    baseline : the variant that times are compared with: one of `variants`, or one of another folder (`against`);
        None where there is none.
    against : the other folder, if one was named.
    """

    folder: Path
    track: Track
    found: Variants
    variants: tuple[VariantFigures, ...]
    baseline: VariantFigures | None
    checks: tuple[Check, ...]
    against: Path | None = None

    @property
    def day(self) -> date | None:
        """The day of the record, by its folder's name."""
        return speedrun_day(self.folder)

    @property
    def new(self) -> list[VariantFigures]:
        """The variants that are not the baseline."""
        return [v for v in self.variants if not v.variant.baseline]

    @property
    def failed(self) -> bool:
        """Whether any check fails."""
        return any(c.status == "fail" for c in self.checks)

    def check(self, name: str) -> Check:
        """The check with this id."""
        return next(c for c in self.checks if c.id == name)

    def as_json(self) -> dict[str, Any]:
        """One entry of `records` in the output of `pgolf audit --json`; null is unknown. Losses are in nats per token,
        times in seconds."""
        target = self.track.target
        return {
            "folder": str(self.folder),
            "track": self.track.name,
            "target": {"loss": target.loss, "least": target.least, "alpha": target.alpha} if target else None,
            "against": str(self.against) if self.against else None,
            "variants": [_variant_json(self.found, v) for v in self.variants],
            "copies": [{"log": c.file, "of": c.of, "exact": c.exact} for v in self.variants for c in v.variant.copies],
            "checks": [c.as_json() for c in self.checks],
        }


def _variant_json(found: Variants, figures: VariantFigures) -> dict[str, Any]:
    return {
        "name": figures.variant.name,
        "baseline": figures.variant.baseline,
        "runs": [_run_json(found, run, result_of(run), figures) for run in figures.variant.runs],
        "n": len(figures.results),
        "steps": list(figures.steps),
        "loss": loss_json(figures.loss),
        "time": _time_json(figures),
        "gain": gain_json(figures.gain),
        "runs_to_settle": figures.runs_to_settle,
    }


def _run_json(found: Variants, run: Run, result: Result | None, figures: VariantFigures) -> dict[str, Any]:
    return {
        "log": found.name_of(run),
        "counts": not any(run is r for r in figures.cut_short),
        "val_loss": result.loss if result else None,
        "step": result.step if result else None,
        "planned": result.planned if result else value(run.planned_steps),
        "train_seconds": result.seconds if result else None,
        "hardware": value(run.hardware),
    }


def loss_json(loss: TargetTest | None) -> dict[str, Any] | None:
    """The losses of a variant against the target, for JSON."""
    if loss is None:
        return None
    return {
        "mean": loss.mean,
        "std": loss.std if loss.n > 1 else None,
        "t": loss.t,
        "df": loss.df,
        "p_target": loss.p,
        "p_range": list(loss.p_range) if loss.p_range else None,
    }


def _time_json(figures: VariantFigures) -> dict[str, Any] | None:
    mean, std = figures.mean_seconds, figures.std_seconds
    return None if mean is None else {"mean": mean, "std": std, "n": len(figures.seconds)}


def gain_json(gain: TimeGain | None) -> dict[str, Any] | None:
    """A gain and its test, for JSON."""
    if gain is None:
        return None
    return {
        "difference": gain.difference,
        "share": gain.share,
        "t": gain.t,
        "df": gain.df,
        "p": gain.p,
        "ci95": list(gain.ci95) if gain.ci95 else None,
    }


def audit_target(folder: Path, track: Track, strict: bool = False, against: Path | None = None) -> TargetAudit:
    """Audit a folder on a track whose aim is a target loss.

    Parameters
    ----------
    folder : the record's folder, with its logs in it or in a sub-folder a variant.
    track : its rules.
    strict : changes nothing here: these tracks have no grace.
    against : the folder of a variant whose runs are the baseline, where the record's folder has none.

    Raises
    ------
    BadInput : the track has no target, a folder cannot be read, or it is not plain which runs are the baseline.
    """
    review: Speedrun = speedrun(_variants(folder), track, _variants(against) if against else None)
    try:
        checks = run_checks(review)
    except OSError as e:
        raise BadInput(f"cannot read {e.filename}: {e.strerror}") from None
    return TargetAudit(
        folder=folder,
        track=track,
        found=review.found,
        variants=review.variants,
        baseline=review.baseline,
        checks=tuple(checks),
        against=against,
    )


def _variants(folder: Path) -> Variants:
    found = read_variants(folder)
    if not any(v.runs for v in found.variants):
        why = "".join(f"; {name}: {problem}" for name, problem in list(found.unread.items())[:3])
        raise BadInput(f"{folder}: no log of a run: name the folder of a record, with its logs{why}")
    return found
