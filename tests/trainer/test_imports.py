"""Modules of the trainer import one another one way, also where they do so in a function."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from pgolf import trainer

PREFIX = f"{trainer.__name__}."


def imported_by(path: Path) -> set[str]:
    """The trainer's modules that this one imports, at the top or in a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == trainer.__name__:
            names |= {PREFIX + alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}


def test_no_module_imports_those_that_import_it():
    graph = {path.stem: imported_by(path) for path in Path(trainer.__path__[0]).glob("*.py")}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert {"cpu_kernels", "smear_gate", "doc_attention"} <= graph["model"] | graph["blocks"] | graph["score"]
    assert order.index("primitives") < order.index("blocks") < order.index("model") < order.index("head")
