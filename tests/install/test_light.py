"""The commands that read evidence do so where only requirements-audit.txt is installed, and import nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from good_entry import Folder

# What `pip install pgolf` brings and requirements-audit.txt leaves out
ABSENT = (
    "torch", "prefect", "sentencepiece", "brotli", "constriction", "pyarrow", "huggingface_hub", "asyncssh", "httpx",
    "tenacity", "psutil", "filelock", "python_minifier", "sqlalchemy", "fastapi",
)  # fmt: skip
COMMAND = """
import json, sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

ABSENT = set(json.loads(sys.argv.pop(1)))
sys.meta_path.insert(0, Refuses())
from pgolf.cli import main
try:
    main()
finally:
    print("imported:", json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Folder(tmp_path / "records" / "2026-04-25_A_Record").write()


def pgolf(*arguments: object, absent: tuple[str, ...] = ABSENT, cwd: Path) -> tuple[int, str, str, set[str]]:
    """(exit code, stdout, stderr, names of the imported modules) of a command that finds no `absent` package."""
    command = [sys.executable, "-c", COMMAND, json.dumps(absent), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    said, _, modules = ended.stderr.rpartition("imported: ")
    return ended.returncode, ended.stdout, said, set(json.loads(modules))


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "RECORD", "--against", "pr1493", "--html", "audit.html"),
        ("archive", "RECORDS", "--html", "archive.html"),
        ("report", "RECORD", "--against", "pr1493", "-o", "report.html"),
        ("compare", "RECORD", "pr1493"),
        ("power", "--std", "0.0002", "--delta", "0.001"),
        ("ledger", "list"),
        ("ledger", "build", "RECORDS", "--out", "entries"),
        ("--help",),
    ],
    ids=lambda arguments: " ".join(arguments[:2]).split(" RECORD")[0],
)
def test_a_command_on_evidence_needs_the_light_packages_only(arguments, folder, tmp_path):
    paths = {"RECORD": folder, "RECORDS": folder.parent}
    code, out, said, _ = pgolf(*(paths.get(a, a) for a in arguments), cwd=tmp_path)
    assert (code, said) == (0, "")
    for page in (a for a in arguments if a.endswith(".html")):
        assert (tmp_path / page).stat().st_size > 1000
    assert out or "report" in arguments


def test_an_audit_imports_nothing_that_it_has_no_use_for(folder, tmp_path):
    code, _, _, modules = pgolf("audit", folder, absent=(), cwd=tmp_path)
    heavy = {"scipy", "matplotlib", "jinja2", "rich.progress", "numpy.ma", "pgolf.data", "pgolf.trainer", "pgolf.pods"}
    assert code == 0 and not modules & (heavy | set(ABSENT))


def test_a_comparison_imports_one_part_of_scipy(folder, tmp_path):
    code, out, _, modules = pgolf("audit", folder, "--against", "pr1493", absent=(), cwd=tmp_path)
    assert code == 0 and "p(clears the bar)" in out and "scipy.special" in modules
    heavy = {"scipy.stats", "scipy.optimize", "scipy.linalg", "matplotlib", "jinja2"}
    assert not modules & (heavy | set(ABSENT))


def test_a_folder_that_is_missing_is_told_before_plots_are_imported(tmp_path):
    code, _, said, modules = pgolf("report", tmp_path / "nowhere", absent=(), cwd=tmp_path)
    assert code == 2 and "no folder" in said
    assert not modules & {"matplotlib", "jinja2", "scipy", *ABSENT}


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (("record",), "prefect"),
        (("record", "--help"), None),
        (("train", "--describe"), "torch"),
        (("doctor",), "torch"),
        (("data", "pydocs"), "sentencepiece"),
        (("pods", "list"), "httpx"),
        (("probe", "model.ptz"), "torch"),
    ],
    ids=str,
)
def test_a_command_that_lacks_a_package_says_which(arguments, package, tmp_path):
    absent = tuple(name for name in ABSENT if package in (None, name))
    code, _, said, _ = pgolf(*arguments, absent=absent, cwd=tmp_path)
    assert code == (2 if package else 0)
    if package:
        command = " ".join(arguments[:2] if arguments[0] in ("data", "pods") else arguments[:1])
        assert f"pgolf: {command} needs {package}, which is not installed" in said.replace("\n", " ")
        assert said.endswith("brings all that it needs\n") and "Traceback" not in said


def test_a_missing_module_of_pgolf_itself_is_a_defect_and_no_advice(tmp_path):
    command = [sys.executable, "-c", COMMAND, json.dumps(["pgolf.stats.power"]), "power", "--std", "1", "--delta", "9"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert ended.returncode == 1 and "Traceback" in ended.stderr
