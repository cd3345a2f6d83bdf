"""The environment variables that a source reads, in the ways that people write it, and their defaults.

A default is the text that the environment would hold to the same effect: a number as Python writes it (524_288 is
'524288', 1e-3 '0.001'), True '1' and False '0', text as it stands.
"""

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from pgolf.program import Variable
from pgolf.program.constants import HERE, Field
from pgolf.program.sources import Sources, class_attribute, environment_read
from pgolf.program.syntax import Module, Param, names

MOST_NAMES = 2000  # of variables that one expression names
WHOLE = ("items", "keys", "values")  # ways to read all of the environment


@dataclass
class Found:
    """Variables by name, and what could not be told."""

    variables: dict[str, Variable] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)
    optional: set[str] = field(default_factory=set)  # names that the source asks for, or sets, before it needs them

    def add(self, name: Any, default: Any, m: Module, line: int, required: bool) -> bool:
        """Take in one reading of a variable; whether its name is one."""
        if not (isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable() and "=" not in name):
            return False
        text = default_text(default)
        if not required:
            self.optional.add(name)
        before = self.variables.get(name)
        if before is None:
            self.variables[name] = Variable(name, text, m.label, line, required)
        elif before.default is None and text is not None:
            self.variables[name] = replace(before, default=text, line=line, file=m.label)
        return True


def default_text(value: Any) -> str | None:
    """A default as the environment would hold it; None for what it cannot hold.

    Examples
    --------
    >>> default_text(524_288), default_text(1e-3), default_text(True), default_text([1])
    ('524288', '0.001', '1', None)
    """
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | PurePosixPath):
        text = str(value)
        return (text.removeprefix(str(HERE)).lstrip("/") or ".") if text.startswith(str(HERE)) else text
    return str(value) if isinstance(value, int | float) else None


def variables(sources: Sources) -> Found:
    """All environment variables that the sources read."""
    found = Found()
    for m in sources.modules:
        for node in m.nodes:
            if isinstance(node, ast.Call):
                _called(sources, m, node, found)
            elif isinstance(node, ast.Subscript) and m.full_name(node.value) == "os.environ":
                _subscripted(sources, m, node, found)
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                if m.full_name(node.comparators[0]) == "os.environ":
                    _read(sources, m, node, node.left, _otherwise(m, node), found)
            elif isinstance(node, ast.For | ast.comprehension) and m.full_name(node.iter) == "os.environ":
                found.unclear.append(_sentence(m, node.iter, "goes through all environment variables"))
    for name in found.optional:
        found.variables[name] = replace(found.variables[name], required=False)
    found.variables = dict(sorted(found.variables.items()))
    return found


def _called(sources: Sources, m: Module, node: ast.Call, found: Found) -> None:
    read = environment_read(m, node)
    if read:
        given = sources.known(m, read[1]) if isinstance(read[1], ast.Constant) else read[1]
        _read(sources, m, node, read[0], read[1] if given else _alternative(m, node) or read[1], found)
        return
    name = m.full_name(node.func)
    if name.startswith("os.environ.") and name.rpartition(".")[2] in WHOLE:
        used = m.parents.get(node)
        if isinstance(used, ast.For | ast.comprehension | ast.Call):
            found.unclear.append(_sentence(m, node, "goes through all environment variables"))
    for keyword in node.keywords:
        if keyword.arg == "envvar":  # of click and typer
            for text in _words(sources.known(m, keyword.value)):
                found.add(text, None, m, node.lineno, False)


def _words(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _subscripted(sources: Sources, m: Module, node: ast.Subscript, found: Found) -> None:
    if isinstance(node.ctx, ast.Load):
        sure = not isinstance(m.inside(node, (ast.Try, ast.IfExp)), ast.Try | ast.IfExp)
        _read(sources, m, node, node.slice, None, found, required=sure)
    elif isinstance(name := sources.known(m, node.slice), str) and name in found.variables:
        found.optional.add(name)


def _alternative(m: Module, node: ast.Call) -> ast.expr | None:
    """The last of `os.environ.get("X") or "1024"`."""
    parent = m.parents.get(node)
    if isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.Or) and parent.values[-1] is not node:
        return parent.values[-1]
    return None


def _otherwise(m: Module, node: ast.Compare) -> ast.expr | None:
    """The last of `os.environ["X"] if "X" in os.environ else "1024"`."""
    parent = m.parents.get(node)
    if isinstance(parent, ast.IfExp) and parent.test is node:
        return parent.orelse if isinstance(node.ops[0], ast.In) else parent.body
    return None


def _read(
    sources: Sources,
    m: Module,
    node: ast.Call | ast.Subscript | ast.Compare,
    name: ast.expr,
    default: ast.expr | None,
    found: Found,
    required: bool = False,
) -> None:
    """Add the variable, or the variables where its name is a parameter or comes from a loop."""
    clear = False
    for bound in itertools.islice(sources.cases(m, [name]), MOST_NAMES):
        value = sources.known(m, default, bound)
        if default is None or value is None:
            value = _beside(sources, m, name, bound)
        clear |= found.add(sources.known(m, name, bound), value, m, node.lineno, required)
    if not clear and not _uncalled(sources, m, name):
        said = f"reads an environment variable whose name is computed: {_short(name)}"
        found.unclear.append(_sentence(m, node, said))


def _beside(sources: Sources, m: Module, name: ast.expr, bound: Mapping[str, Any]) -> Any:
    """The default that a wrapper or a loop has beside the name: `def env(name, default)`, a field's own value."""
    used = set(names(name))
    for key, value in sorted(bound.items(), key=lambda kv: "def" not in kv[0]):
        if isinstance(value, Field):
            return value.default
        if key not in used and isinstance(value, str | int | float):
            return value
    for value in (bound.get(key) for key in used):
        if isinstance(value, str):
            of_module = m.bindings.get(m.tree, {}).get(value, [None])[0]
            same = class_attribute(m, value) or of_module
            return sources.known(m, same) if isinstance(same, ast.expr) else None
    return None


def _uncalled(sources: Sources, m: Module, name: ast.expr) -> bool:
    """Whether the name is a parameter of a function that nothing calls."""
    for node in ast.walk(name):
        binding = m.lookup(node.id, node) if isinstance(node, ast.Name) else None
        if binding and isinstance(binding[0], Param) and not sources.calls_of(m, binding[0].function):
            return True
    return False


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:59] + "…"


def _sentence(m: Module, node: ast.expr, what: str) -> str:
    return f"{m.label}:{node.lineno} {what}"
