"""The target of `pgolf probe`: an artifact of ours, or a Python file with an evaluator."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pgolf import presets
from pgolf.errors import BadInput
from pgolf.evidence.probes import ProbeResult
from pgolf.legality.artifact import probe_artifact
from pgolf.legality.probes import probe
from pgolf.legality.sealed import sealed_evaluator
from pgolf.legality.stream_probe import Progress
from pgolf.legality.subject import subject_of
from pgolf.legality.watch import load_factory
from pgolf.trainer.data import DataError, open_shard


def probe_target(
    target: str,
    *,
    train_gpt: Path | None = None,
    preset: str | None = None,
    settings: Mapping[str, str] | None = None,
    data_dir: Path = Path("data"),
    shard: Path | None = None,
    length: int | None = None,
    allowed: Sequence[Path] = (),
    positions: int | None = None,
    seeds: Sequence[int] | None = None,
    modes: Sequence[str] | None = None,
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """`probe_file` of `file.py:name`, `probe_artifact` of anything else; BadInput for options of the other kind."""
    ours = {"--train-gpt": train_gpt, "--preset": preset, "--set": settings, "--mode": modes}
    theirs = {"--tokens": shard, "--length": length, "--allow": list(allowed)}
    is_file = ".py:" in target
    if given := [option for option, value in (ours if is_file else theirs).items() if value]:
        kind = "an artifact" if is_file else "an evaluator in a Python file"
        raise BadInput(f"{', '.join(given)}: for {kind}, which {target} is not")
    if not is_file:
        knobs = presets.load(preset or "pr1493", dict(settings or {}))  # pr1493 is the trainer's own defaults
        return probe_artifact(
            Path(target),
            train_gpt,
            data_dir,
            knobs,
            modes=modes,
            positions=positions or 10,
            seeds=seeds or (0,),
            device=device,
            progress=progress,
        )
    return probe_file(
        target,
        length=length,
        tokens=None if shard is None else _tokens(shard),
        allowed=[*allowed, *([shard] if shard else [])],
        positions=positions or 32,
        seeds=seeds or (0, 1),
        progress=progress,
    )


def _tokens(shard: Path) -> Tensor:
    try:
        return torch.from_numpy(open_shard(shard).astype("int64"))
    except (DataError, OSError) as e:
        raise BadInput(str(e)) from None


def probe_file(
    spec: str,
    *,
    length: int | None = None,
    tokens: Tensor | None = None,
    allowed: Sequence[Path] = (),
    positions: int = 32,
    seeds: Sequence[int] = (0, 1),
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """All six probes of the evaluator that `path/to/file.py:make_evaluator` makes.

    Parameters
    ----------
    length, tokens : of `probes.subject_of`.
    allowed : files that the evaluation may read: artifact, tokenizer, validation shards.
    positions, seeds : of `probes.probe`.

    Raises
    ------
    BadInput : no such file or factory, or an evaluator that the streams do not fit.
    RunFailed : the evaluator raises, or does not offer the interface.
    """
    name = Path(spec.rpartition(":")[0]).name
    subject = subject_of(name, load_factory(spec), length, tokens)
    results = probe(subject, positions=positions, seeds=seeds, progress=progress)
    progress("sealed", 0, 1)
    allowed = [*allowed, *([subject.tokenizer] if subject.tokenizer else [])]
    return [*results, sealed_evaluator(spec, subject.name, subject.stream(seeds[0]), allowed)]
