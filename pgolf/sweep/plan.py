"""Check what is asked of a sweep or an ablation before anything is started or written."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgolf import presets, tracks
from pgolf.errors import BadInput
from pgolf.record.request import Request, check_request
from pgolf.sweep.candidates import Candidate, Needs, singles, space
from pgolf.tracks import Limits
from pgolf.trainer.config import Knob


@dataclass(frozen=True)
class SweepPlan:
    """A sweep: the record that would confirm it (its seeds named now), the seed of the one training, the candidates,
    and finished files to start from instead of that training."""

    request: Request
    seed: int
    tried: tuple[Candidate, ...]
    given: Mapping[Needs, Path]


def plan_sweep(
    track: str,
    preset: str | None,
    seed: int,
    knobs: Mapping[str, Knob] | None,
    grid: Sequence[str],
    listed: Sequence[str],
    space_file: str | None,
    artifact: str | None,
    checkpoint: str | None,
    confirm_seeds: Sequence[int] | None,
) -> SweepPlan:
    """Check the sweep that is asked for, and return its plan.

    Raises
    ------
    BadInput : see `check_request` and `space`; a seed that also confirms; a file that is not there; a candidate that
        changes training, or needs more than the given file has.
    """
    tracks.load_limited(track)
    request = check_request(track, preset, confirm_seeds, knobs, fewer="")
    if seed in request.seeds:
        raise BadInput(
            f"seed {seed} is one of the seeds that confirm ({', '.join(map(str, request.seeds))}): name another"
        )
    tried = space(request.knobs, grid, listed, Path(space_file) if space_file else None)
    return SweepPlan(request, seed, tried, _check_given(tried, artifact, checkpoint))


def check_margins(limits: Limits, time_margin: float, size_margin: int) -> None:
    """BadInput for margins that are no part of the limits that they are kept free of."""
    named = (
        ("--time-margin", time_margin, limits.eval_seconds, "s of evaluation"),
        ("--size-margin", size_margin, limits.artifact_bytes, "bytes of code and model"),
    )
    for option, margin, limit, unit in named:
        if not 0 <= margin < limit:  # nor is nan
            raise BadInput(f"{option} {margin:,}: the limit is {limit:,} {unit}; name a margin from 0 to below that")


def _check_given(tried: Sequence[Candidate], artifact: str | None, checkpoint: str | None) -> dict[Needs, Path]:
    if artifact and checkpoint:
        raise BadInput("give an artifact or a checkpoint, not both: the artifact could be of another model")
    given: dict[Needs, Path] = {"artifact": Path(artifact)} if artifact else {}
    given |= {"checkpoint": Path(checkpoint)} if checkpoint else {}
    for path in given.values():
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
    for candidate in tried:
        if candidate.needs == "training":
            raise BadInput(f"{candidate.label}: changes training, and a sweep trains once; `pgolf ablate` trains each")
        if candidate.needs == "checkpoint" and artifact:
            raise BadInput(f"{candidate.label}: changes quantisation, which takes --checkpoint and not an artifact")
    if artifact:
        from pgolf.artifact import open_artifact  # imports torch, which other sweeps do not need yet

        open_artifact(given["artifact"])  # refuses a file that is not an artifact
    if checkpoint and not zipfile.is_zipfile(checkpoint):
        raise BadInput(f"{checkpoint}: not a checkpoint of the trainer, which torch saves as a zip archive")
    return given


def plan_ablation(old: str, new: str, track: str, seeds: Sequence[int] | None) -> tuple[Request, tuple[Candidate, ...]]:
    """The base's request, and the single differences with all of them together last.

    BadInput : see `check_request` and `singles`; presets whose vocabularies differ.
    """
    tracks.load_limited(track)
    request = check_request(track, old, seeds, fewer="")
    tried = singles(request.knobs, presets.load(new))
    if any(name == "vocab_size" for candidate in tried for name, _ in candidate.settings):
        raise BadInput(f"{old} and {new} have other vocabularies: their text is cut differently, and no knob alone")
    for candidate in tried:
        changed = {name: presets.parse(name, text, where=new) for name, text in candidate.settings}
        presets.check_ranks(presets.config_of({**request.knobs, **changed}), request.track.nproc, candidate.label)
    return request, tried
