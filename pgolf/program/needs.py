"""Modules that a source imports, and commands that it calls."""

import ast
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pgolf.program import Need
from pgolf.program.constants import HERE
from pgolf.program.sources import Sources
from pgolf.program.syntax import Module

# Python's own modules, also those of later versions
PYTHONS = sys.stdlib_module_names | {"annotationlib", "compression"}
CALLS = ("run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput")
RUNS = {f"subprocess.{name}" for name in CALLS} | {"os.system", "os.popen"}
RUNS |= {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"}
RUNS |= {f"os.{name}" for name in ("execv", "execve", "execvp", "execvpe", "execl", "execlp", "posix_spawn")}
SHELLS = {"cd", "echo", "export", "set", "source", ".", "true", "false", "exit", "exec", "test", "[", "ulimit", "wait"}
PYTHON = ("python", "python3", "torchrun")  # there wherever a program runs
PATH_CHANGES = ("sys.path.insert", "sys.path.append")
IMPORTERS = ("__import__", "importlib.import_module", "importlib.util.find_spec", "pytest.importorskip")


@dataclass(frozen=True)
class Import:
    """A module that a statement imports, by its full name: `names` are those taken out of it, which may be modules."""

    name: str
    line: int
    sure: bool
    names: tuple[str, ...] = ()
    relative: bool = False


def imports(m: Module) -> Iterator[Import]:
    """All imports of a module; relative ones by their full names."""
    for node, sure in m.sure.items():
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, sure) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _package(m.path, node.level) if node.level else ""
            name = ".".join(part for part in (package, node.module) if part)
            yield Import(name, node.lineno, sure, tuple(alias.name for alias in node.names), node.level > 0)
        elif isinstance(node, ast.Call) and node.args and m.full_name(node.func) in IMPORTERS:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                asks = m.full_name(node.func) == "importlib.util.find_spec"
                yield Import(first.value, node.lineno, sure and not asks)


def _package(path: str, level: int) -> str:
    folders = path.split("/")[:-1]
    return ".".join(folders[: len(folders) - level + 1])


def own_modules(m: Module, found: Import, files: Mapping[str, bytes], folders: Sequence[str]) -> list[str]:
    """The files among a program's that an import runs: the module's own, and those of the packages that it is in.

    `folders` are those that Python looks in. [] where the module is not the program's own.
    """
    for folder in [""] if found.relative else folders:
        paths = _module_files(found.name, files, folder)
        for name in found.names:
            paths += _module_files(f"{found.name}.{name}".strip("."), files, folder)
        if paths:
            return list(dict.fromkeys(paths))
    return []


def search_folders(sources: Sources, m: Module) -> list[str]:
    """Folders of the program that a module adds to `sys.path`."""
    found = []
    for node in m.nodes:
        if (
            isinstance(node, ast.Call)
            and m.full_name(node.func) in ("sys.path.insert", "sys.path.append")
            and node.args
        ):
            place = sources.known(m, node.args[-1])
            if isinstance(place, str | PurePosixPath) and (HERE / place).is_relative_to(HERE):
                found.append(str((HERE / place).relative_to(HERE)).removeprefix("."))
    return found


def _module_files(name: str, files: Mapping[str, bytes], folder: str) -> list[str]:
    found, path = [], folder
    for part in name.split("."):
        path = f"{path}/{part}" if path else part
        exact = [f for f in (f"{path}/__init__.py", f"{path}.py") if f in files]
        compiled = [f for f in files if f.startswith(path + ".") and f.endswith((".so", ".pyd"))]
        found += exact[:1] or compiled
    return found


def commands(sources: Sources) -> tuple[list[Need], list[str]]:
    """(commands that the sources call, sentences on those that could not be told)."""
    found: list[Need] = []
    unclear = []
    for m in sources.modules:
        for node, sure in m.sure.items():
            if not isinstance(node, ast.Call) or not (node.args or node.keywords):
                continue
            name = m.full_name(node.func)
            if name not in RUNS and name != "shutil.which":
                continue
            first = [*node.args, *(k.value for k in node.keywords if k.arg in ("args", "cmd")), None][0]
            words = [w for bound in sources.cases(m, [first]) for w in _words(sources, m, first, bound)]
            if not words and name in RUNS:
                unclear.append(f"{m.label}:{node.lineno} calls a command whose name is computed")
            optional = not sure or name == "shutil.which"
            found += [Need(w, m.label, node.lineno, optional) for w in words if w and _command(w)]
    return found, unclear


def _words(sources: Sources, m: Module, node: ast.expr | None, bound: Mapping[str, Any]) -> list[str]:
    """The commands of a call: its first word, or of a shell's line the first of each part. [''] for Python itself."""
    value = sources.known(m, node, bound)
    if isinstance(value, str):
        return [w for part in re.split(r"\|\|?|&&|;|\n", value) for w in _first(part)] or [""]
    first = node.elts[0] if isinstance(node, ast.List | ast.Tuple) and node.elts else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(sources, m, node.left, bound)
    if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
        text = str(node.values[0].value)
        return _words(sources, m, ast.Constant(text), bound) if " " in text.strip() + text[-1:] else []
    if isinstance(node, ast.Name) and first is None and value is None:
        made = next((b for b in m.lookup(node.id, node) if isinstance(b, ast.List | ast.JoinedStr)), None)
        return _words(sources, m, made, bound) if made else []
    if first is not None and m.full_name(first) == "sys.executable":
        return [""]
    word = value[0] if isinstance(value, list) and value else sources.known(m, first, bound)
    return [str(word)] if isinstance(word, str | PurePosixPath) else []


def _first(part: str) -> list[str]:
    try:
        words = shlex.split(part)
    except ValueError:
        words = part.split()
    return [w.rpartition("/")[2] if w.startswith("/") else w for w in words if not re.match(r"\w+=", w)][:1]


def _command(word: str) -> bool:
    plain = re.fullmatch(r"[\w.+-]{1,64}", word)
    return bool(plain) and word not in SHELLS and not word.startswith(PYTHON)


def one_each(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The needs without repetition: each at its first line, preferably one that the program cannot do without."""
    first: dict[str, Need] = {}
    for need in needs:
        if need.name not in first or (first[need.name].optional and not need.optional):
            first[need.name] = need
    return tuple(sorted(first.values(), key=lambda n: n.name))
