"""Bad input is refused before anything is started, written, or imported that takes seconds."""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from seconds import TINY

from pgolf import cli
from pgolf.data.dataset import Dataset
from pgolf.data.present import check_present, find_dataset
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_atomic
from pgolf.pods.places import check_wanted
from pgolf.pods.processes import identity
from pgolf.record.disk import blaming_a_full_disk, check_output, check_writable, full_disk
from pgolf.record.folder import describe_record, working_on
from pgolf.record.orchestrator import Orchestrator, write_orchestrator
from pgolf.record.outcome import End, write_end
from pgolf.record.planned import plan_record
from pgolf.record.programs import own_program
from pgolf.record.refusals import check_planned, check_start, check_sweep_start
from pgolf.record.request import check_request
from pgolf.record.stand import being_made

TRACK = str(TINY / "tiny_track.toml")
RUN_ALL = """
import contextlib, io, json, sys
from pgolf import cli
from pgolf.cli.output import stderr
for words in json.load(sys.stdin):
    stderr.file = io.StringIO()
    sys.argv, code = ["pgolf", *words], None
    try:
        cli.main()
    except SystemExit as e:
        code = e.code
    heavy = [name for name in ("torch", "prefect", "scipy", "asyncssh") if name in sys.modules]
    print(json.dumps([code, stderr.file.getvalue(), heavy]))
"""
SPEEDRUN = "record --track nanogpt_short --program program.py"
REFUSED = {  # a command line: words of what is said
    "record --name ???": "name '???'",
    "record --id ../up": "--id '../up'",
    "record --preset=": "--preset is empty",
    "record --against=": "--against is empty",
    "record --name=": "--name is empty",
    "record --runs-dir file": "is no folder; name another folder with --runs-dir",
    "record --runs-dir file/below": "is no folder; name another folder with --runs-dir",
    "record --plan --runs-dir file": "is no folder; name another folder with --runs-dir",
    "record --plan --data-dir file": "is no folder; name another folder with --data-dir",
    "record --plan --track 10min_16mb --data-dir file": "is no folder; name another one with --data-dir",
    "record --plan --id ../up": "--id '../up'",
    "record --data-dir file": "is no folder; name another folder with --data-dir",
    "record --track cpu_smok": "did you mean cpu_smoke",
    "record --track 10min_16mb": "pgolf data fineweb --variant sp8192 --repo OWNER/NAME --out data`",
    "record --track 10min_16mb --preset pr1855": "--variant sp8192_caseops",
    "record --track non_record_16mb": "`pgolf record --track 10min_16mb --non-record --seeds 42` runs within the",
    "record --preset smoke-bass": "did you mean smoke-base",
    "record --seeds 42,314": "at least 3",
    "record --seeds=": "--seeds is empty",
    "record --set TTT_EPOCH=5": "ttt_epochs",
    "record --pods runpd": "did you mean runpod",
    "record --pods ssh": "no machine to use",
    "record --pods ssh --pods-file nowhere.toml": "nowhere.toml: no such file",
    "record --pods runpod --no-bound": "no API key; set RUNPOD_API_KEY",
    "record --max-cost 5": "nothing is rented",
    "record --program nowhere.py": "no file or folder nowhere.py",
    "record --program program.py --evaluator program.py": "write path/to/file.py:make_evaluator",
    "record --program program.py --evaluator nowhere.py:make": "no file nowhere.py",
    "record --against nothing": "'nothing'",
    f"{SPEEDRUN} --baseline program.py": "nothing to compare",
    f"{SPEEDRUN} --baseline program.py --runs 1": "--runs 1",
    f"{SPEEDRUN} --baseline nowhere.py": "nowhere.py",
    f"{SPEEDRUN} --baseline program.py --id ../up": "--id '../up'",
    f"{SPEEDRUN} --baseline other.py --plan --runs-dir file": "is no folder; name another folder with --runs-dir",
    f"{SPEEDRUN} --baseline other.py --runs-dir file": "is no folder; name another folder with --runs-dir",
    f"{SPEEDRUN} --baseline other.py --pods runpod --no-bound": "no API key; set RUNPOD_API_KEY",
    "sweep --grid TTT_EPOCHS=1,2 --id ../up": "--id '../up'",
    "sweep --grid TTT_EPOCHS=1,2 --runs-dir file": "is no folder; name another folder with --runs-dir",
    "sweep --grid TTT_EPOCHS=1,2 --track 10min_16mb": "--variant sp8192",
    "sweep --grid TTT_EPOCHS=1,2 --seed 42": "seed 42 is one of the seeds that confirm",
    "sweep --grid TTT_EPOCHS=1,2 --time-margin 600": "--time-margin 600.0: the limit is 600.0 s of evaluation",
    "sweep --grid TTT_EPOCHS=1,2 --time-margin=-1": "--time-margin -1.0: the limit is",
    "sweep --grid TTT_EPOCHS=1,2 --time-margin nan": "--time-margin nan: the limit is",
    "sweep --grid TTT_EPOCHS=1,2 --time-margin inf": "--time-margin inf: the limit is",
    "sweep --grid TTT_EPOCHS=1,2 --size-margin 2000000": "--size-margin 2,000,000: the limit is 2,000,000 bytes",
    "sweep --grid TTT_EPOCHS=1,2 --size-margin=-1": "--size-margin -1: the limit is",
    "sweep --space nowhere.toml": "nowhere.toml",
    "sweep --grid TTT_EPOCHS=1,2 --confirm-seeds=": "--confirm-seeds is empty",
    "ablate smoke-base smok": "did you mean smoke",
    "ablate smoke-base smoke --seeds 42,314": "asks for at least 3",
    "ablate smoke-base smoke --seeds=": "--seeds is empty",
    "ablate smoke-base smoke --seeds 42,x": "--seeds 42,x: 'x' is no seed",
    "ablate smoke-base smoke --id ../up": "--id '../up'",
    "ablate smoke-base smoke --runs-dir file": "is no folder; name another folder with --runs-dir",
    "train --preset smok": "did you mean smoke",
    "train --set TTT_EPOCH=5": "ttt_epochs",
    "train --describe --preset smok": "did you mean smoke",
    "train --folder file": "is no folder; name another folder with --folder",
    "pack --preset smok": "did you mean smoke",
    "eval nowhere.ptz": "nowhere.ptz: cannot be read",
    "eval file --mode slidin": "did you mean sliding",
    "reproduce nowhere": "no folder nowhere",
    "reproduce entry --seed 7": "has no seed 7; it has 42, 314, 999",
    "reproduce entry --seed 42": "no data in data: no such folder",
    "reproduce entry --seed 42 --data-dir .": "no datasets/fineweb10B_sp512",
}


def test_bad_input_is_told_before_anything_is_started_written_or_imported(tmp_path: Path, tiny_data: Dataset) -> None:
    (tmp_path / "file").touch()
    for name in ("program.py", "other.py"):
        (tmp_path / name).write_text(f"print('{name}')\n")
    recorded = shutil.copytree(Path(__file__).parents[1] / "recorded" / "new", tmp_path / "recorded")
    entry = tmp_path / "entry"
    entry.mkdir()
    for log in recorded.glob("*/train.log"):
        shutil.copy(log, entry / f"train_seed{log.parent.name}.log")
    (entry / "dataset.json").write_text(json.dumps(tiny_data.facts()))
    (tmp_path / "elsewhere" / "datasets").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    alone = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "RUNPOD_", "PGOLF_"))}
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([words.split() for words in REFUSED]),
        cwd=tmp_path,
        env=alone | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(REFUSED), done.stderr
    for (words, said), (code, stderr, heavy) in zip(REFUSED.items(), told, strict=True):
        assert (code, heavy) == (2, []), f"{words}: {stderr}"
        assert said in stderr and stderr.count("\n") == 1, f"{words}: {stderr}"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dataset_is_found_in_the_folder_or_in_one_of_it(tiny_data: Dataset, tmp_path: Path) -> None:
    assert find_dataset(tiny_data.data_dir, 512) == tiny_data.data_dir
    (tmp_path / "one").symlink_to(tiny_data.data_dir)
    assert find_dataset(tmp_path, 512) == tmp_path / "one"
    (tmp_path / "two").symlink_to(tiny_data.data_dir)
    with pytest.raises(BadInput, match=r"several folders have .*one, .*two"):
        find_dataset(tmp_path, 512)


def test_a_dataset_that_is_not_whole_is_told_by_names_sizes_and_small_hashes(
    tiny_data: Dataset, tmp_path: Path
) -> None:
    check_present(tiny_data.data_dir, 512)
    data = shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    (tokenizer,) = (data / "tokenizers").glob("*.model")
    shard = data / "datasets/fineweb10B_sp512/fineweb_train_000003.bin"
    for path, spoil, said in (
        (tokenizer, lambda: tokenizer.write_bytes(b"x" + tokenizer.read_bytes()[1:]), "SHA-256 is"),
        (tokenizer, tokenizer.unlink, "the dataset's tokenizer"),
        (shard, lambda: os.truncate(shard, shard.stat().st_size - 2), "not as many as its header says"),
        (shard, lambda: write_shard(shard, np.arange(5)), "SHA-256 is"),
        (shard, shard.unlink, r"no such file, and .*manifest\.json lists it"),
    ):
        kept = path.read_bytes()
        spoil()
        with pytest.raises(BadInput, match=said) as told:
            check_present(data, 512)
        assert path.name in str(told.value)
        path.write_bytes(kept)
    for shard in data.glob("datasets/*/fineweb_val_*.bin"):
        shard.unlink()
    with pytest.raises(BadInput, match=r"no fineweb_val_\*\.bin .*make one"):
        check_present(data, 512)


def test_a_record_of_that_name_with_other_seeds_is_told_before_anything(tiny_data: Dataset, tmp_path: Path) -> None:
    request = check_request(TRACK)
    with working_on(describe_record(tmp_path, request, tiny_data, own_program(b"program", "tiny", {}), "mine")):
        pass
    check_start(request, check_wanted(), tmp_path, tiny_data.data_dir, "mine")
    with pytest.raises(BadInput, match=r"differs from this one in seeds; .*another --id \(record_id in Prefect\)"):
        check_start(check_request(TRACK, seeds=[1, 2, 3]), check_wanted(), tmp_path, tiny_data.data_dir, "mine")
    other = check_request(TRACK, overrides={"ttt_epochs": "2"})
    with pytest.raises(BadInput, match="differs from this one in knobs"):
        check_start(other, check_wanted(), tmp_path, tiny_data.data_dir, "mine")
    with pytest.raises(BadInput, match="differs from this one in early_stop"):
        check_start(request, check_wanted(), tmp_path, tiny_data.data_dir, "mine", (True, None))
    with pytest.raises(BadInput, match="differs from this one in knobs"):
        check_planned(other, tmp_path, tiny_data.data_dir, "mine")


def test_a_sweep_and_a_record_do_not_take_one_anothers_folder(tiny_data: Dataset, tmp_path: Path) -> None:
    request, other = check_request(TRACK), check_request(TRACK, overrides={"ttt_epochs": "2"})
    for kind in ("record", "sweep"):
        record = describe_record(tmp_path, request, tiny_data, own_program(b"program", "tiny", {}), kind)
        with working_on(replace(record, kind=kind)):
            pass
    check_sweep_start(request, "sweep", tmp_path, tiny_data.data_dir, "sweep")
    with pytest.raises(BadInput, match="differs from this one in knobs"):
        check_sweep_start(other, "sweep", tmp_path, tiny_data.data_dir, "sweep")
    (tmp_path / "artifact").touch()
    with pytest.raises(BadInput, match="differs from this one in artifact"):
        check_sweep_start(request, "sweep", tmp_path, tiny_data.data_dir, "sweep", {"artifact": tmp_path / "artifact"})
    with pytest.raises(BadInput, match="of another kind, record, where this is of kind sweep"):
        check_sweep_start(request, "sweep", tmp_path, tiny_data.data_dir, "record")
    with pytest.raises(BadInput, match="of another kind, sweep, where this is of kind ablation"):
        check_sweep_start(request, "ablation", tmp_path, tiny_data.data_dir, "sweep")
    with pytest.raises(BadInput, match=r"of another kind, sweep, .* give this one another --id"):
        check_start(request, check_wanted(), tmp_path, tiny_data.data_dir, "sweep")


def test_a_second_command_is_told_at_once_of_the_record_that_the_first_one_makes(
    tiny_data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = describe_record(tmp_path, check_request(TRACK), tiny_data, own_program(b"program", "tiny", {}))
    words = ["record", "--track", TRACK, "--runs-dir", str(tmp_path), "--data-dir", str(tiny_data.data_dir)]

    def again(*more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pgolf", *words, *more])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), capsys.readouterr().err

    monkeypatch.setattr("pgolf.cli.detached.start", lambda *given: pytest.fail("it is made a second time"))
    monkeypatch.setattr("pgolf.cli.detached.run_flow", lambda *given, **more: pytest.fail("it is made a second time"))
    with working_on(record):
        write_orchestrator(record.folder, Orchestrator(identity(), command=("pgolf", *words), cwd=os.getcwd()))
        code, said = again("--foreground")
        assert code == 2 and f"another process is at {record.folder} just now" in said
        threading.Timer(1.0, lambda: write_end(record.folder, End(exit_code=1, error="no seed finished"))).start()
        code, said = again("--no-foreground", "--json")
        assert code == 1 and "is being made by this command already" in said and "no seed finished" in said
        inputs, command = check_request(TRACK).inputs, ("pgolf", *words)
        assert being_made(tmp_path, inputs, command) == record.folder
        assert being_made(tmp_path, inputs, (*command, "--stop-early")) is None
        assert being_made(tmp_path, {**inputs, "knobs": "edited since"}, command) is None
    assert being_made(tmp_path, inputs, command) is None, "nobody is at it"


def test_a_plan_shows_the_knobs_that_are_changed_and_the_data_that_lacks(tmp_path: Path) -> None:
    planned = plan_record(
        check_request("10min_16mb", overrides={"ttt_epochs": "7"}), check_wanted(), None, None, tmp_path, tmp_path
    )
    rows = dict(planned.rows())
    assert rows["changed"].startswith("TTT_EPOCHS=7 (") and rows["changed"].endswith(" in the preset)")
    assert planned.as_json()["changed"] == {"ttt_epochs": "7"}
    assert "is a dataset" in rows["lacks here"]


def test_a_full_disk_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "server.log"
    log.write_text("sqlite3.OperationalError: database or disk is full\n")
    assert full_disk(tmp_path) is None
    assert "database or disk is full" in str(full_disk(tmp_path, log))
    with pytest.raises(ValueError, match="otherwise"), blaming_a_full_disk(tmp_path):
        raise ValueError("otherwise")
    with pytest.raises(RunFailed, match=r"the disk of .* is full; free some"), blaming_a_full_disk(tmp_path):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(RunFailed, match=r"is full \(0\.0 MB free\); .*failed with: 500"), blaming_a_full_disk(tmp_path):
        raise ValueError("500\nmore")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_that_only_says_that_it_can_be_written_is_refused() -> None:
    with pytest.raises(BadInput, match=r"/proc cannot be written: .*; name another folder with --runs-dir"):
        check_writable(Path("/proc/mine"), "--runs-dir")
    with pytest.raises(BadInput, match=r"/proc cannot be written: .*; name another file with --output"):
        check_output(Path("/proc/body.md"), "--output")
    with pytest.raises(OSError) as told:
        write_atomic(Path("/proc/body.md"), "text")
    assert told.value.filename == "/proc/body.md"
