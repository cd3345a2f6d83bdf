"""`--plan` says how the dataset comes to pods: from where, and in what time at a rate that was measured, or that none
was."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgolf.data.source import keep_source, open_only
from pgolf.pods.places import Wanted
from pgolf.pods.rates import measured
from pgolf.pods.settings import Settings
from pgolf.pods.ssh import Data
from pgolf.pods.volume import WHOLE, folder_of
from pgolf.record.arrival import arrival
from pgolf.record.request import Request, check_request
from pgolf.sources import Source

AT = "hf://someone/text@" + "0" * 40
GB = 1_000_000_000


@pytest.fixture
def here(tiny_data, tmp_path) -> Path:
    shutil.copytree(tiny_data.data_dir, tmp_path / "data")
    (tmp_path / "data/manifest.json").unlink(missing_ok=True)
    keep_source(open_only(tmp_path / "data"), Source(AT))
    return tmp_path / "data"


def request(**knobs) -> Request:
    return check_request("10min_16mb", "smoke", [42, 314, 999], {"vocab_size": 512, **knobs})


def wanted(**rent) -> Wanted:
    settings = Settings()
    small = settings.runpod.staging.model_copy(update={"send_most_gb": 0.0})
    rented = settings.runpod.rent.model_copy(update=rent)
    runpod = settings.runpod.model_copy(update={"staging": small, "rent": rented})
    return Wanted("runpod", None, False, None, None, settings.model_copy(update={"runpod": runpod}))


def slot(runs: Path, name: str, *staged: object) -> None:
    path = runs / name / "pods/pod-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": "x", "staged": list(staged)}))


def test_rate_that_nobody_has_measured_is_not_made_up(here, tmp_path) -> None:
    told = arrival(request(), wanted(), 3, tmp_path / "runs", here)
    total = sum(p.stat().st_size for p in here.rglob("*") if p.suffix in (".bin", ".model"))
    assert (told.bytes, told.way, told.where, told.seconds, told.dollars) == (total, "hub", AT, None, None)
    assert list(told.lines())[:2] == [f"{total / 1e9:.2f} GB from {AT}", "no rate measured yet from the hub"]


def test_time_and_cost_are_from_the_rate_of_that_way(here, tmp_path) -> None:
    runs = tmp_path / "runs"
    slot(runs, "a", {"way": "hub", "bytes": 3 * GB, "seconds": 10.0}, {"way": "here", "bytes": GB, "seconds": 1000.0})
    slot(runs, "b", {"way": "hub", "bytes": GB, "seconds": 30.0}, {"way": "hub", "bytes": 5, "seconds": 5.0})
    told = arrival(request(), wanted(), 3, runs, here)
    assert told.rate.bytes_per_second == pytest.approx(4 * GB / 40) and told.rate.stagings == 2
    assert told.seconds == pytest.approx(told.bytes / 1e8)
    assert told.dollars == pytest.approx(3 * 40.0 * told.seconds / 3600), "three pods wait, at the bound of their price"
    assert "at the 100.0 MB/s of 2 earlier times" in list(told.lines())[1]
    assert arrival(request(), wanted(), 1, runs, here).dollars == pytest.approx(told.dollars / 3)


def test_volume_is_filled_by_a_cheap_pod_unless_it_is_whole(here, tmp_path) -> None:
    runs = tmp_path / "runs"
    slot(runs, "a", {"way": "hub", "bytes": GB, "seconds": 10.0})
    told = arrival(request(), wanted(network_volume_id="v1"), 3, runs, here)
    assert told.volume == "v1" and not told.whole
    assert told.dollars == pytest.approx(0.5 * told.seconds / 3600)
    assert "a pod without GPUs" in list(told.lines())[1]
    folder = folder_of(runs, "v1", Data(here, open_only(here).files))
    folder.mkdir(parents=True)
    (folder / WHOLE).write_text("{}")
    whole = arrival(request(), wanted(network_volume_id="v1"), 3, runs, here)
    assert whole.whole and whole.seconds is None and "known to be whole" in list(whole.lines())[1]


def test_dataset_without_a_source_is_sent_and_one_that_is_missing_is_said(here, tmp_path) -> None:
    (here / "manifest.json").unlink()
    told = arrival(request(), wanted(), 3, tmp_path / "runs", here)
    assert (told.way, told.where) == ("here", "this machine")
    nothing = arrival(request(), wanted(), 3, tmp_path / "runs", tmp_path / "nowhere")
    assert nothing.bytes is None and next(nothing.lines()).startswith("not here yet")


def test_share_of_the_tokens_that_a_seed_reads(here, tmp_path) -> None:
    dataset = open_only(here)
    few = request(iterations=2, train_batch_tokens=2048)
    told = arrival(few, wanted(), 3, tmp_path / "runs", here)
    assert (told.train_tokens, told.read_most) == (dataset.train_tokens, 4096)
    assert f"a seed reads at most 4,096 of {dataset.train_tokens:,} training tokens" in list(told.lines())[2]
    assert len(list(arrival(request(iterations=10**6), wanted(), 3, tmp_path / "runs", here).lines())) == 2


@pytest.mark.parametrize(
    "staged",
    [
        "text",
        ["text"],
        [{"way": "pigeon", "bytes": GB, "seconds": 1.0}],
        [{"way": "hub", "bytes": GB, "seconds": 0}],
        [{"way": "hub", "bytes": "many", "seconds": 1.0}],
        [{"way": "hub", "bytes": GB}],
    ],
)
def test_slot_of_another_form_measures_nothing(tmp_path, staged) -> None:
    path = tmp_path / "a/pods/pod-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"staged": staged}))
    path.with_name("pod-2.json").write_text("{" * 1000)
    assert measured(tmp_path) == {}


@pytest.mark.record
def test_plan_prints_it(here, tmp_path) -> None:
    (tmp_path / "pods.toml").write_text('[runpod.rent]\nnetwork_volume_id = "v1"\n[runpod.staging]\nsend_most_gb = 0\n')
    line = [str(Path(sys.executable).with_name("pgolf")), "record", "--plan", "--json", "--track", "10min_16mb"]
    line += ["--preset", "smoke", "--set", "VOCAB_SIZE=512", "--pods", "runpod", "--no-bound"]
    line += ["--data-dir", str(here), "--runs-dir", str(tmp_path / "runs")]
    slot(tmp_path / "runs", "a", {"way": "hub", "bytes": GB, "seconds": 10.0})
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["arrival"]
    assert (told["way"], told["volume"], told["rate"]["bytes_per_second"]) == ("hub", "v1", 1e8)
