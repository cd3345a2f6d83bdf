"""The table of knobs is of the trainer's knobs, and says of each what depends on it."""

import pytest

from pgolf.errors import BadInput
from pgolf.knobs import EVALUATION, FREE, KNOBS, OF_ONE_RUN, PLACES, QUANTISATION, RESERVED
from pgolf.presets import parse
from pgolf.trainer.config import KNOB_TYPES, MODEL_KNOBS, Config


def test_the_table_has_the_trainers_knobs() -> None:
    assert KNOBS.keys() == KNOB_TYPES.keys()


def test_every_default_is_in_its_range() -> None:
    defaults = vars(Config(run_id="-"))
    for name, spec in KNOBS.items():
        if not isinstance(defaults[name], str):
            assert spec.problem(defaults[name]) is None, name


def test_the_model_is_what_an_artifact_says() -> None:
    assert {name for name, spec in KNOBS.items() if spec.part == "model"} == set(MODEL_KNOBS)


def test_a_knob_of_adaptation_is_found_by_its_name() -> None:
    """A new knob of test-time training that was put into another part would train anew for each of its values."""
    named = {name for name in KNOBS if name.startswith(("ttt_", "phased_ttt_", "global_ttt_"))}
    assert named == {name for name, spec in KNOBS.items() if spec.part == "adaptation"}


def test_what_others_may_set() -> None:
    assert {"seed", "run_id", "data_dir", "datasets_dir", "tokenizer_path", "eval_only", "resume_from_ckpt"} == RESERVED
    assert RESERVED - {"eval_only", "resume_from_ckpt"} | {"cpu_threads"} == OF_ONE_RUN
    assert {
        "iterations", "max_wallclock_seconds", "train_log_every", "val_loss_every", "checkpoint_every", "data_seed",
        "device", "dtype", "compile",
    } == FREE - RESERVED - OF_ONE_RUN  # fmt: skip
    assert "val_batch_tokens" in EVALUATION and "gptq_reserve_seconds" not in QUANTISATION
    assert not set(EVALUATION) & {*PLACES, *QUANTISATION, *MODEL_KNOBS}


def test_a_value_out_of_range_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(BadInput, match="--set: knob ttt_lora_rank: 0 is not at least 1"):
        parse("ttt_lora_rank", "0", "--set")
    with pytest.raises(BadInput, match="nan is not at least 0"):
        parse("gptq_damp", "nan", "--set")
    assert parse("mlp_bits", "0", "--set") == 0
