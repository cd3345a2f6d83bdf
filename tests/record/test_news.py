"""What a chat is told of a record: each thing once, whatever is killed, and nothing that the figures do not support."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chat import Chat

from pgolf import ledger, tracks
from pgolf.ledger import StandingRecord
from pgolf.notify import VARIABLE, flush
from pgolf.record.early_stop import Judge
from pgolf.record.heading import heading_of
from pgolf.record.milestones import Milestones, trained
from pgolf.record.news import TOLD, News
from pgolf.record.progress import Progress
from pgolf.record.rows import Row

RULES = tracks.load("10min_16mb")
STANDING = ledger.load("pr1493")


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A webhook on this machine, which the environment names."""
    with Chat() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


def told(chat: Chat) -> list[str]:
    flush()
    return [body["text"] for body in chat.told]


def said(p: Progress, *events: dict) -> Progress:
    p.feed("".join(json.dumps({"t": 1.0, **event}) + "\n" for event in events))
    return p


def steps(*marks: int, offset: float = 0.0, of: int = 4550) -> list[dict]:
    """A training with the standing record's losses, so much further off, logged at these steps."""
    curve = dict(STANDING.seeds[0].curve)
    events = []
    for step in marks:
        loss = curve[step] + offset
        event = {"event": "train", "step": step, "iterations": of, "train_loss": loss, "train_ms": 130.0 * step}
        events.append(event)
    return events


def logged(upto: int) -> list[int]:
    return [step for step, _ in STANDING.seeds[0].curve if step <= upto]


def one_seed() -> StandingRecord:
    return replace(STANDING, seeds=STANDING.seeds[:1])


def milestones(news: News, *labels: str, over: tuple[str, ...] = ()) -> Milestones:
    judge = Judge((), RULES.limits, RULES.early_stop, standing=one_seed())
    return Milestones(
        news,
        list(labels),
        set(over),
        judge,
        one_seed(),
        rows=lambda: [Row("seed 1", stage="train", left=750.0, basis="runs")],
    )


def test_record_is_told_of_at_quarters_of_all_training_and_once_a_stage(chat: Chat, tmp_path: Path) -> None:
    news = News(tmp_path / "r1", quiet_s=0.0)
    seen, first, second = milestones(news, "seed 1", "seed 2"), Progress(), Progress()
    for p, label in ((first, "seed 1"), (second, "seed 2")):
        for upto in range(500, 4551, 500):
            seen.update(label, said(p, *steps(*logged(upto)[len(p.curve) :], offset=-0.01)))
        for stage, bpb in (("pre-quantization post-ema", 1.0845), ("quantized", 1.0960)):
            seen.update(label, said(p, {"event": "stage", "stage": stage, "val_bpb": bpb, "eval_ms": 7000}))
    texts = told(chat)
    assert [text.split(" of the training")[0] for text in texts if " %" in text] == ["r1: 25 %", "r1: 50 %", "r1: 75 %"]
    assert "about 12:30 left" in texts[0]
    assert "\nseed 1: step 2,500 of 4,550, loss " in texts[0]
    assert "(gain over pr1493 in the last steps +0.0100)" in texts[0]
    stages = [text for text in texts if " bpb (" in text and "seed" in text.split(": ")[1]]
    assert [text.split(" bpb")[0] for text in stages] == [
        "r1: seed 1: pre-quant 1.08450",
        "r1: seed 1: quantized 1.09600",
    ]
    assert len(texts) == 5


def test_nothing_is_told_twice_by_the_process_that_goes_on(chat: Chat, tmp_path: Path) -> None:
    events = [*steps(*logged(3000)), {"event": "stage", "stage": "quantized", "val_bpb": 1.0960, "eval_ms": 7000}]
    for process in range(3):  # each is killed, and the next one reads all from the beginning
        news = News(tmp_path / "r1", quiet_s=0.0)
        news.begin("started, seeds 1")
        p = Progress()
        milestones(news, "seed 1").update("seed 1", said(p, *events))
        news.tell("seed 1 is done", "seed 1 is done")
        news.verdict("no record")
        if process == 0:
            assert len(told(chat)) == 5
    assert len(told(chat)) == 5
    news.verdict("A RECORD")  # another verdict is news
    assert told(chat)[-1] == "r1: A RECORD"


def test_a_failed_record_that_goes_on_says_so_and_may_fail_again(chat: Chat, tmp_path: Path) -> None:
    for _ in range(2):
        news = News(tmp_path / "r1")
        news.begin("started")
        news.ended("failed: disk is full")
        news.close()
    assert told(chat) == ["r1: started", "r1: failed: disk is full", "r1: goes on", "r1: failed: disk is full"]


def test_lines_that_come_together_are_one_message(chat: Chat, tmp_path: Path) -> None:
    news = News(tmp_path / "r1", quiet_s=3600.0)
    for number in range(20):
        news.tell(f"line {number}", f"line {number}")
    assert told(chat) == ["r1: line 0"]
    news.send()
    assert told(chat)[1].splitlines()[:2] == ["r1:", "line 1"]
    assert told(chat)[1].endswith("and 7 more")
    news.tell("soon", "soon")
    news.tell("now", "now", when="now")
    assert told(chat)[2:] == ["r1:\nsoon\nnow"]


def test_what_waits_is_sent_when_it_is_time_again_unless_it_can_wait_for_other_news(chat: Chat, tmp_path: Path) -> None:
    news = News(tmp_path / "r1", quiet_s=0.2)
    news.tell("first", "first")
    news.tell("later", "later", when="later")
    assert news.timer is None
    news.tell("soon", "soon")
    deadline = time.monotonic() + 20
    while len(told(chat)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "\n".join(told(chat)).replace("r1:", "").split() == ["first", "later", "soon"]


def test_seeds_in_threads_tell_a_quarter_once(chat: Chat, tmp_path: Path) -> None:
    news = News(tmp_path / "r1", quiet_s=0.0)
    seen = milestones(news, *(f"seed {n}" for n in range(4)))
    p = said(Progress(), *steps(*logged(2500)))
    threads = [threading.Thread(target=seen.update, args=(f"seed {n}", p)) for n in range(4) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text.split(" of ")[0] for text in told(chat)) == ["r1: 25 %", "r1: 50 %"]


def test_seeds_that_ended_before_count_as_trained(chat: Chat, tmp_path: Path) -> None:
    seen = milestones(News(tmp_path / "r1"), "seed 1", "seed 2", over=("seed 1",))
    seen.update("seed 2", said(Progress(), *steps(*logged(1000))))
    assert told(chat)[0].startswith("r1: 50 % of the training is done")


def test_limit_that_is_going_to_be_missed_is_told_once_and_not_where_the_plan_ends_the_seed(
    chat: Chat, tmp_path: Path
) -> None:
    big = said(Progress(), {"event": "artifact", "total_bytes": 16_000_001})
    for rules in ((), ("limits",)):
        news = News(tmp_path / f"r{len(rules)}", quiet_s=0.0)
        seen = milestones(news, "seed 1")
        seen.judge = Judge(rules, RULES.limits, RULES.early_stop)  # type: ignore[arg-type]
        seen.update("seed 1", big)
        seen.update("seed 1", big)
    assert told(chat) == ["r0: seed 1: LIMIT: code and model are 16,000,001 bytes, over the limit of 16,000,000"]


def test_without_a_webhook_nothing_is_kept_so_that_one_set_later_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    heard: list[str] = []
    news = News(tmp_path, heard.append, quiet_s=0.0)
    news.begin("started")
    milestones(news, "seed 1").update("seed 1", said(Progress(), *steps(*logged(2500))))
    assert not (tmp_path / TOLD).exists()
    assert heard[0] == "started" and heard[1].startswith("50 % of the training is done")  # on the page it is told


@pytest.mark.parametrize("content", ["{", "7", "[1, null]", '{"a": 1}', "[" * 10_000])
def test_marks_that_somebody_has_damaged_stop_nothing(chat: Chat, tmp_path: Path, content: str) -> None:
    (tmp_path / TOLD).write_text(content)
    News(tmp_path).begin("started")
    assert len(told(chat)) == 1
    assert json.loads((tmp_path / TOLD).read_text()) == ["started"]


def test_estimate_rests_on_the_latest_thing_that_compares() -> None:
    standing = one_seed()
    final = standing.seeds[0].val_bpb
    early = said(Progress(), *steps(*logged(500)))
    assert heading_of(early, standing, True) is None  # it says nothing of the end yet
    training = said(Progress(), *steps(*logged(2000), offset=0.02))
    assert heading_of(training, standing, False) is None  # nothing compares
    by_loss = heading_of(training, standing, True)
    assert by_loss and "gain in training loss" in by_loss.basis
    assert standing.bytes_per_token
    assert by_loss.val_bpb == pytest.approx(final + 0.02 / 0.693147 / standing.bytes_per_token, abs=1e-5)
    theirs = next(s.val_bpb for s in standing.seeds[0].stages if s.kind == "quantized")
    scored = said(training, {"event": "stage", "stage": "quantized", "val_bpb": theirs - 0.001, "eval_ms": 1.0})
    by_stage = heading_of(scored, standing, True)
    assert by_stage and by_stage.val_bpb == pytest.approx(final - 0.001)
    said(training, {"event": "stage", "stage": "quantized_ttt", "val_bpb": 1.07, "eval_ms": 1.0})
    assert heading_of(training, standing, True) is None  # it has its score


def test_training_that_its_own_clock_ends_is_measured_by_the_clock() -> None:
    p = said(
        Progress(clock=100.0), {"event": "train", "step": 10, "iterations": 20_000, "train_loss": 3, "train_ms": 5e4}
    )
    assert trained(p) == 0.5
    assert trained(said(p, {"event": "stop", "train_ms": 1e5})) == 1.0
    assert trained(None) == 0.0
