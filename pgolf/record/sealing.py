"""A program of a user's scores its artifact once as it likes and once sealed off; the two scores must be the same."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from pgolf.data.cut import cut_dataset
from pgolf.errors import RunFailed
from pgolf.evidence.lines import printable
from pgolf.evidence.probes import ProbeResult
from pgolf.files import write_atomic
from pgolf.legality.sealed import TIMEOUT_S, bare_environment, result, run_sealed
from pgolf.program import Program
from pgolf.program.check import missing_here
from pgolf.record.programs import environment_of, write_files
from pgolf.record.results import ARTIFACT_MOST, LOG, name_for, score_of
from pgolf.record.short import tokens_to_score
from pgolf.trainer.config import Config
from pgolf.untrusted import read_bytes

RUN_ID = "sealed"


def seal_program(seed: int, artifact: Path, program: Program, config: Config) -> ProbeResult:
    """Let a program score `artifact` on the beginning of the validation text of the dataset that `config` names, on
    this machine and one rank, by its `eval_only`; it trains nothing, and there is no training shard that it could read.

    `passed` is None, and `power` says why, where it does not do so even without the seal.
    """
    subject = f"{program.script} with {artifact.name}"
    if why := _not_here(program):
        return _not_run(subject, why)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        cut = cut_dataset(config, data, tokens_to_score(program), train_shards=0)
        name = name_for(program, artifact)
        env = environment_of(program, cut, torch.get_num_threads()) | program.of_run(seed, RUN_ID)
        env |= {k: v.replace("{artifact}", name) for k, v in (program.eval_only or {}).items()}
        free, sealed = (Path(temporary) / kind for kind in ("free", "sealed"))
        for folder in (free, sealed):
            write_files(program, folder)
            write_atomic(folder / name, read_bytes(artifact, ARTIFACT_MOST))
            (folder / "logs").mkdir(exist_ok=True)
        words = arguments_of(program) or []
        try:
            code, output = _run_free(free, program.script, words, env)
            expected = _score(free, output, program)
            if code or expected is None:
                return _not_run(subject, f"on one rank, without the seal, {_ending(code, output)}")
            run = run_sealed(sealed / program.script, words, sealed, [data], env, modules=True)
        except RunFailed as e:
            return _not_run(subject, str(e))
        same = _score(sealed, run.output, program) == expected
    return result(subject, run, same, f"the final score, val_bpb {expected:.8f}, of little text", 0)


def arguments_of(program: Program) -> list[str] | None:
    """The words that a program's script gets where a launcher starts it; None: the command starts something else."""
    words = program.start(1)
    return words[words.index(program.script) + 1 :] if program.script in words else None


def _not_here(program: Program) -> str | None:
    """Why a program cannot score an artifact here, as part of a sentence; None if it may."""
    if arguments_of(program) is None:
        return f"its command does not start {program.script}, and only a script is sealed"
    lacks = missing_here(program, torch.cuda.is_available())
    return f"not on this machine: {'; '.join(lacks)}" if lacks else None


def _not_run(subject: str, why: str) -> ProbeResult:
    return ProbeResult("sealed", subject, None, None, f"Not tried: {why}.")


def _run_free(folder: Path, script: str, words: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    """(exit code, what it printed) of a run in the same surroundings, without the seal; RunFailed if it never ends."""
    command = [sys.executable, script, *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=bare_environment(folder, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{script} has not ended {TIMEOUT_S:.0f} s after it was started") from None
    return done.returncode, done.stdout


def _score(folder: Path, output: str, program: Program) -> float | None:
    """The final val_bpb that a run in this folder states, in its log or in what it printed; None: there is none."""
    write_atomic(folder / LOG, output)
    return score_of(folder, program, RUN_ID)


def _ending(code: int, output: str) -> str:
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "nothing")
    told = f"the last line that it printed is '{printable(last)}'"
    return f"it ends with exit code {code}; {told}" if code else f"it states no score; {told}"
