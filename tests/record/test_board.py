"""What a person sees while seeds run."""

import io
import logging

import pytest
from rich.console import Console

from pgolf.record.board import Board, clock
from pgolf.record.progress import Progress


def training(step: int, elapsed: float) -> Progress:
    progress = Progress()
    progress.feed('{"t": 0, "event": "progress", "stage": "train", "done": 0, "total": 100}\n')
    progress.feed(f'{{"t": {elapsed}, "event": "train", "step": {step}, "iterations": 100, "train_loss": 4.5}}\n')
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
    assert "(≥ 0:40 left)" in board.line("seed 2", training(20, 10.0))  # a baseline says nothing of a seed
    board.update("seed 1", finished(100.0))
    assert "(1:20 left)" in board.line("seed 2", training(20, 20.0))
    assert "(0:40 left)" in board.line("seed 2", training(20, 10.0))  # twice as fast


def test_clock_is_read_as_a_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 3599.4, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
