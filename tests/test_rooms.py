"""Imports go one way between the rooms of the house, and each room imports only the packages that it has a use for.

Every import counts: also one inside a function, and one that only a type checker sees.
"""

import ast
import sys
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
# any room but the trainer may import these; they import one another only
LIGHT = {
    "__version__",
    "cores",
    "errors",
    "files",
    "knobs",
    "pace",
    "phrases",
    "python_source",
    "requirements",
    "sources",
    "stages",
}
LIGHT |= {"tracks", "untrusted"}
FACTS = {"evidence", "stats", "ledger"}
TRAINING = {"trainer", "presets", "data", "pods", "pack"}


class Room(NamedTuple):
    """The rooms that a room may import beside itself and LIGHT, and the packages that are not of Python itself."""

    rooms: Set[str] = frozenset()
    packages: Set[str] = frozenset()


HOUSE = {
    "errors": Room(),
    "files": Room(),
    "untrusted": Room(),
    "python_source": Room(),
    "pace": Room(),
    "phrases": Room(),
    "cores": Room(),
    "tracks": Room(),
    "knobs": Room(),
    "requirements": Room(),
    "sources": Room(),
    "stages": Room(),
    "notify": Room(set(), {"httpx"}),
    "decompress": Room(set(), {"brotli"}),  # only where there is one
    # from the evidence of a record to what is said of it: numpy, scipy and pydantic; a page takes three packages more
    "evidence": Room({"decompress"}, {"numpy", "pydantic"}),
    "stats": Room(set(), {"numpy", "scipy"}),
    "ledger": Room({"evidence", "stats"}, {"numpy", "pydantic"}),
    "audit": Room(FACTS, {"numpy"}),
    # what a seed runs, read and never run: no torch
    "program": Room({"evidence", "decompress"}, {"packaging", "pydantic"}),
    "report": Room(FACTS | {"audit", "program"}, {"jinja2", "markupsafe", "matplotlib", "rich"}),
    # a folder, its audit and its pull request, in a clone of the archive
    "upstream": Room(FACTS | {"audit", "report"}),
    # what trains a model: the trainer imports nothing of pgolf, since it is packed into one file
    "trainer": Room(set(), {"torch", "numpy", "sentencepiece", "brotli", "constriction", "flash_attn_interface"}),
    "presets": Room({"trainer"}),
    "data": Room({"trainer"}, {"numpy", "torch", "sentencepiece", "pyarrow", "huggingface_hub", "filelock"}),
    "pods": Room(set(), {"asyncssh", "httpx", "tenacity", "psutil", "filelock", "pydantic", "huggingface_hub"}),
    "pack": Room({"trainer", "decompress"}, {"brotli", "python_minifier"}),
    "describe": Room({"trainer", "presets"}, {"torch"}),
    "fit": Room({"evidence", "trainer", "presets"}, {"torch"}),
    "artifact": Room({"trainer", "presets", "data"}, {"torch", "numpy"}),
    "legality": Room({"evidence", "artifact", *TRAINING - {"pods"}}, {"torch", "numpy", "sentencepiece", "rich"}),
    # what puts both together
    "record": Room(
        {"audit", "report", "program", "artifact", "describe", "legality", "notify", *FACTS, *TRAINING},
        {"numpy", "torch", "filelock", "rich", "pydantic"},
    ),
    "sweep": Room({"record", "program", "audit", "report", "artifact", *FACTS, *TRAINING}, {"numpy", "pydantic"}),
    "train": Room({"record", "presets", "data", "trainer", "pack", "describe", "unpacked"}, {"torch"}),
    "unpacked": Room({"trainer"}),
    "doctor": Room({"ledger", "notify", "pods", "presets", "record"}, {"torch", "httpx", "packaging"}),
}
HOUSE["flows"] = Room(set(HOUSE), {"prefect", "torch", "httpx", "uvicorn"})
HOUSE["cli"] = Room(set(HOUSE), {"typer", "rich"})

MODULES = [*(ROOT / "pgolf").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]


def room_of(module: str) -> str:
    """`pgolf.audit.checks` is in `audit`, and `flows.record` in `flows`."""
    first, *rest = module.split(".")
    return rest[0] if first == "pgolf" and rest else first


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name of the module"
            within = [f"pgolf.{alias.name}" for alias in node.names] if node.module == "pgolf" else [str(node.module)]
            yield from ((node.lineno, module) for module in within)


def forbidden(path: Path) -> Iterator[str]:
    room = room_of(name_of(path))
    allowed = HOUSE[room]
    for line, module in imports(path):
        first, target = module.split(".")[0], room_of(module)
        if first in ("pgolf", "flows"):
            light = LIGHT if room != "trainer" else set()
            wrong = target not in {room, "pgolf", *light, *allowed.rooms}
        else:
            wrong = first not in sys.stdlib_module_names and first not in allowed.packages
        if wrong:
            yield f"{path.relative_to(ROOT)}:{line}: {room} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_room_may(path):
    if (room := room_of(name_of(path))) == "pgolf":
        return  # pgolf/__init__.py
    assert room in HOUSE, f"give {room} its place in the table above"
    assert not list(forbidden(path))


def test_the_arrows_between_rooms_make_no_circle():
    done: set[str] = set()
    while left := {name for name in HOUSE if name not in done}:
        ready = {name for name in left if HOUSE[name].rooms <= done | {name}}
        assert ready, f"each of {sorted(left)} waits for another"
        done |= ready


def test_the_table_names_only_rooms_that_there_are():
    assert set(HOUSE) <= {room_of(name_of(path)) for path in MODULES}


def test_pgolf_itself_imports_nothing():
    assert not list(imports(ROOT / "pgolf" / "__init__.py"))


def test_light_rooms_import_nothing_heavier():
    assert all(HOUSE[name] == Room() for name in LIGHT - {"__version__"})


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("pgolf/evidence/x.py", "def f():\n    import torch\n", "2: evidence imports torch"),
        ("pgolf/audit/x.py", "from pgolf.data.documents import y\n", "1: audit imports pgolf.data.documents"),
        ("pgolf/stats/x.py", "from pgolf import ledger\n", "1: stats imports pgolf.ledger"),
        (
            "pgolf/report/x.py",
            "if TYPE_CHECKING:\n    from pgolf.flows import y\n",
            "2: report imports pgolf.flows",
        ),
        ("pgolf/trainer/x.py", "from pgolf.files import y\n", "1: trainer imports pgolf.files"),
    ],
)
def test_a_wrong_arrow_is_seen(module, source, said, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert [where for where in forbidden(path) if said in where]
