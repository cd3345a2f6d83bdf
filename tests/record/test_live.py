"""How a record goes, as a file that others read."""

import json
import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pgolf import tracks
from pgolf.record.board import Board
from pgolf.record.live import LIVE, Live, LiveFile, Row, read_live, write_live
from pgolf.record.live_page import PAGE
from pgolf.record.progress import Progress

LIVE_NOW = Live("r", "cpu_smoke", "mine", "2026-11-29T22:00:00+00:00", "2026-11-29T22:00:02+00:00")


def test_a_reader_sees_what_the_board_shows(tmp_path: Path) -> None:
    live = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    board = Board(["seed 1", "seed 2"], limits=tracks.load("cpu_smoke").limits, tell=live.runs)
    board.live = None
    progress = Progress(elapsed=30.0)
    progress.feed('{"t": 10, "event": "train", "step": 20, "iterations": 100, "train_loss": 4.5, "train_ms": 9000}\n')
    board.update("seed 1", progress)
    read = read_live(tmp_path)
    assert read and list(read.rows) == board.rows()
    first, second = read.rows
    assert (first.stage, first.done, first.total, first.loss, first.state) == ("train", 20, 100, 4.5, "running")
    assert [limit.value for limit in first.used] == [None, 9.0, None]
    assert second == Row("seed 2"), "nothing is known of it"
    live.end("failed", "no seed finished")
    read = read_live(tmp_path)
    assert read and (read.state, read.verdict, len(read.rows)) == ("failed", "no seed finished", 2)


def test_probes_are_shown_and_counted_into_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveFile(tmp_path, "r", "cpu_smoke", "mine")

    def told() -> tuple[str, float | None]:
        read = read_live(tmp_path)
        assert read
        return read.doing, read.left

    live.show("seeds")
    live.probes = 28.0
    base = Row("baseline 1", stage="done")
    live.runs([base, Row("seed 1", stage="train", left=60.0, basis="runs"), Row("seed 2", left=60.0, basis="runs")])
    assert told() == ("seeds", 120.0), "they go beside the second seed"
    done = Row("seed 1", stage="done")
    live.runs([base, done, Row("seed 2", stage="quantized", left=10.0, basis="runs")])
    assert told() == ("seeds", 28.0)
    now = time.monotonic()
    monkeypatch.setattr("pgolf.record.live.time.monotonic", lambda: now)
    with live.probing():
        assert told() == ("probes", 28.0)
        now += 20.0
        live.runs([base, done, replace(done, label="seed 2")])
        assert told() == ("probes", 8.0)
        now += 20.0
        live.show("probes")
        assert told() == ("probes", 0.0), "and never less"
    assert told() == ("seeds", 0.0)


def test_of_very_many_runs_those_that_run_are_shown(tmp_path: Path) -> None:
    live = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    rows = [Row(f"seed {n}", stage="train" if n == 1499 else "waiting") for n in range(1500)]
    live.runs(rows)
    read = read_live(tmp_path)
    assert read and len(read.rows) == 1000 and read.rows[-1].label == "seed 1499" and read.rows[-2].label == "seed 998"
    assert read.notes == ("and 500 more runs",)


def test_runs_that_were_done_before_are_shown_so_by_the_next_process(tmp_path: Path) -> None:
    done, killed = Row("seed 1", stage="done", val_bpb=2.5), Row("seed 2", stage="train")
    write_live(tmp_path, replace(LIVE_NOW, rows=(done, killed)))
    live = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    assert live.done_before == {"seed 1": done}
    live.show("preflight")
    board = Board(["seed 1", "seed 2"], tell=live.runs, before=live.done_of(["seed 1", "seed 2"]))
    board.live = None
    with board:
        read = read_live(tmp_path)
        assert read and read.rows == (replace(done, reused=True), Row("seed 2"))
    board.update("seed 1", Progress(elapsed=3.0))  # it is run again all the same
    assert board.rows()[0].state == "running"


def test_what_json_cannot_hold_is_written_as_unknown(tmp_path: Path) -> None:
    row = Row("seed 1", loss=math.nan, error="x" * 5000)
    write_live(tmp_path, replace(LIVE_NOW, rows=(row,)))
    read = read_live(tmp_path)
    assert read and read.rows[0].loss is None and read.rows[0].error == "x" * 2000


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": [{"label": "seed 1", "done": "all"}]},
        {"rows": [{"label": "seed 1"}] * 1001},
        {"state": "odd"},
        {"left": "soon"},
        {"rows": [{"label": 1}]},
    ],
)
def test_another_file_in_its_place_is_not_believed(changed: dict[str, object], tmp_path: Path) -> None:
    write_live(tmp_path, LIVE_NOW)
    assert read_live(tmp_path) == LIVE_NOW
    content = json.loads((tmp_path / LIVE).read_text())
    (tmp_path / LIVE).write_text(json.dumps(content | changed))
    assert read_live(tmp_path) is None
    (tmp_path / LIVE).unlink()
    assert read_live(tmp_path) is None


def test_words_in_it_move_no_cursor(tmp_path: Path) -> None:
    write_live(tmp_path, replace(LIVE_NOW, verdict="\x1b[2Jgone"))
    read = read_live(tmp_path)
    assert read and read.verdict == "\N{REPLACEMENT CHARACTER}[2Jgone"


def test_page_that_cannot_be_written_is_told_once_and_once_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pgolf.record.live")
    live = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    (tmp_path / PAGE / "in the way").mkdir(parents=True)
    for doing in ("preflight", "seeds", "verdict"):
        live.show(doing)
        read = read_live(tmp_path)
        assert read and read.doing == doing  # others still see it
    assert [r.levelname for r in caplog.records] == ["WARNING"] and "live.html is not written" in caplog.text
    (tmp_path / PAGE / "in the way").rmdir()
    (tmp_path / PAGE).rmdir()
    for doing in ("seeds", "verdict"):
        live.show(doing)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"] and "written again" in caplog.text
    assert (tmp_path / PAGE).is_file()
    (tmp_path / LIVE).unlink()
    (tmp_path / LIVE / "in the way").mkdir(parents=True)
    live.show("seeds")
    live.show("verdict")
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO", "WARNING"]
