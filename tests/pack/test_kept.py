"""Packed trainers that are kept: the same bytes as packed now, and never those of other sources."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgolf.errors import BadInput
from pgolf.pack import kept, pack
from pgolf.pack.kept import packed
from pgolf.presets import load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pgolf/packed"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Packing in no time, to bytes that name the knobs; the calls."""
    calls: list[dict] = []

    def instead(knobs: dict) -> object:
        calls.append(knobs)
        return type("Packed", (), {"code": f"{knobs}\n".encode()})

    monkeypatch.setattr(kept, "pack", instead)
    return calls


def test_it_is_what_pack_makes_and_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = pack(load("smoke")).code
    assert packed(load("smoke")) == code
    monkeypatch.setattr(kept, "pack", None)
    assert packed(load("smoke")) == code
    assert len(list(folder.iterdir())) == 1


def test_each_knob_and_its_type_has_a_file_of_its_own(folder: Path, quick: list[dict]) -> None:
    for knobs in ({"ttt_lr": 1}, {"ttt_lr": 1.0}, {"ttt_lr": True}, {}, {"seed": 1}):
        assert packed(knobs) == packed(knobs) == f"{knobs}\n".encode()
    assert len(quick) == 5 == len(list(folder.iterdir()))


@pytest.mark.parametrize(
    "damaged", [b"", b"x", b"# 0\nprint('other')\n", lambda whole: whole[:-1], lambda w: w + b"\n"]
)
def test_file_that_is_not_whole_is_made_anew(folder: Path, quick: list[dict], damaged) -> None:
    code = packed({})
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damaged(whole) if callable(damaged) else damaged)
    assert packed({}) == code
    assert file.read_bytes() == whole
    assert len(quick) == 2


def test_the_files_used_last_are_kept(folder: Path, quick: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    for seed in (1, 2, 3, 1, 4):
        packed({"seed": seed})
        time.sleep(0.01)  # longer than a tick of the file system's clock
    assert len(list(folder.iterdir())) == 3
    packed({"seed": 1})
    assert [knobs["seed"] for knobs in quick] == [1, 2, 3, 4]
    packed({"seed": 2})
    assert quick[-1] == {"seed": 2}


def test_it_is_known_whether_a_file_was_packed_here(folder: Path, quick: list[dict]) -> None:
    code = packed({"seed": 1})
    assert kept.is_kept(code) and not kept.is_kept(code + b"\n")
    (file,) = folder.iterdir()
    file.rename(folder / f"{'0' * 32}-{file.name.partition('-')[2]}")  # of other sources
    assert not kept.is_kept(code)


def test_without_a_place_nothing_is_kept(tmp_path: Path, quick: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert packed({}) == packed({}) == b"{}\n"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kept.cache_folder() == tmp_path / ".cache/pgolf"
    assert len(quick) == 2


def test_bad_knob_is_bad_input_and_nothing_is_kept(folder: Path) -> None:
    with pytest.raises(BadInput, match="ttt_epoch"):
        packed({"ttt_epoch": 4})
    assert not folder.exists()


@pytest.mark.parametrize("edited", ["trainer/optim.py", "trainer/config.py", "pack/shrink.py", "__init__.py"])
def test_changed_source_is_another_file(folder: Path, tmp_path: Path, edited: str) -> None:
    """One that went in, or one that packs."""
    shutil.copytree(ROOT / "pgolf", tmp_path / "copy/pgolf", ignore=shutil.ignore_patterns("__pycache__"))
    names = set()
    for more in ("", '\n__version__ = "another"\n'):
        path = tmp_path / "copy/pgolf" / edited
        path.write_text(path.read_text() + more)
        command = [sys.executable, "-c", "from pgolf.pack import kept; print(kept._name({}))"]
        env = os.environ | {"PYTHONPATH": str(tmp_path / "copy")}
        names.add(subprocess.run(command, cwd=tmp_path / "copy", env=env, capture_output=True, check=True).stdout)
    assert len(names) == 2
