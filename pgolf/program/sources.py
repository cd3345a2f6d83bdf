"""All sources of a program together: the values of their expressions, and who calls which function.

Where a value depends on a loop or a parameter, `Sources.cases` gives each value that it takes.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pgolf.program.classes import class_of, fields_of, self_attribute
from pgolf.program.constants import (
    FUNCTIONS,
    HERE,
    MOST_CHARS,
    MOST_ITEMS,
    PATH_PARTS,
    UNARY,
    Field,
    NotConstant,
    binary,
    formatted,
    method,
    result,
    unpack,
)
from pgolf.program.syntax import Function, Imported, Loop, Module, Param, parameters

MOST_STEPS, MOST_CASES = 2_000_000, 2000
REFLECTION = {
    *("dataclasses.fields", "dataclasses.asdict", "vars", "dir", "globals", "locals"),
    *("typing.get_type_hints", "inspect.get_annotations"),
}
UNKNOWN = object()  # an element of a list that is known only when the program runs
MOST_WORK = 1 << 29  # characters in all texts that are made on the way


class Sources:
    """All sources of a program together: values of expressions in any of them, and who calls which function.

    `functions` are more functions whose value is constant, by their full names.
    """

    def __init__(self, modules: Sequence[Module], functions: Mapping[str, Callable[..., Any]] = {}) -> None:
        self.modules = modules
        self.functions = {**FUNCTIONS, **functions}
        self.steps = self.work = 0
        self.environment_reads = 0  # how many defaults of variables went into values so far
        self.calls: dict[str, list[tuple[Module, ast.Call]]] = defaultdict(list)
        for module in modules:
            for node in module.nodes:
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    own = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                    name = module.full_name(node.func).rpartition(".")[2] or own
                    self.calls[name].append((module, node))

    def value(self, module: Module, node: ast.AST | None, bound: Mapping[str, Any] = {}) -> Any:
        """The value of an expression; NotConstant if it has none before the program runs."""
        try:
            return self._value(module, node, bound, 0)
        except NotConstant:
            raise
        except RecursionError:
            raise NotConstant from None
        except Exception:  # whatever a stranger's constants do to a function that is called with them
            raise NotConstant from None

    def known(self, module: Module, node: ast.AST | None, bound: Mapping[str, Any] = {}) -> Any:
        """The value of an expression, or None."""
        try:
            return self.value(module, node, bound)
        except NotConstant:
            return None

    def _value(self, module: Module, node: ast.AST | None, bound: Mapping[str, Any], depth: int) -> Any:
        self.steps += 1
        if self.steps > MOST_STEPS or depth > 60 or node is None:
            raise NotConstant
        value = self._evaluate(module, node, bound, depth + 1)
        if value is UNKNOWN:
            raise NotConstant
        if isinstance(value, str | bytes):
            self.work += len(value)
            if len(value) > MOST_CHARS or self.work > MOST_WORK:
                raise NotConstant
        if isinstance(value, list | tuple | dict) and len(value) > MOST_ITEMS:
            raise NotConstant
        return value

    def _evaluate(self, m: Module, node: ast.AST, bound: Mapping[str, Any], depth: int) -> Any:
        def value(n: ast.AST | None) -> Any:
            return self._value(m, n, bound, depth)

        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._name(m, node, bound, depth)
            case ast.Attribute():
                return self._attribute(m, node, bound, depth)
            case ast.UnaryOp():
                return UNARY[type(node.op)](value(node.operand))
            case ast.BinOp():
                return binary(node.op, value(node.left), value(node.right))
            case ast.JoinedStr():
                return "".join(map(str, map(value, node.values)))
            case ast.FormattedValue():
                return formatted(value(node.value), value(node.format_spec) if node.format_spec else "")
            case ast.Tuple() | ast.List() | ast.Set():
                return [self._or(UNKNOWN, m, n, bound, depth) for n in node.elts]
            case ast.IfExp():
                return value(node.body if value(node.test) else node.orelse)
            case ast.DictComp():
                rounds = self._rounds(m, node.generators, bound, depth)
                return {self._value(m, node.key, b, depth): self._or(None, m, node.value, b, depth) for b in rounds}
            case ast.Dict():
                items = zip(node.keys, node.values, strict=True)
                return {value(k): self._or(None, m, v, bound, depth) for k, v in items}
            case ast.Subscript():
                return value(node.value)[value(node.slice)]
            case ast.Slice():
                return slice(*(None if n is None else value(n) for n in (node.lower, node.upper, node.step)))
            case ast.NamedExpr():
                return value(node.value)
            case ast.Call():
                return self._call(m, node, bound, depth)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return [self._value(m, node.elt, b, depth) for b in self._rounds(m, node.generators, bound, depth)]
        raise NotConstant

    def _or(self, other: Any, m: Module, node: ast.AST, bound: Mapping[str, Any], depth: int) -> Any:
        try:
            return self._value(m, node, bound, depth)
        except NotConstant:
            return other

    def _rounds(
        self, m: Module, generators: list[ast.comprehension], bound: Mapping[str, Any], depth: int
    ) -> Iterator[Mapping[str, Any]]:
        if not generators:
            yield bound
            return
        for item in self._value(m, generators[0].iter, bound, depth):
            yield from self._rounds(m, generators[1:], {**bound, **unpack(generators[0].target, item)}, depth)

    def _name(self, m: Module, node: ast.Name, bound: Mapping[str, Any], depth: int) -> Any:
        if node.id in bound:
            return bound[node.id]
        if node.id == "__file__":
            return str(HERE / m.path)
        binding = m.value(node.id, node)
        if isinstance(binding, Imported) and not callable(self.functions.get(binding.name, len)):
            return self.functions[binding.name]
        if isinstance(binding, Imported):
            return self._imported(binding.name, depth)
        if not isinstance(binding, ast.expr):
            raise NotConstant
        return self._value(m, binding, {}, depth)

    def _imported(self, name: str, depth: int) -> Any:
        module, _, name = name.rpartition(".")
        for other in self.modules:
            if other.path.removesuffix(".py").endswith(module.replace(".", "/")) and module:
                binding = other.bindings.get(other.tree, {}).get(name, [None])
                if len(binding) == 1 and isinstance(binding[0], ast.expr):
                    return self._value(other, binding[0], {}, depth)
        raise NotConstant

    def _attribute(self, m: Module, node: ast.Attribute, bound: Mapping[str, Any], depth: int) -> Any:
        if node.attr in ("__dict__", "__annotations__", "__dataclass_fields__", "_fields"):
            return self._reflected(m, node.attr, node.value, depth)
        if made := self_attribute(m, node):
            return self._value(m, made, bound, depth)
        try:
            base = self._value(m, node.value, bound, depth)
        except NotConstant:
            name = m.full_name(node)
            if name in self.functions and not callable(self.functions[name]):
                return self.functions[name]
            return self._value(m, class_attribute(m, node.attr), {}, depth)
        if isinstance(base, PurePosixPath) and node.attr in PATH_PARTS:
            return getattr(base, node.attr)
        if isinstance(base, Field) and node.attr in ("name", "default"):
            return getattr(base, node.attr)
        raise NotConstant

    def _call(self, m: Module, node: ast.Call, bound: Mapping[str, Any], depth: int) -> Any:
        read = environment_read(m, node)
        if read:
            self.environment_reads += 1
            return self._value(m, read[1], bound, depth)
        name = m.full_name(node.func)
        if name in REFLECTION or (isinstance(node.func, ast.Attribute) and node.func.attr == "_asdict"):
            return self._reflected(m, name, [*node.args, getattr(node.func, "value", node)][0], depth)
        args = [self._value(m, a, bound, depth) for a in node.args]
        keywords = {str(k.arg): self._value(m, k.value, bound, depth) for k in node.keywords}
        if name in self.functions:
            return self.functions[name](*args, **keywords)
        if isinstance(node.func, ast.Attribute):
            try:
                base = self._value(m, node.func.value, bound, depth)
            except NotConstant:
                base = None
            if isinstance(base, PurePosixPath) and node.func.attr in ("read_bytes", "read_text", "open"):
                return self._read(base, node.func.attr, args, keywords)
            return method(base, node.func.attr, args, keywords)
        function = m.value(node.func.id, node) if isinstance(node.func, ast.Name) else None
        if isinstance(function, ast.FunctionDef | ast.Lambda):
            inner = self.arguments(m, function, m, node, bound)
            return self._value(m, result(function), inner, depth)
        raise NotConstant

    def _reflected(self, m: Module, name: str, of: ast.expr, depth: int) -> Any:
        """Of a class: its fields by name, as `vars`, `dataclasses.fields` and the like give them."""
        if name in ("globals", "locals"):
            bound = {k: b[0] for k, b in m.bindings.get(m.tree, {}).items() if not k.startswith("_")}
            simple = ast.Constant | ast.UnaryOp | ast.BinOp
            plain = {k: self._or(None, m, b, {}, depth) for k, b in bound.items() if isinstance(b, simple)}
            return {k: v for k, v in plain.items() if isinstance(v, int | float | str)}
        where, made = self._class(m, of)
        if made is None:
            raise NotConstant
        fields = dict(fields_of(where, made, annotated=name not in ("vars", "__dict__", "dir")))
        values = {k: self._or(None, where, v, {}, depth) if v else None for k, v in fields.items()}
        if name in ("dataclasses.fields", "__dataclass_fields__"):
            found = {k: Field(k, v) for k, v in values.items()}
            return found if name == "__dataclass_fields__" else list(found.values())
        return list(values) if name in ("dir", "_fields") else values

    def _class(self, m: Module, of: ast.expr) -> tuple[Module, ast.ClassDef | None]:
        if found := class_of(m, of):
            return m, found
        name = m.full_name(of.func if isinstance(of, ast.Call) else of).rpartition(".")[2]
        for other in self.modules:
            for binding in other.bindings.get(other.tree, {}).get(name, ()):
                if isinstance(binding, ast.ClassDef):
                    return other, binding
        return m, None

    def _read(self, path: PurePosixPath, name: str, args: list[Any], keywords: dict[str, Any]) -> Any:
        if "open" not in self.functions:
            raise NotConstant
        if name == "open":
            return self.functions["open"](path, *args, **keywords)
        return self.functions["open"](path, "rb" if name == "read_bytes" else "r", *args[:0], **keywords).read()

    def arguments(
        self, m: Module, function: Function, caller: Module, call: ast.Call, bound: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The parameters of a function in one call, those that are constant. Further positional ones are a list."""
        a = function.args
        positional = [p.arg for p in (*a.posonlyargs, *a.args)]
        if positional and positional[0] in ("self", "cls") and isinstance(m.parents.get(function), ast.ClassDef):
            positional = positional[1:]
        given: dict[str, Any] = {}
        defaults = [*zip(reversed([*a.posonlyargs, *a.args]), reversed(a.defaults), strict=False)]
        for parameter, default in [*defaults, *zip(a.kwonlyargs, a.kw_defaults, strict=True)]:
            given[parameter.arg] = (m, default, {})
        for name, node in zip(positional, call.args, strict=False):
            given[name] = (caller, node, bound)
        for keyword in call.keywords:
            if keyword.arg:
                given[keyword.arg] = (caller, keyword.value, bound)
        found = {}
        for name, (where, node, inner) in given.items():
            try:
                found[name] = self.value(where, node, inner)
            except NotConstant:
                continue
        if a.vararg:
            found[a.vararg.arg] = [self.known(caller, n, bound) for n in call.args[len(positional) :]]
        return found

    def cases(self, m: Module, nodes: Sequence[ast.AST | None], depth: int = 0) -> Iterator[dict[str, Any]]:
        """The values that names in loops and parameters take where `nodes` are evaluated, one case after another."""
        yield from self._cases(m, [n for n in nodes if n], {}, depth)

    def _cases(self, m: Module, nodes: list[ast.AST], bound: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
        binder = self._binder(m, nodes, bound)
        if binder is None or depth > 6:
            yield bound
            return
        for i, values in enumerate(self._values_of(m, binder, depth)):
            if i >= MOST_CASES:
                return
            yield from self._cases(m, nodes, {**values, **bound}, depth + 1)

    def _binder(self, m: Module, nodes: list[ast.AST], bound: Mapping[str, Any]) -> Loop | Param | None:
        made = [expr for top in nodes for node in ast.walk(top) if (expr := self_attribute(m, node))]
        for top in [*nodes, *made]:
            for node in ast.walk(top):
                if isinstance(node, ast.Name) and node.id not in bound and node.id not in ("self", "cls"):
                    binding = m.lookup(node.id, node)
                    if binding and isinstance(binding[0], Loop | Param):
                        return binding[0]
        return None

    def _values_of(self, m: Module, binder: Loop | Param, depth: int) -> Iterator[dict[str, Any]]:
        if isinstance(binder, Loop):
            for outer in self.cases(m, [binder.iterable], depth + 1):
                for item in self.known(m, binder.iterable, outer) or []:
                    try:
                        targets = unpack(binder.target, item)
                    except NotConstant:  # an item that does not fit its loop's target
                        continue
                    yield {**outer, **targets}
            return
        calls = self.calls_of(m, binder.function)
        if not calls:
            yield dict.fromkeys(parameters(binder.function))
        for caller, call in calls:
            for outer in self.cases(caller, [*call.args, *(k.value for k in call.keywords)], depth + 1):
                found = self.arguments(m, binder.function, caller, call, outer)
                yield {**dict.fromkeys(parameters(binder.function), None), **found}

    def calls_of(self, m: Module, function: Function) -> list[tuple[Module, ast.Call]]:
        """The calls of a function, by its name."""
        parent = m.parents.get(function)
        if isinstance(function, ast.Lambda):
            targets = parent.targets if isinstance(parent, ast.Assign) else []
            return [c for t in targets if isinstance(t, ast.Name) for c in self.calls.get(t.id, [])]
        if function.name == "__init__" and isinstance(parent, ast.ClassDef):
            return self.calls.get(parent.name, [])
        return self.calls.get(function.name, [])


def environment_read(m: Module, node: ast.Call) -> tuple[ast.expr, ast.expr | None] | None:
    """(name, default) of a call that reads an environment variable."""
    name = m.full_name(node.func)
    if name not in ("os.environ.get", "os.getenv", "os.environ.setdefault", "os.environ.pop"):
        return None
    given = {k.arg: k.value for k in node.keywords}
    first = node.args[0] if node.args else given.get("key")
    return (first, node.args[1] if len(node.args) > 1 else given.get("default")) if first else None


def class_attribute(m: Module, name: str) -> ast.expr | None:
    """What a class of the module gives an attribute in its body, if just one does."""
    found = [
        binding
        for scope, bound in m.bindings.items()
        if isinstance(scope, ast.ClassDef)
        for binding in bound.get(name, ())
    ]
    return found[0] if len(found) == 1 and isinstance(found[0], ast.expr) else None
