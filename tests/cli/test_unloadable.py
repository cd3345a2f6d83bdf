"""A file that cannot be loaded ends every command that takes one with exit 2 and one line, and soon. An output that
lacks a character, or is closed, ends none with a traceback."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from seconds import PGOLF

from pgolf.cli import main

KINDS = ("folder", "binary", "empty", "pipe", "hole", "loop", "deep", "missing")
COMMANDS = {  # and the kinds that it can use
    "unpack": ("unpack FILE.py", ""),
    "pack --source": ("pack --source FILE.py -o out.py", ""),
    "pack --check": ("pack --source good.py --check FILE.py", ""),
    "train --preset": ("train --preset FILE.toml --describe", "empty"),
    "train --diff": ("train --diff smoke FILE.toml", "empty"),
    "train --data-dir": ("train --preset smoke --data-dir FILE", ""),
    "fit": ("fit FILE", ""),
    "sweep --space": ("sweep --space FILE.toml", "empty"),
    "sweep --track": ("sweep --track FILE.toml --grid TTT_EPOCHS=1,2", ""),
    "sweep --artifact": ("sweep --artifact FILE.ptz --grid TTT_EPOCHS=1,2", ""),
    "ablate": ("ablate smoke-base FILE.toml --track FILE.toml", ""),
    "audit": ("audit FILE", ""),
    "compare": ("compare FILE pr1493", ""),
    "eval": ("eval FILE.ptz", ""),
    "probe": ("probe FILE.py:make_evaluator", ""),
    "probe an artifact": ("probe FILE.ptz", ""),
    "data source": ("data source FILE", ""),
    "data pydocs": ("data pydocs --write-docs FILE/docs.jsonl", "folder missing"),
    "data tokenize": ("data tokenize --docs good.jsonl --tokenizer FILE.model --out out", ""),
    "data train-tokenizer": ("data train-tokenizer --docs FILE.parquet --out out.model --vocab 300", ""),
    "ledger add": ("ledger add n FILE.log --track cpu_smoke --title t --date 2026-01-01 --out out", ""),
    "program check": ("program check FILE.py", ""),
    "doctor": ("doctor --track FILE.toml", ""),
    "pods list": ("pods list --pods-file FILE.toml", "empty"),
}


def make(kind: str, path: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(bytes(range(256)) * 20)
        case "empty":
            path.touch()
        case "pipe":
            os.mkfifo(path)
        case "hole":
            with path.open("wb") as f:
                f.truncate(2 << 30)
        case "loop":
            path.symlink_to(path.name)
        case "deep":
            path.write_text("[" * 100_000)


CASES = [(name, kind) for name, (_, usable) in COMMANDS.items() for kind in KINDS if kind not in usable.split()]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_ends_with_exit_2_and_one_line(name, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    (tmp_path / "good.py").write_text("print(1)\n")
    (tmp_path / "good.jsonl").write_text('{"text": "hello"}\n')
    words = COMMANDS[name][0].split()
    for word in {word.partition(":")[0].partition("/")[0] for word in words if word.startswith("FILE")}:
        make(kind, tmp_path / word.replace("FILE", "theirs"))
    monkeypatch.setattr(sys, "argv", ["pgolf", *(word.replace("FILE", "theirs") for word in words)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 2, said.err
    assert said.out == "" and len(said.err) < 1500
    lines = [line for line in said.err.splitlines() if line.startswith("pgolf: ")]
    assert len(lines) == 1 and "theirs" in lines[0], said.err


ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("env", [ASCII, C_LOCALE], ids=["ascii", "C"])
def test_a_character_that_the_output_lacks_stops_nothing(env):
    looked = ran(["doctor"], env)
    assert looked.returncode in (0, 1) and "Traceback" not in looked.stderr
    assert looked.stdout.isascii() and "* packages " in looked.stdout
    refused = ran(["pack", "--preset", "größe→"], env)
    assert refused.returncode == 2 and refused.stderr.startswith("pgolf: no preset 'gr")
    assert "Traceback" not in refused.stderr and refused.stderr.isascii()


def test_source_is_printed_in_utf_8_wherever_it_goes(tmp_path):
    inner = "print('größe → ▁')\n"
    (tmp_path / "packed.py").write_text(f"import zlib\nexec(zlib.decompress({zlib.compress(inner.encode())!r}))\n")
    done = ran(["unpack", str(tmp_path / "packed.py")], ASCII)
    assert done.returncode == 0 and done.stdout.endswith(inner)


@pytest.mark.parametrize(
    "words", [["ledger", "list"], ["--help"], ["train", "--diff", "smoke", "pr1812"]], ids=" ".join
)
def test_a_closed_pipe_is_no_traceback(words):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([PGOLF, *words], stdout=write, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(write)
    assert done.stderr == "" and done.returncode == 1


def ran(words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PGOLF, *words], env={**os.environ, **env}, capture_output=True, encoding="utf-8", timeout=300
    )
