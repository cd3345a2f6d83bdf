"""Files that may be a stranger's are read by `pgolf.untrusted` alone, which waits for none and follows no link out.

In these rooms a call that reads, parses or hashes a file in another way is a defect, unless it is named below.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("evidence", "audit", "report", "ledger", "tracks", "presets", "program", "sweep", "record")
METHODS = frozenset(["read_text", "read_bytes", "open", "validate_json"])
FUNCTIONS = frozenset(["open", "sha256_file", "hash_folder"])
PARSERS = frozenset(["json.load", "json.loads", "tomllib.load", "tomllib.loads", "pickle.load", "pickle.loads"])
NAMED = {  # of a module: a function that reads in another way, and why it may
    ("report/formats.py", "append_summary"): "appends to the file that the user names for a job's summary",
    ("report/from_logs.py", "put"): "the draft that it has written, and the folder that the user names to replace",
    ("record/disk.py", "full_disk"): "the end of a log of pgolf's own process",
    ("record/ending.py", "is_busy"): "a lock, which is not read",
    ("record/stopping.py", "ask_to_stop"): "makes an empty file",
    ("record/live_page.py", "_script"): "a file of pgolf's own",
    ("record/probing.py", "prober"): "files of pgolf's own",
    ("report/leaderboard.py", "page"): "a file of pgolf's own",
    ("report/inputs.py", "depends"): "a file of pgolf's own",
    ("report/submission.py", "_files"): "a folder that it has made a moment ago",
    ("report/runs_submission.py", "files_of"): "a folder that it has made a moment ago",
    ("record/folder.py", "list_in"): "files that it has written a moment ago",
    ("record/runs_data.py", "hashes"): "data that the user names, regular files that may lie behind links of theirs",
    ("record/folder.py", "remove_others"): "a folder that it has written, to see whether it is as it was",
    ("record/orchestrator.py", "_take_log"): "writes a log that it makes at this moment",
    ("record/seeds.py", "_attempt"): "opens a pod",
    ("record/seeds.py", "_check_result"): "a file that it has written a moment ago",
    ("record/early_stop.py", "read_decision"): "bounded bytes of a plain file, by `read_part`",
    ("record/sealed_run.py", "main"): "runs sealed off, in a process of its own, and imports nothing of pgolf",
}


def reads(path: Path) -> Iterator[tuple[str, str]]:
    """(function that it is in, what it says) of each call that reads a file or parses its text."""
    tree = ast.parse(path.read_text())
    function = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function |= {id(part): node.name for part in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        said = ast.unparse(node.func)
        method = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
        if method or said in FUNCTIONS or said in PARSERS:
            yield function.get(id(node), ""), f"line {node.lineno}: {said}"


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / "pgolf" / room).rglob("*.py"))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT / "pgolf").as_posix())
def test_strangers_files_are_read_by_the_one_way_in(path):
    name = path.relative_to(ROOT / "pgolf").as_posix()
    wrong = [said for function, said in reads(path) if (name, function) not in NAMED]
    assert not wrong, f"read it by pgolf.untrusted, or name {name} with its reason in tests/test_one_way_in.py"


def test_the_exceptions_are_still_there():
    found = {(p.relative_to(ROOT / "pgolf").as_posix(), function) for p in modules() for function, _ in reads(p)}
    assert set(NAMED) <= found


@pytest.mark.parametrize(
    "source",
    [
        "Path('x').read_text()",
        "path.read_bytes()",
        "open('x')",
        "path.open('rb')",
        "json.loads(text)",
        "tomllib.load(f)",
        "TypeAdapter(Plan).validate_json(text)",
        "sha256_file(path)",
    ],
)
def test_another_way_in_is_seen(tmp_path, source):
    (tmp_path / "x.py").write_text(f"def f():\n    return {source}\n")
    assert [function for function, _ in reads(tmp_path / "x.py")] == ["f"]
    (tmp_path / "y.py").write_text(
        "def f():\n    return read_text(path, 10), tracks.load('x'), parse_json(text, 'x')\n"
    )
    assert not list(reads(tmp_path / "y.py"))
