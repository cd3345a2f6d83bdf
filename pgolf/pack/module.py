"""A source file that is to be packed, and what is refused in it: what would read or import more than the one file."""

import ast
import sys
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_minifier.ast_annotation import add_parent, get_parent

from pgolf.errors import BadInput
from pgolf.pack.names import ancestors
from pgolf.python_source import MOST_BYTES, Unreadable, parse
from pgolf.untrusted import read_bytes

ALLOWED = sys.stdlib_module_names | {"torch", "numpy", "sentencepiece", "brotli"}
OF_THE_IMAGE = {"flash_attn_interface", "triton"}  # the contest's machines have these, others may not
WHEN_PRESENT = OF_THE_IMAGE | {"constriction"}  # only in a `try` or where it is used
DYNAMIC = {"importlib", "runpy", "imp", "pkgutil", "zipimport"}
CATCHES_IMPORTS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True, eq=False)
class Module:
    """A source file: dotted name, where it lies, its bytes, its syntax tree (which `flatten` changes), and the packages
    that it may import wherever it likes."""

    name: str
    path: Path
    text: bytes
    tree: ast.Module
    packages: Set[str] = ALLOWED

    def refuse(self, node: Any, reason: str) -> BadInput:
        return BadInput(f"{self.path}:{node.lineno}: {reason}")


def read_module(name: str, path: Path, allow: Set[str] = frozenset()) -> Module:
    """Parse a source file and refuse what cannot be packed; BadInput names file, line and reason.

    `allow` names what the author answers for: packages, and what packing cannot see through (`exec`, `sys.path`,
    `__file__`).
    """
    text = read_bytes(path, MOST_BYTES)
    try:
        tree = parse(text)
    except Unreadable as e:
        raise BadInput(f"{path}:{e.line or 1}: {e.reason}") from None
    module = Module(name, path, text, tree, ALLOWED | allow)
    add_parent(tree)
    for node in ast.walk(tree):
        name, reason = _obstacle(node)
        if reason and name not in allow:
            raise module.refuse(node, reason + (f"; --allow {name} packs it all the same" if name else ""))
    return module


def _obstacle(node: ast.AST) -> tuple[str, str]:
    """(the name that would allow it, or '' if none does; why a file with this node cannot be packed, or '')."""
    match node:
        case ast.ImportFrom(names=[ast.alias(name="*")]):
            return "", "`import *` hides which names are used; list them"
        case ast.Import(names=names) if found := DYNAMIC & {a.name.split(".")[0] for a in names}:
            return min(found), f"{min(found)} imports or reads what is not in the packed file"
        case ast.ImportFrom(module=str(name), level=0) if (top := name.split(".")[0]) in DYNAMIC:
            return top, f"{name} imports or reads what is not in the packed file"
        case ast.Name(id="exec" | "eval" as name):
            return name, f"{name}() runs code that packing cannot see; `pgolf unpack` prints what a script extracts"
        case ast.Name(id="__import__") if not _imports_known(get_parent(node)):
            return "__import__", "__import__() imports what packing cannot see"
        case ast.Attribute(value=ast.Name(id="sys"), attr="path" | "meta_path" | "path_hooks" as attribute):
            return f"sys.{attribute}", f"sys.{attribute}: a packed file imports nothing from beside itself"
        case ast.Name(id="__file__") if not _reads_itself(node):
            return "__file__", "__file__ leads to files beside the source, which a packed file does not have"
    return "", ""


def _imports_known(call: ast.AST) -> bool:
    """Whether `call` is `__import__("zlib")`: of a package that every packed file may import."""
    match call:
        case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]):
            return name.split(".")[0] in ALLOWED - DYNAMIC
    return False


def _reads_itself(node: ast.AST) -> bool:
    """Whether `node`, the program's own path, is only used to read or measure that very file."""
    call = get_parent(node)
    if not isinstance(call, ast.Call) or call.args[:1] != [node]:
        return False
    match ast.unparse(call.func):
        case "open" | "os.path.getsize" | "os.stat":
            return True
        case "Path" | "pathlib.Path":
            return getattr(get_parent(call), "attr", "") in ("read_bytes", "read_text", "stat")
    return False


def reads_own_text(module: Module) -> bool:
    """Whether the program reads its own file as text, so that the packed one must be ASCII."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) in ("__file__", "sys.argv[0]"):
            mode = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
            if ast.unparse(node.func) == "open" and not (mode and "b" in ast.unparse(mode[0])):
                return True
            if getattr(get_parent(node), "attr", "") == "read_text":
                return True
    return False


def check_foreign(module: Module, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
    """BadInput unless a packed file may import what comes from outside the program."""
    name = alias.name if isinstance(node, ast.Import) else node.module or ""
    top = name.split(".")[0]
    if isinstance(node, ast.ImportFrom) and node.level:
        raise module.refuse(node, f"'{alias.name}' is not part of what is packed; add its file as an extra")
    if top in module.packages or (top in WHEN_PRESENT and _is_guarded(node)):
        return
    if top in WHEN_PRESENT:
        raise module.refuse(node, f"{top} may be missing: import it in a `try` or in the function that uses it")
    if (module.path.parent / f"{top}.py").exists():
        raise module.refuse(node, f"import of '{name}' (add its file as an extra: --extra {top}.py)")
    if not _may_fail(node):
        raise module.refuse(
            node,
            f"import of '{name}', which may be missing where the file runs: import it in a `try` that catches "
            f"ImportError, or name it with --allow {top}",
        )


def _is_guarded(node: ast.AST) -> bool:
    return any(isinstance(a, ast.Try | ast.FunctionDef | ast.AsyncFunctionDef) for a in ancestors(node))


def _may_fail(node: ast.AST) -> bool:
    """Whether an import stands in a `try` that catches its ImportError."""
    inner = node
    for outer in ancestors(node):
        if isinstance(outer, ast.Try) and inner in outer.body:
            caught = {
                part.id for h in outer.handlers if h.type for part in ast.walk(h.type) if isinstance(part, ast.Name)
            }
            if caught & CATCHES_IMPORTS or any(h.type is None for h in outer.handlers):
                return True
        inner = outer
    return False
