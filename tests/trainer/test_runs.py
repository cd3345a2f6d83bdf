"""Whole runs in this process: against the reference's loop, repeated, resumed, scored again, stopped by the clock."""

import json
import re
import shutil
import time
from itertools import groupby
from types import SimpleNamespace

import pytest
import torch
from reference import loader as reference_loader
from reference import model as reference_model
from reference import optim as reference_optim
from reference.of_trainer import as_model, parameters, shape_of
from schema import check_schema

import pgolf.trainer.__main__ as entry
import pgolf.trainer.loop as loop
from pgolf.evidence.events import read_events
from pgolf.trainer.config import config_from_env
from pgolf.trainer.data import open_shard, shards
from pgolf.trainer.model import GPT

# only what training and the artifact show
UNSCORED = {"sliding_window_enabled": 0, "ttt_enabled": 0}


def artifact_of(run) -> bytes:
    return (run.folder / "final_model.int6.ptz").read_bytes()


@pytest.fixture(scope="module")
def base(run_trainer):
    """One run through all stages, which others are compared with."""
    return run_trainer(checkpoint_every=5)


def timeless(text: str) -> list[str]:
    """Log lines without what time and the run's name put into them."""
    text = re.sub(r"(train_time|eval_time): ?[\d.]+m?s?|tok/s: \d+|in [\d.]+s", "", text)
    return [line for line in text.splitlines() if not line.startswith("  run_id:")]


def test_a_run_writes_what_the_contract_says(base):
    assert base.code == 0 and base.err == ""
    assert base.out == base.log
    check_schema(base.folder / "events.jsonl")
    names = [json.loads(line)["event"] for line in (base.folder / "events.jsonl").read_text().splitlines()]
    names = [name for name in names if name != "progress"]
    order = "start data model train loop train stop calibration stage artifact stage end"
    assert [name for name, _ in groupby(names)] == order.split()
    assert list(base.stages()) == [
        "pre-quantization post-ema",
        "quantized",
        "quantized_sliding_window",
        "quantized_ttt",
    ]
    [artifact] = base.events("artifact")
    assert artifact["model_bytes"] == (base.folder / "final_model.int6.ptz").stat().st_size
    assert artifact["total_bytes"] == artifact["model_bytes"] + artifact["code_bytes"]
    assert base.losses()[-1] < base.losses()[0] - 1, "it must learn something, or the tests here prove little"
    for line in ("model_params:", "ema:applying EMA weights", "GPTQ:collected 25 Hessians", "ttt:start chunks=10"):
        assert f"\n{line}" in base.log
    for stage, loss in base.stages().items():
        line = rf"^{re.escape(stage)} val_loss:{loss:.8f} val_bpb:\d\.\d{{8}} eval_time:\d+ms$"
        assert re.search(line, base.log, re.M)


def test_bits_per_byte_are_of_the_bytes_in_the_log(base):
    [data] = base.events("data")
    for stage in base.events("stage"):
        bits = stage["val_loss"] * data["val_tokens"] / 0.6931471805599453
        assert stage["val_bpb"] == pytest.approx(bits / data["val_bytes"], rel=1e-9)


WINDOWS = {"attn_window": 6, "attn_window_early": 3, "attn_window_at": 0.3}


@pytest.mark.parametrize(
    "share, windows",
    [(0.6, {}), (0.0, {}), (0.6, WINDOWS)],
    ids=["momentum by the clock", "momentum by steps", "windows from a share of the clock on"],
)
def test_training_is_the_references_loop(run_trainer, trainer_env, share, windows):
    """Loader, model, clip, optimiser, schedule, loop switch and EMA in their places, float64 against float32."""
    knobs = {
        "train_seq_len": 16,
        "train_batch_tokens": 64,
        "grad_accum_steps": 2,
        "iterations": 6,
        "enable_looping_at": 0.5,
        "muon_momentum_warmup_frac": share,
        "muon_wd_mlp": 0.2,
        **windows,
    }
    run = run_trainer(**knobs, **UNSCORED)
    cfg = config_from_env(trainer_env(**knobs))
    shape = shape_of(cfg)
    torch.manual_seed(cfg.seed)
    exact = {name: p.detach() for name, p in parameters(GPT(cfg)).items()}
    average, state, losses = dict(exact), {}, []
    files = [open_shard(path) for path in shards(cfg, "train")]
    order = reference_loader.draw_order([len(f) for f in files], 16, seed=0, draws=4 * cfg.iterations)
    for step in range(cfg.iterations):
        batch = order[4 * step : 4 * step + 4]
        rows = torch.stack([torch.tensor(files[f][s : s + 17].astype("int64")) for f, s in batch])
        leaves = {name: p.clone().requires_grad_() for name, p in exact.items()}
        frac = step / cfg.iterations
        now = shape if frac >= 0.3 else shape | {"attn_window": 0}
        loss = reference_model.losses(rows[:, :-1], rows[:, 1:], as_model(leaves, now), now, frac >= 0.5).mean()
        loss.backward()
        grads = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in leaves.items()}
        momentum = reference_optim.muon_momentum(step, frac, 0.92, 0.99, 8, share)
        rate = reference_optim.lr_multiplier(frac, 0.72, 0.0)
        exact = reference_optim.optimizer_step(exact, grads, state, step + 1, rate, momentum, cfg)
        average = {name: reference_optim.ema_step(average[name], p, cfg.ema_decay) for name, p in exact.items()}
        losses.append(loss.item())
    assert run.losses() == pytest.approx(losses, rel=1e-5)
    assert [e["step"] for e in run.events("loop")] == [3]
    final = torch.load(run.folder / "final_model.pt", weights_only=True)
    for name, p in average.items():
        assert (final[name].double() - p).norm() < 1e-4 * p.norm(), name


def test_the_same_seed_gives_the_same_log_and_another_seed_another_from_step_0(base, run_trainer):
    again, other = run_trainer(checkpoint_every=5), run_trainer(seed=2, **UNSCORED)
    assert timeless(again.log) == timeless(base.log)
    assert artifact_of(again) == artifact_of(base)
    assert other.losses()[0] != base.losses()[0]
    assert other.events("model")[0]["weights_fingerprint"] != base.events("model")[0]["weights_fingerprint"]


def test_an_artifact_scores_as_in_the_run_that_made_it(base, run_trainer, tmp_path):
    artifact = shutil.copy(base.folder / "final_model.int6.ptz", tmp_path / "copy.ptz")
    # the model's own knobs come from the artifact, whatever the environment says of them
    again = run_trainer(eval_only=artifact, num_layers=7, vocab_size=8192, seed=5)
    assert again.code == 0, again.err
    stages = base.stages()
    stages.pop("pre-quantization post-ema")
    assert again.stages() == stages
    assert not again.events("train") and not (again.folder / "final_model.pt").exists()


def dies_after(monkeypatch, step: int) -> None:
    """Make the run fail just after `step`."""
    train_step = loop.Training.train_step

    def dying(self, frac):
        if self.step == step:
            raise loop.TrainingFailed("the power went off")
        return train_step(self, frac)

    monkeypatch.setattr(loop.Training, "train_step", dying)


@pytest.mark.parametrize("stop_at, from_step", [(4, 3), (9, 9)], ids=["before loops", "with loops"])
def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(base, run_trainer, monkeypatch, stop_at, from_step):
    with monkeypatch.context() as patch:
        dies_after(patch, stop_at)
        first = run_trainer(checkpoint_every=3, run_id="one")
    assert first.code == 1 and "the power went off" in first.log
    assert first.losses() == base.losses()[:stop_at]
    second = run_trainer(first.folder, resume_from_ckpt="checkpoint.pt", run_id="one", **UNSCORED)
    assert second.code == 0, second.err
    assert [e["step"] for e in second.events("train")] == [*range(1, stop_at + 1), *range(from_step + 1, 13)]
    assert second.losses() == base.losses()[:stop_at] + base.losses()[from_step:]
    assert artifact_of(second) == artifact_of(base)
    assert "the power went off" in second.log and len(re.findall("^train_shards:", second.log, re.M)) == 2
    told = read_events(second.folder / "events.jsonl")
    assert [(p.step, p.loss) for p in told.train_curve] == list(enumerate(base.losses(), 1))
    assert told.ended and not told.problems


def test_a_checkpoint_of_another_model_seed_or_batch_is_refused(base, run_trainer, tmp_path):
    checkpoint = base.folder / "checkpoint.pt"
    for knobs in ({"seed": 2}, {"mlp_mult": 3}, {"train_batch_tokens": 1024}, {"data_seed": 1}, {"train_seq_len": 32}):
        run = run_trainer(resume_from_ckpt=checkpoint, **knobs)
        assert run.code == 2 and "checkpoint.pt" in run.err, knobs
        assert not run.events("train")
    (tmp_path / "noise.pt").write_bytes(b"no checkpoint at all")
    for path in (tmp_path / "noise.pt", tmp_path / "missing.pt"):
        run = run_trainer(resume_from_ckpt=path)
        assert run.code == 2 and path.name in run.err


def test_warm_up_is_rolled_back_bit_for_bit(base, run_trainer):
    warm = run_trainer(warmup_steps=2, **UNSCORED)
    assert "\nwarmup_step: 2/2\n" in warm.log and "\nloop_warmup_step: 2/2\n" in warm.log
    assert warm.losses() == base.losses()
    assert artifact_of(warm) == artifact_of(base)


@pytest.fixture
def clock(monkeypatch):
    """A clock that steps (1/8 s), calibration batches (1/4 s), validation (5 s) and checkpoints (3 s) move."""
    now = [128.0]

    def costs(owner, name: str, seconds: float) -> None:
        real = getattr(owner, name)

        def costly(*args, **kwargs):
            result = real(*args, **kwargs)
            now[0] += seconds
            return result

        monkeypatch.setattr(owner, name, costly)

    fake = SimpleNamespace(perf_counter=lambda: now[0], monotonic=time.monotonic)
    monkeypatch.setattr(loop, "time", fake)
    monkeypatch.setattr(entry, "time", fake)
    costs(loop.Training, "train_step", 0.125)
    costs(loop, "write_atomic", 3.0)
    costs(entry.Scorer, "score", 5.0)

    def slow_hessians(model):
        hessians = hessians_of(model)
        model.register_forward_hook(lambda *_: now.__setitem__(0, now[0] + 0.25))
        return hessians

    hessians_of = entry.Hessians
    monkeypatch.setattr(entry, "Hessians", slow_hessians)


CAPPED = {"max_wallclock_seconds": 3, "gptq_reserve_seconds": 0.75, "iterations": 1000, "gptq_calibration_batches": 50}


def test_the_clock_ends_training_and_calibration_under_the_cap(run_trainer, clock):
    run = run_trainer(**CAPPED, **UNSCORED, val_loss_every=10, warmup_steps=3)
    assert "\ngptq:reserving 1s, effective=2250ms\n" in run.log
    [stop], [calibration] = run.events("stop"), run.events("calibration")
    assert (stop["reason"], stop["step"], stop["train_ms"]) == ("wallclock_cap", 18, 2250)
    assert "\nstopping_early: wallclock_cap train_time: 2250ms step: 18/1000\n" in run.log
    # one more batch would end at 0.75 s, too near the cap to begin it: batches are not equally long
    assert calibration["seconds"] == 0.5
    assert [e["step"] for e in run.events("val")] == [0, 10, 18]
    [loop_on] = run.events("loop")
    assert loop_on["step"] == 7 and loop_on["frac"] == 0.875 / 2.25  # 0.75 / 2.25 is still below 0.35


def test_a_step_that_crosses_the_cap_is_the_last(run_trainer, clock):
    run = run_trainer(**CAPPED | {"gptq_reserve_seconds": 2.2}, **UNSCORED)
    [stop], [calibration] = run.events("stop"), run.events("calibration")
    assert (stop["step"], stop["train_ms"]) == (7, 875)  # the cap is at 800 ms
    assert stop["train_ms"] / 1000 + calibration["seconds"] <= 3


def test_a_resumed_clock_has_counted_training_once(run_trainer, clock, monkeypatch):
    """Checkpoints are off the clock, and what a checkpoint says of the time is what training has used."""
    with monkeypatch.context() as patch:
        dies_after(patch, 13)
        first = run_trainer(**CAPPED, checkpoint_every=4)
    state = torch.load(first.folder / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["seconds"]) == (12, 1.5)
    second = run_trainer(**CAPPED, **UNSCORED, resume_from_ckpt=first.folder / "checkpoint.pt", checkpoint_every=4)
    [stop] = second.events("stop")
    assert (stop["step"], stop["train_ms"]) == (18, 2250)
    state = torch.load(second.folder / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["seconds"]) == (18, 2.25)


def test_bfloat16_runs_to_its_end_on_a_cpu(run_trainer):
    run = run_trainer(dtype="bfloat16", iterations=4, eval_stride=64)
    assert run.code == 0, run.err
    assert len(run.stages()) == 4 and all(0 < loss < 10 for loss in run.stages().values())


def test_without_a_compiler_it_says_so_and_trains_eagerly(run_trainer, monkeypatch):
    monkeypatch.setattr(loop.shutil, "which", lambda command: None)
    run = run_trainer(compile=1, iterations=2, **UNSCORED)
    assert run.code == 0, run.err
    assert "\ncompile: no C++ compiler found, running eagerly\n" in run.log
    assert len(run.losses()) == 2
