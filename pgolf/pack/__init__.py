"""The trainer as one small file: flattened, minified, compressed, and wrapped so that it unpacks itself.

    pack({"ttt_epochs": 4}).code      the bytes of train_gpt.py
    unpack(code)                      its source, for people
    difference(code, pack(…))         in what a file is not what this checkout makes

With the versions in constraints.txt the same source gives the same bytes on any machine and Python ≥ 3.11.
"""

import ast
import builtins
import hashlib
import string
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pgolf
from pgolf import trainer
from pgolf.errors import BadInput, did_you_mean
from pgolf.files import write_atomic
from pgolf.pack.flatten import Part, flatten, imported_late, left_out_message
from pgolf.pack.module import OF_THE_IMAGE, Module, read_module, reads_own_text
from pgolf.pack.shrink import short_names, shrink
from pgolf.pack.specialise import config_class, config_init, cut
from pgolf.pack.specialise import specialise as cut_branches
from pgolf.pack.wrapper import BEGINNING, COMPRESSORS, Wrapped, open_wrapped, said_around, smallest, unwrap
from pgolf.python_source import MOST_BYTES, Unreadable, parse, uncollected
from pgolf.trainer.config import KNOB_TYPES, Config, Knob
from pgolf.untrusted import Untrusted, read_beginning, read_bytes

MAIN = "pgolf.trainer.__main__"
WRAPPER = "wrapper"
MOST_LABEL = 100  # characters of what a file's first line says
# What only a preset that says so has in its file: a submission runs on GPUs, where these are not used.
ASKED_FOR = {"cpu_kernels": False}


@dataclass(frozen=True)
class Packed:
    """A packed program."""

    code: bytes
    source_sha256: str  # of the modules, knobs and options that went in
    readable: str  # the flattened source, with its own names
    pieces: list[tuple[str, str]]  # each module's name and its minified source
    compressor: str

    @property
    def minified(self) -> str:
        """The program that the file holds."""
        return _joined(self.pieces)

    @cached_property
    def bytes_by_module(self) -> dict[str, int]:
        """Bytes of `code` that each module takes, and the wrapper: they add up to its length."""
        return _attribute(self.pieces, len(self.code), COMPRESSORS[self.compressor].compress)

    def facts(self) -> dict[str, Any]:
        """Sizes and hashes, for JSON."""
        return {
            "bytes": len(self.code),
            "sha256": hashlib.sha256(self.code).hexdigest(),
            "source_sha256": self.source_sha256,
            "bytes_by_module": self.bytes_by_module,
            "compressor": self.compressor,
        }


@contextmanager
def _fresh_builtins() -> Iterator[None]:
    """Without `_`, which a process has once it has shown a value or run a doctest: names of builtins are not given out,
    so the bytes would depend on it."""
    kept = {name: vars(builtins).pop(name) for name in ("_",) if name in vars(builtins)}
    try:
        yield
    finally:
        vars(builtins).update(kept)


@uncollected()
@_fresh_builtins()
def pack(
    knobs: dict[str, Knob] | None = None,
    *,
    source: Path | None = None,
    extra: Sequence[Path] = (),
    specialise: bool = False,
    allow: Collection[str] = (),
) -> Packed:
    """Pack pgolf's trainer, or the program `source`, into one self-extracting file.

    Parameters
    ----------
    knobs : knob name → value, the defaults of the packed file; environment variables still win. Only for the trainer.
        A module that the trainer imports for one value of a knob only (codec `ans`, or a mechanism's switch) is left
        out with any other value, and with it the knobs that nothing else reads.
    source : a trainer of one's own, instead of pgolf's.
    extra : files of modules to pack along, importable by their stem. For pgolf's trainer they run after its
        definitions and before it starts, and may replace one: `from pgolf.trainer import model; model.MLP = …`.
    allow : packages that a source or an extra may import, and what packing cannot see through (`exec`, `sys.path`,
        `__file__`), for which its author answers. A source may import those of the contest's image without this.
    specialise : leave out the branches that `knobs` rule out; those knobs cannot be set any more. Only for the trainer.

    Raises
    ------
    BadInput : a source that cannot be one file, with line and reason; an unknown knob.
    """
    flat = _flatten(knobs or {}, source, extra, specialise, allow)
    label = f"pgolf {pgolf.__version__} {flat.sha256[:16]}"
    pieces = short_names(shrink(flat.parts), "" if source else string.ascii_lowercase)
    code, compressor = smallest(_joined(pieces), label, flat.with_brotli, flat.reads_own_text)
    return Packed(
        code=code,
        source_sha256=flat.sha256,
        readable=flat.readable(),
        pieces=pieces,
        compressor=compressor.name,
    )


def _joined(pieces: list[tuple[str, str]]) -> str:
    return "\n".join(text for _, text in pieces) + "\n"


@dataclass(frozen=True)
class _Flat:
    """A program in one piece, before it is made small."""

    parts: list[Part]
    sha256: str  # of what it was made from
    with_brotli: bool
    reads_own_text: bool

    def readable(self) -> str:
        texts = [f"# {p.name}\n{ast.unparse(ast.Module(p.body, []))}\n" for p in self.parts if p.body]
        return "\n\n".join(texts)


def _flatten(
    knobs: dict[str, Knob], source: Path | None, extra: Sequence[Path], specialise: bool, allow: Collection[str] = ()
) -> _Flat:
    if source and (knobs or specialise):
        raise BadInput(f"knobs and --specialise are for pgolf's own trainer; {source} has its own")
    if unknown := knobs.keys() - KNOB_TYPES.keys():
        raise BadInput(f"no knob '{min(unknown)}'{did_you_mean(min(unknown), KNOB_TYPES)}")
    allowed = OF_THE_IMAGE.union(allow) if source else set(allow)
    modules = [read_module(source.stem, source, allowed)] if source else _trainer_modules()
    if not modules[0].tree.body:
        raise BadInput(f"{source}: holds no code; name the script")
    extras = [read_module(path.stem, path, allowed) for path in extra]
    given = ({} if source else ASKED_FOR) | knobs
    own = {k: v for k, v in sorted(given.items()) if v != getattr(Config, k)}
    with_brotli = any(_imports_brotli(m) for m in modules)
    left_out = set() if source else _left_out(modules, own)
    parts = flatten(modules[0], modules[1:], extras, left_out)
    gone = _drop_off(parts, [m for m in modules if m.name in left_out], own) if left_out else set()
    own = {k: v for k, v in own.items() if k not in gone}
    if own:
        _set_preset(parts, own)
    if specialise:
        cut_branches(parts, own)
    names = {part.name for part in parts}
    used = [m for m in (*modules, *extras) if m.name in names]
    inputs = [(m.name, hashlib.sha256(m.text).hexdigest()) for m in used]
    sha256 = hashlib.sha256(repr((inputs, own, specialise)).encode()).hexdigest()
    return _Flat(parts, sha256, with_brotli, any(reads_own_text(m) for m in used))


def _trainer_modules() -> list[Module]:
    """The trainer's modules, the one that starts first."""
    folder = Path(trainer.__path__[0])
    paths = sorted(p for p in folder.glob("*.py") if p.stem != "__init__")
    modules = [read_module(f"{trainer.__name__}.{path.stem}", path) for path in paths]
    return sorted(modules, key=lambda m: m.name != MAIN)


def _left_out(modules: Sequence[Module], knobs: dict[str, Knob]) -> set[str]:
    """Modules named after one value of a knob (codecs) where that is not the preset's, or after a knob that is off
    (with or without `_enabled`)."""
    facts = Config(run_id="-").__dict__ | knobs
    on = {knob for knob, value in facts.items() if not isinstance(value, str) and value > 0}
    wanted = {str(value) for value in facts.values()} | on | {knob.removesuffix("_enabled") for knob in on}
    return {name for name in imported_late(modules) if name.rpartition(".")[2] not in wanted}


# What asks for a module that is not there is found out at the start, and not after training.
REFUSE_SWITCH = """
for knob in {switches!r}.split():
    if os.environ.get(knob.upper(), "0").lower() not in ("0", "-1", "", "false"):
        raise ValueError(f"{{knob}} is not in this packed file")
"""
REFUSE_VALUE = "if {value!r} in self.__dict__.values(): raise ValueError({message!r})"


def _drop_off(parts: list[Part], left_out: Sequence[Module], knobs: dict[str, Knob]) -> set[str]:
    """Cut the branches that lead to left-out modules, and refuse what would ask for one; the knobs that went."""
    names = {m.name: m.name.rpartition(".")[2] for m in left_out}
    found = {name: {short, f"{short}_enabled"} & KNOB_TYPES.keys() for name, short in names.items()}
    switches = sorted(set().union(*found.values()))
    cut(parts, {knob: knobs.get(knob, getattr(Config, knob)) for knob in switches})
    checks = [REFUSE_SWITCH.format(switches=" ".join(switches))] if switches else []
    for name in (name for name, own in found.items() if not own):
        checks.append(REFUSE_VALUE.format(value=names[name], message=left_out_message(name)))
    gone = _drop_knobs(parts, left_out, switches)
    config_init(parts).body += ast.parse("\n".join(checks)).body
    return gone


def _drop_knobs(parts: list[Part], left_out: Sequence[Module], switches: Sequence[str]) -> set[str]:
    """Take `switches`, and the knobs that only left-out modules read, out of the flat program's Config, but for those
    that something else reads; which they were."""
    read = {n.attr for m in left_out for n in ast.walk(m.tree) if isinstance(n, ast.Attribute)} | set(switches)
    for node in (n for part in parts for s in part.body for n in ast.walk(s)):
        match node:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                read.discard(name)
    config = config_class(parts)
    fields = _knob_fields(config)
    gone = read & fields.keys()
    config.body = [s for s in config.body if s not in [fields[name] for name in gone]]
    return gone


def _imports_brotli(module: Module) -> bool:
    return any("brotli" in (a.name for a in n.names) for n in ast.walk(module.tree) if isinstance(n, ast.Import))


def _set_preset(parts: list[Part], knobs: dict[str, Knob]) -> None:
    """Make `knobs` the defaults of the flat program."""
    for name, field in _knob_fields(config_class(parts)).items():
        if name in knobs:
            field.value = ast.parse(repr(knobs[name]), mode="eval").body


def _knob_fields(config: ast.ClassDef) -> dict[str, ast.AnnAssign]:
    return {ast.unparse(s.target): s for s in config.body if isinstance(s, ast.AnnAssign)}


def _attribute(pieces: list[tuple[str, str]], total: int, compress: Callable[[bytes], bytes]) -> dict[str, int]:
    """Compressed bytes of each part: what it adds to those before it. The wrapper is what remains of `total`."""
    shares: dict[str, int] = {}
    so_far, before = "", 0
    for name, text in pieces:
        so_far += text + "\n"
        size = len(compress(so_far.encode()))
        shares[name] = shares.get(name, 0) + size - before
        before = size
    return shares | {WRAPPER: total - before}


def write_packed(path: Path, packed: Packed) -> None:
    """Write the file; BadInput if something else than a packed file is there already."""
    if path.exists():
        try:
            unwrap(read_packed(path))
        except BadInput:
            raise BadInput(f"{path} exists and was not made by `pgolf pack`; name another with -o") from None
    write_atomic(path, packed.code)


def is_ours(path: Path) -> bool:
    """Whether a file begins as those of `pack` do; Untrusted if it cannot be read."""
    return read_beginning(path, len(BEGINNING)) == BEGINNING


def read_packed(path: Path) -> bytes:
    """The bytes of a packed file, changed afterwards or not; Untrusted if it is missing or something else."""
    code = read_bytes(path, MOST_BYTES)
    try:
        open_wrapped(code)
    except BadInput as e:
        raise Untrusted(f"{path}: {e}") from None
    return code


def unpack(code: bytes, name: str = "the packed file") -> str:
    """The source of a packed file, for people: every character prints, whatever the file holds. Nothing of it is run.

    If this checkout packs to the same program, the source has its names back; else the short ones, which is all that
    the file holds. Code around the wrapper comes first, below its line. BadInput for a file that `pack` did not make,
    or whose source is no Python; `name` says which.
    """
    wrapped = open_wrapped(code)
    return _shown_around(wrapped) + _shown(wrapped.label, wrapped.source, name)


def code_around(code: bytes) -> str | None:
    """A sentence on the code in a packed file that `pack` did not write, by its lines; None where there is none."""
    wrapped = open_wrapped(code)
    return said_around(wrapped) if wrapped.around else None


def _shown_around(wrapped: Wrapped) -> str:
    heading = "not of the wrapper that `pgolf pack` writes, and runs beside what it extracts"
    return "".join(f"# line {s.lineno}: {heading}\n{ast.unparse(s)}\n\n" for s in wrapped.around)


def _shown(label: str, source: str, name: str) -> str:
    try:
        tree = parse(source.encode())
        knobs = _preset_in(tree)
        for specialise in (False, True):
            ours = label.endswith(_flatten(knobs, None, (), specialise).sha256[:16])
            if ours and (packed := pack(knobs, specialise=specialise)).minified == source:
                return f"# {label}: with this checkout's names, since it packs to the same program\n{packed.readable}"
        title = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in label[:MOST_LABEL])
        return f"# {title}: names as in the file, which this checkout does not make\n{ast.unparse(tree)}\n"
    except Unreadable as e:
        raise Untrusted(f"{name}: its source {e}") from None
    except RecursionError:
        raise Untrusted(f"{name}: its source is nested too deep to be read") from None


def difference(code: bytes, packed: Packed) -> str | None:
    """Why `code` is not `packed`, or None if it is, byte for byte. BadInput if `pack` did not make it."""
    if code == packed.code:
        return None
    wrapped = open_wrapped(code)
    label, source = wrapped.label, wrapped.source
    if wrapped.around:
        return f"changed after it was packed: {said_around(wrapped)}; `pgolf unpack` shows it"
    if source == packed.minified:
        return "the program is the same; it was compressed by another version of a library"
    if label.endswith(packed.source_sha256[:16]):
        return "made of the same source, by another version of pgolf or python-minifier, or changed afterwards"
    return f"made of other source, knobs or options: it says '{label}', here {packed.source_sha256[:16]}"


def _preset_in(tree: ast.Module) -> dict[str, Knob]:
    """The knobs whose defaults in a packed trainer of ours are not the trainer's."""
    found: dict[str, Knob] = {}
    for config in (s for s in tree.body if isinstance(s, ast.ClassDef)):
        for name, field in _knob_fields(config).items():
            if name in KNOB_TYPES and isinstance(field.value, ast.expr):
                with suppress(ValueError, TypeError, SyntaxError, MemoryError):  # no constant, so not ours
                    value = ast.literal_eval(field.value)
                    if type(value) is KNOB_TYPES[name]:
                        found[name] = value
    return {name: value for name, value in found.items() if value != ASKED_FOR.get(name, getattr(Config, name))}
