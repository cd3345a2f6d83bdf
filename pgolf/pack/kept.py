"""The packed trainer as it was kept from before: packing takes seconds, and gives the same bytes each time.

Files lie in the user's cache folder, `pgolf/packed/`, named by a hash of all that they are made from. Each begins with
its own hash: one that is damaged is made anew. Without a folder to write to, nothing is kept.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pgolf
from pgolf import trainer
from pgolf.files import cache_folder, write_atomic
from pgolf.pack import pack
from pgolf.trainer import config
from pgolf.trainer.config import Knob

MOST = 32  # files that are kept
LARGEST = 1 << 20  # bytes of one


def _digest(facts: Iterable[object], files: Iterable[Path]) -> str:
    contents = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(files)]
    return hashlib.sha256(repr((list(facts), contents)).encode()).hexdigest()


# As this process has imported it, whatever is edited afterwards; the trainer's sources are read when they are packed.
MADE_BY = _digest(
    (pgolf.__version__, sys.version, version("brotli"), version("python-minifier"), zlib.ZLIB_RUNTIME_VERSION),
    (*Path(__file__).parent.glob("*.py"), Path(config.__file__)),
)


def packed(knobs: Mapping[str, Knob]) -> bytes:
    """The bytes of `pack(knobs).code`, kept from before if nothing that goes in has changed; BadInput as from there."""
    name = _name(knobs)
    folder = cache_folder() / "packed"
    code = _read(folder / name)
    if code is None:
        code = pack(dict(knobs)).code
        if _name(knobs) == name:  # no source was edited meanwhile
            _keep(folder / name, code)
    return code


def is_kept(code: bytes) -> bool:
    """Whether these bytes are a file that these sources were packed into, with some knobs, and that is still kept."""
    return any(_read(path) == code for path in (cache_folder() / "packed").glob(f"{_sources()}-*.py"))


def _name(knobs: Mapping[str, Knob]) -> str:
    return f"{_sources()}-{hashlib.sha256(repr(sorted(knobs.items())).encode()).hexdigest()[:32]}.py"


def _sources() -> str:
    return _digest((MADE_BY,), Path(trainer.__path__[0]).glob("*.py"))[:32]


def _read(path: Path) -> bytes | None:
    """The file's code, now the newest one that is kept; None if it is missing or not whole."""
    try:
        with path.open("rb") as f:
            said, _, code = f.read(LARGEST).partition(b"\n")
        if said != _hash_line(code):
            return None
        os.utime(path)
    except OSError:
        return None
    return code


def _keep(path: Path, code: bytes) -> None:
    with suppress(OSError):  # a full disk, or a home that cannot be written to
        write_atomic(path, _hash_line(code) + b"\n" + code)
        ages = {file: file.stat().st_mtime_ns for file in path.parent.glob("*.py")}
        for old in sorted(ages, key=ages.__getitem__, reverse=True)[MOST:]:
            old.unlink(missing_ok=True)


def _hash_line(code: bytes) -> bytes:
    return b"# " + hashlib.sha256(code).hexdigest().encode()
