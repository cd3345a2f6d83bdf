"""What Prefect keeps of a record for its pages: names, the progress of each run, the verdict without dead links."""

import json
from pathlib import Path

import httpx
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.collections import visit_collection

from pgolf.flows.pods import claim
from pgolf.flows.show import Outcome, artifact_key, publish, show
from pgolf.ledger import load
from pgolf.record.board import Board
from pgolf.record.milestones import Milestones
from pgolf.record.news import News
from pgolf.record.progress import Progress
from pgolf.report.verdict import Verdict
from pgolf.stats.comparison import compare


def test_server_keeps_names_progress_and_a_page_without_dead_links(prefect_server: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("")
    verdict = Verdict(True, compare(load("pr1736").sample(), load("pr1493").sample()), (), ())
    outcome = Outcome("shown", tmp_path, load("pr1736").seeds, verdict, tmp_path)

    @flow(name="shown-flow")
    def shows() -> None:
        claim("shown", "pr1736")
        watch = show(Board(["seed 42"]), "seed 42", "shown")
        progress = Progress(elapsed=20.0)
        progress.feed('{"t": 0, "event": "progress", "stage": "train", "done": 0, "total": 10}\n')
        progress.feed('{"t": 20, "event": "progress", "stage": "train", "done": 5, "total": 10}\n')
        watch(progress)
        progress.feed('{"t": 21, "event": "end"}\n')
        watch(progress)  # a moment later: the end waits for no turn
        publish(outcome, News(tmp_path))

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        shows()
    asked = {"flows": {"name": {"any_": ["shown-flow"]}}}
    (run,) = httpx.post(f"{prefect_server}/flow_runs/filter", json=asked).raise_for_status().json()
    assert (run["name"], run["tags"]) == ("shown: pr1736", ["pgolf-record:shown"])
    kept = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    found = httpx.post(f"{prefect_server}/artifacts/filter", json=kept).raise_for_status().json()
    artifacts = {a["key"]: a for a in found}
    assert sorted(artifacts) == ["shown-seed-42", "shown-seeds", "shown-verdict"]
    assert artifacts["shown-seed-42"]["data"] == 100.0
    assert artifacts["shown-seed-42"]["description"].startswith("seed 42: done")
    page = artifacts["shown-verdict"]["data"]
    assert page.startswith("# A record\n") and "](" not in page and "file:" not in page
    assert "- `report.html`" in page and "| comparison | against pr1493 |" in page
    rows = json.loads(artifacts["shown-seeds"]["data"])
    assert [row["val_bpb"] for row in rows] == [f"{s.val_bpb:.5f}" for s in outcome.scores]


def test_prefect_does_not_look_into_what_other_runs_change(tmp_path: Path) -> None:
    board, milestones = Board(["seed 1", "seed 2"]), Milestones(News(tmp_path), ["seed 1", "seed 2"])
    for view in (board, milestones):
        view.update("seed 1", Progress())
    seen: list[object] = []
    visit_collection([board, milestones], seen.append, return_data=False)  # as it does when a run starts
    assert seen[1:] == [board, milestones]


def test_keys_have_only_what_prefect_takes() -> None:
    assert artifact_key("Größe_1.5-seed 42") == "gr--e-1-5-seed-42"
