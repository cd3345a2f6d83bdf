"""Seeds that cannot count any more: by which figures they are ended, and that a record which is good would not be."""

import json
import sys
import threading
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import jobs
import pytest
from fakes.programs import TOO_BIG

from pgolf import ledger, presets, tracks
from pgolf.errors import BadInput
from pgolf.ledger import SeedScore, StandingRecord
from pgolf.pack import pack
from pgolf.pods.local import LocalPod
from pgolf.record.early_stop import Judge, incomparable, read_decision, write_decision
from pgolf.record.job import Job
from pgolf.record.progress import Progress
from pgolf.record.seeds import EndedEarly, attempts, has_ended, run_seed
from pgolf.tracks import Limits

RULES = tracks.load("10min_16mb")
LIMITS = Judge(("limits",), RULES.limits, RULES.early_stop)
TINY = Path(__file__).parents[1] / "flows"


def told(*events: dict) -> Progress:
    progress = Progress()
    progress.feed("".join(json.dumps({"t": 0.0, **event}) + "\n" for event in events))
    return progress


def trained(*points: tuple[int, float, float], iterations: int = 4550) -> Progress:
    """A run that has logged (step, loss, seconds)."""
    return told(
        *(
            {"event": "train", "step": s, "iterations": iterations, "train_loss": loss, "train_ms": 1000 * seconds}
            for s, loss, seconds in points
        )
    )


def scoring(*seen: tuple[float, int]) -> Progress:
    """A run in its adapted pass of 100 chunks after 100 s of others: (time, chunks done)."""
    passes = {"t": 1000, "event": "stage", "stage": "quantized", "val_bpb": 1.1, "eval_ms": 100_000}
    return told(
        passes,
        *({"t": t, "event": "progress", "stage": "quantized_ttt", "done": n, "total": 100} for t, n in seen),
    )


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (told({"event": "artifact", "total_bytes": 16_000_000}), None),
        (told({"event": "artifact", "total_bytes": 16_000_001}), "16,000,001 bytes, over the limit of 16,000,000"),
        (told({"event": "stop", "train_ms": 590_000}, {"event": "calibration", "seconds": 10.9}), None),
        (told({"event": "stop", "train_ms": 590_000}, {"event": "calibration", "seconds": 12.0}), "taken 602.0 s"),
        (scoring((1000, 0), (1200, 30)), "evaluation is going to take about 767 s, over the limit of 600 s"),
        (scoring((1000, 0), (1200, 20)), None),  # too early to say
        (scoring((1000, 0), (1200, 38)), None),  # about 626 s: too near to be sure
        (scoring((1000, 0), (1400, 95)), None),
        (scoring((1000, 0), (1502, 99)), "evaluation has taken 602.0 s"),
    ],
)
def test_a_limit_that_is_missed_or_is_going_to_be(progress: Progress, said: str | None) -> None:
    decision = LIMITS(progress)
    assert (decision and decision.reason) is None if said is None else said in decision.reason
    assert Judge((), RULES.limits, RULES.early_stop)(progress) is None


def test_training_is_projected_only_where_its_own_clock_does_not_end_it() -> None:
    slow = trained((1, 9.0, 90.0), (500, 4.0, 190.0), (1000, 3.5, 290.0), (1500, 3.4, 390.0))
    decision = replace(LIMITS, capped=False)(slow)
    assert decision
    assert "training is going to take about 1,000 s" in decision.reason  # 0.2 s a step, the compiling first one apart
    assert LIMITS(slow) is None
    fast = trained((1, 9.0, 90.0), (500, 4.0, 140.0), (1000, 3.5, 190.0), (1500, 3.4, 240.0))
    assert replace(LIMITS, capped=False)(fast) is None


def judged(run: SeedScore, standing: StandingRecord) -> str | None:
    """What the rule of losses says of a run, at any step of its curve."""
    points = [(s, loss, t) for (s, loss), t in zip(run.curve, run.curve_seconds, strict=True)]
    decision = Judge(("loss",), RULES.limits, RULES.early_stop, standing=standing)(trained(*points))
    return decision.reason if decision else None


def test_no_seed_of_the_archive_that_beat_an_older_record_would_have_been_ended() -> None:
    entries = [e for e in map(ledger.load, ledger.names()) if e.track == "10min_16mb"]
    compared = 0
    for old, new in permutations(entries, 2):
        if new.sample().mean >= old.sample().mean or incomparable(old, new.hyperparameters, new.bytes_per_token or 0.0):
            continue
        for seed in (s for s in new.seeds if s.curve_seconds):
            compared += 1
            assert judged(seed, old) is None, f"{new.name} against {old.name}"
    assert compared > 100


def test_hopeless_loss_is_said_with_its_figures() -> None:
    standing = ledger.load("pr1493")
    seed = standing.seeds[0]
    worse = replace(seed, curve=tuple((step, loss + 0.5 * (step > 1000)) for step, loss in seed.curve))
    assert judged(seed, standing) is None
    assert "up to step 2,500) is more than 0.3 nats worse than" in (judged(worse, standing) or "")
    late = replace(seed, curve=tuple((step, loss + 0.12) for step, loss in seed.curve))
    assert "more than 0.1 nats worse" in (judged(late, standing) or "")


def test_losses_that_do_not_compare_end_nothing() -> None:
    standing, same = ledger.load("pr1493"), {"train_batch_tokens": "786432", "train_seq_len": "2048"}
    assert incomparable(standing, same, 3.7266) is None
    assert "another length" in (incomparable(standing, same, 3.157) or "")
    assert "train_batch_tokens" in (incomparable(standing, same | {"train_batch_tokens": "524288"}, 3.7266) or "")
    assert "no curves" in (incomparable(ledger.load("pr1855"), same, 3.157) or "")
    assert incomparable(None, same, 3.7266)
    for unknown in ({"train_batch_tokens": "786432"}, same | {"train_seq_len": None}):
        assert incomparable(standing, unknown, 3.7266) == "the program's train_seq_len is unknown"


def test_policy_is_data_of_the_track(tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    text = (TINY / "tiny_track.toml").read_text()
    path.write_text(text + "\n[early_stop]\nover_share = 0.0\nhopeless = [[0.5, 0.2]]\n")
    assert tracks.load(str(path)).early_stop == tracks.EarlyStop(over_share=0.0, hopeless=((0.5, 0.2),))
    path.write_text(text + "\n[early_stop]\nhopeless = [0.5]\n")
    with pytest.raises(BadInput, match="not a track"):
        tracks.load(str(path))


def job(tmp_path: Path, program: str) -> Job:
    return jobs.job((tmp_path / "record/seeds").resolve(), program)


def test_seed_is_ended_and_never_replaced(tmp_path: Path) -> None:
    this = job(tmp_path, TOO_BIG)
    with pytest.raises(EndedEarly, match="over the limit of 16,000,000"):
        run_seed(this, 42, threading.Event(), judge=LIMITS)
    again = job(tmp_path, "")  # would succeed
    with pytest.raises(EndedEarly, match="over the limit of 16,000,000"):
        run_seed(again, 42, threading.Event(), judge=LIMITS)
    (attempt,) = attempts(tmp_path / "record", [42])
    assert (attempt.outcome, attempt.exit_code) == ("ended early", 1)
    assert "1,000,000,000 bytes" in (attempt.reason or "")
    assert has_ended(this, 42)


def test_decision_outlives_an_orchestrator_that_was_killed_before_it_ended_the_run(tmp_path: Path) -> None:
    this = job(tmp_path, TOO_BIG)
    pod = LocalPod(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start([sys.executable, "train_gpt.py"], {})
    pod_json = (pod.folder / "pod.json").read_text()
    decision = None
    while decision is None:
        progress = Progress()
        progress.feed(pod.output(0, "events.jsonl")[0])
        decision = LIMITS(progress)
        time.sleep(0.05)
    write_decision(pod.folder, decision)  # and then it was killed
    assert pod.status().state == "running"
    with pytest.raises(EndedEarly, match="over the limit"):
        run_seed(this, 42, threading.Event())  # whatever is asked of it now
    assert pod.status().state == "ended"
    assert (pod.folder / "pod.json").read_text() == pod_json
    assert len(attempts(tmp_path / "record", [42])) == 1


def test_run_that_came_to_its_end_all_the_same_counts_as_finished(tmp_path: Path) -> None:
    this = job(tmp_path, "")
    done = run_seed(this, 42, threading.Event())
    decision = LIMITS(told({"event": "artifact", "total_bytes": 10**9}))
    assert decision
    write_decision(done.folder, decision)
    assert run_seed(this, 42, threading.Event()).folder == done.folder
    assert attempts(tmp_path / "record", [42])[0].outcome == "finished"


@pytest.mark.training
def test_real_trainer_is_ended_when_its_artifact_is_too_big(tmp_path: Path, tiny_data) -> None:
    code = pack(presets.load(str(TINY / "tiny.toml"), {"iterations": "2", "ttt_epochs": "200"})).code
    this = jobs.job((tmp_path / "seeds").resolve(), code, {"DATA_DIR": str(tiny_data.data_dir)})
    limits = Limits(artifact_bytes=10_000, train_seconds=600.0, eval_seconds=600.0, grace_seconds=1.0)
    with pytest.raises(EndedEarly, match="over the limit of 10,000"):
        run_seed(this, 42, threading.Event(), judge=Judge(("limits",), limits, RULES.early_stop))
    decision = read_decision(this.folder / "42/attempt-1")
    assert decision
    assert decision.rule == "limits"
    assert '"event": "end"' not in (this.folder / "42/attempt-1/events.jsonl").read_text()
