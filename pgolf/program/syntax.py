"""Python source as a tree that knows its names: which scope binds them, and which statements are certain to run.

Nothing is imported or executed. A name means the first of its bindings in the innermost scope that has one; this is
less than Python knows when it runs, and enough for sources that are written to be read.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

MOST_DEPTH = 200  # of names that stand for names
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Loop:
    """A name that takes the values of an iterable in turn."""

    target: ast.expr
    iterable: ast.expr
    at: ast.AST  # the loop or comprehension


@dataclass(frozen=True)
class Param:
    """A parameter of a function."""

    function: Function


@dataclass(frozen=True)
class Imported:
    """A module, or a name in one, by its full name."""

    name: str


Binding = ast.expr | ast.ClassDef | Function | Loop | Param | Imported | None  # None: something else


class Module:
    """One source file, or one layer of a file that unpacks itself.

    `path` is among the program's files; `label` names it in sentences. `sure` says of each node whether it certainly
    runs when the program does (`main`: the module is its script; `imported`: it is certain to be imported); nodes for
    type checkers only are left out.
    """

    def __init__(self, path: str, label: str, tree: ast.Module, main: bool = False, imported: bool = True) -> None:
        self.path, self.label, self.tree, self.main, self.imported = path, label, tree, main, imported
        self.parents: dict[ast.AST, ast.AST] = {}
        self.sure: dict[ast.AST, bool] = {}
        self._walk()

    def _walk(self) -> None:
        """Fill in `parents` and `sure`; repeated while more functions turn out to be called for certain."""
        called: set[str] = set()
        for _ in range(20):
            found = set(called)
            self.sure = {}
            stack: list[tuple[ast.AST, bool]] = [(self.tree, self.imported)]
            while stack:
                node, sure = stack.pop()
                self.sure[node] = sure
                if sure and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    found.add(node.func.id)
                children = list(self._children(node, sure, called))
                for child, _ in children:
                    self.parents[child] = node
                stack.extend(reversed(children))
            if found == called:
                break
            called = found

    def _children(self, node: ast.AST, sure: bool, called: set[str]) -> Iterator[tuple[ast.AST, bool]]:
        if isinstance(node, ast.If):
            name = ast.unparse(node.test) if isinstance(node.test, ast.Name | ast.Attribute | ast.Compare) else ""
            started = self.main and name in ("__name__ == '__main__'", "'__main__' == __name__")
            yield node.test, sure
            if name.rpartition(".")[2] != "TYPE_CHECKING":
                yield from ((n, sure and started) for n in node.body)
            yield from ((n, sure and name.rpartition(".")[2] == "TYPE_CHECKING") for n in node.orelse)
        elif isinstance(node, ast.IfExp):
            yield from ((node.test, sure), (node.body, False), (node.orelse, False))
        elif isinstance(node, ast.Try):
            ends = all(isinstance(h.body[-1], ast.Raise) or _exits(h.body[-1]) for h in node.handlers)
            yield from ((n, sure and ends) for n in node.body)
            yield from ((n, False) for n in node.handlers)
            yield from ((n, sure and ends) for n in node.orelse)
            yield from ((n, sure) for n in node.finalbody)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((n, sure) for n in (*node.decorator_list, node.args, *([node.returns] if node.returns else [])))
            runs = node.name in called and not isinstance(self.parents.get(node), ast.ClassDef)
            for statement in node.body:
                yield statement, runs
                runs = runs and not _may_return(statement)
        elif isinstance(node, ast.Lambda):
            yield from ((node.args, sure), (node.body, False))
        elif isinstance(node, ast.With):
            catches = any("suppress" in ast.unparse(i.context_expr)[:40] for i in node.items)
            yield from ((n, sure) for n in node.items)
            yield from ((n, sure and not catches) for n in node.body)
        elif isinstance(node, ast.match_case):
            yield from ((n, False) for n in ast.iter_child_nodes(node))
        else:
            yield from ((n, sure) for n in ast.iter_child_nodes(node))

    @property
    def nodes(self) -> Iterable[ast.AST]:
        """All nodes, in the order of the source."""
        return self.sure

    @cached_property
    def bindings(self) -> dict[ast.AST, dict[str, list[Binding]]]:
        """What each scope binds its names to."""
        found: dict[ast.AST, dict[str, list[Binding]]] = defaultdict(lambda: defaultdict(list))
        for node in self.nodes:
            if isinstance(node, SCOPES[1:-1]):
                found[self.scope(node)][node.name].append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                for parameter in parameters(node):
                    found[node][parameter].append(Param(node))
            for name, binding in _bound(node):
                found[self.scope(node)][name].append(binding)
        return found

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, class or module that a node is in."""
        while not isinstance(node := self.parents.get(node, self.tree), SCOPES):
            pass
        return node

    def lookup(self, name: str, at: ast.AST) -> list[Binding]:
        """What a name is bound to where it is used; [] for one that the module does not bind."""
        node, inside = at, False  # inside: a function lies between, which does not see the names of a class
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.For | ast.AsyncFor) and name in names(node.target):
                return [Loop(node.target, node.iter, node)]
            if isinstance(node, COMPREHENSIONS):
                for generator in node.generators:
                    if name in names(generator.target):
                        return [Loop(generator.target, generator.iter, node)]
            elif isinstance(node, SCOPES):
                if not (isinstance(node, ast.ClassDef) and inside) and name in self.bindings.get(node, {}):
                    return self.bindings[node][name]
                inside = inside or not isinstance(node, ast.ClassDef)
        return []

    def value(self, name: str, at: ast.AST) -> Binding:
        """The only thing that a name stands for where it is used; None if there are several or it is unknown."""
        found = self.lookup(name, at)
        return found[0] if len(found) == 1 else self._latest(found, at)

    def _latest(self, found: list[Binding], at: ast.AST) -> Binding:
        """The last of several values given before `at`, where all are given one after another and unconditionally."""
        scope, before = self.scope(at), None
        for binding in found:
            if not isinstance(binding, ast.expr) or not isinstance(at, ast.expr):
                return None
            statement = self.parents[binding]
            if self.parents.get(statement) is not scope or not isinstance(statement, ast.Assign):
                return None
            if (statement.end_lineno, statement.end_col_offset) <= (at.lineno, at.col_offset):
                before = binding
        return before

    def added(self, name: str, at: ast.AST) -> list[ast.expr]:
        """What `name += …` adds to a name in the scope of `at`."""
        return self._added.get((self.scope(at), name), [])

    @cached_property
    def _added(self) -> dict[tuple[ast.AST, str], list[ast.expr]]:
        found: dict[tuple[ast.AST, str], list[ast.expr]] = defaultdict(list)
        for node in self.nodes:
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                found[self.scope(node), node.target.id].append(node.value)
        return found

    def full_name(self, node: ast.AST, depth: int = 0) -> str:
        """The full name of a function or module in use: 'os.environ.get' of `E` after `E = os.environ.get`.

        '' for other expressions; a name that the module does not bind (`open`) stands for itself, and one that it
        defines begins with a dot.
        """
        if depth > MOST_DEPTH:
            return ""
        if isinstance(node, ast.Attribute):
            base = self.full_name(node.value, depth + 1)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Call):
            name = self.full_name(node.func, depth + 1)
            if name in ("__import__", "importlib.import_module") and node.args:
                text = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                return text if isinstance(text, str) else ""
            if name == "getattr" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                return f"{self.full_name(node.args[0], depth + 1)}.{node.args[1].value!s}"
            if name == "dict" and node.args:
                name = self.full_name(node.args[0], depth + 1)
            return "os.environ" if name in ("os.environ", "os.environ.copy") else ""
        if isinstance(node, ast.NamedExpr):
            return self.full_name(node.value, depth + 1)
        if not isinstance(node, ast.Name):
            return ""
        found = self.lookup(node.id, node)
        for binding in found[:3]:
            if isinstance(binding, Imported):
                return binding.name
            if isinstance(binding, ast.FunctionDef | ast.ClassDef):
                return f".{binding.name}"
            if isinstance(binding, Param):
                binding = parameter_default(binding.function, node.id)
            if isinstance(binding, ast.Name | ast.Attribute | ast.Call) and binding is not node:
                same = isinstance(binding, ast.Name) and binding.id == node.id
                if not same and (name := self.full_name(binding, depth + 1)):
                    return name
        return "" if found else node.id

    def inside(self, node: ast.AST, kind: type | tuple[type, ...]) -> ast.AST | None:
        """The innermost node of a kind that a node is in."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, kind):
                return node
        return None


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters, in order."""
    a = function.args
    rest = [p for p in (a.vararg, a.kwarg) if p]
    return [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, *rest)]


def parameter_default(function: Function, name: str) -> ast.expr | None:
    """The default of a function's parameter, if it has one."""
    a = function.args
    positional = zip(reversed([*a.posonlyargs, *a.args]), reversed(a.defaults), strict=False)
    return next((d for p, d in [*positional, *zip(a.kwonlyargs, a.kw_defaults, strict=True)] if p.arg == name), None)


def names(target: ast.expr) -> list[str]:
    """The names that an assignment's target binds."""
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]


def _bound(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    """(name, binding) of each name that a node other than a definition binds."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield from _assigned(node.target, node.value)
    elif isinstance(node, ast.NamedExpr):
        yield node.target.id, node.value
    elif isinstance(node, ast.AugAssign):
        yield from ((name, None) for name in names(node.target) if isinstance(node.target, ast.Name))
    elif isinstance(node, ast.For | ast.AsyncFor):
        yield from ((name, Loop(node.target, node.iter, node)) for name in names(node.target))
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield from _assigned(node.optional_vars, node.context_expr)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield alias.asname or top, Imported(alias.name if alias.asname else top)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, Imported(f"{node.module or ''}.{alias.name}".lstrip("."))


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Binding]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        values = value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) else None
        for i, part in enumerate(target.elts):
            if values:
                yield from _assigned(part, values[i])
            else:
                yield from ((name, None) for name in names(part) if isinstance(part, ast.Name))


def _exits(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "exit", "quit", "os._exit")


def _may_return(statement: ast.stmt) -> bool:
    """Whether what follows a statement of a function may not be reached, although nothing failed."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            return True
        if not isinstance(node, SCOPES):
            stack.extend(n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt | ast.ExceptHandler))
    return False
