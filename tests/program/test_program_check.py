"""What a machine lacks for a program, and what is told of a program by reading it."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.programs import speedrun_program

from pgolf.program import Need, Program, Requires
from pgolf.program.check import Check, missing_here, not_set
from pgolf.program.find import open_program, read_program

HERE = Program("mine", False, {"train_gpt.py": b""}, "train_gpt.py", ("train_gpt.py",))


def needing(**needs):
    return replace(HERE, requires=Requires(**needs))


def test_a_speedruns_trainer_needs_neither_seed_nor_score_nor_trial(tmp_path):
    script = speedrun_program(tmp_path / "mine")
    program, reading = read_program(script, speedrun=True)
    found = Check(program, reading, None, cuda_here=False, speedrun=True)
    assert found.lacks == []
    assert found.unstated == {}
    assert program.seed is None


def test_what_is_missing_here_is_named_with_its_line():
    modules = (Need("numpy", "a.py", 1), Need("nowhere_at_all.inner", "a.py", 2), Need("nowhere_too", "a.py", 3, True))
    commands = (Need("sh", "a.py", 4), Need("no-such-command", "a.py", 5), Need("no-other", "a.py", 6, optional=True))
    said = missing_here(needing(modules=modules, commands=commands), cuda_here=False)
    assert len(said) == 2
    assert "nowhere_at_all" in said[0] and "a.py:2" in said[0]
    assert "no-such-command on PATH" in said[1] and "a.py:5" in said[1]


@pytest.mark.parametrize(("cuda", "here", "missing"), [(True, False, 1), (True, True, 0), (None, False, 0)])
def test_a_gpu_is_missing_only_where_one_is_needed(cuda, here, missing):
    assert len(missing_here(needing(cuda=cuda), here)) == missing


def test_a_module_that_lies_in_the_current_folder_is_not_one_that_is_installed(tmp_path, monkeypatch):
    (tmp_path / "only_beside.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert missing_here(needing(modules=(Need("only_beside", "a.py", 1),)), True)


# --- pgolf program check
@pytest.fixture
def mine(tmp_path):
    """A program that has all that a record needs, and that would be seen to have run."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(
        "import os, pathlib\nimport numpy as np\n"
        "pathlib.Path('was_run').touch()\n"
        "data = os.environ.get('DATA_PATH', './data/datasets/fineweb10B_sp1024')\n"
        "seed = int(os.environ.get('SEED', 1337))\niterations = int(os.environ.get('ITERATIONS', 100))\n"
        "lr = float(os.environ.get('LR', '0.1'))\nloss = bpb = 1.0\n"
        "print(f'seed:{seed}')\n"
        "print(f'final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}')\n"
    )
    return folder


def pgolf(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pgolf.cli", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def test_the_command_says_all_of_it_and_runs_nothing(mine, monkeypatch):
    monkeypatch.chdir(mine)
    ran = pgolf("program", "check", mine / "train_gpt.py", "--set", "LR=0.5", "--env", "NCCL_DEBUG=INFO", "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert not (mine / "was_run").exists()
    found = json.loads(ran.stdout)
    content = (mine / "train_gpt.py").read_bytes()
    assert found["files"] == {
        "train_gpt.py": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "code": True}
    }
    assert found["code_bytes"] == len(content) and found["start"][-2:] == ["--nproc_per_node={nproc}", "train_gpt.py"]
    assert found["variables"]["LR"] == {"default": "0.1", "file": "train_gpt.py", "line": 7, "required": False}
    assert found["environment"] == {"LR": "0.5", "NCCL_DEBUG": "INFO"}
    assert found["data"] == {"DATA_PATH": "{shards}"} and found["vocab_size"] == 1024
    assert [(m["name"], m["line"], m["here"]) for m in found["modules"]] == [("numpy", 2, True)]
    assert found["prints"] == {"seed": 9, "final score": 10} and set(found["unstated"]) >= {"size", "time", "step"}
    assert found["trial"]["ITERATIONS"] and found["lacks"] == []


def test_the_table_is_for_people_and_interprets_no_words_of_the_program(mine, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    source = (mine / "train_gpt.py").read_text()
    (mine / "train_gpt.py").write_text(source + "os.environ.get('STYLE', '[red]\\x1b[2J[/red]')\n")
    ran = pgolf("program", "check", mine, "--set", "lr=0.5")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    for said in ("train_gpt.py", "LR", "0.5", "{shards}", "fineweb10B_sp1024", "numpy (here)", "final score (line 10)"):
        assert said in ran.stdout
    assert "[red]" in ran.stdout and "\x1b" not in ran.stdout


def test_what_it_lacks_is_said_with_code_1(mine):
    source = (mine / "train_gpt.py").read_text()
    (mine / "train_gpt.py").write_text("import flash_attn_interface_of_nobody\n" + source.replace("val_bpb", "score"))
    ran = pgolf("program", "check", mine, "--json")
    lacks = " ".join(json.loads(ran.stdout)["lacks"])
    assert ran.returncode == 1
    assert "flash_attn_interface_of_nobody cannot be imported here (train_gpt.py:1)" in lacks
    assert "final score" in lacks


def test_what_is_no_program_ends_with_code_2(mine):
    for arguments in (["gone.py"], [mine, "--set", "RATE=1"], [mine, "--set", "LR"], [mine, "--env", "LD_PRELOAD=x"]):
        ran = pgolf("program", "check", *arguments)
        assert ran.returncode == 2 and ran.stderr.startswith("pgolf: ") and "Traceback" not in ran.stderr


def test_a_variable_that_nobody_sets_is_missing(mine):
    source = (mine / "train_gpt.py").read_text()
    (mine / "train_gpt.py").write_text(source + "os.environ['MUST']\nos.environ['VOCAB_SIZE']\nos.environ['RANK']\n")
    assert ["MUST" in said for said in not_set(open_program(mine))] == [True]
    assert not not_set(open_program(mine, {"MUST": "1"}))
