"""Filling the cap: the search on a model of size and loss whose best answer is known, and whole runs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pgolf.errors import BadInput, RunFailed
from pgolf.fit import fit
from pgolf.trainer.codec import CODECS, decode
from pgolf.trainer.config import Config
from pgolf.trainer.fit_to_cap import NARROWEST, search, widths_of
from pgolf.trainer.loop import code_bytes

WEIGHTS = {"embed_clip_sigmas": 4_000_000, "attn_clip_sigmas": 9_000_000, "mlp_clip_sigmas": 23_000_000}
COST = {"embed_clip_sigmas": 4e-6, "attn_clip_sigmas": 2e-5, "mlp_clip_sigmas": 1e-5}


def size(cfg: Config) -> float:
    """Bytes: half a million, and log2(100 / k) bits a weight."""
    return 500_000 + sum(n * math.log2(100 / widths_of(cfg)[knob]) / 8 for knob, n in WEIGHTS.items())


def loss(cfg: Config) -> float:
    return 3 + sum(c * widths_of(cfg)[knob] ** 2 for knob, c in COST.items())


def ask(room: float, measure=lambda cfg: (size(cfg), loss(cfg))) -> tuple[Config, int]:
    """What the search finds, and in how many measurements."""
    asked = []

    def counted(cfg: Config) -> tuple[float, float]:
        asked.append(cfg)
        return measure(cfg)

    return search(Config(), WEIGHTS, counted, room, lambda text: None), len(asked)


def best(room: float) -> float:
    """The least loss there is at that size: k² in proportion to n / c."""
    shape = {knob: math.sqrt(n / COST[knob]) for knob, n in WEIGHTS.items()}
    excess = size(replace(Config(), **shape)) - room
    factor = 2 ** (8 * excess / sum(WEIGHTS.values()))
    return loss(replace(Config(), **{knob: k * factor for knob, k in shape.items()}))


@pytest.mark.parametrize("room", [13_000_000, 14_500_000, 16_000_000])
def test_widths_are_the_best_there_are_and_fill_the_room(room):
    found, asked = ask(room)
    assert 0.9995 * room <= size(found) <= room
    evenly, _ = ask(room, lambda cfg: (size(cfg), math.nan))
    assert loss(found) - best(room) < 0.05 * (loss(evenly) - best(room)) + 1e-5
    assert asked <= 10


def test_without_losses_all_widths_change_by_one_factor():
    found, _ = ask(14_000_000, lambda cfg: (size(cfg), math.nan))
    ratios = [widths_of(found)[knob] / k for knob, k in widths_of(Config()).items()]
    assert size(found) <= 14_000_000 and max(ratios) - min(ratios) < 1e-3


def test_groups_that_gain_nothing_stay_even():
    """A loss that grows with total size only: any other shape is worse, and the even one is kept."""
    centre = widths_of(Config())
    found, _ = ask(14e6, lambda cfg: (size(cfg), sum(math.log(widths_of(cfg)[k] / c) ** 2 for k, c in centre.items())))
    ratios = [widths_of(found)[knob] / k for knob, k in centre.items()]
    assert max(ratios) - min(ratios) < 0.05 * max(ratios)


def test_room_to_spare_gives_the_narrowest_widths():
    found, _ = ask(100_000_000)
    assert set(widths_of(found).values()) == {NARROWEST}


def test_widths_below_the_narrowest_are_left_alone():
    found = search(Config(embed_clip_sigmas=4.0), WEIGHTS, lambda cfg: (size(cfg), loss(cfg)), 1e8, lambda text: None)
    assert found.embed_clip_sigmas == 4.0


def test_a_model_without_integers_is_left_as_it_is():
    cfg = Config()
    assert search(cfg, {}, lambda cfg: (9e6, 3.0), 5e6, lambda text: None) is cfg


@pytest.fixture
def cap() -> int:
    """Bytes of what the run counts as its code, and some for the model."""
    return code_bytes() + 90_000


@pytest.mark.parametrize("codec", CODECS)
def test_a_run_ends_under_its_cap_and_close_to_it(run_trainer, cap, codec):
    run = run_trainer(fit_to_cap=1, size_cap=cap, size_margin=100, compressor=codec, iterations=4, ttt_enabled=0)
    assert run.code == 0, run.err
    (artifact,), (fit,) = run.events("artifact"), run.events("fit")
    assert cap - 1500 < artifact["total_bytes"] <= cap
    assert fit["embed_clip_sigmas"] != Config.embed_clip_sigmas
    assert " bytes loss: " in run.log


def test_a_clock_that_is_used_up_leaves_the_losses_out(run_trainer, cap):
    """The cap is met all the same: sizes need no training text."""
    run = run_trainer(fit_to_cap=1, size_cap=cap, max_wallclock_seconds=0.1, gptq_reserve_seconds=0, ttt_enabled=0)
    assert run.code == 0, run.err
    assert " bytes loss: " not in run.log and run.events("artifact")[0]["total_bytes"] <= cap


@pytest.fixture(scope="module")
def finished(run_trainer) -> Path:
    """The folder of a run that did not look at its cap."""
    return run_trainer(ttt_enabled=0, sliding_window_enabled=0).folder


def test_a_finished_run_is_fitted_afterwards(finished, tmp_path):
    said = []
    found = fit(finished, 95_000, 5_000, {"size_margin": "200"}, 2048, tmp_path / "new.ptz", said.append)
    blob = (tmp_path / "new.ptz").read_bytes()
    assert len(blob) == found.model_bytes and 94_000 < found.total_bytes == found.model_bytes + 5_000 <= 95_000
    assert found.widths_before == widths_of(Config()) and found.widths != found.widths_before
    assert found.model_bytes_before == (finished / "final_model.int6.ptz").stat().st_size
    assert found.loss_tokens >= 2048 and any(" bytes loss: " in text for text in said)
    assert not found.at_the_narrowest
    _, knobs = decode(blob)
    assert knobs["num_layers"] == 4


def test_a_finished_run_is_fitted_with_mixed_bits(finished, tmp_path):
    knobs = {"mixed_bits_enabled": "1", "compressor": "ans", "size_margin": "200"}
    found = fit(finished, 75_000, 5_000, knobs, 512, tmp_path / "new.ptz", lambda text: None)
    assert 74_000 < found.total_bytes <= 75_000
    tensors, _ = decode((tmp_path / "new.ptz").read_bytes())
    steps = tensors["blocks.mlp.proj.weight"][1].float()
    weights = torch.load(finished / "final_model.pt", weights_only=True)
    std = torch.stack([weights[f"blocks.{i}.mlp.proj.weight"].std(-1) for i in range(4)])
    assert (steps / std).log().std() > 0.1


def test_a_cap_that_nothing_fits_is_said_and_nothing_written(finished, tmp_path):
    with pytest.raises(RunFailed, match="no clip widths make it fit"):
        fit(finished, 6_000, 5_000, {}, 512, tmp_path / "new.ptz", lambda text: None)
    assert not list(tmp_path.iterdir())


def test_text_that_was_trained_on_is_not_called_unseen(finished, tmp_path):
    """The same run, had it gone on until its text began anew."""
    assert fit(finished, 95_000, 5_000, loss_tokens=512, log=lambda text: None).unseen
    folder = copied(finished, tmp_path)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for event in events:
        if event["event"] == "stop":
            event["step"] = 100_000
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    found = fit(folder, 1_000_000, 5_000, loss_tokens=512, log=lambda text: None)
    assert not found.unseen and found.at_the_narrowest


def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of what fitting reads of a run, to be spoilt."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("events.jsonl", "final_model.pt"):
        (folder / name).write_bytes((finished / name).read_bytes())
    return folder


def without_stop(folder: Path) -> None:
    events = (folder / "events.jsonl").read_text().splitlines()
    (folder / "events.jsonl").write_text("\n".join(e for e in events if '"stop"' not in e))


@pytest.mark.parametrize(
    "spoil, overrides, said",
    [
        (lambda folder: (folder / "events.jsonl").unlink(), {}, "a folder that the trainer worked in"),
        (without_stop, {}, "not of a run that trained to its end"),
        (lambda folder: (folder / "events.jsonl").write_text("{]"), {}, "not of a run that trained to its end"),
        (lambda folder: (folder / "final_model.pt").unlink(), {}, "final_model.pt: No such file"),
        (lambda folder: (folder / "final_model.pt").write_bytes(b"x" * 99), {}, "does not fit the knobs of this run"),
        (lambda folder: None, {"num_layers": "3"}, "the model is the run's own"),
        (lambda folder: None, {"embed_clip_sigma": "3"}, "did you mean embed_clip_sigmas"),
        (lambda folder: None, {"data_dir": "nowhere"}, "--set data_dir="),
        (lambda folder: None, {"compressor": "zip"}, "unknown codec 'zip'"),
        (lambda folder: None, {"passthrough_numel": "1000000"}, "nothing of this model is quantised"),
        (lambda folder: None, {"gptq_calibration_batches": "0"}, "nothing of this model is quantised"),
        (lambda folder: None, {"matrix_bits": "9"}, "9 is not from 2 to 8"),
        (lambda folder: None, {"mlp_bits": "1"}, "1 is not from 2 to 8, or 0"),
        (lambda folder: None, {"lqer_rank": "0"}, "0 is not from 1 to 64"),
        (lambda folder: None, {"gptq_damp": "nan"}, "nan is not at least 0"),
        (lambda folder: None, {"embed_clip_sigmas": "0"}, "0 is not at least 0.01"),
    ],
)
def test_what_cannot_be_fitted_is_bad_input(finished, tmp_path, spoil, overrides, said):
    folder = copied(finished, tmp_path)
    spoil(folder)
    with pytest.raises(BadInput, match=said):
        fit(folder, 95_000, 5_000, overrides, log=lambda text: None)


def test_what_is_asked_for_is_checked_before_the_search(finished, tmp_path):
    with pytest.raises(BadInput, match="no file can be written there"):
        fit(finished, 95_000, output=tmp_path, log=lambda text: None)
    with pytest.raises(BadInput, match="the run's training text has"):
        fit(finished, 95_000, loss_tokens=1 << 40, log=lambda text: None)
