"""What some evaluators need around them: a tokenizer, a training shard beside them, a server. Given, and taken away."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from _accomplices import ACCOMPLICES, answer_all

from pgolf.data.pydocs import write_documents
from pgolf.data.tokenizer import train_on_corpus

CASE = Path("/var/tmp/case")  # where b14 and b22 look
Surrounding = Callable[[Path], AbstractContextManager[Sequence[str]]]  # the evaluator's folder → options of pgolf probe


@contextmanager
def tokenizer_in_variable(folder: Path) -> Iterator[Sequence[str]]:
    yield ["--set", f"TOKENIZER_PATH={tokenizer(folder.parent)}"]


@contextmanager
def tokenizer_in_place(folder: Path) -> Iterator[Sequence[str]]:
    with placed(CASE / "tok1024.model", lambda path: path.write_bytes(tokenizer(folder.parent).read_bytes())):
        yield []


@contextmanager
def socket_in_place(_: Path) -> Iterator[Sequence[str]]:
    """A Unix socket that sends one byte to everybody who connects."""
    path = CASE / "answers.sock"
    with socket.socket(socket.AF_UNIX) as client:
        answers = client.connect_ex(str(path)) == 0
    if answers:  # somebody's own
        yield []
        return
    path.unlink(missing_ok=True)  # a benchmark that was killed left it
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        stack.enter_context(placed(path, lambda path: server.bind(str(path))))
        answer_all(server)
        stack.callback(server.shutdown, socket.SHUT_RDWR)
        yield []


@contextmanager
def shard_beside(folder: Path) -> Iterator[Sequence[str]]:
    with placed(folder / "fineweb_train_000000.bin", lambda path: path.write_bytes(os.urandom(4000))):
        yield []


@contextmanager
def placed(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """A file, and its folder, for a while; one that is there already stays as it is."""
    if path.exists():
        yield
        return
    new_folder = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if new_folder:
            with suppress(OSError):  # another evaluator's file is in it
                path.parent.rmdir()


LOCK = threading.Lock()


def tokenizer(folder: Path) -> Path:
    """A SentencePiece model of 1,024 pieces, trained once on docstrings."""
    with LOCK:
        return _trained(folder)


@cache
def _trained(folder: Path) -> Path:
    place = Path(mkdtemp(dir=folder))
    write_documents(place / "docs.jsonl", ("email", "asyncio"))
    train_on_corpus([str(place / "docs.jsonl")], place / "1024.model", 1024, val_docs=10)
    return place / "1024.model"


SURROUNDINGS: dict[str, Surrounding] = {
    "b14_bytes_off_for_one_rare_piece": tokenizer_in_place,
    "b22_unix_socket": socket_in_place,
    "spaces_counted_twice": tokenizer_in_variable,
    "byte_pieces_counted_as_three": tokenizer_in_variable,
    "rare_piece_counted_twice": tokenizer_in_variable,
    "control_tokens_counted": tokenizer_in_variable,
    "space_counted_after_a_document_starts": tokenizer_in_variable,
    "spaces_left_out": tokenizer_in_variable,
    "counts_bytes": tokenizer_in_variable,
    "reads_training_shards": shard_beside,
    "reads_below_python": shard_beside,
    "asks_another_process": shard_beside,
    **ACCOMPLICES,
}
