"""Before a record spends hours: will it fit its limits and this disk, and does the packed file work end to end?"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from pgolf.audit.measures import Measure
from pgolf.data.cut import cut_dataset
from pgolf.describe import describe
from pgolf.errors import BadInput, RunFailed
from pgolf.phrases import counted
from pgolf.pods.places import Wanted
from pgolf.presets import as_env, config_of
from pgolf.program.check import missing_here
from pgolf.record.disk import check_room
from pgolf.record.folder import Record
from pgolf.record.job import Job
from pgolf.record.programs import dataset_config, environment_of
from pgolf.record.refusals import LOG_BYTES, SPARE_BYTES
from pgolf.record.request import Request
from pgolf.record.results import read_result, report_of_trial
from pgolf.record.seeds import NoResult, Stopped, TakenDown
from pgolf.record.short import less_shortened, shortened, tokens_to_score
from pgolf.trainer.config import Knob


def trial_of(record: Record, environment: Mapping[str, str], ranks: int) -> Job:
    """The job of a trial: the program end to end on little text, which is put into the record's folder."""
    program, folder = record.program, record.folder / "preflight"
    if program.ours:
        check_size(record.request, program.code_bytes)
        tiny = trial_environment(record.request.knobs, environment, ranks, folder / "data")
        return Job("preflight, seed", folder, program, record.source, tiny, ranks, retry_failed=True)
    cut = cut_dataset(dataset_config(record.dataset), folder / "data", tokens_to_score(program), ranks)
    tiny = environment_of(program, cut, int(environment["OMP_NUM_THREADS"])) | shortened(program)
    most = record.request.track.limits.most_seconds
    trial = Job("preflight, seed", folder, program, record.source, tiny, ranks, retry_failed=True)
    return replace(trial, most_seconds=most)


def longer_trial(record: Record, trial: Job, failure: RunFailed) -> Job | None:
    """A second trial, less short, of a program of the user's that has failed by itself; None: there is to be none.

    Programs have bounds of their own: steps for a warmdown or an average of weights, a batch that can be divided.
    """
    if record.program.ours or isinstance(failure, TakenDown | Stopped | NoResult):
        return None
    short, longer = shortened(record.program), less_shortened(record.program)
    if not longer or longer.items() >= short.items():
        return None
    own = {name: text for name, text in record.program.environment.items() if name in short}
    kept = {name: text for name, text in trial.environment.items() if name not in short}
    return replace(trial, environment={**kept, **own, **longer})


def untried(record: Record, wanted: Wanted) -> str | None:
    """Why a program whose seeds run elsewhere is not tried here; None if it is."""
    lacks = missing_here(record.program, torch.cuda.is_available()) if wanted.remote and not record.program.ours else []
    return f"not tried on this machine: {'; '.join(lacks)}. --rehearse tries it on a small pod" if lacks else None


def wants_gpu(record: Record, wanted: Wanted, failure: str) -> str | None:
    """What a failed trial says of a program that seems to want a GPU, as its seeds will have; None: it failed."""
    here = torch.cuda.is_available() or wanted.rehearse or not wanted.remote or record.program.ours
    if here or not re.search(r"cuda|nccl|nvidia", failure, re.I):
        return None
    return f"not tried to its end, as this machine has no GPU ({failure}). --rehearse tries it on a small pod"


def findings_of(record: Record, attempt: Path) -> list[str]:
    """What a trial that came to its end has shown, a sentence each; of a program of the user's also what the log reader
    did not find in its log."""
    program, cap = record.program, record.request.track.limits.artifact_bytes
    if program.ours:
        projected = check_size(record.request, program.code_bytes)
        return [f"runs end to end, about {projected:,} of {cap:,} bytes"]
    result = read_result(attempt)
    artifact = attempt / str(result.artifact if result else None)
    size = program.code_bytes + (artifact.stat().st_size if artifact.is_file() else 0)
    return [f"runs end to end, {size:,} of {cap:,} bytes after a few steps", *report_of_trial(attempt, program)]


def check_size(request: Request, code_bytes: int) -> int:
    """Projected bytes of code and model; RunFailed if they are over the track's cap."""
    track = request.track
    total = code_bytes + describe(request.knobs).artifact_bytes_projected
    cap = track.limits.artifact_bytes
    if Measure("code and model", "bytes", cap, total).status == "fail":
        raise RunFailed(
            f"the artifact would have about {total:,} bytes, {total - cap:,} over the {cap:,} of track {track.name}; "
            "make the model smaller or its integers narrower"
        )
    return total


def check_here(request: Request, wanted: Wanted) -> None:
    """BadInput if seeds are to run here and this machine lacks what the user's program needs."""
    lacks = missing_here(request.theirs, torch.cuda.is_available()) if request.theirs else []
    if lacks and not wanted.remote:
        raise BadInput(f"{'; '.join(lacks)}. Install what is missing, or run the seeds elsewhere with --pods")


def check_disk(request: Request, folder: Path) -> None:
    """BadInput if the disk of `folder` (which need not exist) has no room for what the seeds leave behind.

    The weights of a program of the user's are not known; they are taken to be as many as fit into the artifact with 4
    bits each.
    """
    seeds = len(request.seeds)
    parameters = 2 * request.track.limits.artifact_bytes if request.theirs else describe(request.knobs).parameters
    weights, kept = 4 * parameters, not request.theirs and request.knobs.get("checkpoint_every")
    checkpoints = 10 * weights if kept else 0  # weights, average, momenta; old and new
    needed = seeds * (2 * weights + checkpoints + LOG_BYTES) + SPARE_BYTES
    check_room(folder, needed, f"{counted(seeds, 'seed')} need{'s' * (seeds == 1)}")


def trial_environment(
    knobs: Mapping[str, Knob], environment: Mapping[str, str], nproc: int, folder: Path
) -> dict[str, str]:
    """The environment that makes a seed run a trial of seconds: every stage, on two sequences of validation text.

    `environment` is that of a real seed run. A cut-down dataset, complete in itself, is put into `folder`, which takes
    DATA_DIR's place.
    """
    config = config_of({**knobs, "data_dir": environment["DATA_DIR"]})
    sequence = config.eval_seq_len
    cut_dataset(config, folder, 2 * sequence + 1, nproc)
    if not config.grad_accum_steps and 8 % nproc:
        raise BadInput(
            f"a trial on {counted(nproc, 'rank')}, which do not divide 8: set GRAD_ACCUM_STEPS, or take 1, 2, 4 or 8"
        )
    accumulated = config.grad_accum_steps or 8 // nproc
    tiny: dict[str, Knob] = {
        "iterations": 4,
        "max_wallclock_seconds": 0.0,
        "warmup_steps": 1,
        "train_log_every": 1,
        "val_loss_every": 0,
        "enable_looping_at": 0.5,
        "train_batch_tokens": nproc * accumulated * config.train_seq_len,
        "gptq_calibration_batches": nproc,
        "ttt_chunk_tokens": sequence,
        "ttt_chunk_size": sequence,
    }
    return {**environment, "DATA_DIR": str(folder.resolve()), **as_env(tiny)}
