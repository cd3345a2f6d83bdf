"""The sixth probe: an evaluation that runs with no network and no file but its own, and gives the same score."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pgolf
from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality import seal
from pgolf.legality.watch import Watched, load_factory, watch

TIMEOUT_S = 1800.0
# Files that every process needs: the system's own, and those of the dynamic linker.
SYSTEM = ("/proc", "/sys", "/etc", "/dev/urandom", "/dev/random", "/dev/zero", "/usr/share/zoneinfo")
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/nvidia", "/usr/local/cuda")
LIMITS = (
    "Files of Python's own libraries may be read, and a native library that hides its work is seen by Landlock only."
)


@dataclass(frozen=True)
class Sealed:
    """How a sealed run ended."""

    code: int
    output: str  # stdout and stderr, the last of it
    means: tuple[str, ...]  # of sealing
    offences: tuple[str, ...]  # what it tried and was not allowed


def libraries() -> list[str]:
    """Folders that Python and its packages are loaded from."""
    paths = [sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [
        str(Path(sys.base_prefix) / "lib"),
        str(Path(sys.executable).resolve()),
        str(Path(sys.prefix) / "pyvenv.cfg"),
    ]
    return [*dict.fromkeys(paths), *LIBRARIES]


def run_sealed(
    program: Path,
    argv: Sequence[str],
    folder: Path,
    allowed: Sequence[Path],
    env: Mapping[str, str],
    timeout: float = TIMEOUT_S,
    modules: bool = False,
) -> Sealed:
    """Run `program` in `folder`, the only place it may write to, with `allowed` the only other files it may read.

    It gets `env` and no other environment but PATH; `modules`: it may import those beside it. RunFailed if it has not
    ended after `timeout` seconds.
    """
    devices = ["/dev/null", *map(str, Path("/dev").glob("nvidia*"))]
    read = [*libraries(), *SYSTEM, seal.__file__, str(program), *(str(p) for p in allowed)]
    folders = [str(p.parent) for p in (program, *allowed)]
    with tempfile.TemporaryDirectory() as outside:
        report = Path(outside) / "report.jsonl"
        spec = {"run": str(program), "argv": list(argv), "report": str(report), "modules": modules}
        spec |= {"read": read, "list": folders, "write": [str(folder), *devices]}
        (Path(outside) / "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, "-I", seal.__file__, str(Path(outside) / "spec.json")]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=bare_environment(folder, env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{program.name} has not ended {timeout:.0f} s after it was started, sealed") from None
        lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    means = tuple(lines[0]["means"]) if lines else ()
    offences = tuple(dict.fromkeys(f"{line['event']}: {line['what']}" for line in lines[1:]))
    return Sealed(done.returncode, (done.stdout + done.stderr)[-4000:], means, offences)


def bare_environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """`env`, PATH, and a home and a folder for temporary files that hold nothing of the user's."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder), **env}


def sealed_evaluator(
    spec: str, subject: str, tokens: Tensor, allowed: Sequence[Path], environment: Mapping[str, str] | None = None
) -> ProbeResult:
    """Score `tokens` with the evaluator of `file.py:name`, once as it likes and once sealed.

    `allowed`: what it may read, beside Python's libraries and the modules in its own folder: artifact, tokenizer and
    validation shards. `environment`: variables that it has sealed, as it has them here.
    """
    file = Path(spec.rpartition(":")[0]).resolve()
    expected = digest(watch(load_factory(spec), tokens, want_logp=False))
    # after it has run once, which may leave bytecode
    own = [Path(pgolf.__file__).parent, *file.parent.glob("*.py"), *file.parent.glob("__pycache__/*.pyc")]
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "tokens.npy"
        np.save(stream, tokens.numpy())
        own_env = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": ""}
        env = {**(environment or {}), **own_env}
        argv = [f"{file}:{spec.rpartition(':')[2]}", str(stream)]
        run = run_sealed(Path(__file__).with_name("child.py"), argv, Path(folder), [*allowed, *own], env)
        score = Path(folder) / "score"
        same = run.code == 0 and score.exists() and score.read_text() == expected
    return result(subject, run, same, f"all {len(tokens) - 1} losses of a stream", len(tokens) - 1)


def result(subject: str, run: Sealed, same: bool, what: str, positions: int) -> ProbeResult:
    """The verdict on a sealed run; `what` was compared with the run that was not sealed."""
    found = None
    if run.offences:
        found = CounterExample("; ".join(run.offences[:5]))
    elif run.code != 0:
        found = CounterExample(f"it fails: {run.output.strip()[-500:]}")
    elif not same:
        found = CounterExample("the score is another one than without the seal")
    power = f"One run, sealed by {', '.join(run.means) or 'nothing'}; {what} compared bit for bit. {LIMITS}"
    return ProbeResult("sealed", subject, found is None, None, power, positions, counter_example=found)


def digest(seen: Watched) -> str:
    """A hash of every position and loss, in the order of yields."""
    return hashlib.sha256(seen.positions.numpy().tobytes() + seen.losses.numpy().tobytes()).hexdigest()
