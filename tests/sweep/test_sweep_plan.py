"""What cannot be swept is refused before anything starts."""

import pytest
import torch
from seconds import TINY

from pgolf.errors import BadInput
from pgolf.sweep.plan import plan_ablation, plan_sweep

TRACK = str(TINY / "tiny_track.toml")


def plan(tmp_path, grid=("TTT_LR=0.1",), seed=1337, artifact=None, checkpoint=None, confirm_seeds=None):
    for name in ("artifact", "empty"):
        (tmp_path / name).touch()
    torch.save({}, tmp_path / "checkpoint")
    given = [str(tmp_path / name) if name else None for name in (artifact, checkpoint)]
    return plan_sweep(TRACK, None, seed, None, list(grid), [], None, *given, confirm_seeds)


def test_seeds_that_confirm_are_the_tracks_or_those_named(tmp_path):
    assert plan(tmp_path).request.seeds == (42, 314, 999)
    assert plan(tmp_path, confirm_seeds=[1, 2, 3], seed=42).request.seeds == (1, 2, 3)
    assert plan(tmp_path, ["MATRIX_BITS=5"], checkpoint="checkpoint").given.keys() == {"checkpoint"}


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"grid": ["MATRIX_LR=0.1"]}, "a sweep trains once"),
        ({"grid": ["MATRIX_BITS=5"], "artifact": "artifact"}, "takes --checkpoint"),
        ({"seed": 42}, "one of the seeds that confirm"),
        ({"artifact": "none"}, "none: no such file"),
        ({"artifact": "empty"}, "not an artifact"),
        ({"checkpoint": "empty"}, "not a checkpoint"),
        ({"artifact": "artifact", "checkpoint": "checkpoint"}, "not both"),
        ({"grid": []}, "nothing to try"),
        ({"confirm_seeds": [1]}, r"too few seeds .* at least 3$"),
    ],
)
def test_bad_input(given, reason, tmp_path):
    with pytest.raises(BadInput, match=reason):
        plan(tmp_path, **given)


def test_too_few_seeds_of_an_ablation_name_no_option_of_records():
    with pytest.raises(BadInput, match=r"too few seeds \(1, 2\): track .* asks for at least 3$"):
        plan_ablation("smoke", "smoke-base", "cpu_smoke", [1, 2])


def test_presets_of_other_vocabularies_cannot_be_ablated(tmp_path):
    new = tmp_path / "new.toml"
    new.write_text(f'extends = "{TINY / "tiny.toml"}"\n[knobs]\nvocab_size = 600\n')
    with pytest.raises(BadInput, match="other vocabularies"):
        plan_ablation(str(TINY / "tiny.toml"), str(new), TRACK, None)


def test_a_difference_that_the_ranks_cannot_share_is_not_ablated(tmp_path):
    new = tmp_path / "new.toml"
    new.write_text(f'extends = "{TINY / "tiny.toml"}"\n[knobs]\nttt_epochs = 2\ngrad_accum_steps = 3\n')
    with pytest.raises(BadInput, match="GRAD_ACCUM_STEPS=3: TRAIN_BATCH_TOKENS 1024 is no multiple of 1 rank × 3"):
        plan_ablation(str(TINY / "tiny.toml"), str(new), TRACK, None)


def test_a_track_that_aims_at_a_target_has_nothing_to_sweep():
    with pytest.raises(BadInput, match="aims at a target loss"):
        plan_sweep("nanogpt_short", "smoke", 7, None, [], [], None, None, None, None)
    with pytest.raises(BadInput, match="aims at a target loss"):
        plan_ablation("smoke-base", "smoke", "nanogpt_short", None)
