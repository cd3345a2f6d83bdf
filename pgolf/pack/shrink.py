"""The same program in fewer bytes: no docstrings, comments, annotations or unused definitions; short names.

Names are chosen for what comes after, the compressor: locals take letters in the order in which they appear, so
that functions begin alike, and what is mentioned most takes the shortest of what is left. Against python-minifier's
own choice that saves 5 % of the compressed file.
"""

import ast
import builtins
import io
import itertools
import keyword
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import python_minifier
from python_minifier.f_string import OuterFString
from python_minifier.module_printer import ModulePrinter
from python_minifier.rename.binding import Binding

from pgolf.errors import RunFailed
from pgolf.pack.flatten import IMPORTS, Part
from pgolf.pack.names import all_bindings, ancestors, bind, is_foreign, namespace_of, rename, visible_in

# Decorators that don't look at their function's parameters.
TRANSPARENT = {"staticmethod", "classmethod", "property", "setter", "contextmanager", "no_grad", "inference_mode"}
TRANSPARENT |= {"compile", "dataclass", "cache", "lru_cache", "wraps", "disable"}

# Objects that the program has not made have attributes too: those of Python's own types, and the names of torch's and
# numpy's that the trainer's classes also use (a test looks whether any is missing).
BUILTIN_TYPES = (dict, list, set, str, bytes, slice, range, int, float, Path, io.TextIOWrapper, BaseException)
NAMES_OF_LIBRARIES = {"step", "state_dict", "load_state_dict", "zero_grad", "log", "train", "apply", "buffers"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shrink(parts: Sequence[Part]) -> list[Part]:
    """The same parts without text and unused definitions, their names as they were."""
    shrunk = [Part(part.name, _without_text(part.body)) for part in parts]
    _drop_unused(shrunk)
    return [part for part in shrunk if part.body]


def short_names(parts: Sequence[Part], own: str = "") -> list[tuple[str, str]]:
    """(part's name, its source) of the shrunk program with short names; the joined sources are one module.

    `own` are letters for what `own_attributes` says; classes that are no errors get short names, too. For programs
    whose tests show that they take it.
    """
    fresh = [Part(part.name, ast.parse(ast.unparse(ast.Module(part.body, []))).body) for part in parts]
    tree = bind(ast.Module([s for part in fresh for s in part.body], []))
    if not tree.tainted:  # else it can see its own names
        if own:
            _shorten_attributes(tree, own)
            tree = bind(tree)  # in a class's body, a method hides what the module calls by its new name
        _assign_names(tree, classes=bool(own))
    return [(part.name, to_source(part.body)) for part in fresh]


def to_source(body: list[ast.stmt]) -> str:
    """The shortest text of `body`: the same on every version of Python, and readable by 3.11."""
    module = ast.Module(body, [])
    text: str = _Printer()(module)  # type: ignore[no-untyped-call]  # its base is untyped
    if ast.dump(ast.parse(text)) != ast.dump(ast.parse(ast.unparse(module))):
        raise RunFailed("python-minifier printed another program than it was given")
    return text


class _Printer(ModulePrinter):
    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """As the base does on 3.11, on every version: a quote is not used again inside an f-string."""
        self.printer.fstring(str(OuterFString(node, pep701=False)))

    def visit_Str(self, node: ast.Constant) -> None:
        self.printer.stringliteral(_Quoted(node.value))


class _Quoted(str):
    """A string that is written in double quotes, as f-strings mostly are: one kind compresses better than two."""

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if '"' in text else f'"{text[1:-1]}"'


def _without_text(body: list[ast.stmt]) -> list[ast.stmt]:
    """`body` without annotations and docstrings, constants folded."""
    tree = _DropAnnotations().visit(ast.parse(ast.unparse(ast.Module(body, []))))
    small = python_minifier.minify(
        ast.unparse(tree),
        remove_annotations=False,
        remove_literal_statements=True,
        combine_imports=True,
        hoist_literals=False,
        rename_locals=False,
        convert_posargs_to_args=False,
    )
    return ast.parse(small).body


class _DropAnnotations(ast.NodeTransformer):
    """All but those of class fields, which dataclasses and named tuples read, and Triton's constants."""

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        if _is_transparent(node):
            node.returns = None
            for arg in _parameters(node.args):
                arg.annotation = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [s if isinstance(s, ast.AnnAssign) else self.visit(s) for s in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if ast.unparse(node.annotation).endswith("constexpr"):
            return node
        plain = ast.Assign([node.target], node.value) if node.value else ast.Pass()
        return ast.fix_missing_locations(ast.copy_location(plain, node))


def _is_transparent(function: Function) -> bool:
    """Whether nothing but Python itself looks at the function's parameters."""
    names = [ast.unparse(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list]
    return all(name.rpartition(".")[2] in TRANSPARENT for name in names)


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [a for a in (arguments.vararg, arguments.kwarg) if a]


def _drop_unused(parts: Sequence[Part]) -> None:
    """Remove module-level imports and definitions that nothing mentions."""
    tree = bind(ast.Module([s for part in parts for s in part.body], []))
    if tree.tainted:
        return
    makers: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        makers.setdefault(_only_defines(statement), []).append(statement)
    candidates = [({id(n) for n in b.references}, _nodes(makers[b.name])) for b in tree.bindings if b.name in makers]
    gone: set[int] = set()
    while new := set().union(*(own for mentions, own in candidates if mentions <= gone | own)) - gone:
        gone |= new
    for part in parts:
        part.body = [s for s in part.body if id(s) not in gone]
    imports = next(part for part in parts if part.name == IMPORTS)
    mentioned = {n.id for part in parts for s in part.body for n in ast.walk(s) if isinstance(n, ast.Name)}
    for statement in (s for s in imports.body if isinstance(s, ast.Import | ast.ImportFrom)):
        if getattr(statement, "module", "") != "__future__":
            statement.names = [a for a in statement.names if (a.asname or a.name.split(".")[0]) in mentioned]
    imports.body = [s for s in imports.body if getattr(s, "names", True)]


def _nodes(statements: Sequence[ast.stmt]) -> set[int]:
    return {id(node) for s in statements for node in ast.walk(s)}


def _only_defines(statement: ast.stmt) -> str:
    """The name that `statement` binds if running it does nothing else, else ''."""
    match statement:
        case ast.FunctionDef(name=name, decorator_list=[], args=arguments):
            run_now = [d for d in (*arguments.defaults, *arguments.kw_defaults) if d]
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            run_now = [value]
        case _:
            return ""
    acts = (ast.Call, ast.Await, ast.NamedExpr, ast.Yield, ast.YieldFrom)
    return "" if any(isinstance(node, acts) for e in run_now for node in ast.walk(e)) else name


def _assign_names(tree: ast.Module, classes: bool) -> None:
    calls = _Calls(tree)
    used: dict[ast.AST, set[str]] = {}
    free: list[tuple[ast.AST, Binding]] = []
    for scope, binding in all_bindings(tree):
        if not is_foreign(binding) and _may_rename(scope, binding, calls, classes):
            free.append((scope, binding))
        else:
            _reserve(used, visible_in(scope, binding), binding.name)
    local = [(s, b) for s, b in free if s is not tree]
    module = sorted(((s, b) for s, b in free if s is tree), key=lambda sb: -len(sb[1].references))
    for scope, binding in local + module:
        scopes = visible_in(scope, binding)
        taken = set().union(*(used.get(s, set()) for s in scopes))
        if getattr(getattr(scope, "args", None), "kwarg", None):
            taken |= calls.keywords  # a parameter must not take the name of what **kwargs is given
        new = next(name for name in _short_names() if name not in taken)
        rename(binding, new)
        _reserve(used, scopes, new)


def own_attributes(tree: ast.Module) -> list[str]:
    """Attributes and methods that only objects of the program have, most mentioned first.

    Some class that inherits nothing binds them, through `self` or `def`; no other class does, no import has one of
    that name, and no string is it.
    """
    nodes = list(ast.walk(tree))
    classes = [n for n in nodes if isinstance(n, ast.ClassDef)]
    foreign = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    foreign |= {name for kind in BUILTIN_TYPES for name in dir(kind)} | NAMES_OF_LIBRARIES
    modules = {a.asname or a.name for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    own: set[str] = set()
    mentioned: Counter[str] = Counter()
    for node in nodes:
        if isinstance(node, ast.Attribute):
            mentioned[node.attr] += 1
            if isinstance(node.value, ast.Name) and node.value.id in modules:
                foreign.add(node.attr)
    for kind in classes:
        bound = {n.attr for n in ast.walk(kind) if isinstance(n, ast.Attribute) and _is_own_store(n)}
        bound |= {s.name for s in kind.body if isinstance(s, ast.FunctionDef)}
        if kind.bases or kind.decorator_list:
            foreign |= bound
        else:
            own |= bound
        foreign |= {n.id for n in ast.walk(kind) if isinstance(n, ast.Name) and namespace_of(n) is kind}
    return sorted((n for n in own - foreign if len(n) > 2 and n[:2] != "__"), key=lambda name: (-mentioned[name], name))


def _is_own_store(node: ast.Attribute) -> bool:
    return not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _shorten_attributes(tree: ast.Module, alphabet: str) -> None:
    taken = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} | {"H", "T"}  # a tensor has these
    free = (name for name in _short_names(alphabet) if name not in taken)
    new = {name: next(free) for name in own_attributes(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in new:
                node.attr = new[name]
            case ast.ClassDef():
                for method in node.body:
                    if isinstance(method, ast.FunctionDef):
                        method.name = new.get(method.name, method.name)


class _Calls:
    """Which parameters the program's calls pass by name: those keep it.

    A call reaches the functions of the name that it calls, and those that it passes on (`partial`); a class stands
    for its `__init__`. What is called through a variable may be any function, and a dict's keys are strings somewhere.
    """

    ANY = "?"

    def __init__(self, tree: ast.Module):
        nodes = list(ast.walk(tree))
        classes = {n.name for n in nodes if isinstance(n, ast.ClassDef)}
        self.subclasses = {n.name for n in nodes if isinstance(n, ast.ClassDef) and n.bases}
        defined = classes | {n.name for n in nodes if isinstance(n, Function)}
        stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        stored |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        stored |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        strings = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        self.keywords: set[str] = set()
        self.passed: dict[str, set[str]] = {}
        for call in (n for n in nodes if isinstance(n, ast.Call) and n.keywords):
            keywords = {k.arg for k in call.keywords if k.arg}
            if any(k.arg in (None, "kwargs") for k in call.keywords):
                keywords |= strings
            called = _last_name(call.func)
            reached = {_last_name(e) for e in (*call.args, *(k.value for k in call.keywords))} & defined | {called}
            if called in stored - defined:
                reached.add(self.ANY)
            for name in reached:
                self.passed.setdefault(name, set()).update(keywords)
            self.keywords |= keywords

    def may_name(self, function: Any, parameter: str) -> bool:
        """Whether some call may pass `parameter` of `function` by name."""
        names = {self.ANY, getattr(function, "name", self.ANY)}  # a lambda has none
        if "__init__" in names:  # that of a class without one of its own is inherited
            names |= {n.name for n in ancestors(function) if isinstance(n, ast.ClassDef)} | self.subclasses
        return any(parameter in self.passed.get(name, ()) for name in names)


def _last_name(expression: ast.expr) -> str:
    """f of `f` and of `a.b.f`; what is neither may be any function."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return _Calls.ANY


def _may_rename(scope: Any, binding: Binding, calls: _Calls, classes: bool) -> bool:
    made_by = binding.references
    if kinds := [node for node in made_by if isinstance(node, ast.ClassDef)]:
        return classes and not any(_is_error(kind) for kind in kinds)  # errors and prints show it
    if any(isinstance(node, ast.arg) for node in made_by):
        return (isinstance(scope, ast.Lambda) or _is_transparent(scope)) and not calls.may_name(scope, binding.name)
    return bool(binding.allow_rename)


def _is_error(kind: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith(("Error", "Exception")) for base in kind.bases)


def _reserve(used: dict[ast.AST, set[str]], scopes: set[ast.AST], name: str) -> None:
    for scope in scopes:
        used.setdefault(scope, set()).add(name)


def _short_names(alphabet: str = string.ascii_letters) -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(alphabet, repeat=length):
            name = "".join(letters)
            if not keyword.iskeyword(name) and not hasattr(builtins, name):
                yield name
