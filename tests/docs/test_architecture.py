"""docs/architecture.md and CONTRIBUTING.md are kept true: modules, events, and what they send people to."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
ROOMS = sorted(path.parent for path in (REPOSITORY / "pgolf").glob("*/__init__.py"))


def lines_of(room: str) -> str:
    """What the tree says of a room: its line, and those below that are indented further."""
    tree = PAGE.split("```")[1]
    (first,) = re.findall(rf"^ *(?:\S+ )?{room}/.*\n(?: {{12,}}.*\n)*", tree, re.MULTILINE)
    return str(first)


@pytest.mark.parametrize("folder", [*ROOMS, REPOSITORY / "flows"], ids=lambda folder: folder.name)
def test_tree_names_the_modules_of_a_room(folder: Path) -> None:
    said = lines_of(folder.name)
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    if folder.name == "cli":
        modules -= {"__main__"}
    assert {module for module in modules if not re.search(rf"\b{module}\b", said)} == set()


@pytest.mark.parametrize("folder", [*ROOMS, REPOSITORY / "flows"], ids=lambda folder: folder.name)
def test_tree_names_no_module_that_is_gone(folder: Path) -> None:
    """The lines below a room's are lists of modules, `names: what they are`, with semicolons between."""
    lists = [part for line in lines_of(folder.name).splitlines()[1:] for part in line.split(";")]
    named = {word for part in lists for word in part.split(":")[0].split()}
    assert {name for name in named if not ((folder / name).is_dir() or (folder / f"{name}.py").exists())} == set()


def test_tree_names_what_lies_beside_the_rooms() -> None:
    modules = {path.stem for path in (REPOSITORY / "pgolf").glob("*.py")} - {"__init__"}
    tree = PAGE.split("```")[1]
    assert {module for module in modules if not re.search(rf"^  (?:[a-z]+ )*{module}\b", tree, re.MULTILINE)} == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"])
def test_files_and_names_that_a_page_sends_people_to_are_there(name: str) -> None:
    page = (REPOSITORY / name).read_text()
    for path in re.findall(r"`((?:pgolf|tests|flows|bench|docs)/[\w./]+)`", page):
        if "NAME" not in path:
            assert (REPOSITORY / path).exists(), path
    pairs = re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", page)
    pairs += [(what, path) for path, what in re.findall(r"`([\w/]+\.py)`,\s+`(\w+)`", page)]
    for what, path in pairs:
        assert re.search(rf"\b{what}\b", (REPOSITORY / path).read_text()), f"{path} has no {what}"


def test_table_of_events_is_what_the_trainer_emits() -> None:
    emitted: dict[str, set[str]] = {}
    for path in sorted((REPOSITORY / "pgolf" / "trainer").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
                name = ast.literal_eval(node.args[0])
                emitted.setdefault(name, set()).update(key.arg for key in node.keywords if key.arg)
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.split("| event |")[1].split("\n\n")[0], re.MULTILINE))
    assert rows.keys() == emitted.keys()
    for name, keys in emitted.items():
        assert {key for key in keys if f"`{key}`" not in rows[name]} == set(), name
