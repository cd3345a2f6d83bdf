"""The seal: it closes each way that an offender here takes, and says what is open where a means is missing."""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from pgolf.errors import BadInput, RunFailed
from pgolf.legality import load_factory, seal
from pgolf.legality.copies import copy_files, own_code
from pgolf.legality.sealed import digest, run_sealed, spec_of
from pgolf.legality.streams import synthetic
from pgolf.legality.syscalls import ARCHITECTURES, filter_of
from pgolf.legality.tried import offences
from pgolf.legality.watch import watch

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from _accomplices import ACCOMPLICES

sys.path.pop()

pytestmark = [
    pytest.mark.training,  # evaluators that adapt
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux seals"),
]
EVALUATORS = Path(__file__).parents[1] / "bad_evaluators"
ALL = {"network namespace", "IPC namespace", "PID namespace", "mount namespace", seal.ROOT, seal.OWN_PROC, "seccomp"}


@dataclass(frozen=True)
class Ended:
    said: Any  # what the body returned, None if it did not come to that
    code: int  # negative: by a signal
    means: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()


def forked(body: Callable[[], Any], spec: dict[str, Any] | None = None) -> Ended:
    """What `body` returns in a process of its own, which is sealed by `spec`."""
    (read, write), (heard, report) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            spec = spec and {**spec, "report": report, "keep": [write]}
            means = seal.enter(spec) if spec else []
            os.write(write, json.dumps([body(), means]).encode())
        except BaseException as e:
            os.write(2, f"{type(e).__name__}: {e}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    os.close(report)
    with os.fdopen(read, "rb") as said, os.fdopen(heard, "rb") as lines:
        tried, told = lines.read().splitlines(), said.read()  # the answer is short, and fits into its pipe
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    answer, means = json.loads(told) if told else (None, ())
    return Ended(answer, code, tuple(means), tuple(offences(tried, spec)) if spec else ())


@pytest.fixture(scope="module")
def means() -> set[str]:
    """All that this system has."""
    with spec_of([]) as spec:
        return set(forked(lambda: 0, spec).means)


@pytest.fixture
def full(means: set[str]) -> None:
    if lacks := ALL - means:
        pytest.skip(f"this system has no {', '.join(sorted(lacks))}")


def scores(name: str, folder: Path, options: Sequence[str], off: Sequence[str] | None) -> Ended:
    """A hash of an evaluator's scores; `off` None: without the seal."""
    artifact = [Path(path) for _, path in zip(options[::2], options[1::2], strict=True)]
    environment = {"ARTIFACT": str(artifact[0])} if artifact else {}

    def body() -> str:
        os.environ.update(environment)
        make = load_factory(f"{folder / name}.py:make_evaluator")
        return digest(watch(make, synthetic(0, 300, 24), want_logp=False))

    if off is None:
        return forked(body)
    with spec_of([*own_code(folder / f"{name}.py"), *artifact]) as spec:
        return forked(body, {**spec, "environment": environment, "off": off})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    shutil.copytree(EVALUATORS, tmp_path / "evaluators", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "evaluators"


@pytest.mark.parametrize("name", ["honest", *ACCOMPLICES])
def test_no_answer_comes_through_the_seal(name: str, folder: Path, full: None) -> None:
    if name == "honest":
        assert scores(name, folder, [], None).said == scores(name, folder, [], []).said
        return
    with ACCOMPLICES[name](folder) as options:
        helped = scores(name, folder, options, None)
        sealed = scores(name, folder, options, [])
    assert sealed.code == 0
    assert sealed.said != helped.said
    if name != "reads_files_in_etc":  # there are some inside, too
        assert sealed.said == scores("honest", folder, [], None).said


# without namespaces, as for a user in a container that grants none
FALLBACK = ("user namespace", *seal.NAMESPACES)
STILL_CLOSED = (
    *("asks_a_socket_by_its_path", "asks_an_abstract_socket", "reads_shared_memory_of_system_v", "reads_files_in_etc"),
    *("reads_attributes_of_its_file", "reads_another_process"),
    *("reads_a_key_of_the_kernel", "reads_a_message_queue", "reads_who_holds_a_lock"),
)


@pytest.mark.parametrize("name", [name for name in ACCOMPLICES if name in STILL_CLOSED])
def test_landlock_and_the_filter_close_most_where_there_are_no_namespaces(
    name: str, folder: Path, means: set[str]
) -> None:
    if lacks := {"Landlock", "seccomp"} - means:
        pytest.skip(f"this system has no {', '.join(sorted(lacks))}")
    with ACCOMPLICES[name](folder) as options:
        helped, sealed = (scores(name, folder, options, off) for off in (None, FALLBACK))
    assert sealed.code == 0 and set(sealed.means).isdisjoint({*FALLBACK, seal.ROOT})
    assert sealed.said != helped.said


@pytest.mark.parametrize("name", ["reads_the_time_of_its_artifact", "reads_where_a_link_leads"])
def test_what_is_said_to_be_open_is_open(name: str, folder: Path, full: None) -> None:
    """And closed as soon as it is not said."""
    what = "times, owners and links' targets of all files can be read"
    with ACCOMPLICES[name](folder) as options:
        helped, all_off, root_off, sealed = (
            scores(name, folder, options, off) for off in (None, FALLBACK, [seal.ROOT], [])
        )
    for ended, is_open in ((all_off, True), (root_off, True), (sealed, False)):
        assert (what in seal.left_open(ended.means)) is is_open
        assert (ended.said == helped.said) is is_open


def test_each_means_that_is_off_is_missing_and_none_leaves_all_open(full: None) -> None:
    with spec_of([]) as spec:
        for off in (*seal.NAMESPACES, seal.ROOT, seal.OWN_PROC, "Landlock", "seccomp"):
            ended = forked(lambda: 0, {**spec, "off": [off]})
            assert ended.code == 0 and off not in ended.means
        nothing = [*FALLBACK, seal.ROOT, "Landlock", "seccomp"]
        assert set(forked(lambda: 0, {**spec, "off": nothing}).means) == {"no capabilities", "audit hooks"}
    assert seal.left_open(ALL) == []
    assert len(seal.left_open(["no capabilities", "audit hooks"])) == len(seal.OPEN)


def refused(call: str, *arguments: Any) -> str:
    """The name of the error that a system call of this process gives, by its name in the C library."""
    libc = ctypes.CDLL(None, use_errno=True)
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, call)(*arguments) == -1 else ""


def test_inside_it_is_alone(full: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    secret = tmp_path / "secret"
    secret.write_text("x")
    foreign = os.open(secret, os.O_RDONLY)

    def look() -> dict[str, Any]:
        started = subprocess.run(
            [os.path.realpath(sys.executable), "-c", f"open({str(secret)!r})"], capture_output=True, text=True
        )
        Path(os.environ["HOME"], "mine").write_text("x")
        return {
            "fds": len(os.listdir("/proc/self/fd")) - 1,  # without that of the listing
            "variables": sorted(os.environ),
            "memory": "SECRET" in Path("/proc/self/environ").read_text(),
            "processes": sum(name.isdigit() for name in os.listdir("/proc")),
            "child": "FileNotFoundError" in started.stderr,
            "places": sorted({*os.listdir("/"), *os.listdir("/dev")} & {"home", "boot", "run", "mnt", "kmsg", "pts"}),
            "calls": [
                refused("unshare", 0x10000000),
                refused("mount", b"x", b"/tmp", b"tmpfs", 0, None),
                refused("ptrace", 16, 1, 0, 0),
                refused("socket", 40, 1, 0),
                refused("socket", 2, 1, 0),
            ],
            "network": refused("connect", ctypes.CDLL(None).socket(2, 1, 0), b"\2\0\0\x50\x7f\0\0\1" + bytes(8), 16),
        }

    with spec_of([]) as spec:
        ended = forked(look, {**spec, "environment": {"ONE": "1"}})
    os.close(foreign)
    assert ended.said == {
        "fds": 5,  # 0, 1, 2, the report and the pipe that it keeps
        "variables": ["HOME", "ONE", "TMPDIR"],
        "memory": False,
        "processes": 2,
        "child": True,
        "places": [],
        "calls": ["EPERM", "EPERM", "EPERM", "EAFNOSUPPORT", ""],
        "network": "EACCES",
    }
    assert not Path("/tmp/mine").exists()


@pytest.mark.parametrize(
    "ends, code",
    [
        (lambda: os._exit(7), 7),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
        (os.abort, -signal.SIGABRT),
        (lambda: ctypes.string_at(0), -signal.SIGSEGV),
    ],
    ids=["exits", "kills itself", "aborts", "crashes"],
)
@pytest.mark.parametrize("off", [(), FALLBACK], ids=["sealed", "fallback"])
def test_it_ends_as_the_sealed_process_ends(ends: Callable[[], Any], code: int, off: Sequence[str]) -> None:
    with spec_of([]) as spec:
        assert forked(ends, {**spec, "off": off}).code == code


def test_who_waits_outside_takes_the_sealed_process_with_it(full: None, tmp_path: Path) -> None:
    alive, other = os.pipe()
    with spec_of([]) as spec:
        pid = os.fork()
        if pid == 0:
            seal.enter({**spec, "keep": [other]})
            os.write(other, b"x")
            time.sleep(600)
            os._exit(0)
        os.close(other)
        assert os.read(alive, 1) == b"x"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert os.read(alive, 1) == b""  # nobody holds the other end any more
    os.close(alive)


def test_what_is_tried_is_told(full: None, tmp_path: Path) -> None:
    """Also below a place that is its own inside; and an address that is not a file's."""
    (tmp_path / "secret").write_text("x")

    def tries() -> int:
        import socket

        for path in (tmp_path / "secret", tmp_path / "not there", Path("/etc/passwd"), Path("/proc/1/status")):
            with suppress(OSError):
                path.read_bytes()
        socket.socket(socket.AF_UNIX).bind("/tmp/mine.sock")
        socket.socket().connect_ex(("127.0.0.1", 9))
        return 0

    with spec_of([]) as spec:
        tried = forked(tries, spec).tried
    assert len(tried) == 2, tried
    assert tried[0] == f"opens: {tmp_path}/secret" and tried[1].startswith("uses the network: socket.connect")


def test_a_report_that_is_not_the_hooks_is_an_offence() -> None:
    for line in (b"", b"[]", b'{"event": "opens"}', b"\xff", b"[" * 100_000):
        assert offences([line], {"read": [], "write": []}) == ["writes: into the report of the seal"]


# --- copies
def test_copies_have_their_content_and_nothing_else(tmp_path: Path) -> None:
    own, outside = tmp_path / "own", tmp_path / "outside"
    own.mkdir()
    outside.write_text("secret")
    (own / "a").write_text("a")
    os.setxattr(own / "a", "user.x", b"1")
    (own / "a").chmod(0o640)
    (own / "link").symlink_to("a")
    (own / "out").symlink_to(outside)
    (own / "ring").symlink_to("ring")
    os.mkfifo(own / "pipe")
    shutil.copy(sys.executable, own / "program")
    into = tmp_path / "copies"
    assert copy_files([own], into) == []
    copied = into / own.relative_to("/")
    assert sorted(os.listdir(copied)) == ["a", "link", "program"]
    for path in (copied, *copied.iterdir()):
        assert not path.is_symlink() and path.stat().st_mtime == 0 and os.listxattr(path) == []
    assert (copied / "link").read_text() == "a" and (copied / "a").stat().st_mode & 0o777 == 0o444
    assert os.access(copied / "program", os.X_OK)


def test_what_is_too_large_to_copy_is_read_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: None
) -> None:
    monkeypatch.setattr("pgolf.legality.copies.MOST_COPIED", 10)
    for name, size in (("small", 4), ("large", 8), ("middle", 6)):
        (tmp_path / name).write_bytes(bytes(size))
    with spec_of([tmp_path / name for name in ("small", "large", "middle")]) as spec:
        assert spec["large"] == [str(tmp_path / "large")]
        said = forked(
            lambda: sorted((f.name, f.stat().st_size, f.stat().st_mtime > 0) for f in tmp_path.iterdir()), spec
        )
    assert said.said == [["large", 8, True], ["middle", 6, False], ["small", 4, False]]


def test_a_package_beside_an_evaluator_is_its_own_code_and_data_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "net/deep/c.py",
        "net/b.py",
        "net/table.npy",
        "data/x.bin",
        "env/pyvenv.cfg",
        "env/e.py",
        "my-files/f.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "eval.py").write_text("")
    own = own_code(tmp_path / "eval.py")
    assert [str(path.relative_to(tmp_path)) for path in own] == ["eval.py", "net/b.py", "net/deep/c.py"]
    monkeypatch.setattr("pgolf.legality.copies.MOST_FILES", 2)
    with pytest.raises(BadInput, match="give the evaluator a folder of its own"):
        own_code(tmp_path / "eval.py")


# --- the filter, read as the kernel reads it
def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """The error that a filter answers a call with, 0 if it lets it pass."""
    import struct

    data = struct.pack("<iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    at, value = 0, 0
    while True:
        code, if_so, if_not, k = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif code == 0x06:
            return 0 if k == 0x7FFF0000 else k & 0xFFFF
        else:
            holds = {0x15: value == k, 0x25: value > k, 0x45: bool(value & k)}[code]
            at += if_so if holds else if_not


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_filter_refuses_what_it_names_and_nothing_else(machine: str) -> None:
    from pgolf.legality import syscalls

    architecture, column = ARCHITECTURES[machine]
    strict, trains = (
        filter_of(machine, [syscalls.AF_INET], without, t) for without, t in ((["IPC namespace"], False), ([], True))
    )
    assert verdict(strict, architecture ^ 1, 0) == errno.ENOSYS
    assert verdict(strict, architecture, 0x40000000) == verdict(strict, architecture, 470) == errno.ENOSYS
    errors = {**dict.fromkeys(("PROCESSES", "KEYS", "MOUNTS", "MACHINE"), errno.EPERM), "ATTRIBUTES": errno.ENOTSUP}
    errors |= dict.fromkeys(("NEW_WAYS", "USE_BY_OTHERS", "SHARED_MEMORY"), errno.ENOSYS)
    named = set()
    for table, error in errors.items():
        for numbers in getattr(syscalls, table).values():
            if (number := numbers[column]) is not None:
                assert verdict(strict, architecture, number) == error
                assert verdict(trains, architecture, number) == (
                    0 if table in ("USE_BY_OTHERS", "SHARED_MEMORY") else error
                )
                named.add(number)
    special = {call[column] for call in (syscalls.CLONE, syscalls.SOCKET, syscalls.FCNTL)}
    assert not any(verdict(strict, architecture, n) for n in {*range(470)} - named - special)
    clone, opened, asked = (call[column] for call in (syscalls.CLONE, syscalls.SOCKET, syscalls.FCNTL))
    assert [verdict(strict, architecture, clone, flags) for flags in (17, 0x3D0F00, 0x10000000)] == [0, 0, errno.EPERM]
    assert [verdict(strict, architecture, opened, family) for family in (2, 1)] == [0, errno.EAFNOSUPPORT]
    assert [verdict(strict, architecture, asked, 3, what) for what in (6, 5)] == [0, errno.EPERM]


# --- a program of its own
@pytest.mark.parametrize("off", [(), FALLBACK], ids=["sealed", "fallback"])
def test_a_program_that_floods_and_leaves_processes_behind_is_done_when_it_ends(
    off: Sequence[str], tmp_path: Path
) -> None:
    """Neither its output nor its report holds pgolf up."""
    program, folder = tmp_path / "flood.py", tmp_path / "work"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    flood = "for i in range(12_000):\n    try: open(f'/not/there/{i}')\n    except OSError: pass\nprint('x' * 10**6)\n"
    left = "if os.fork() == 0:\n    time.sleep(600)\nprint('the end')\n"
    program.write_text(f"import os, time\nopen('mine', 'w').close()\n{flood}{left}")
    began = time.monotonic()
    run = run_sealed(program, [], folder, [], {}, off=off)
    assert time.monotonic() - began < 300
    assert run.code == 0 and run.output.endswith("the end\n") and len(run.output) <= 4000
    assert run.offences == ("tries: more than 10,000 things that it may not",)
    assert (folder / "mine").exists() and "audit hooks" in run.means


def test_a_sealed_program_that_never_ends_or_eats_memory_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "theirs.py"
    program.write_text("while True: pass")
    with pytest.raises(RunFailed, match=r"theirs.py, sealed, has not ended 1 s after"):
        run_sealed(program, [], tmp_path, [], {}, timeout=1)
    monkeypatch.setattr("pgolf.legality.sealed.machine_memory", lambda: 400_000_000)
    program.write_text("keep = [bytes([1]) * 10**7 for _ in range(50)]\nwhile True: pass")
    with pytest.raises(RunFailed, match=r"takes more than 0.2 GB of memory"):
        run_sealed(program, [], tmp_path, [], {}, timeout=300)


@pytest.mark.parametrize("granted", [0, 2, 9])
def test_a_system_that_refuses_mounts_on_the_way_leaves_no_trace(
    granted: int, full: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AppArmor does within a user namespace; the rest of the seal stays."""
    (tmp_path / "secret").write_text("x")
    mount, left = seal.root.Root.mount, [granted]

    def refuse(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PermissionError(errno.EPERM, "no")
        mount(*arguments)

    monkeypatch.setattr(seal.root.Root, "mount", refuse)
    with spec_of([]) as spec:
        ended = forked(lambda: [os.path.exists("/etc/hosts"), os.access(tmp_path, os.F_OK)], spec)
    assert ended.said == [True, True]
    assert not {seal.ROOT, seal.OWN_PROC} & {*ended.means} and {"Landlock", "seccomp"} <= {*ended.means}
    assert "times, owners and links' targets of all files can be read" in seal.left_open(ended.means)
