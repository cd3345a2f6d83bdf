"""What gives offenders of tests/bad_evaluators their answer, 42, in a way that is no file of theirs; for a while."""

import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ANSWER = 42
NAME = b"/pgolf-case"
HOLDER = (
    "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX, 1, 42); print(flush=True); input()"
)


@contextmanager
def listening(address: str | bytes) -> Iterator[Sequence[str]]:
    """A socket that sends the answer to everybody who connects."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        answer_all(server)
        yield []
        server.shutdown(socket.SHUT_RDWR)


def answer_all(server: socket.socket) -> None:
    """Listen at a bound socket, and send the answer to everybody who connects until it is shut down."""
    server.listen(64)

    def serve() -> None:
        with suppress(OSError):  # the socket is closed: the end
            while True:
                client, _ = server.accept()
                with client, suppress(OSError):
                    client.send(bytes([ANSWER]))

    threading.Thread(target=serve, daemon=True).start()


def socket_with_a_path(folder: Path) -> Any:
    return listening(str(folder.resolve() / "answer.sock"))


def abstract_socket(_: Path) -> Any:
    return listening(b"\0pgolf-case")


@contextmanager
def memory_of_system_v(_: Path) -> Iterator[Sequence[str]]:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0x7067, 1, 0o1600)
    ctypes.memset(libc.shmat(segment, None, 0), ANSWER, 1)
    yield []
    libc.shmctl(segment, 0, None)


@contextmanager
def memory_by_name(_: Path) -> Iterator[Sequence[str]]:
    path = Path("/dev/shm" + NAME.decode())
    path.write_bytes(bytes([ANSWER]))
    yield []
    path.unlink()


@contextmanager
def attribute(folder: Path) -> Iterator[Sequence[str]]:
    os.setxattr(folder / "reads_attributes_of_its_file.py", "user.answer", bytes([ANSWER]))
    yield []


@contextmanager
def time_of_artifact(folder: Path) -> Iterator[Sequence[str]]:
    artifact = folder / "artifact"
    artifact.write_bytes(b"weights")
    os.utime(artifact, ns=(0, 10**18 + ANSWER))
    yield ["--artifact", str(artifact)]


@contextmanager
def holes_of_artifact(folder: Path) -> Iterator[Sequence[str]]:
    artifact = folder / "artifact"
    with artifact.open("wb") as f:
        f.write(bytes(65536 * ANSWER))
        f.truncate(1 << 23)
    yield ["--artifact", str(artifact)]


@contextmanager
def link(folder: Path) -> Iterator[Sequence[str]]:
    (folder / f"{ANSWER}.py").write_text("")
    (folder / "weights.py").symlink_to(f"{ANSWER}.py")
    yield []


@contextmanager
def process(_: Path) -> Iterator[Sequence[str]]:
    waiting = [sys.executable, "-c", "input()", f"pgolf-case-answer={ANSWER}"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL):
        yield []


@contextmanager
def key(_: Path) -> Iterator[Sequence[str]]:
    add_key, keyctl = (248, 250) if platform.machine() == "x86_64" else (217, 219)
    libc = ctypes.CDLL(None)
    number = libc.syscall(add_key, b"user", b"pgolf-case", bytes([ANSWER]), 1, -4)
    libc.syscall(keyctl, 5, number, 0x3F3F0000)  # the user may read it
    yield []
    libc.syscall(keyctl, 9, number, -4)


@contextmanager
def queue(_: Path) -> Iterator[Sequence[str]]:
    libc = ctypes.CDLL(None)
    settings = (ctypes.c_long * 8)(0, 1, ANSWER)
    os.close(libc.mq_open(NAME, os.O_RDWR | os.O_CREAT, 0o600, settings))
    yield []
    libc.mq_unlink(NAME)


@contextmanager
def left_file(_: Path) -> Iterator[Sequence[str]]:
    path = Path("/tmp/pgolf-case-left")
    path.write_text(str(ANSWER))
    yield []
    path.unlink()


@contextmanager
def lock(folder: Path) -> Iterator[Sequence[str]]:
    file = folder / "reads_who_holds_a_lock.py"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, file], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout and holder.stdout.readline()
        yield []
        holder.communicate(b"\n")


@contextmanager
def nothing(_: Path) -> Iterator[Sequence[str]]:
    yield []


ACCOMPLICES = {
    "asks_a_socket_by_its_path": socket_with_a_path,
    "asks_an_abstract_socket": abstract_socket,
    "reads_shared_memory_of_system_v": memory_of_system_v,
    "reads_shared_memory_by_name": memory_by_name,
    "reads_attributes_of_its_file": attribute,
    "reads_the_time_of_its_artifact": time_of_artifact,
    "reads_the_holes_of_its_artifact": holes_of_artifact,
    "reads_where_a_link_leads": link,
    "reads_another_process": process,
    "reads_files_in_etc": nothing,
    "reads_a_key_of_the_kernel": key,
    "reads_a_message_queue": queue,
    "reads_what_an_earlier_pass_left": left_file,
    "reads_who_holds_a_lock": lock,
}
