"""Files that pgolf wrote into a record's folder, where a stranger has put something else in their place."""

import json
import os

import pytest

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.manifest import check_files, list_files, read_manifest
from pgolf.evidence.plan import make_plan, read_plans, write_plan
from pgolf.evidence.probes import ProbeResult, read_probes

HOSTILE = ["", "\0", "[" * 100_000, "9" * 400, "Infinity", "[]", '"x"', "null", "\ufeff7"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_is_no_manifest_plan_or_probes(tmp_path, text):
    for name in ("manifest.json", "plan.json", "probes.jsonl"):
        (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=r"manifest\.json: (not|over|an integer|Infinity)"):
        read_manifest(tmp_path)
    with pytest.raises(BadInput, match=r"plan\.json: not a plan"):
        read_plans(tmp_path)
    with pytest.raises(BadInput, match=r"probes\.jsonl holds no results of probes"):
        read_probes(tmp_path / "probes.jsonl")


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "probes.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "link", "sparse"])
def test_files_that_are_no_plain_ones_are_refused(tmp_path, name, kind):
    record = tmp_path / "record"
    record.mkdir()
    if kind == "pipe":
        os.mkfifo(record / name)
    elif kind == "link":
        (tmp_path / "elsewhere").write_text("{}")
        (record / name).symlink_to(tmp_path / "elsewhere")
    else:
        with (record / name).open("wb") as f:
            f.truncate(200 << 30)
    read = {"plan.json": read_plans, "manifest.json": read_manifest, "probes.jsonl": lambda r: read_probes(r / name)}
    with pytest.raises(BadInput, match=r"a pipe|leads out of|over |no results"):
        read[name](record)


@pytest.mark.parametrize("files", [[1], "x", 7, None])
def test_a_manifest_whose_files_are_no_table_is_refused(tmp_path, files):
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    with pytest.raises(BadInput, match="not the manifest of a record"):
        list_files(tmp_path, tmp_path, {"a": "b"})


@pytest.mark.parametrize("kind", ["pipe", "link", "gone", "changed", "outside"])
def test_a_listed_file_that_is_another_one_ends_the_run(tmp_path, kind):
    record, name = tmp_path / "record", "../record/seeds/42/log"
    folder = record / "seeds" / "42"
    folder.mkdir(parents=True)
    (folder / "log").write_text("score")
    list_files(record, folder, {"log": "9c9c3b2f0b5d6cbb9b9a5ad6d2f1ad2a6c0f4e3cdd4e6a2ba2a1f1c1c0b0a090"})
    if kind == "outside":
        (tmp_path / "elsewhere").write_text("score")
        list_files(record, folder, {"../../../elsewhere": "0" * 64})
    elif kind != "changed":
        (folder / "log").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "log")
    elif kind == "link":
        (folder / "log").symlink_to(tmp_path / name)
    said = {
        "pipe": "a pipe",
        "link": "itself|Too many",
        "gone": "gone",
        "changed": "changed",
        "outside": "leads out of",
    }
    with pytest.raises(RunFailed, match=said[kind]):
        check_files(record, folder)


@pytest.mark.parametrize(
    ("key", "value"), [("positions", "many"), ("passed", "perhaps"), ("seeds", 7), ("counter_example", [1])]
)
def test_a_result_of_a_probe_has_types(tmp_path, key, value):
    about = {"seed": 42, "artifact": "a", "program": "b"}
    good = ProbeResult("causality", "x", True, True, "tried").as_json()
    path = tmp_path / "probes.jsonl"
    path.write_text(f"{json.dumps(about)}\n{json.dumps(good)}\n")
    assert read_probes(path).results == (ProbeResult("causality", "x", True, True, "tried"),)
    path.write_text(f"{json.dumps(about)}\n{json.dumps(good | {key: value})}\n")
    with pytest.raises(BadInput, match=rf"holds no results of probes: results\.0\.{key}"):
        read_probes(path)


def test_a_pipe_in_a_plans_place_is_not_written_over(tmp_path):
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(BadInput, match="a pipe"):
        write_plan(tmp_path, make_plan("r", "t", "p", [1], {}))
