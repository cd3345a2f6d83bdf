"""A stranger's program as a job that runs sealed off: no network, no home, and no files but its own and the dataset."""

import os
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.files import write_json
from pgolf.legality import seal, tried
from pgolf.legality.sealed import libraries
from pgolf.pods import PYTHON
from pgolf.record import sealed_run
from pgolf.record.job import Job

SPEC = ".sealed.json"  # beside the program
TIMEOUT_S = 300.0  # of the trial whether this system can seal
SYSTEM = ("/usr", "/bin", "/sbin", "/proc", "/sys", "/dev/urandom", "/dev/random", "/dev/zero", "/nix/store")


def seal_job(job: Job, nproc: int, dataset: Sequence[Path], folder: Path, lock: Path) -> Job:
    """The job sealed off while a process holds `lock`; what the seal allows is written into `folder`.

    `dataset` are the files and folders that it may read beside its own folder, into which everything of it is copied.
    """
    words = [sys.executable if word == PYTHON else word for word in job.program.start(nproc)]
    spec = folder / SPEC
    write_json(spec, _spec(words, _with_targets(dataset), lock))
    program = replace(job.program, command=(PYTHON, "-I", sealed_run.__file__, SPEC))
    environment = {"PYTHONUSERBASE": site.getuserbase(), **job.environment}  # the user's own packages, of another HOME
    return replace(job, program=program, environment=environment, given={**job.given, SPEC: spec}, nproc=nproc)


def check_sealable() -> None:
    """BadInput, naming the way out, if this system cannot seal a program off, or it has GPUs that the seal hides."""
    if why := why_not_sealable():
        raise BadInput(f"{why}. --no-seal runs the program as you, with the network and all your files")


@cache
def why_not_sealable() -> str | None:
    """Why this system cannot seal a program off, by trying it; None: it can."""
    if sys.platform != "linux":
        return "Only Linux can seal a program off"
    gpu = torch.cuda.is_available()
    script = "import torch; torch.zeros(1, device='cuda')" if gpu else ""
    with tempfile.TemporaryDirectory() as temporary, FileLock(Path(temporary) / "lock") as held:
        folder = Path(temporary) / "folder"
        folder.mkdir()
        write_json(folder / SPEC, _spec([sys.executable, "-c", script], [], Path(held.lock_file)))
        command = [sys.executable, "-I", sealed_run.__file__, SPEC]
        quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": TIMEOUT_S}
        try:
            done = subprocess.run(command, cwd=folder, **quiet)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return f"This system cannot seal a program off: the trial has not ended after {TIMEOUT_S:.0f} s"
    if done.returncode == 0:
        return None
    last = printable((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    if done.returncode == sealed_run.CANNOT or not gpu:
        return f"This system cannot seal a program off ({last.removeprefix('cannot be sealed off: ')})"
    return f"The GPUs of this machine cannot be used by a program that is sealed off ({last})"


def _spec(words: Sequence[str], dataset: Iterable[Path], lock: Path) -> dict[str, object]:
    headers = [sysconfig.get_path(kind) for kind in ("include", "platinclude")]
    linked = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *sys.path]
    read = [*libraries(), *SYSTEM, *(f"/etc/{name}" for name in tried.ETC), *headers, str(Path(sys.executable).parent)]
    devices = [str(path) for path in Path("/dev").glob("nvidia*")]
    return {
        "command": list(words),
        "read": list(dict.fromkeys([*read, *filter(_may_be_read, linked), *map(str, dataset)])),
        "list": [],
        "write": ["/dev/null", *devices],
        "seal": seal.__file__,
        "lock": str(lock.resolve()),
    }


def _may_be_read(path: str) -> bool:
    """Whether a place may be read: not one that is or holds the user's home or the current folder."""
    own = (Path.home().resolve(), Path.cwd().resolve())
    return os.path.isabs(path) and not any(place.is_relative_to(Path(path).resolve()) for place in own)


def _with_targets(paths: Iterable[Path]) -> list[Path]:
    """Files and folders, and what the links among and below them lead to."""
    waiting = [path.resolve() for path in paths]
    found: dict[Path, None] = {}
    while waiting:
        found[path := waiting.pop()] = None
        links = [link.resolve() for link in (path.rglob("*") if path.is_dir() else ()) if link.is_symlink()]
        waiting += [target for target in links if target not in found and _may_be_read(str(target))]
    return list(found)
