"""The target of `pgolf probe`: an artifact of ours, or a Python file with an evaluator."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pgolf import presets
from pgolf.data.opening import open_tokens
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.probes import ProbeResult
from pgolf.legality.apart import Apart
from pgolf.legality.artifact import probe_artifact
from pgolf.legality.budget import Budget
from pgolf.legality.later import later_streams
from pgolf.legality.probes import probe
from pgolf.legality.process import Bounds, NotMade
from pgolf.legality.stream_probe import Progress
from pgolf.legality.subject import subject_of
from pgolf.legality.verdict import sealed_passes, unfinished
from pgolf.trainer.data import DataError

BUDGET_S = 900.0  # for all probes of an evaluator, if nobody says another


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
    budget_s: float | None = None,
    memory: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """`probe_file` of `file.py:name`, `probe_artifact` of anything else; BadInput for options of the other kind.

    `settings` are knobs of an artifact's record, or environment variables of an evaluator.
    """
    ours = {"--train-gpt": train_gpt, "--preset": preset, "--mode": modes}
    theirs: dict[str, object] = {
        "--tokens": shard,
        "--length": length,
        "--allow": list(allowed),
        "--artifact": artifact,
    }
    theirs |= {"--budget": budget_s, "--max-memory": memory}
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
        budget_s=budget_s or BUDGET_S,
        memory=memory or 0,
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
    budget_s: float = BUDGET_S,
    memory: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """All six probes of the evaluator that `path/to/file.py:make_evaluator` makes.

    Parameters
    ----------
    length, tokens : of `probes.subject_of`.
    allowed : files that the evaluation may read: tokenizer, validation shards.
    artifact : a file that it may read, too, and whose path it finds in the environment variable ARTIFACT.
    environment : other variables that it is to have.
    positions, seeds : of `probes.probe`.
    budget_s : seconds that all probes together may take; streams and positions are as many as fit.
    memory : bytes that the evaluator's processes may take; 0: half of the machine's.

    Raises
    ------
    BadInput : no such file or factory, or an evaluator that the streams do not fit.
    RunFailed : the file or the factory raises an exception.
    """
    if artifact and not artifact.is_file():
        raise BadInput(f"no file {artifact}: --artifact takes the file that the evaluator scores")
    own = {"ARTIFACT": str(artifact.resolve())} if artifact else {}
    name, given = Path(spec.rpartition(":")[0]).name, {**(environment or {}), **own}
    budget, tried = Budget(budget_s), torch.zeros(9, dtype=torch.int64)
    read = [*allowed, *([artifact.resolve()] if artifact else [])]
    with Apart(spec, given, Bounds(budget, memory), read) as apart:
        try:
            subject = subject_of(name, apart.make, length, tokens, budget)
            tried = subject.stream(seeds[0])
            results = probe(subject, positions=positions, seeds=seeds, progress=progress, budget=budget)
            progress("later streams", 0, 1)
            one_pass = results.index(next(r for r in results if r.probe == "one pass"))
            if results[one_pass].deterministic:
                results[one_pass] = later_streams(results[one_pass], subject, apart, seeds)
        except NotMade:
            raise
        except RunFailed as e:
            return unfinished(apart, tried, str(e), seeds)
        progress("sealed", 0, 1)
        return [*results, sealed_passes(apart, tried)]
