"""Modules that import one another → one module: in dependency order, imports merged, clashing names told apart."""

import ast
import builtins
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from python_minifier.ast_annotation import get_parent
from python_minifier.rename.binding import Binding

from pgolf.errors import BadInput
from pgolf.pack.module import Module, check_foreign
from pgolf.pack.names import MENTIONS_ALL, all_bindings, bind, is_foreign, namespace_of, rename, visible_in

IMPORTS = "imports"  # the part that holds them


@dataclass
class Part:
    """The statements that one module contributes to the flat program."""

    name: str
    body: list[ast.stmt]


def imported_late(modules: Sequence[Module]) -> set[str]:
    """Names of the modules that others import only in the functions that use them."""
    program = _Program(modules)
    at: dict[str, set[bool]] = {}
    for module in modules:
        for name, statement in program.imports_of(module):
            at.setdefault(name, set()).add(statement in module.tree.body)
    return {name for name, at_top in at.items() if at_top == {False}}


def flatten(
    root: Module, others: Sequence[Module], extra: Sequence[Module] = (), without: Set[str] = frozenset()
) -> list[Part]:
    """The program that starts with `root`, as parts in the order in which they run; trees are changed in place.

    `others` are taken as far as they are imported. `extra` modules come after all definitions and before the
    `if __name__ == "__main__"` of `root`: they may replace a definition, by `module.NAME = …`. A function that imports
    a module named in `without` raises ValueError there.
    """
    program = _Program([root, *others, *extra])
    for module in program.modules.values():
        program.leave_out(module, without)
    order = program.in_order([root, *extra])
    _same_future(order)
    for module in order:
        program.declare(module)
    parts = [Part(m.name, program.take_in(m)) for m in order]
    start = []
    for part in parts:
        if part.body and _is_main_guard(part.body[-1]):
            guard = part.body.pop()
            start += [guard] if part.name == root.name else []
    return [Part(IMPORTS, program.merged_imports()), *parts, Part(root.name, start)]


def left_out_message(module: str) -> str:
    return f"{module.rpartition('.')[2]} is not in this packed file"


class _Program:
    """The flat program as it grows, one module after the other."""

    def __init__(self, modules: Sequence[Module]):
        self.modules = {m.name: m for m in modules}
        for module in modules:
            if self.modules[module.name] is not module:
                raise BadInput(f"{module.path} and {self.modules[module.name].path} are both '{module.name}'")
        self.names: dict[str, str] = {}  # what ('module:name', or an import) → its name in the flat program
        self.taken: set[str] = set()
        self.imports: set[tuple[str, str, str]] = set()  # (module or '', name, asname or '')

    def in_order(self, roots: Sequence[Module]) -> list[Module]:
        """Every module after those it imports; one that imports what, in a function, imports it comes last."""
        done: list[Module] = []
        late: list[str] = []

        def visit(module: Module, path: tuple[str, ...]) -> None:
            if module.name in path:
                raise BadInput(f"modules import each other: {' → '.join((*path, module.name))}")
            if module not in done:
                for name, statement in self.imports_of(module):
                    way = (*path, module.name)
                    if statement in module.tree.body or not self.reached_from(name) & set(way):
                        visit(self.modules[name], way)
                    else:
                        late.append(name)
                done.append(module)

        for module in roots:
            visit(module, ())
            while late:
                visit(self.modules[late.pop(0)], ())
        return done

    def reached_from(self, name: str) -> set[str]:
        """This module and those that it imports, directly or not."""
        found, todo = {name}, [name]
        while todo:
            new = {n for n, _ in self.imports_of(self.modules[todo.pop()])} - found
            found |= new
            todo += new
        return found

    def imports_of(self, module: Module) -> Iterator[tuple[str, ast.stmt]]:
        """(module of the program, statement that imports it); BadInput for an import that cannot be packed."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    target, _ = self.target(module, node, alias)
                    if target:
                        yield target, node
                    else:
                        check_foreign(module, node, alias)

    def leave_out(self, module: Module, names: Set[str]) -> None:
        """Let every import of one of these modules be an error, and drop what would come after it."""
        for name, statement in [(n, s) for n, s in self.imports_of(module) if n in names]:
            body = getattr(get_parent(statement), "body", [])
            if statement not in body:
                raise module.refuse(statement, f"{name} must be imported in a plain block to be left out")
            body[body.index(statement) :] = ast.parse(f"raise ValueError({left_out_message(name)!r})").body

    def target(self, module: Module, node: Any, alias: ast.alias) -> tuple[str | None, str | None]:
        """(module of the program, name in it or None for the module itself) that is imported, or (None, None)."""
        if isinstance(node, ast.Import):
            return (alias.name, None) if alias.name in self.modules else (None, None)
        package = module.name.split(".")[: -node.level] if node.level else []
        source = ".".join([*package, *([node.module] if node.module else [])])
        if source in self.modules:
            return source, alias.name
        inner = f"{source}.{alias.name}" if source else alias.name
        return (inner, None) if inner in self.modules else (None, None)

    def declare(self, module: Module) -> None:
        """Give the module's own names, and those it imports at its top level, their names in the flat program."""
        tree = bind(module.tree)
        if tree.tainted and len(self.modules) > 1:
            for name, node in map(_mentions_all, ast.walk(tree)):
                if name:
                    raise module.refuse(node, f"{name} sees the names of one module, and packing merges several")
        for binding in [b for s, b in all_bindings(tree) if s is tree and not is_foreign(b)]:
            name = binding.name
            if not self.resolve_internal(module, tree, binding):
                aliases = [node for node in binding.references if isinstance(node, ast.alias)]
                what = _identity(aliases[0]) if aliases else f"{module.name}:{name}"
                self.rename_global(module, visible_in(tree, binding), binding, self.claim(what, name, module))
            self.names[f"{module.name}:{name}"] = binding.name

    def take_in(self, module: Module) -> list[ast.stmt]:
        """The module's statements with the flat program's names; its leading imports go to `imports`."""
        tree = module.tree
        for scope, binding in [(s, b) for s, b in all_bindings(tree) if s is not tree and not is_foreign(b)]:
            self.resolve_internal(module, scope, binding)
        body: list[ast.stmt] = []
        for statement in tree.body:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                body.append(statement)
            elif all(_is_text(s) for s in body):  # what stands above everything else
                source = statement.module or "" if isinstance(statement, ast.ImportFrom) else ""
                self.imports |= {(source, a.name, a.asname or "") for a in statement.names}
            elif statement.names:
                body.append(statement)
        return body

    def claim(self, what: str, name: str, module: Module) -> str:
        """The flat program's name for `what`, which its module calls `name`."""
        if what not in self.names:
            alone = len(self.modules) == 1
            while not alone and (name in self.taken or hasattr(builtins, name)):
                name = f"{module.name.rpartition('.')[2].strip('_')}_{name}"
            self.names[what] = name
            self.taken.add(name)
        return self.names[what]

    def resolve_internal(self, module: Module, scope: ast.AST, binding: Binding) -> bool:
        """Let what was imported from another module of the program be that module's own name; False if it was not."""
        aliases = [node for node in binding.references if isinstance(node, ast.alias)]
        targets = {self.target(module, get_parent(a), a) for a in aliases}
        if not any(target for target, _ in targets):
            return False
        statement: Any = get_parent(aliases[0])
        if len(aliases) > 1:
            raise module.refuse(statement, f"'{binding.name}' is imported more than once")
        ((target, name),) = targets
        scopes = visible_in(scope, binding)
        uses = [node for node in binding.references if node not in aliases]
        _drop_alias(statement, aliases[0])
        if name is None:
            for node in uses:
                self.replace_attribute(module, scopes, node, str(target))
            return True
        if any(not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)) for node in uses):
            raise module.refuse(statement, f"'{binding.name}' is imported and then bound again")
        if f"{target}:{name}" not in self.names:
            raise module.refuse(statement, f"{target} defines no '{name}'")
        self.rename_global(module, scopes, binding, self.names[f"{target}:{name}"])
        return True

    def replace_attribute(self, module: Module, scopes: set[ast.AST], node: Any, target: str) -> None:
        """`module.NAME` → NAME."""
        attribute = get_parent(node)
        if not isinstance(attribute, ast.Attribute):
            raise module.refuse(node, f"module {target} is used as a value; only `{node.id}.NAME` can be packed")
        what = f"{target}:{attribute.attr}"
        if what not in self.names:
            raise module.refuse(node, f"{target} defines no '{attribute.attr}'")
        if not isinstance(attribute.ctx, ast.Load) and not isinstance(namespace_of(node), ast.Module):
            raise module.refuse(node, f"{node.id}.{attribute.attr} can only be replaced at the module's top level")
        new = self.names[what]
        self.refuse_hidden(module, scopes, node, f"{node.id}.{attribute.attr}", new)
        name = ast.copy_location(ast.Name(new, attribute.ctx), attribute)
        holder = get_parent(attribute)
        for field, value in ast.iter_fields(holder):
            if value is attribute:
                setattr(holder, field, name)
            elif isinstance(value, list):
                value[:] = [name if v is attribute else v for v in value]

    def rename_global(self, module: Module, scopes: set[ast.AST], binding: Binding, new: str) -> None:
        """Give a name of the module its name in the flat program; `scopes` are those that it is seen in."""
        if new == binding.name:
            return
        where = next(node for node in binding.references if hasattr(node, "lineno"))
        if any(isinstance(n, ast.alias) and "." in n.name and not n.asname for n in binding.references):
            raise module.refuse(where, f"'{binding.name}' also names something else; import with `as`")
        self.refuse_hidden(module, scopes, where, binding.name, new)
        rename(binding, new)

    def refuse_hidden(self, module: Module, scopes: set[ast.AST], where: ast.AST, old: str, new: str) -> None:
        inner: Any = scopes - {module.tree}
        if any(b.name == new for scope in inner for b in scope.bindings):
            raise module.refuse(where, f"'{old}' becomes '{new}' in one file, which a local name hides")

    def merged_imports(self) -> list[ast.stmt]:
        plain = [ast.alias(name, asname or None) for source, name, asname in sorted(self.imports) if not source]
        merged: list[ast.stmt] = [ast.Import([alias]) for alias in plain]
        for source in sorted({source for source, _, _ in self.imports if source}):
            names = [ast.alias(n, asname or None) for s, n, asname in sorted(self.imports) if s == source]
            merged.insert(0 if source == "__future__" else len(merged), ast.ImportFrom(source, names, 0))
        return merged


def _identity(alias: ast.alias) -> str:
    """The object that an import binds, and the name: equal pairs in two modules are one object."""
    statement = get_parent(alias)
    source = statement.module if isinstance(statement, ast.ImportFrom) else ""
    name = alias.name if source or alias.asname else alias.name.split(".")[0]
    return f"{source}:{name} as {alias.asname or name}"


def _mentions_all(node: ast.AST) -> tuple[str, ast.AST]:
    """(what sees all names of its module, or '', the node)."""
    match node:
        case ast.Name(id="vars") if getattr(get_parent(node), "args", ()):
            return "", node  # it sees what it is given
        case ast.Name(id=name) if name in MENTIONS_ALL:
            return f"{name}()", node
        case ast.alias(name=name) if name.split(".")[0] in MENTIONS_ALL:
            return name, node
    return "", node


def _drop_alias(statement: Any, alias: ast.alias) -> None:
    """Take one name out of an import; an import within a function that is left with none becomes `pass`."""
    statement.names.remove(alias)
    block: Any = get_parent(statement)
    if not statement.names and not isinstance(block, ast.Module):
        for statements in (getattr(block, field, None) for field in ("body", "orelse", "finalbody")):
            if isinstance(statements, list) and statement in statements:
                statements[statements.index(statement)] = ast.Pass()


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _same_future(modules: Sequence[Module]) -> None:
    """`from __future__` changes a whole file, so either every module has it or none."""
    having = [
        m for m in modules if any(isinstance(s, ast.ImportFrom) and s.module == "__future__" for s in m.tree.body)
    ]
    if having and len(having) < len(modules):
        lacking = next(m for m in modules if m not in having)
        raise having[0].refuse(having[0].tree.body[0], f"`from __future__ import …` here but not in {lacking.path}")
