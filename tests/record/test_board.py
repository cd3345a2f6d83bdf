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
from pgolf.record.rows import Row, clock
from pgolf.record.time_left import whole_left


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
    assert "2:00 left of this stage" in text
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


def many(high: int, wide: int = 80) -> tuple[Board, Console]:
    """78 runs of one kind on a terminal: 12 were done before, two run."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=wide, height=high, color_system=None)
    labels = [f"EMBED_LR=0.{n:02},MUON_WD=0.1 {seed}" for n in range(26) for seed in (42, 314, 999)]
    before = {label: Row(label, stage="done", val_bpb=2.5, elapsed=9.0) for label in labels[:12]}
    board = Board(labels, screen, before=before, kind=lambda label: "training")
    for label in labels[12:14]:
        board.update(label, training(20, 30.0))
    return board, screen


@pytest.mark.parametrize(("high", "wide"), [(24, 80), (50, 200), (8, 60)])
def test_of_more_runs_than_fit_those_that_run_are_shown_and_the_others_counted(high: int, wide: int) -> None:
    board, screen = many(high, wide)
    with screen.capture() as caught:
        screen.print(board.view())
    text = caught.get()
    assert len(text.splitlines()) <= high and text.count("20/100") == (2 if high > 8 else 1)
    assert "12 of 78 done, 2 running, 64 waiting" in text.splitlines()[-1]
    assert "reused" not in text or high == 50
    if high > 8:
        assert "EMBED_LR=0.04 999" in text  # the next one
    board.update(next(label for label, p in board.runs.items() if p), finished(100.0))
    with screen.capture() as caught:
        screen.print(board.view())
    said = " ".join(caught.get().split())
    assert "13 of 78 done, 1 running, 64 waiting; all runs: about 1:50:40 left" in said
    assert len(caught.get().splitlines()) <= high


def test_board_that_is_left_leaves_no_more_than_a_screen() -> None:
    board, screen = many(24)
    with board:
        pass
    assert isinstance(screen.file, io.StringIO)
    assert "…" not in screen.file.getvalue().splitlines()[-1]
    assert screen.file.getvalue().count("waiting") < 40


def test_all_that_ended_are_counted_and_the_last_ones_shown() -> None:
    board, screen = many(24)
    for label in board.runs:
        board.settle(label, Row(label, stage="done", val_bpb=2.5))
    with screen.capture() as caught:
        screen.print(board.view())
    assert "78 of 78 done" in caught.get() and "EMBED_LR=0.25" in caught.get()


def test_runs_that_were_tried_before_are_shown_done_and_reused() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=120, color_system=None)
    before = {"base 42": Row("base 42", stage="done", val_bpb=2.5, elapsed=9.0), "TTT_LR=1 42": Row("", stage="done")}
    board = Board(["base 42", "TTT_LR=1 42", "TTT_LR=2 42"], screen, before=before)
    screen.print(board.view())
    text = file.getvalue()
    assert text.count("reused") == 2 and text.count("waiting") == 1 and "0:09, reused" in text and "2.50000" in text


def test_titles_tell_runs_apart_by_what_they_change_and_by_the_seed() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=120, color_system=None)
    knobs = "EMBED_CLIP_SIGMAS=15.0,MATRIX_CLIP_SIGMAS=12.85"
    labels = [f"{knobs},TTT_LR={lr} {seed}" for lr in (0.001, 0.002) for seed in (42, 314)]
    screen.print(Board(labels, screen).view())
    screen.print(Board([f"{knobs},TTT_LR=0.1 42", f"{knobs.replace('85', '86')} 314"], screen).view())
    text = file.getvalue()
    for title in ("TTT_LR=0.001 42", "TTT_LR=0.001 314", "TTT_LR=0.002 42", "TTT_LR=0.002 314"):
        assert f" {title} " in text
    for title in ("1: MATRIX_CLIP_SIGMAS=12.85,T… 42", "MATRIX_CLIP_SIGMAS=12.86 314"):
        assert f" {title} " in text


def test_time_left_of_all_runs_counts_those_that_wait_and_is_untold_until_one_like_them_has_ended() -> None:
    kinds = {"base 1": "training", "TTT_LR=1 1": "artifact", "TTT_LR=2 1": "artifact"}
    board = Board(list(kinds), Console(file=io.StringIO()), kind=lambda label: kinds[label])
    board.update("base 1", finished(100.0))
    board.update("TTT_LR=1 1", training(20, 10.0))
    assert whole_left(board.rows()) is None
    board.update("TTT_LR=1 1", finished(30.0))
    left = whole_left(board.rows())
    assert left and left.seconds == 30.0


def test_run_that_has_failed_without_saying_so_is_shown_failed() -> None:
    board = Board(["TTT_LR=1 42"], Console(file=io.StringIO()))
    board.update("TTT_LR=1 42", training(20, 10.0))
    board.settle("TTT_LR=1 42", Row("TTT_LR=1 42", stage="stopped", error="bound to take 99 s"))
    assert [(row.state, row.error) for row in board.rows()] == [("failed", "bound to take 99 s")]


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
    assert "0:40 left of this stage" in board.line("seed 2", training(20, 10.0))  # a baseline says nothing of a seed
    board.update("seed 1", finished(100.0))  # it took its first 20 steps in 10 s
    assert "about 1:30 left" in board.line("seed 2", training(20, 10.0))
    slower = board.row("seed 2", training(20, 20.0)).left
    assert slower and 150 < slower < 180  # twice as slow so far, which is not quite believed yet
    assert board.row("seed 3", None).left == 100.0


def test_clock_is_read_as_a_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 3599.4, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
