"""How many ranks a source refuses to run on, where it says so itself."""

import ast
from collections.abc import Iterator

from pgolf.program.sources import Sources

MOST = 1 << 20


def ranks_divide(sources: Sources) -> int | None:
    """The number that the ranks have to divide, by a condition that raises: `if 8 % world_size != 0: raise …`, or the
    same as an assertion. None: no source says so."""
    for m in sources.modules:
        for node in m.nodes:
            if not isinstance(node, ast.If | ast.Assert):
                continue
            refuses = isinstance(node, ast.Assert) or any(isinstance(line, ast.Raise) for line in node.body)
            if refuses and (found := next(_remainders(node.test), None)):
                return found
    return None


def _remainders(test: ast.expr) -> Iterator[int]:
    """Each number whose remainder by the world size a condition is about, if it is about nothing else."""
    node: ast.expr = test
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and ast.unparse(node.comparators[0]) == "0":
        node = node.left
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node = node.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        by = node.right.attr if isinstance(node.right, ast.Attribute) else ast.unparse(node.right)
        number = node.left.value
        if by.lower().strip("_") == "world_size" and type(number) is int and 0 < number < MOST:
            yield number
