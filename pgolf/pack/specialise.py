"""Leaving out what a preset switches off: branches that its knobs decide are cut to the side that is taken."""

import ast
from dataclasses import replace
from typing import Any

from pgolf.knobs import FREE
from pgolf.pack.flatten import Part
from pgolf.trainer.config import KNOB_TYPES, Config, Knob

EVALUABLE = (ast.Constant, ast.Compare, ast.BinOp, ast.UnaryOp, ast.cmpop, ast.operator, ast.unaryop, ast.expr_context)
GUARD = """
for name, value in {fixed}.items():
    if getattr(self, name) != value:
        raise ValueError(f"knob {{name}} is fixed to {{value}} in this packed file")
"""


def specialise(parts: list[Part], knobs: dict[str, Any]) -> set[str]:
    """Cut branches, in place; the knobs that decided one. Setting those to another value is refused at the start."""
    config = replace(Config(), **knobs)
    values = {name: getattr(config, name) for name in KNOB_TYPES.keys() - FREE}
    decided = cut(parts, values)
    fixed = {name: values[name] for name in sorted(decided)}
    config_init(parts).body += ast.parse(GUARD.format(fixed=fixed)).body
    return decided


def cut(parts: list[Part], values: dict[str, Knob]) -> set[str]:
    """Cut the branches that knobs of these values decide, in place; the knobs that decided one."""
    fold = _Fold(values)
    for part in parts:
        part.body = fold.visit(ast.Module(part.body, [])).body
    return fold.decided


def config_class(parts: list[Part]) -> ast.ClassDef:
    """The class whose fields are the knobs."""
    return next(s for part in parts for s in part.body if isinstance(s, ast.ClassDef) and s.name == Config.__name__)


def config_init(parts: list[Part]) -> ast.FunctionDef:
    """The function that runs when the knobs are known and nothing else has happened."""
    return next(s for s in config_class(parts).body if isinstance(s, ast.FunctionDef) and s.name == "__post_init__")


class _Fold(ast.NodeTransformer):
    """Replaces `if` statements and expressions that the knobs' values decide."""

    def __init__(self, values: dict[str, Knob]):
        self.values = values
        self.decided: set[str] = set()

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        decision = self.decide(node.test)
        if decision is None:
            return node
        return (node.body if decision else node.orelse) or [ast.Pass()]

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        decision = self.decide(node.test)
        return node if decision is None else node.body if decision else node.orelse

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        ends = [i for i, s in enumerate(node.body) if isinstance(s, ast.Return | ast.Raise)]
        node.body = node.body[: ends[0] + 1] if ends else node.body
        return node

    def decide(self, test: ast.expr) -> bool | None:
        """The truth of `test`, or None where more than the knobs decides it."""
        match test:
            case ast.BoolOp(op=op, values=operands):
                decisive = isinstance(op, ast.Or)
                found = [self.decide(operand) for operand in operands]
                return decisive if decisive in found else None if None in found else not decisive
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.decide(operand)
                return None if inner is None else not inner
        used = {n.attr for n in ast.walk(test) if isinstance(n, ast.Attribute) and self.is_knob(n)}
        constant = _Substitute(self).visit(ast.parse(ast.unparse(test), mode="eval"))
        if not used or not all(isinstance(n, EVALUABLE) for n in ast.walk(constant.body)):
            return None
        self.decided |= used
        return bool(eval(compile(ast.fix_missing_locations(constant), "knobs", "eval")))

    def is_knob(self, node: ast.Attribute) -> bool:
        """Whether `node` is `cfg.<knob>` or `<something>.cfg.<knob>`."""
        owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
        return owner == "cfg" and node.attr in self.values


class _Substitute(ast.NodeTransformer):
    def __init__(self, fold: _Fold):
        self.fold = fold

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Constant(self.fold.values[node.attr]) if self.fold.is_knob(node) else self.generic_visit(node)
