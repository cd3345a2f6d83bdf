"""What a machine lacks for a program, and what is told of a program by reading it."""

from dataclasses import replace

import pytest

from pgolf.program import Need, Program, Requires
from pgolf.program.check import missing_here

HERE = Program("mine", False, {"train_gpt.py": b""}, "train_gpt.py", ("train_gpt.py",))


def needing(**needs):
    return replace(HERE, requires=Requires(**needs))


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
