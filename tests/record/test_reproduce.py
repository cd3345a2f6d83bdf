"""Running a record again: its knobs come back, and its own spread judges the result. Stand-ins for pgolf's trainer are
packed as it is and print a log; a stranger's program trains on two ranks."""

import json
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from living import of_pod, wait_for
from seconds import PGOLF
from typer.testing import CliRunner

from pgolf.cli import app
from pgolf.cores import usable_cores
from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file
from pgolf.pack.wrapper import COMPRESSORS, wrap
from pgolf.program.find import open_program
from pgolf.record.job import Job
from pgolf.record.programs import dataset_config, settings_on, write_files
from pgolf.record.reproduce import Reproduction, prepare, run_again
from pgolf.record.results import read_result
from pgolf.record.sealed_job import why_not_sealable
from pgolf.record.seeds import run_seed

PROGRAMS = Path(__file__).parents[1] / "programs"

LOG = """Hyperparameters:
  matrix_lr: 0.022
  path: /nowhere
  seed: {seed}
train_shards: 1
1/2 train_loss: {loss} train_time: 0.0m
2/2 train_loss: 3.5 train_time: 0.1m
quantized_ttt val_loss:2.79 val_bpb:{bpb:.8f} eval_time:100ms
"""
PROGRAM = """import os
assert os.environ["MATRIX_LR"] == "0.022" and os.path.isdir(os.environ["DATA_DIR"])
seed = int(os.environ["SEED"])
bpb = {42: 1.0801, 314: 1.0803}[seed] + float(os.environ.get("EVAL_ONLY", "") != "") + 0.0 + SHIFT
print(f"Hyperparameters:\\n  seed: {seed}")
print(f"1/2 train_loss: 4.5{seed} train_time: 0.0m")
print(f"quantized_ttt val_loss:2.79 val_bpb:{bpb:.8f} eval_time:100ms")
"events.jsonl weights_fingerprint"
"""


def reproduce(folder: Path, out: Path, data: Path, **how) -> Reproduction:
    """Run again, sealed off where this system can."""
    return run_again(prepare(folder, out, data, **how), sealed=why_not_sealable() is None)


def packed(source: str) -> bytes:
    return wrap(source, "pgolf test", COMPRESSORS["zlib"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    for seed, bpb in ((42, 1.0801), (314, 1.0803), (999, 1.0802)):
        (folder / f"train_seed{seed}.log").write_text(LOG.format(seed=seed, loss=f"4.5{seed}", bpb=bpb))
    (folder / "train_gpt.py").write_bytes(packed(PROGRAM.replace("SHIFT", "0.0001")))
    (tmp_path / "data").mkdir()
    return folder


def test_a_run_inside_the_records_spread(folder, tmp_path):
    result = reproduce(folder, tmp_path / "out", tmp_path / "data", seed=314)
    assert (result.seed, result.val_bpb, result.logged_bpb, result.inside) == (314, 1.0804, 1.0803, True)
    assert "; inside the 95 % range" in str(result)


def test_a_run_outside_it(folder, tmp_path):
    (folder / "train_gpt.py").write_bytes(packed(PROGRAM.replace("SHIFT", "0.01")))
    result = reproduce(folder, tmp_path / "out", tmp_path / "data")
    assert result.inside is False and "NOT inside" in str(result)


def test_one_seed_has_no_spread_to_judge_by(folder, tmp_path):
    for seed in (314, 999):
        (folder / f"train_seed{seed}.log").unlink()
    assert reproduce(folder, tmp_path / "out", tmp_path / "data").inside is None


def test_a_log_sets_only_knobs_of_our_trainer(folder, tmp_path):
    names = ["EVAL_ONLY", "RESUME_FROM_CKPT", "http_proxy", "Path", "Home", "LD_PRELOAD", "cxx", "TMPDIR", "BASH_ENV"]
    for log in folder.glob("*.log"):
        logged = "".join(f"  {name}: /bin/false\n  {name.lower()}: x1\n" for name in names)
        log.write_text(log.read_text().replace("  path: /nowhere\n", logged + "  matrix_lr: 0.022\n"))
    seen = f"given = [n for n in {names!r} for n in (n, n.upper()) if os.environ.get(n) in ('x1', '/bin/false')]\n"
    read = "".join(f"os.environ.get({name.upper()!r})\n" for name in names)
    program = PROGRAM.replace("SHIFT", "0.0001").replace("import os\n", f"import os\n{seen}assert not given\n{read}")
    (folder / "train_gpt.py").write_bytes(packed(program))
    assert reproduce(folder, tmp_path / "out", tmp_path / "data").inside


@pytest.mark.parametrize(
    ("logged", "wanted"), [(" threads: 1", "1"), (" threads: 9999", str(usable_cores())), ("", None)]
)
def test_a_rank_gets_the_threads_that_it_had(folder, tmp_path, logged, wanted):
    for log in folder.glob("*.log"):
        log.write_text(f"torch: 2.13.0 device: cpu dtype: torch.float32{logged}\n{log.read_text()}")
    program = PROGRAM.replace("import os\n", f"import os\nassert os.environ.get('OMP_NUM_THREADS') == {wanted!r}\n")
    (folder / "train_gpt.py").write_bytes(packed(program.replace("SHIFT", "0.0001")))
    assert reproduce(folder, tmp_path / "out", tmp_path / "data").inside


def test_an_artifact_must_be_the_one_that_was_claimed(folder, tmp_path):
    artifact = tmp_path / "a.ptz"
    artifact.write_bytes(b"weights")
    results = {"42": {"val_bpb": 1.0801, "artifact_sha256": sha256_file(artifact)}}
    (folder / "submission.json").write_text(json.dumps({"seeds": [42, 314, 999], "seed_results": results}))
    scored = reproduce(folder, tmp_path / "out", tmp_path / "data", artifact=artifact)
    assert scored.val_bpb == pytest.approx(2.0802)  # the program saw EVAL_ONLY
    artifact.write_bytes(b"others")
    with pytest.raises(BadInput, match="not the artifact of seed 42"):
        reproduce(folder, tmp_path / "out2", tmp_path / "data", artifact=artifact)


def test_a_program_that_fails_says_why(folder, tmp_path):
    (folder / "train_gpt.py").write_bytes(packed(f"raise SystemExit('error: no GPU')\n{PROGRAM}"))
    with pytest.raises(RunFailed, match="no GPU"):
        reproduce(folder, tmp_path / "out", tmp_path / "data")


@pytest.mark.parametrize(
    ("seed", "data", "said"), [(7, "data", "no seed 7"), (42, "gone", "no data"), (None, "gone", "no data")]
)
def test_bad_input_starts_nothing(folder, tmp_path, seed, data, said):
    with pytest.raises(BadInput, match=said):
        reproduce(folder, tmp_path / "out", tmp_path / data, seed=seed)
    assert not (tmp_path / "out").exists()


# --- a stranger's folder
def record_of(program: Path, data: Dataset, folder: Path, *seeds: int, **settings: str) -> Path:
    """A record folder of a program on two ranks: its files as they ran, a log a seed, the hashes of the artifacts."""
    theirs = open_program(program, settings)
    record, results = folder / "2026-05-02_Theirs", {}
    write_files(theirs, record)
    environment = settings_on(theirs, dataset_config(data))
    job = Job("seed", folder / "seeds", theirs, record, environment, nproc=2)
    for seed in seeds:
        attempt = run_seed(job, seed, threading.Event()).folder
        result = read_result(attempt)
        assert result and result.artifact
        shutil.copy(attempt / result.log, record / f"train_seed{seed}.log")
        shutil.copy(attempt / result.artifact, folder / f"seed{seed}.ptz")
        results[str(seed)] = {"artifact_sha256": sha256_file(attempt / result.artifact)}
    (record / "submission.json").write_text(json.dumps({"seeds": list(seeds), "seed_results": results}))
    return record


@pytest.mark.training
def test_a_strangers_record_runs_again_with_its_settings_and_ranks(tiny_data, tmp_path):
    record = record_of(PROGRAMS / "march", tiny_data, tmp_path, 1, 2, ITERATIONS="20", MODEL_DIM="16")
    result = reproduce(record, tmp_path / "out", tiny_data.data_dir, seed=2)
    assert result.val_bpb == result.logged_bpb and result.inside  # the same seed on the same machine
    attempt = tmp_path / "out" / "trained" / "2" / "attempt-1"
    assert "world_size:2" in (attempt / "logs" / "seed2.txt").read_text()
    with pytest.raises(BadInput, match=r"nothing says how train_gpt.py scores an artifact: .*program.toml.*eval_only"):
        reproduce(record, tmp_path / "out", tiny_data.data_dir, seed=2, artifact=tmp_path / "seed2.ptz")
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    next((tmp_path / "data" / "tokenizers").glob("*.model")).unlink()
    with pytest.raises(BadInput, match=r"no tokenizer .*give --data-dir"):
        reproduce(record, tmp_path / "new", tmp_path / "data")
    assert not (tmp_path / "new").exists()


@pytest.mark.training
def test_a_strangers_artifact_is_scored_as_its_program_toml_says(tiny_data, tmp_path):
    mine = shutil.copytree(PROGRAMS / "april", tmp_path / "mine")
    (mine / "program.toml").write_text('eval_only = { EVAL_ONLY = "{artifact}" }')
    record = record_of(mine, tiny_data, tmp_path, 5, ITERATIONS="20", TTT_ENABLED="0")
    assert (record / "program.toml").is_file()
    artifact = tmp_path / "seed5.ptz"
    before = artifact.read_bytes()
    result = reproduce(record, tmp_path / "out", tiny_data.data_dir, artifact=artifact)
    assert (result.val_bpb, result.inside) == (result.logged_bpb, None)
    attempt = tmp_path / "out" / "scored" / "5" / "attempt-1"
    assert "train_loss" not in (attempt / "train.log").read_text()
    assert artifact.read_bytes() == before and not (attempt / "final_model.pt").exists()


def test_a_program_that_this_machine_lacks_something_for_is_not_started(folder, tmp_path):
    source = "import os, no_such_module_anywhere\nos.environ['SEED'], os.environ['DATA_DIR']\n"
    (folder / "train_gpt.py").write_text(source)
    with pytest.raises(BadInput, match="no_such_module_anywhere cannot be imported here"):
        reproduce(folder, tmp_path / "out", tmp_path / "data")
    assert not (tmp_path / "out").exists()


def test_in_a_pipe_the_command_says_what_it_is_doing(folder, tmp_path):
    words = ["reproduce", str(folder), "--seed", "314", "--yes", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path / "data")])
    assert done.exit_code == 0 and done.stdout.startswith("seed 314: 1.08040000"), done.output
    assert "seed 314: starting" in done.stderr.splitlines()
    assert "has run" not in done.stderr
    again = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path / "data")])
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert f"seed 314 has run in {tmp_path / 'out'}: this is its result; --out names another folder" in again.stderr
    assert [path.name for path in (tmp_path / "out/trained/314").glob("attempt-*")] == ["attempt-1"]
    changed = PROGRAM.replace("SHIFT", "0.1")
    (folder / "train_gpt.py").write_bytes(packed(changed))
    for once in (True, False):
        ran = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path / "data")])
        assert ran.exit_code == 1 and ran.stdout.startswith("seed 314: 1.18030000"), ran.output
        assert ("has run another program" in ran.stderr, "this is its result" in ran.stderr) == (once, not once)
        assert len(list((tmp_path / "out/trained/314").glob("attempt-*"))) == 2


@pytest.mark.skipif(why_not_sealable() is not None, reason="nothing can be sealed off here")
def test_ctrl_c_is_answered_at_once_and_ends_also_a_program_that_does_not_listen(folder, tmp_path):
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    program = f"{deaf}{PROGRAM.replace('SHIFT', '0.0')}print('now', flush=True)\ntime.sleep(600)\n"
    (folder / "train_gpt.py").write_bytes(packed(program))
    words = ["reproduce", str(folder), "--yes", "--out", str(tmp_path / "out"), "--data-dir", str(tmp_path / "data")]
    attempt = tmp_path / "out/trained/42/attempt-1"
    with subprocess.Popen([PGOLF, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: (log := attempt / "train.log").exists() and "now" in log.read_text())
        running.send_signal(signal.SIGINT)
        assert running.stderr and running.stdout
        said = list(iter(running.stderr.readline, ""))
        assert (running.wait(), running.stdout.read()) == (130, "")
    again = "the same command makes another attempt, from the first step\n"
    assert said[-2:] == [f"Ctrl-C: ending what runs; {again}", f"stopped: nothing of it runs any more; {again}"]
    assert not of_pod(attempt)
    assert json.loads((attempt / "exit.json").read_text())["exit_code"] == 128 + signal.SIGKILL  # by its own seal
    (folder / "train_gpt.py").write_bytes(packed(PROGRAM.replace("SHIFT", "0.0")))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert attempt.with_name("attempt-2").is_dir()
