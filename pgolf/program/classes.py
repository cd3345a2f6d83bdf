"""Fields of a source's classes: knobs that a loop turns into environment variables."""

import ast
from collections.abc import Iterator

from pgolf.program.syntax import Function, Imported, Module, Param

KNOBS = ("hyper", "config", "args", "settings", "knobs", "params", "options")
MOST_DEPTH = 6


def class_of(m: Module, node: ast.AST, depth: int = 0) -> ast.ClassDef | None:
    """The class that an expression is, or is an object of; where that is not clear, the one that has the knobs."""
    if depth > MOST_DEPTH:
        return None
    if isinstance(node, ast.Name):
        if node.id in ("self", "cls"):
            inner = m.inside(node, ast.ClassDef)
            return inner if isinstance(inner, ast.ClassDef) else None
        for binding in m.lookup(node.id, node)[:3]:
            if isinstance(binding, ast.ClassDef):
                return binding
            if isinstance(binding, Imported):
                return None
            if isinstance(binding, Param):
                return _annotated(m, binding.function, node.id, depth) or _of_knobs(m)
            if isinstance(binding, ast.Call | ast.Name) and (found := class_of(m, binding, depth + 1)):
                return found
        return None
    if isinstance(node, ast.Call):
        if m.full_name(node.func) == "type" and node.args:
            return class_of(m, node.args[0], depth + 1)
        return class_of(m, node.func, depth + 1) if isinstance(node.func, ast.Name) else None
    if isinstance(node, ast.Attribute) and node.attr == "__class__":
        return class_of(m, node.value, depth + 1)
    return _of_knobs(m)


def _annotated(m: Module, function: Function, name: str, depth: int) -> ast.ClassDef | None:
    for parameter in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        if parameter.arg == name and isinstance(parameter.annotation, ast.Name):
            return class_of(m, parameter.annotation, depth + 1)
    return None


def _of_knobs(m: Module) -> ast.ClassDef | None:
    named = [n for n in m.nodes if isinstance(n, ast.ClassDef) and any(word in n.name.lower() for word in KNOBS)]
    return named[0] if len(named) == 1 else None


def fields_of(m: Module, node: ast.ClassDef, annotated: bool, depth: int = 0) -> Iterator[tuple[str, ast.expr | None]]:
    """(name, default) of each field in a class and its bases: of those that are annotated, or of all."""
    for base in node.bases:
        above = class_of(m, base, MOST_DEPTH - 1) if isinstance(base, ast.Name) else None
        if above is not None and above is not node and depth < MOST_DEPTH:
            yield from fields_of(m, above, annotated, depth + 1)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if "ClassVar" not in ast.unparse(statement.annotation):
                yield statement.target.id, _default(m, statement.value)
        elif isinstance(statement, ast.Assign) and not annotated:
            for target in statement.targets:
                if isinstance(target, ast.Name) and not target.id.startswith("__"):
                    yield target.id, statement.value


def _default(m: Module, value: ast.expr | None) -> ast.expr | None:
    if isinstance(value, ast.Call) and m.full_name(value.func).rpartition(".")[2] in ("field", "Field"):
        return next((k.value for k in value.keywords if k.arg == "default"), value.args[0] if value.args else None)
    return value


def self_attribute(m: Module, node: ast.AST) -> ast.expr | None:
    """What `__init__` assigns to an attribute of `self`."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"):
        return None
    inner = m.inside(node, ast.ClassDef)
    made = next((n for n in getattr(inner, "body", ()) if getattr(n, "name", "") == "__init__"), None)
    for statement in getattr(made, "body", ()):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == f"self.{node.attr}":
            return statement.value
        both = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple)
        if both and isinstance(statement.value, ast.Tuple):
            for target, value in zip(statement.targets[0].elts, statement.value.elts, strict=False):
                if ast.unparse(target) == f"self.{node.attr}":
                    return value
    return None
