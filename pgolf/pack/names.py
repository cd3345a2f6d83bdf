"""Which names a program binds, in which scope, and where each is mentioned. The analysis is python-minifier's."""

import ast
from collections.abc import Iterator
from typing import Any

from python_minifier.ast_annotation import add_parent, get_parent
from python_minifier.rename.bind_names import bind_names
from python_minifier.rename.binding import Binding, BuiltinBinding
from python_minifier.rename.mapper import add_namespace
from python_minifier.rename.renamer import all_bindings
from python_minifier.rename.renamer import reservation_scope as visible_in
from python_minifier.rename.resolve_names import resolve_names

__all__ = ["MENTIONS_ALL", "all_bindings", "ancestors", "bind", "is_foreign", "namespace_of", "rename", "visible_in"]

MENTIONS_ALL = ("globals", "locals", "vars", "exec", "eval", "timeit")  # a program that calls these sees its own names


def bind(tree: ast.Module) -> Any:
    """Analyse `tree` anew: its nodes then know their parent and `namespace`, its scopes their `bindings`.

    `tree.tainted` says that it mentions one of MENTIONS_ALL, so that no name may change.
    """
    add_parent(tree)
    add_namespace(tree)
    bind_names(tree)
    resolve_names(tree)
    return tree


def namespace_of(node: Any) -> ast.AST:
    """The module, class or function whose scope a node of a bound tree is in."""
    namespace: ast.AST = node.namespace
    return namespace


def ancestors(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes around `node` from the inside out; the tree must know its parents."""
    while not isinstance(node, ast.Module):
        node = get_parent(node)
        yield node


def is_foreign(binding: Binding) -> bool:
    """Whether it is a builtin, or a name that the program uses and never binds."""
    return isinstance(binding, BuiltinBinding) or all(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) for node in binding.references
    )


def rename(binding: Binding, new: str) -> None:
    """Write `new` wherever the name is mentioned."""
    for node in binding.references:
        match node:
            case ast.Name():
                node.id = new
            case ast.arg():
                node.arg = new
            case ast.alias():
                node.asname = None if node.name == new else new
            case ast.Global() | ast.Nonlocal():
                node.names = [new if name == binding.name else name for name in node.names]
            case ast.MatchMapping():
                node.rest = new
            case _:  # functions, classes, exception handlers, match patterns
                node.name = new
    binding._name = new
