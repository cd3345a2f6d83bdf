"""What a person sees while seeds run."""

import io
import json
import logging

import pytest
from rich.console import Console

from pgolf import ledger, tracks
from pgolf.ledger.choosing import losses_at
from pgolf.record.board import Board
from pgolf.record.progress import Progress
from pgolf.record.rows import clock


def training(step: int, elapsed: float) -> Progress:
    progress = Progress()
    progress.feed('{"t": 0, "event": "progress", "stage": "train", "done": 0, "total": 100}\n')
    event = {"t": elapsed, "event": "train", "step": step, "iterations": 100, "train_loss": 4.5}
    progress.feed(json.dumps(event | {"train_ms": 900 * elapsed}) + "\n")
    progress.elapsed = elapsed
    return progress


def finished(seconds: float) -> Progress:
    progress = training(100, seconds / 2)
    progress.feed(f'{{"t": {seconds}, "event": "end"}}\n')
    progress.elapsed = seconds
    return progress


def test_terminal_shows_the_runs_side_by_side() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with Board(["seed 42", "seed 314"], screen) as board:
        board.update("seed 42", training(20, 30.0))
        assert board.live
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    assert "seed 42" in text
    assert "20/100" in text
    assert "4.5000" in text
    assert "≥ 2:00" in text
    assert "waiting" in text


def test_terminal_shows_budgets_cost_and_the_gain_over_the_standing_record() -> None:
    standing = ledger.load("pr1493")
    progress = Progress()
    said = [
        {"event": "progress", "stage": "train", "done": 0, "total": 4550},
        {"event": "train", "step": 1250, "iterations": 4550, "train_loss": 3.0, "train_ms": 154_000},
        {"event": "stop", "train_ms": 588_100},
        {"event": "calibration", "seconds": 12.7},
        {"event": "artifact", "total_bytes": 15_990_000},
        {"event": "stage", "stage": "pre-quantization post-ema", "val_bpb": 1.08, "eval_ms": 7000},
        {"event": "stage", "stage": "quantized", "val_bpb": 1.09, "eval_ms": 25_000},
    ]
    for n, event in enumerate(said):
        progress.feed(json.dumps({"t": 100 * n} | event) + "\n")
    progress.feed('{"t": 700, "event": "progress", "stage": "quantized_ttt", "done": 1, "total": 9}\n')
    progress.feed('{"t": 760, "event": "progress", "stage": "quantized_ttt", "done": 2, "total": 9}\n')
    limits = tracks.load("10min_16mb").limits
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with Board(["seed 42"], screen, standing, limits, cost=lambda: 7.5) as board:
        board.update("seed 42", progress)
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    # halfway between its logged steps, over its three seeds
    theirs = sum((dict(s.curve)[1000] + dict(s.curve)[1500]) / 2 for s in standing.seeds) / 3
    assert f"{theirs - 3.0:+.4f}" in text
    assert "15.990 of 16.000 MB" in text
    assert "601 of 600 s" in text  # calibration counts
    assert "85 of 600 s" in text  # one pass of 25 s and 60 s of another; the pre-quantisation one is none
    assert "$7.50 spent so far" in text


def test_loss_beyond_the_standing_curve_has_nothing_to_be_compared_with() -> None:
    standing = ledger.load("pr1493")
    last = standing.seeds[0].curve[-1][0]
    assert losses_at(standing, last) is not None
    assert losses_at(standing, last + 1) is None
    assert losses_at(ledger.load("pr1855"), 1) is None  # a record without curves


def test_remarks_are_told_below_all_runs() -> None:
    board = Board(["seed 42"], Console(file=io.StringIO()), remarks=["no gain is shown: other text"])
    assert board.notes() == ["no gain is shown: other text"]


def test_losses_over_other_tokens_are_not_compared() -> None:
    standing = ledger.load("pr1493")
    for bytes_per_token, compared in ((3.7270, True), (3.1572, False), (None, True)):
        board = Board(["seed 42"], Console(file=io.StringIO()), standing, bytes_per_token=bytes_per_token)
        assert (board.against(training(1000, 30.0)) is not None) == compared
        assert ("pr1493" in board.line("seed 42", training(1000, 30.0))) == compared


def test_view_fits_a_terminal_of_eighty_columns() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=80, color_system=None)
    board = Board(["seed 42", "seed 314"], screen, ledger.load("pr1493"), tracks.load("10min_16mb").limits)
    board.update("seed 42", training(20, 30.0))
    screen.print(board.view())
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "seed 42" in lines[0] and "seed 314" in lines[0]


def test_elsewhere_it_is_a_line_a_stage(caplog: pytest.LogCaptureFixture) -> None:
    file = io.StringIO()
    with caplog.at_level(logging.INFO, "pgolf"), Board(["seed 42"], Console(file=file)) as board:
        for step in (20, 30, 40):
            board.update("seed 42", training(step, 30.0))
        board.update("seed 42", finished(80.0))
    assert [r.getMessage().split("  ")[0] for r in caplog.records] == ["seed 42: train 20/100", "seed 42: done"]
    assert file.getvalue() == ""


def test_time_left_is_told_from_a_run_of_the_same_kind() -> None:
    board = Board(["baseline 1", "seed 1", "seed 2"], Console(file=io.StringIO()))
    board.update("baseline 1", finished(10.0))
    board.update("seed 2", training(20, 10.0))
    assert "≥ 0:40 left" in board.line("seed 2", training(20, 10.0))  # a baseline says nothing of a seed
    board.update("seed 1", finished(100.0))  # it took its first 20 steps in 10 s
    assert "about 1:30 left" in board.line("seed 2", training(20, 10.0))
    slower = board.row("seed 2", training(20, 20.0)).left
    assert slower and 150 < slower < 180  # twice as slow so far, which is not quite believed yet
    assert board.row("seed 3", None).left == 100.0


def test_clock_is_read_as_a_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 3599.4, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
