"""Whatever an evaluator does, `pgolf probe` ends with a verdict that says it: real processes, small evaluators."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.probes import ProbeResult
from pgolf.legality import probe_file
from pgolf.legality.apart import Apart
from pgolf.legality.memory import tree
from pgolf.legality.process import Bounds
from pgolf.legality.state import Heap
from pgolf.legality.streams import synthetic
from pgolf.legality.watch import load_factory, watch

pytestmark = pytest.mark.training  # evaluators that adapt

EVALUATORS = Path(__file__).parents[1] / "bad_evaluators"
HONEST = f"{EVALUATORS / 'honest.py'}:make_evaluator"
TOKENS = synthetic(0, 301, 24)

# an evaluator of uniform distributions over 4 tokens, in pieces of 10; `{…}` are places for offences
UNIFORM = """
import ctypes, os, signal, subprocess, sys, threading, time
import torch
{load}
class Evaluator:
    vocab_size = 4
    def __init__(self):
        {make}
        pass
    def __call__(self, tokens, want_logp=False):
        n = len(tokens) - 1
        for first in range(1, n + 1, 10):
            k = min(10, n + 1 - first)
            losses, logp = torch.full((k,), 4.0).log(), torch.full((k, 4), 0.25).log()
            {piece}
            yield first, losses, logp
        {end}
make_evaluator = Evaluator
"""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def written(folder: Path, **places: str) -> str:
    blank = dict.fromkeys(("load", "make", "piece", "end"), "")
    (folder / "theirs.py").write_text(textwrap.dedent(UNIFORM).format(**blank | places))
    return f"{folder / 'theirs.py'}:make_evaluator"


def one_pass(spec: str, **bounds: float) -> str:
    """Why a pass over a stream fails; and how it ended leaves no process behind."""
    with Apart(spec, bounds=Bounds(**bounds)) as apart:
        with pytest.raises(RunFailed) as failure:
            watch(apart.make, synthetic(0, 101, 4))
        assert not apart.server.alive or len(list(tree(apart.server.process.pid))) == 1
    return str(failure.value)


def by_name(results: list[ProbeResult]) -> dict[str, ProbeResult]:
    return {r.probe: r for r in results}


@pytest.mark.parametrize("name", ["honest", "honest_phased", "changes_scores_afterwards", "skips_hard_positions"])
def test_a_pass_in_another_process_is_seen_as_one_in_this(name):
    """Pieces, scores, distributions, states and changes afterwards, bit for bit."""
    spec = f"{EVALUATORS / name}.py:make_evaluator"
    with Apart(spec) as apart, Heap() as heap:
        apart_, here = (watch(make, TOKENS, keep={7, 200}, heap=heap) for make in (apart.make, load_factory(spec)))
        again = watch(apart.make, TOKENS, keep={7, 200}, heap=heap)
    assert apart_.pieces == here.pieces and apart_.rewritten == here.rewritten
    assert torch.equal(apart_.losses, here.losses) and apart_.rows.keys() == here.rows.keys()
    assert all(torch.equal(apart_.rows[t], here.rows[t]) for t in here.rows)
    assert apart_.states == again.states and len(set(apart_.states)) == len(set(here.states))


def test_a_pass_that_is_stopped_early_still_shows_what_became_of_its_losses(tmp_path):
    spec = written(tmp_path, piece="if first > 1: before[3] = 0.0", end="", load="")
    text = Path(spec.rpartition(":")[0]).read_text().replace("yield first", "before = losses; yield first")
    (tmp_path / "theirs.py").write_text(text)
    with Apart(spec) as apart:
        assert watch(apart.make, synthetic(0, 101, 4), until=15).rewritten == 4


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"load": "sys.exit(0)"}, r"theirs.py is loaded, it calls sys.exit\(0\)"),
        ({"load": "os._exit(0)"}, "theirs.py is loaded, it ends with exit code 0"),
        ({"make": "sys.exit()"}, r"is made, it calls sys.exit\(None\)"),
        ({"piece": "if first > 50: os._exit(3)"}, "where 51 comes next, it ends with exit code 3"),
        ({"piece": "if first > 50: sys.exit(0)"}, r"where 51 comes next, it calls sys.exit\(0\)"),
        ({"end": "raise SystemExit(0)"}, r"after the last, it calls sys.exit\(0\)"),
        ({"piece": "os.abort()"}, "is killed by SIGABRT"),
        ({"piece": "ctypes.string_at(0)"}, "is killed by SIGSEGV"),
        ({"piece": "os.kill(os.getpid(), signal.SIGKILL)"}, "is killed by SIGKILL"),
        ({"piece": "os.closerange(3, 99)"}, "closes its connection to pgolf|ends with exit code"),
        ({"piece": "raise ValueError('wrong\\nshape')"}, "ValueError: wrong\nshape"),
        ({"piece": "raise KeyboardInterrupt"}, "KeyboardInterrupt"),
        ({"piece": "losses = 'abc'"}, "raises"),
        ({"piece": "first = 10**30"}, "gives a piece at position 1000"),
        ({"piece": "losses = torch.zeros(10**6)"}, "1000000 losses in one piece|8,000,|4,000,"),
        ({"piece": "logp = torch.zeros(10, 10**6)"}, r"gives a reply of 40,000,\d+ bytes, where at most"),
        ({"piece": "logp = torch.zeros(3, 4)"}, "shape"),
        ({"piece": "print('about to fail'); os.write(2, b'\\x1b[31mreally\\n'); os._exit(1)"}, "about to fail|really"),
    ],
    ids=lambda value: next(iter(value.values()))[:40] if isinstance(value, dict) else "",
)
def test_what_it_does_is_told(places, said, tmp_path):
    told = one_pass(written(tmp_path, **places))
    assert re.search(said, told), told
    assert "\x1b" not in told


def test_one_that_kills_its_parent_is_told_and_another_server_starts(tmp_path):
    """Without the seal, in which it does not see its parent."""
    spec = written(tmp_path, piece="first == 1 and os.kill(os.getppid(), 9); time.sleep(5)")
    with Apart(spec) as apart:
        with pytest.raises(RunFailed, match="kills the process that started it"):
            watch(apart.plain, synthetic(0, 101, 4))
        with pytest.raises(RunFailed, match="is killed by SIGKILL"):
            watch(apart.make, synthetic(0, 101, 4))


def test_it_reads_and_writes_nothing_but_its_own(tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    read = f"open({str(tmp_path / 'secret.txt')!r}).close()"
    results = by_name(probe_file(written(tmp_path, load=read), length=50, positions=2, seeds=[0]))
    assert results["sealed"].passed is False and "secret.txt" in results["sealed"].counter_example.what
    assert all(r.passed is None for name, r in results.items() if name != "sealed")
    leave = "mark = '/tmp/pgolf-mark'; late = first == 1 and os.path.exists(mark); open(mark, 'w').close()"
    with Apart(written(tmp_path, piece=f"{leave}; losses = losses * (1 + late)")) as apart:
        first, second = (watch(apart.make, synthetic(0, 31, 4)) for _ in range(2))
    assert torch.equal(first.losses, second.losses) and not os.path.exists("/tmp/pgolf-mark")


def test_the_last_lines_that_it_wrote_are_told(tmp_path):
    told = one_pass(written(tmp_path, piece="print('x' * 10**6); print('the end'); sys.stdout.flush(); os._exit(1)"))
    assert told.endswith("the end") and len(told) < 1000


@pytest.mark.parametrize("piece", ["time.sleep(60)", "while True: print('still here', flush=True)"])
def test_a_silent_evaluator_is_ended(piece, tmp_path):
    began = time.monotonic()
    assert "has given no answer for 1 s" in one_pass(written(tmp_path, piece=piece), silence_s=1.0)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "piece",
    [
        "keep = [b'x' * 10**7 for _ in range(10**5)]",
        "subprocess.run([sys.executable, '-c', 'keep = [bytes([1]) * 10**7 for _ in range(10**5)]'])",
    ],
    ids=["itself", "a child"],
)
def test_an_evaluator_that_eats_memory_is_ended(piece, tmp_path):
    told = one_pass(written(tmp_path, piece=piece), memory=600_000_000)
    assert "MB of memory, which is more than its bound of 600 MB" in told


def test_processes_that_it_leaves_behind_are_ended(tmp_path):
    leave = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1234)'], start_new_session=True)"
    with Apart(written(tmp_path, make=leave)) as apart:
        watch(apart.make, synthetic(0, 31, 4))
        assert len(list(tree(apart.server.process.pid))) == 1


@pytest.mark.parametrize(
    "yields", ["yield n, losses[:1], logp[:1]", "yield first, losses[:0], logp[:0]"], ids=["again", "empty"]
)
def test_an_evaluator_that_goes_on_without_an_end_is_stopped(yields, tmp_path):
    results = by_name(probe_file(written(tmp_path, end=f"while True: {yields}"), length=50, positions=2, seeds=[0]))
    assert results["one pass"].passed is False
    assert "goes on without an end" in results["one pass"].counter_example.what


def test_a_pass_that_does_not_end_fails_one_pass_and_nothing_else_was_run(tmp_path):
    results = probe_file(written(tmp_path, end="sys.exit(0)"), length=50, positions=2, seeds=[0])
    assert {r.probe: r.passed for r in results} == {
        **dict.fromkeys(("causal", "normalised", "score before update", "byte-exact", "sealed")),
        "one pass": False,
    }
    assert "after the last, it calls sys.exit(0)" in by_name(results)["one pass"].counter_example.what


def test_it_can_tell_only_outside_the_seal_that_pgolf_runs_it(tmp_path):
    results = by_name(
        probe_file(written(tmp_path, load="if 'pgolf' in sys.argv[0]: sys.exit(0)"), length=50, positions=2, seeds=[0])
    )
    assert results["one pass"].passed and results["sealed"].passed is False
    assert "sys.exit(0)" in results["sealed"].counter_example.what


@pytest.mark.parametrize("keep", ["SEEN = []", "Path = __import__('pathlib').Path"], ids=["a global", "a file"])
def test_state_kept_from_an_earlier_stream_is_a_failure_of_that_name(keep, tmp_path):
    remember = {
        "SEEN = []": "SEEN.append(1); losses = losses * (1 + (len(SEEN) > 20)); logp = logp * (1 + (len(SEEN) > 20))",
    }.get(
        keep,
        "mark = Path(os.environ['TMPDIR']) / 'mark'; late = mark.exists(); first == n and mark.touch(); "
        "losses = losses * (1 + late); logp = logp * (1 + late)",
    )
    if "SEEN" in keep:
        remember = remember.replace("20", "len(range(1, n + 1, 10))")
    else:
        remember = remember.replace("first == n", "first + 10 > n")
    results = by_name(probe_file(written(tmp_path, load=keep, piece=remember), length=50, positions=2, seeds=[0]))
    assert results["causal"].passed and results["score before update"].passed
    assert results["one pass"].passed is False
    assert "state kept from an earlier stream" in results["one pass"].counter_example.what


def test_a_seed_set_when_the_file_is_loaded_keeps_nothing(tmp_path):
    spec = written(tmp_path, load="torch.manual_seed(7)", make="self.noise = torch.rand(1)")
    text = Path(spec.rpartition(":")[0]).read_text()
    (tmp_path / "theirs.py").write_text(text.replace("yield first, losses", "yield first, losses * self.noise"))
    with Apart(spec) as apart:
        fresh, later = (watch(make, synthetic(0, 51, 4)) for make in (apart.make, apart.after(synthetic(1, 51, 4))))
    assert torch.equal(fresh.losses, later.losses)


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({}, BadInput),
        ({"theirs.py": "x = 1"}, BadInput),
        ({"theirs.py": "import nowhere_to_be_found"}, BadInput),
        ({"theirs.py": "def make_evaluator(:"}, BadInput),
        ({"theirs.py": "def make_evaluator(): raise ValueError('no such model')"}, RunFailed),
    ],
    ids=["no file", "no function", "not loaded", "no Python", "not made"],
)
def test_what_is_no_evaluator_gives_no_verdict(files, ends, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ends):
        probe_file(f"{tmp_path / 'theirs.py'}:make_evaluator", length=50, positions=1, seeds=[0])


def test_packages_dataclasses_and_lazy_imports_load(tmp_path):
    (tmp_path / "net" / "deep").mkdir(parents=True)
    for name in ("net/__init__.py", "net/deep/__init__.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "net" / "model.py").write_text("SCALE = 1.0\n")
    (tmp_path / "net" / "deep" / "late.py").write_text("ONE = 1\n")
    settings = "from dataclasses import dataclass\n@dataclass\nclass Settings:\n    rate: float = 1.0\n"
    head = f"{settings}from net.model import SCALE"
    spec = written(tmp_path, load=head, piece="from net.deep.late import ONE; losses = losses * ONE * SCALE")
    file = tmp_path / "theirs.py"
    file.write_text("from __future__ import annotations\n" + file.read_text())
    results = by_name(probe_file(spec, length=50, positions=2, seeds=[0]))
    assert {name: r.passed for name, r in results.items()} == {**dict.fromkeys(results, True), "byte-exact": None}


def test_what_it_prints_is_not_in_the_results(tmp_path):
    spec = written(tmp_path, load="print('loaded'); os.write(1, b'raw')", piece="print('piece')")
    command = [sys.executable, "-m", "pgolf.cli", "probe", spec, "--json", "--length", "50", "--positions", "2"]
    done = subprocess.run([*command, "--seeds", "0"], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["probe"] == "causal"


def test_a_token_by_token_evaluator_has_a_verdict_within_its_budget(tmp_path):
    spec = written(tmp_path, piece="time.sleep(0.02)")
    text = Path(spec.rpartition(":")[0]).read_text().replace("10", "1")
    (tmp_path / "theirs.py").write_text(text)
    for budget_s in (40, 160):  # a busy machine gets to no position within the first
        began = time.monotonic()
        results = by_name(probe_file(spec, positions=64, seeds=[0, 1], budget_s=float(budget_s)))
        assert time.monotonic() - began < budget_s + 20  # it may start the last, sealed pass slowly
        assert not any(r.passed is False for r in results.values())
        power = results["causal"].power
        said = re.search(rf"Of (\d+) positions (\d+) were tried within the budget of {budget_s} s", power)
        if said and int(said[2]):
            break
    assert said and int(said[1]) > int(said[2]) > 0
    assert results["causal"].positions == int(said[2])


def test_an_evaluator_that_is_slower_than_any_budget_is_told_so(tmp_path):
    results = by_name(probe_file(written(tmp_path, piece="time.sleep(9)"), length=50, seeds=[0], budget_s=12.0))
    assert results["one pass"].passed is False
    assert "has not come to its end within the budget of 12 s" in results["one pass"].counter_example.what
