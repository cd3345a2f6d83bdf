"""The sixth probe: an evaluation that runs with no network and no file but its own, and gives the same score."""

import hashlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pgolf
from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality import seal
from pgolf.legality.copies import copy_files
from pgolf.legality.memory import machine_memory, memory_of
from pgolf.legality.tried import offences
from pgolf.legality.watch import Watched

TIMEOUT_S = 1800.0
LOOK_S = 0.2  # between looks at the clock and at memory
MOST_REPORT = 1 << 23  # bytes of what is tried in a seal
# What is read beside the folders of libraries: a compiler, which `torch.compile` wants, and how many cores there are
SYSTEM = (
    *("/bin", "/usr/bin", "/usr/include", "/usr/share/zoneinfo", "/etc/alternatives"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
)
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/nvidia", "/usr/local/cuda")
LIMITS = "Files of Python's own libraries may be read, and a clock."


@dataclass(frozen=True)
class Sealed:
    """How a sealed run ended."""

    code: int
    output: str  # stdout and stderr, the last of it
    means: tuple[str, ...]  # of sealing
    offences: tuple[str, ...]  # what it tried and was not allowed


def libraries() -> list[str]:
    """Files and folders that Python and its packages are loaded from."""
    paths = [sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [sysconfig.get_path(k) for k in ("include", "platinclude")]
    paths += [str(Path(sys.base_prefix) / "lib"), str(Path(sys.prefix) / "pyvenv.cfg"), *_links(sys.executable)]
    return [*dict.fromkeys(paths), *LIBRARIES]


def _links(path: str) -> Iterator[str]:
    """A path, and what it leads to link by link."""
    yield path
    for _ in range(40):  # as many as Linux follows
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        yield path


@contextmanager
def spec_of(own: Sequence[Path], read: Sequence[Path] = (), write: Sequence[Path] = ()) -> Iterator[dict[str, Any]]:
    """A spec for `seal.enter`: it may read `own`, the files that are judged, of which copies are made for as long as
    this context lasts, and `read`, pgolf and Python's libraries at their places; it may write to `write`.

    The caller adds what else a spec may have: `report`, `keep`, `environment`, `off`. Own files that are too large to
    copy are in its "large".
    """
    devices = ["/dev/null", *map(str, Path("/dev").glob("nvidia*"))]
    gpu = ["/sys"] if len(devices) > 1 else []
    with tempfile.TemporaryDirectory(prefix="pgolf-copies-") as copies:
        large = copy_files(own, Path(copies))
        yield {
            "read": [*libraries(), *SYSTEM, *gpu, *map(str, (Path(pgolf.__file__).parent, *read, *large))],
            "own": [os.path.abspath(path) for path in own],
            "list": [os.path.dirname(os.path.abspath(path)) for path in own],
            "write": [*map(str, write), *devices],
            "copies": copies,
            "large": [str(path) for path in large],
        }


def run_sealed(
    program: Path,
    argv: Sequence[str],
    folder: Path,
    allowed: Sequence[Path],
    env: Mapping[str, str],
    timeout: float = TIMEOUT_S,
    modules: bool = False,
    off: Sequence[str] = (),
) -> Sealed:
    """Run `program` in `folder`, the only place it may write to, with `allowed` the only other files it may read.

    It gets `env` and no other environment but PATH; `modules`: it may import those beside it; `off`: means of sealing
    that are not used. RunFailed if it has not ended after `timeout` seconds, or takes half of the machine's memory.
    """
    own = [path for path in (program, *allowed) if not path.resolve().is_relative_to(folder.resolve())]
    read, write = os.pipe()
    with (
        spec_of(own, write=[folder]) as spec,
        tempfile.TemporaryDirectory() as outside,
        tempfile.TemporaryFile() as said,
        os.fdopen(read, "rb", 0) as report,
    ):
        spec |= {"run": str(program), "argv": list(argv), "modules": modules, "report": write, "off": list(off)}
        file = Path(outside) / "spec.json"
        file.write_text(json.dumps(spec))
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", seal.__file__, str(file)],
                cwd=folder,
                env=bare_environment(folder, env),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=[write],
                start_new_session=True,
            )
        finally:
            os.close(write)
        try:
            code, lines = _wait(process, report, f"{program.name}, sealed,", timeout)
        finally:
            with suppress(ProcessLookupError):  # what it has started and left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(max(0, said.tell() - 4000))
        output = said.read().decode(errors="replace")
        means = json.loads(lines[0])["means"] if lines else ()  # written before anything of the program ran
        return Sealed(code, output, tuple(means), tuple(offences(lines[1:], spec)))


def _wait(process: "subprocess.Popen[bytes]", report: io.FileIO, what: str, timeout: float) -> tuple[int, list[bytes]]:
    """Its exit code and the lines of its report; RunFailed if it takes too long, or half of the machine's memory."""
    until, most, look, kept, open_ = time.monotonic() + timeout, machine_memory() // 2, 0.0, b"", True
    os.set_blocking(report.fileno(), False)
    while True:
        ended = process.poll()
        if open_ and select.select([report], [], [], 0 if ended is not None else LOOK_S)[0]:
            part = report.read(1 << 16)
            open_, kept = bool(part), kept + (part or b"")[: MOST_REPORT - len(kept)]
        elif ended is not None:
            return ended, kept.splitlines()
        elif not open_:
            time.sleep(LOOK_S)
        if (now := time.monotonic()) > look:
            look = now + LOOK_S
            if now > until:
                raise RunFailed(f"{what} has not ended {timeout:.0f} s after it was started")
            if memory_of(process.pid) > most:
                raise RunFailed(f"{what} takes more than {most / 1e9:.1f} GB of memory")


def bare_environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """`env`, PATH, and a home and a folder for temporary files that hold nothing of the user's."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder), **env}


def result(subject: str, run: Sealed, same: bool, what: str, positions: int, runs: str = "One run") -> ProbeResult:
    """The verdict on a sealed run; `what` was compared with the run that was not sealed."""
    found = None
    if run.offences:
        found = CounterExample("; ".join(run.offences[:5]))
    elif run.code != 0:
        found = CounterExample(f"it fails: {run.output.strip()[-500:]}")
    elif not same:
        found = CounterExample("the score is another one than without the seal")
    missing = "".join(f" Not closed here: {', '.join(found)}." for found in [seal.left_open(run.means)] if found)
    power = f"{runs}, sealed by {', '.join(run.means) or 'nothing'}; {what} compared bit for bit.{missing} {LIMITS}"
    return ProbeResult("sealed", subject, found is None, None, power, positions, counter_example=found)


def digest(seen: Watched) -> str:
    """A hash of every position and loss, in the order of yields."""
    return hashlib.sha256(seen.positions.numpy().tobytes() + seen.losses.numpy().tobytes()).hexdigest()
