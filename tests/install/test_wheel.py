"""The wheel has all that it needs, and works away from the checkout: the light way, and with everything.

Nothing is downloaded: a fresh environment gets links to the packages that these tests run with.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
from fakes.account import MISSING as NO_API
from fakes.account import OPENAPI, FakeRunpod
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from good_entry import Folder
from packaging.requirements import Requirement
from seconds import TINY, record_command
from servers import copy_database

from pgolf.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT.parent / "shared/public-records"
SOURCES = ("pgolf", "flows", "runpod", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pgolf's wheel, built from a copy of the sources: a build folder of the checkout may hold old modules."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder / "source"], check=True)
    (made,) = folder.glob("pgolf-*.whl")
    return made


def environment(folder: Path, wheel: Path) -> Path:
    """A fresh environment with the wheel and nothing else; its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    options = ("--quiet", "--no-deps", "--no-index", wheel)
    subprocess.run([sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", *options], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    return site


def with_dependencies(names: Iterable[str]) -> Iterator[Distribution]:
    """The installed distributions of these names, and all that they need."""
    left, done = list(names), set()
    while left:
        if (name := left.pop()) in done:
            continue
        done.add(name)
        found = distribution(name)
        yield found
        needs = map(Requirement, found.requires or ())
        left += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and requirements-audit.txt."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    site = environment(folder, wheel)
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements-audit.txt").read_text().splitlines())
    for found in with_dependencies(Requirement(line).name for line in lines if line):
        assert found.files
        for name in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            link = site / name
            if not link.is_symlink():
                link.symlink_to(Path(str(found.locate_file(name))))
    return folder


def run(command: Path, *arguments: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    arguments = tuple(map(str, arguments))
    return subprocess.run(
        [command, *arguments], cwd=cwd, env={**kept, **more}, capture_output=True, text=True, timeout=500
    )


def test_the_wheel_has_all_that_it_needs_and_one_package(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"pgolf"}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pgolf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {f"pgolf/flows/{path.name}" for path in (ROOT / "flows").glob("*.py")}
    expected |= {f"pgolf/pods/scripts/{path.name}" for path in (ROOT / "runpod").glob("*.sh")}
    assert names == expected
    assert {"pgolf/pods/scripts/bootstrap.sh", "pgolf/tracks/cpu_smoke.toml", "pgolf/flows/record.py"} <= names


def test_light_environment_is_light_and_away_from_the_checkout(light: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u, pgolf; print(pgolf.__file__, u.find_spec('torch'), u.find_spec('prefect'))"
    where, *absent = run(light / "bin/python", "-c", code, cwd=tmp_path).stdout.split()
    assert Path(where).is_relative_to(light) and absent == ["None", "None"]


def test_light_environment_audits(light: Path, tmp_path: Path) -> None:
    record = Folder(tmp_path / "records/2026-04-25_A_Record").write()
    pgolf = light / "bin/pgolf"
    for arguments in (
        ("audit", record, "--against", "pr1493"),
        ("archive", record.parent, "--html", "archive.html"),
        ("report", record, "--against", "pr1493"),
        ("compare", record, "pr1493"),
    ):
        ended = run(pgolf, *arguments, cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, ""), arguments
    assert "</svg>" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "archive.html").stat().st_size > 1000


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public records here")
def test_light_environment_audits_a_public_record_as_the_checkout_does(light: Path, tmp_path: Path) -> None:
    record = next(PUBLIC.glob("2026-04-09_SP8192_*"))
    here = [sys.executable, "-m", "pgolf.cli", "audit", record, "--against", "pr1394", "--json"]
    expected = subprocess.run(here, capture_output=True, text=True, cwd=tmp_path)
    there = run(light / "bin/pgolf", "audit", record, "--against", "pr1394", "--json", cwd=tmp_path)
    assert (there.returncode, there.stderr) == (expected.returncode, "")
    assert json.loads(there.stdout) == json.loads(expected.stdout)


@pytest.mark.record
def test_light_environment_says_what_a_record_lacks(light: Path, tmp_path: Path) -> None:
    ended = run(light / "bin/pgolf", "record", cwd=tmp_path)
    assert ended.returncode == 2
    assert "pgolf: record needs " in ended.stderr and "is not installed" in ended.stderr


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and all packages that these tests run with."""
    folder = tmp_path_factory.mktemp("full") / "venv"
    site = environment(folder, wheel)
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")  # no .pth file there is read: no checkout
    return folder


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """A tiny seed beside a standing record on other text: no baseline has to run, and there is no comparison."""
    text = (TINY / "tiny_track.toml").read_text()
    changes = {
        '"tiny.toml"': f'"{TINY / "tiny.toml"}"',
        '"tiny-standing.json"': '"pr1493"',
        'baseline_preset = "tiny_base.toml"\n': "",
        "[42, 314, 999]": "[42]",
        "min_seeds = 3": "min_seeds = 1",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "one_seed.toml"
    path.write_text(text)
    return path


def made_by(full: Path, arguments: list[str], cwd: Path, **settings: str) -> dict[str, Any]:
    """The outcome of `pgolf record` by the installed wheel: its seed is run, and only the comparison lacks."""
    ended = run(full / "bin/pgolf", *arguments, cwd=cwd, OMP_NUM_THREADS="1", **settings)
    assert ended.returncode == 1, ended.stderr
    outcome: dict[str, Any] = json.loads(ended.stdout)
    assert [seed["seed"] for seed in outcome["seeds"]] == [42]
    assert all("validation text" in reason for reason in outcome["reasons"])
    return outcome


@pytest.mark.record
def test_full_environment_makes_a_record_here(full: Path, track: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    copy_database(tmp_path / "runs/.prefect")
    _, *arguments = record_command(track, tiny_data, tmp_path / "runs", "--no-probe")
    made_by(full, arguments, tmp_path)
    flows = run(full / "bin/python", "-c", "import pgolf.flows; print(pgolf.flows.__file__)", cwd=tmp_path)
    assert Path(flows.stdout).is_relative_to(full)


@pytest.mark.record
@pytest.mark.skipif(SSHD is None or not OPENAPI.exists(), reason=f"{NO_SSHD}, or {NO_API}")
def test_full_environment_makes_a_record_on_pods(
    full: Path, track: Path, tiny_data: Dataset, tmp_path: Path, prefect_server: str
) -> None:
    """On a server that runs already: the record made here has one of its own."""
    account = FakeRunpod(tmp_path / "account")
    try:
        pods = ("--pods", "runpod", "--pods-file", str(account.pods_file(tmp_path / "pods.toml")), "--no-probe")
        bounds = ("--max-cost", "50", "--max-hours", "4")
        _, *arguments = record_command(track, tiny_data, tmp_path / "runs", *pods, *bounds)
        made_by(full, arguments, tmp_path, RUNPOD_API_KEY=account.key, PREFECT_API_URL=prefect_server)
        assert not account.alive()
    finally:
        account.close()
