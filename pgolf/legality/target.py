"""The target of `pgolf probe`: an artifact of ours, or a Python file with an evaluator."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from pgolf import presets
from pgolf.data.opening import open_tokens
from pgolf.errors import BadInput
from pgolf.evidence.probes import ProbeResult
from pgolf.legality.artifact import probe_artifact
from pgolf.legality.probes import probe
from pgolf.legality.sealed import sealed_evaluator
from pgolf.legality.stream_probe import Progress
from pgolf.legality.subject import subject_of
from pgolf.legality.watch import load_factory
from pgolf.trainer.data import DataError


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
    artifact: Path | None = None,
    positions: int | None = None,
    seeds: Sequence[int] | None = None,
    modes: Sequence[str] | None = None,
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """`probe_file` of `file.py:name`, `probe_artifact` of anything else; BadInput for options of the other kind.

    `settings` are knobs of an artifact's record, or environment variables of an evaluator.
    """
    ours = {"--train-gpt": train_gpt, "--preset": preset, "--mode": modes}
    theirs = {"--tokens": shard, "--length": length, "--allow": list(allowed), "--artifact": artifact}
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
        artifact=artifact,
        environment=settings,
        positions=positions or 32,
        seeds=seeds or (0, 1),
        progress=progress,
    )


def _tokens(shard: Path) -> Tensor:
    try:
        return torch.from_numpy(open_tokens(shard).astype("int64"))
    except (DataError, OSError) as e:
        raise BadInput(str(e)) from None


def probe_file(
    spec: str,
    *,
    length: int | None = None,
    tokens: Tensor | None = None,
    allowed: Sequence[Path] = (),
    artifact: Path | None = None,
    environment: Mapping[str, str] | None = None,
    positions: int = 32,
    seeds: Sequence[int] = (0, 1),
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """All six probes of the evaluator that `path/to/file.py:make_evaluator` makes.

    Parameters
    ----------
    length, tokens : of `probes.subject_of`.
    allowed : files that the evaluation may read: tokenizer, validation shards.
    artifact : a file that it may read, too, and whose path it finds in the environment variable ARTIFACT.
    environment : other variables that it is to have; all are gone again afterwards.
    positions, seeds : of `probes.probe`.

    Raises
    ------
    BadInput : no such file or factory, or an evaluator that the streams do not fit.
    RunFailed : the evaluator raises, or does not offer the interface.
    """
    if artifact and not artifact.is_file():
        raise BadInput(f"no file {artifact}: --artifact takes the file that the evaluator scores")
    own = {"ARTIFACT": str(artifact.resolve())} if artifact else {}
    name, given = Path(spec.rpartition(":")[0]).name, {**(environment or {}), **own}
    with _environment(given):
        subject = subject_of(name, load_factory(spec), length, tokens)
        results = probe(subject, positions=positions, seeds=seeds, progress=progress)
        progress("sealed", 0, 1)
        tokenizer = [subject.tokenizer] if subject.tokenizer else []
        read = [*allowed, *tokenizer, *([artifact.resolve()] if artifact else [])]
        return [*results, sealed_evaluator(spec, subject.name, subject.stream(seeds[0]), read, given)]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, and take them back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
