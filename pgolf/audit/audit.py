"""Audit a record folder: read it, run every check, and say what its logs really show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pgolf import ledger
from pgolf.audit.belonging import DEFAULT_TRACK, day_of, speedrun_track, track_of, with_planned_text
from pgolf.audit.checks import Check, Review, run_checks
from pgolf.audit.target import TargetAudit, audit_target
from pgolf.errors import BadInput
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.run import Run
from pgolf.ledger import StandingRecord, value
from pgolf.ledger.against import from_folder
from pgolf.ledger.choosing import standing_record
from pgolf.stats.comparison import Comparison
from pgolf.tracks import Track

AUTO = "auto"  # in place of a record to beat: the one that stood for the track before the folder's day


@dataclass(frozen=True)
class Audit:
    """The findings about an entry. `mean_val_bpb` and `std_val_bpb` (n − 1) are of the final scores; `previous` is the
    record that it was compared with, or `no_comparison` says why there was none."""

    folder: Path
    track: Track
    entry: Entry
    checks: tuple[Check, ...]
    mean_val_bpb: float | None
    std_val_bpb: float | None
    bytes_per_token: float | None
    comparison: Comparison | None
    previous: StandingRecord | None = None
    no_comparison: str = ""
    other_text: bool = False  # whether `previous` was scored on other text, which is why

    @property
    def runs(self) -> list[Run]:
        """One run a seed."""
        return self.entry.runs

    @property
    def other_runs(self) -> list[Run]:
        """The runs of the folder that the record does not claim: reruns, tries, arms of an experiment."""
        return self.entry.extras

    @property
    def day(self) -> date | None:
        """The day of the record."""
        return day_of(self.entry)

    @property
    def failed(self) -> bool:
        """Whether any check fails."""
        return any(c.status == "fail" for c in self.checks)

    def check(self, name: str) -> Check:
        """The check with this id."""
        return next(c for c in self.checks if c.id == name)

    def as_json(self) -> dict[str, Any]:
        """One entry of `records` in the output of `pgolf audit --json`; null is unknown."""
        return {
            "folder": str(self.folder),
            "track": self.track.name,
            "claimed": self.entry.claims.as_json(),
            "seeds": [_seed_json(self.entry, run) for run in self.runs],
            "other_runs": [_seed_json(self.entry, run) for run in self.other_runs],
            "mean_val_bpb": self.mean_val_bpb,
            "std_val_bpb": self.std_val_bpb,
            "bytes_per_token": self.bytes_per_token,
            "significance": self.comparison.as_json() if self.comparison else None,
            "checks": [c.as_json() for c in self.checks],
        }


def _seed_json(entry: Entry, run: Run) -> dict[str, Any]:
    final = run.final
    return {
        "seed": value(run.seed),
        "log": entry.name_of(run),
        "stages": [
            {"stage": s.name, "val_loss": s.val_loss, "val_bpb": s.val_bpb, "eval_seconds": s.eval_seconds}
            for s in run.stages
        ],
        "final_stage": final.name if final else None,
        "val_bpb": final.val_bpb if final else None,
        "val_loss": final.val_loss if final else None,
        "artifact_bytes": value(run.artifact_bytes),
        "code_bytes": value(run.code_bytes),
        "train_seconds": value(run.train_seconds),
        "calibration_seconds": value(run.calibration_seconds),
        "eval_seconds": run.eval_seconds,
        "steps": value(run.steps),
        "hyperparameters": {k: v.value for k, v in run.hyperparameters.items()},
    }


Audited = Audit | TargetAudit


def audit(
    folder: Path,
    track: Track | None = None,
    against: StandingRecord | Path | str | None = None,
    strict: bool = False,
) -> Audited:
    """Audit one record folder.

    Parameters
    ----------
    folder : the record's folder.
    track : its rules; default: those of the track that it is of, as `track_of` finds it.
    against : the record that it wants to beat: a ledger entry, its name, another record's folder, or 'auto', the
        one that stood for the track before the folder's day, which decides no check; default: the ledger entry that
        submission.json names as `previous_record`, if there is one of that name. On a track with a target loss: the
        folder of a variant, whose runs are the baseline; 'auto' is no record there.
    strict : no grace over the limits of time.

    Returns
    -------
    Audited : an Audit; a TargetAudit on a track whose aim is a target loss.

    Raises
    ------
    BadInput : the folder cannot be read, or there is no such record to compare with.
    """
    track = track or speedrun_track(folder)
    if track and track.target:
        return audit_target(folder, track, strict, _variant_folder(against))
    entry = read_entry(folder)
    track = with_planned_text(track or track_of(entry), folder)
    if track.target:
        return audit_target(folder, track, strict, _variant_folder(against))
    if strict:
        track = replace(track, limits=replace(track.limits, grace_seconds=0.0))
    named = entry.claims.previous_record if entry.claims.previous_record in ledger.names() else None
    given = named if against in (None, AUTO) else against
    review = Review(entry, track, previous_record(given) if given is not None else None)
    beside = _beside_the_best(review) if against == AUTO else review
    sample = review.sample()
    try:
        checks = run_checks(review)
    except OSError as e:
        raise BadInput(f"cannot read {e.filename}: {e.strerror}") from None
    return Audit(
        folder=folder,
        track=track,
        entry=entry,
        checks=tuple(checks),
        mean_val_bpb=sample.mean if sample else None,
        std_val_bpb=sample.std if sample and sample.n > 1 else None,
        bytes_per_token=sample.bytes_per_token if sample else None,
        comparison=beside.comparison,
        previous=beside.previous,
        no_comparison=beside.no_comparison,
        other_text=beside.other_text,
    )


def _beside_the_best(review: Review) -> Review:
    """The entry beside the record that stood before its day, where nobody has named one. Its author may have built on
    another record, and tested against that: the comparison is all that this is good for, no check may rest on it."""
    day, track = day_of(review.entry), review.track
    stood = standing_record(track, before=day) if day else None
    beside = Review(review.entry, track, stood)
    if stood is None:
        beside.no_comparison = _nothing_before(track, day)
    if review.previous is None:
        only = (
            f"no previous record was named; {stood.name}, which stood before it, is only compared with" if stood else ""
        )
        review.no_comparison = only or beside.no_comparison
    return beside


def _variant_folder(against: StandingRecord | Path | str | None) -> Path | None:
    """The folder whose runs are the baseline of a speedrun; None: no other one than its own."""
    if against in (None, AUTO):
        return None
    if isinstance(against, StandingRecord) or not Path(against).is_dir():
        name = against.name if isinstance(against, StandingRecord) else against
        raise BadInput(f"--against {name}: a speedrun is compared with runs, not with a ledger entry: name a folder")
    return Path(against)


def _nothing_before(track: Track, day: date | None) -> str:
    if day is None:
        return "the record has no date: neither its folder's name nor submission.json gives one"
    return f"the ledger has no record of track {track.name} from before {day} that its rules admit"


def previous_record(against: StandingRecord | Path | str) -> StandingRecord:
    """The record to beat: a ledger entry, its name, or the record whose folder this is.

    Raises
    ------
    BadInput : there is neither such a folder nor such a ledger entry, or the folder's logs have no final score.
    """
    if isinstance(against, StandingRecord):
        return against
    if Path(against).is_dir():
        return from_folder(Path(against), DEFAULT_TRACK)
    return ledger.load(str(against))


def resolved(
    against: StandingRecord | Path | str | None, folders: Sequence[Path], track: Track | None = None
) -> StandingRecord | Path | str | None:
    """The record to beat, read once for the audits of all folders; as it is where one of them is a speedrun, whose
    baseline is read beside it. Raises BadInput as `previous_record` does."""
    if against is None or isinstance(against, StandingRecord) or against == AUTO:
        return against
    speedruns = track.target is not None if track else any(map(speedrun_track, folders))
    return against if speedruns else previous_record(against)


def audit_folders(
    folders: Sequence[Path],
    track: Track | None = None,
    against: StandingRecord | Path | str | None = None,
    strict: bool = False,
) -> list[Audited]:
    """Audit several record folders against one previous record. Raises BadInput as `audit` does, before any check."""
    previous = resolved(against, folders, track)
    return [audit(folder, track, previous, strict) for folder in folders]


def as_json(audits: Sequence[Audited]) -> dict[str, Any]:
    """The content that `pgolf audit --json` prints: NaN and infinity, which JSON does not know, are null."""
    return {"records": [finite(a.as_json()) for a in audits]}


def finite(content: Any) -> Any:
    """The content of a JSON document with null for NaN and infinity, which JSON does not know."""
    if isinstance(content, dict):
        return {k: finite(v) for k, v in content.items()}
    if isinstance(content, list):
        return [finite(v) for v in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
