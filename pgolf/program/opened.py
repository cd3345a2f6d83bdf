"""Files that a source names: those that are the program's own, and those that it opens and that are not there."""

import ast
import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pgolf.program import Need
from pgolf.program.constants import HERE
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module

READERS = {  # functions that read a file: the keyword of its name, which is their first argument
    "open": "file",
    "io.open": "file",
    "gzip.open": "filename",
    "numpy.load": "file",
    "numpy.fromfile": "file",
    "numpy.memmap": "filename",
    "numpy.loadtxt": "fname",
    "torch.load": "f",
    "torch.from_file": "filename",
    "sentencepiece.SentencePieceProcessor": "model_file",
    "runpy.run_path": "path_name",
}
WRITERS = {"torch.save": 1, "numpy.save": 0, "numpy.savez": 0, "os.makedirs": 0, "os.replace": 1, "os.rename": 1}
JOINS = ("os.path.join", "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath")
METHODS = ("read_text", "read_bytes", "write_text", "write_bytes")
MACHINE = ("/proc", "/sys", "/dev", "/etc")
MOST_NAME = 500  # characters; a pattern takes time with the square of them


def own_files(sources: Sources, m: Module, files: Mapping[str, bytes], folder: str) -> list[str]:
    """The files among a program's that a module names, whole or by a pattern."""
    found: dict[str, None] = {}
    for node in m.nodes:
        if isinstance(node, ast.Constant):
            wanted = node.value if isinstance(m.parents.get(node), ast.Expr) is False else None
        elif _is_path(m, node):
            wanted = sources.known(m, node) or _pattern(sources, m, node)
        else:
            continue
        for path in _places(wanted, folder):
            found.update(dict.fromkeys(_matching(path, files, whole=isinstance(node, ast.Constant))))
    return [f for f in found if f != m.path]


def _is_path(m: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = m.full_name(node.func)
        return (
            name in JOINS
            or name.rpartition(".")[2] in ("with_name", "joinpath")
            or (isinstance(node.func, ast.Attribute) and node.func.attr in ("with_name", "joinpath", "glob"))
        )
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add))


def _pattern(sources: Sources, m: Module, node: ast.AST) -> str | None:
    """A path with `*` for the parts that are not constant."""
    if isinstance(node, ast.JoinedStr):
        parts = [str(n.value) if isinstance(n, ast.Constant) else str(_value(sources, m, n)) for n in node.values]
        return "".join(parts)
    if isinstance(node, ast.Call):
        method = node.func if isinstance(node.func, ast.Attribute) and node.func.attr in ("joinpath", "glob") else None
        pieces = [*([method.value] if method else []), *node.args]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        pieces = [node.left, node.right]
    else:
        return None
    texts = [str(_value(sources, m, n)) for n in pieces]
    return str(PurePosixPath(*texts)) if texts else None


def _value(sources: Sources, m: Module, node: ast.AST) -> Any:
    found = sources.known(m, node)
    return found if found is not None else _pattern(sources, m, node) or "*"


def _places(wanted: Any, folder: str) -> Iterator[str]:
    """Where a name leads, relative to the program's folder: it may be meant from there, or from the script's."""
    if not isinstance(wanted, str | PurePosixPath) or len(str(wanted)) >= MOST_NAME:
        return
    if not str(wanted).strip("*/.") or "\0" in str(wanted):
        return
    path = PurePosixPath(wanted)
    if path.is_relative_to(HERE):
        path = path.relative_to(HERE)
    if not path.is_absolute():
        yield str(path)
        yield str(PurePosixPath(folder) / path)
    elif str(path).startswith("/*"):
        yield str(path)[1:]


def _matching(path: str, files: Mapping[str, bytes], whole: bool) -> Iterator[str]:
    if path in files:
        yield path
    elif any(c in path for c in "*?["):
        if len(path.rpartition("/")[2].strip("*?")) >= 3:
            yield from (f for f in files if fnmatch.fnmatchcase(f, path))
    elif not whole and path != ".":
        yield from (f for f in files if f.startswith(path + "/"))


def reads(sources: Sources, files: Mapping[str, bytes], folder: str) -> list[Need]:
    """Files that are opened by a literal name, and are neither the program's own nor written by it."""
    written: set[str] = set()
    found: list[tuple[str, Need]] = []
    for m in sources.modules:
        for node, sure in m.sure.items():
            if isinstance(node, ast.Call):
                for name, writes in _opened(sources, m, node):
                    if writes:
                        written.add(name)
                    else:
                        found.append((name, Need(name, m.label, node.lineno, not sure)))
    return [need for name, need in found if name not in written and not any(p in files for p in _places(name, folder))]


def _opened(sources: Sources, m: Module, node: ast.Call) -> Iterator[tuple[str, bool]]:
    """(name, whether it is written) of a file that a call opens by a literal name."""
    full = m.full_name(node.func)
    first: ast.expr | None = None
    mode: Any = "r"
    given = {k.arg: k.value for k in node.keywords}
    if full in READERS:
        first = node.args[0] if node.args else given.get(READERS[full])
        if full.endswith("open"):
            mode = sources.known(m, node.args[1] if len(node.args) > 1 else given.get("mode")) or "r"
    elif full in WRITERS:
        first, mode = (node.args[WRITERS[full]] if len(node.args) > WRITERS[full] else given.get("f")), "w"
    elif isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        first, mode = node.func.value, "w" if node.func.attr.startswith("write") else "r"
    if first is None:
        return
    before = sources.environment_reads
    name = sources.known(m, first)
    if isinstance(name, str | PurePosixPath) and sources.environment_reads == before:
        text = str(name).removeprefix(f"{HERE}/")
        if text.strip("./") and not text.startswith(MACHINE) and len(text) < MOST_NAME:
            yield text, any(c in str(mode) for c in "wxa+")
