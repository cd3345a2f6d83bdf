"""The standing records, as data: one JSON file each in `ledger/entries/`, every figure read from its logs.

A new record is measured against one of these: its seeds, its bytes per token (they convert the margin), its
hyperparameters (the full knob delta) and its curves (the plots).
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.record_folder import CLAIMS
from pgolf.evidence.run import OF_THE_RUN, CurvePoint, Run, Sourced, T
from pgolf.files import write_json
from pgolf.phrases import not_a_folder
from pgolf.stats.sample import LN2, Sample, from_seeds, parse_numbers
from pgolf.untrusted import Untrusted, first_of, list_folder, read_json

FOLDER = Path(str(files("pgolf.ledger") / "entries"))  # of the entries that ship with pgolf
MOST_DECIMALS = 30  # that a score may have been printed with
MOST_BYTES, MOST_FOLDERS = 1 << 24, 100_000  # of an entry's file; in an archive that the ledger is made from
CURVE_POINTS = 60  # of a training curve: enough for a plot
PULL_REQUESTS = {  # of the public archive's folders; what their logs and descriptions name
    "2026-04-05_SP8192_GPTQ-Embeddings_SDClip_Loop45x2": 1394,
    "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT": 1493,
    "2026-04-18_PR1626_CaseOps_Taper": 1729,
    "2026-04-19_SP8192_CaseOps_GatedAttn_QuantGate_Loop45_PhasedTTT": 1736,
    "2026-04-23_SP8192_CaseOps_SparseGate_QuantGate_Loop45_PhasedTTT_PolarNS_MinLR_FusedCE": 1787,
    "2026-04-27_SmearGateBOSFix_PR1787Base_LQERAsym_PhasedTTT": 1851,
}


Score = Annotated[float, Field(gt=0, lt=1000)]  # bpb, or nats per token
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class StageScore:
    """One evaluation: the log's name for it, our kind (see `run.Stage`), nats per token, bpb, seconds."""

    stage: str
    kind: str
    val_loss: Score | None
    val_bpb: Score
    eval_seconds: Seconds | None


@dataclass(frozen=True)
class SeedScore:
    """The result of one seed. Sizes are bytes, times seconds; None is unknown.

    `artifact_bytes` is code and model together. `curve` is (step, train loss in nats per token), thinned, and
    `curve_seconds` the seconds of training at each of its points; empty where the log has not all of them.
    """

    seed: int | None
    val_bpb: Score
    val_loss: Score | None
    stages: tuple[StageScore, ...] = ()
    artifact_bytes: Count | None = None
    code_bytes: Count | None = None
    train_seconds: Seconds | None = None
    calibration_seconds: Seconds | None = None
    eval_seconds: Seconds | None = None
    steps: Count | None = None
    curve: tuple[tuple[int, float], ...] = ()
    curve_seconds: tuple[float, ...] = ()


# Version 0.1 called it `val_sha256`, which is the whole validation split's; files that it wrote are still read.
ScoredSha256 = Annotated[str | None, Field(validation_alias=AliasChoices("scored_sha256", "val_sha256"))]


@dataclass(frozen=True)
class StandingRecord:
    """A record to beat.

    `source` says where the figures were read; `scored_sha256` is of the tokens that were scored, None for public logs.
    `summary` is there where no seed is known, but a published mean, std and count: `mean=1.0810,std=0.0002,n=3`.
    """

    name: str
    track: str
    title: str
    date: str
    author: str
    source: str
    seeds: tuple[SeedScore, ...]
    decimals: Annotated[int, Field(ge=0, le=MOST_DECIMALS)]
    bytes_per_token: Annotated[float, Field(gt=0)] | None
    val_bytes: Count | None
    scored_sha256: ScoredSha256 = None
    hardware: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    summary: str | None = None

    @property
    def has_logs(self) -> bool:
        """Whether it was read from logs; else it is only numbers that somebody gave."""
        return any(score.stages for score in self.seeds)

    def sample(self) -> Sample:
        """Its seeds as one side of a comparison."""
        if self.summary is not None:
            return parse_numbers(self.summary, self.name, self.bytes_per_token)
        losses = [s.val_loss for s in self.seeds if s.val_loss is not None]
        numbers = [s.seed for s in self.seeds if s.seed is not None]
        return from_seeds(
            self.name,
            [s.val_bpb for s in self.seeds],
            loss=losses if len(losses) == len(self.seeds) else (),
            seeds=numbers if len(numbers) == len(self.seeds) else (),
            bytes_per_token=self.bytes_per_token,
            decimals=self.decimals,
            scored_sha256=self.scored_sha256,
            val_bytes=self.val_bytes,
        )


def names() -> list[str]:
    """The records in the ledger."""
    return sorted(p.name.removesuffix(".json") for p in FOLDER.iterdir() if p.name.endswith(".json"))


def load(name: str) -> StandingRecord:
    """The ledger entry called `name`, or the one in a file whose path ends in `.json`.

    Raises
    ------
    BadInput : no such entry (near misses are named), or a file that is none.

    Examples
    --------
    >>> load("pr1493").seeds[0].val_bpb
    1.08079352
    """
    path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
    if name.endswith(".json") and not path.exists():
        raise BadInput(f"{path}: no such file; give an entry's file, or a name that `pgolf ledger list` has")
    if not path.exists():
        raise BadInput(f"no ledger entry '{name}'{did_you_mean(name, names())}; `pgolf ledger list` lists them")
    try:
        return TypeAdapter(StandingRecord).validate_python(read_json(path, MOST_BYTES))
    except Untrusted as e:
        raise BadInput(f"{path}: no ledger entry: {e.without(path)}") from None
    except ValidationError as e:
        if fnmatchcase(path.name, CLAIMS):
            raise Untrusted(f"{path}: what a record claims, and no ledger entry; give its folder, {path.parent}") from e
        raise Untrusted(f"{path}: no ledger entry: {first_of(e.errors())}") from e


def spreads(track: str) -> list[float]:
    """Sample standard deviations (bpb) of the ledger's records of a track with three seeds or more, smallest first."""
    records = [load(name) for name in names()]
    return sorted(r.sample().std for r in records if r.track == track and len(r.seeds) >= 3)


def own_folder() -> Path:
    """The folder of the entries that ship with pgolf, to write to; BadInput where this user cannot."""
    if not os.access(FOLDER, os.W_OK):
        raise BadInput(f"{FOLDER} cannot be written: name a folder for the entries with --out")
    return FOLDER


def write_standing(path: Path, standing: StandingRecord) -> Path:
    """Write a ledger entry as JSON, atomically."""
    write_json(path, {k: v for k, v in asdict(standing).items() if k != "summary" or v})
    return path


def from_runs(
    runs: Sequence[Run],
    *,
    name: str,
    track: str,
    title: str,
    date: str,
    author: str,
    source: str,
) -> StandingRecord:
    """A ledger entry from the runs of a record, one a seed.

    Raises
    ------
    BadInput : a run has no final score, or none is given.
    """
    scores = tuple(seed_score(run) for run in runs)
    if not scores:
        raise BadInput(f"{name}: no runs to make a ledger entry from")
    finals = [run.final for run in runs if run.final]
    per_token = bytes_per_token(scores)
    return StandingRecord(
        name=name,
        track=track,
        title=title,
        date=date,
        author=author,
        source=source,
        seeds=scores,
        decimals=min(f.decimals for f in finals),
        bytes_per_token=per_token,
        val_bytes=val_bytes(runs[0], per_token),
        scored_sha256=value(runs[0].scored_sha256),
        hardware=value(runs[0].hardware),
        hyperparameters={k: v.value for k, v in runs[0].hyperparameters.items() if k not in OF_THE_RUN},
    )


def build(archive: Path, out: Path | None = None) -> list[StandingRecord]:
    """Make (or make again) a ledger entry of every record folder in `archive` whose logs have all final scores.

    Parameters
    ----------
    archive : a folder of record folders.
    out : where the entries go; default: the ledger that ships with pgolf.

    Raises
    ------
    BadInput : no folder, or none in it with a scored run.
    """
    if not archive.is_dir():
        raise BadInput(f"{not_a_folder(archive)}: name a folder with record folders in it")
    inside = [archive / e.name for e in list_folder(archive, MOST_FOLDERS) if e.is_dir(follow_symlinks=False)]
    entries = [read_entry(p) for p in inside if list(p.glob("submission*.json"))]
    found = [_of_entry(e) for e in entries if e.runs and all(r.final for r in e.runs)]
    if not found:
        raise BadInput(f"{archive}: no record folder with a submission.json and scored runs in it")
    folder = out or own_folder()
    for standing in found:
        write_standing(folder / f"{standing.name}.json", standing)
    return found


def _of_entry(entry: Entry) -> StandingRecord:
    folder, claims = entry.path.name, entry.claims
    number = PULL_REQUESTS.get(folder)
    return from_runs(
        entry.runs,
        name=f"pr{number}" if number else folder,
        track=claims.track or "10min_16mb",
        title=claims.name or folder,
        date=folder[:10],
        author=claims.github_id or claims.author or "unknown",
        source=f"{folder}: {', '.join(entry.name_of(r) for r in entry.runs)}",
    )


def seed_score(run: Run) -> SeedScore:
    """The result of one run; BadInput if its log has no final score."""
    if run.final is None:
        raise BadInput(f"{run.log}: no final score in this log")
    curve = _thinned(run.train_curve)
    seconds = tuple(round(p.seconds, 3) for p in curve if p.seconds is not None)
    return SeedScore(
        seed=value(run.seed),
        val_bpb=run.final.val_bpb,
        val_loss=run.final.val_loss,
        stages=tuple(StageScore(s.name, s.kind, s.val_loss, s.val_bpb, s.eval_seconds) for s in run.stages),
        artifact_bytes=value(run.artifact_bytes),
        code_bytes=value(run.code_bytes),
        train_seconds=value(run.train_seconds),
        calibration_seconds=value(run.calibration_seconds),
        eval_seconds=run.eval_seconds,
        steps=value(run.steps),
        curve=tuple((p.step, p.loss) for p in curve),
        curve_seconds=seconds if len(seconds) == len(curve) else (),
    )


def _thinned(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    if len(points) <= CURVE_POINTS:
        return list(points)
    last = len(points) - 1
    return [points[round(i * last / (CURVE_POINTS - 1))] for i in range(CURVE_POINTS)]


def value(sourced: Sourced[T] | None) -> T | None:
    """The value of a fact that may be unknown."""
    return sourced.value if sourced else None


def bytes_per_token(scores: Sequence[SeedScore]) -> float | None:
    """Of the validation split, from the final (loss, bpb) pairs; None if a loss is unknown."""
    losses = [s.val_loss for s in scores if s.val_loss is not None]
    if len(losses) < len(scores):
        return None
    return math.fsum(losses) / math.fsum(s.val_bpb for s in scores) / LN2


def val_bytes(run: Run, per_token: float | None) -> int | None:
    """Bytes of the validation text: the log's own count, else tokens × bytes per token, which wobbles by 1e-4."""
    if run.val_bytes:
        return run.val_bytes.value
    return round(run.val_tokens.value * per_token) if run.val_tokens and per_token else None
