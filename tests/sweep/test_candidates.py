"""What is tried: each candidate once, in order, and no more of a run than it needs."""

import pytest

from pgolf.errors import BadInput
from pgolf.presets import load
from pgolf.sweep.candidates import Candidate, singles, space


def labels(*args, **kwargs):
    return [c.label for c in space(*args, **kwargs)]


def test_grid_list_and_file_make_each_candidate_once(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(
        "[grid]\nttt_lr = [0.01, 0.02]\n[[candidates]]\nttt_epochs = 5\n[[candidates]]\nttt_nesterov = true\n"
    )
    base = load("smoke", {"ttt_epochs": "4", "eval_stride": "128", "ttt_lr": "0.005"})
    found = labels(base, ["TTT_EPOCHS=4,5", "EVAL_STRIDE=64,128"], ["ttt_lr=1e-2", "TTT_EPOCHS=4"], file)
    assert found == [
        "base",
        "EVAL_STRIDE=64",  # the other values are the base's
        "EVAL_STRIDE=64,TTT_EPOCHS=5",
        "TTT_EPOCHS=5",
        "TTT_LR=0.01",
        "TTT_LR=0.02",
        "TTT_NESTEROV=1",
    ]


def test_what_a_candidate_needs():
    for text, needs in (
        ("TTT_LR=0.1 EVAL_STRIDE=8", "artifact"),
        ("VAL_BATCH_TOKENS=65536", "artifact"),
        ("TTT_LR=0.1 MATRIX_BITS=5", "checkpoint"),
        ("COMPRESSOR=ans", "checkpoint"),
        ("MATRIX_LR=0.5", "training"),
        ("GPTQ_RESERVE_SECONDS=3", "training"),
        ("NUM_LAYERS=3", "training"),
    ):
        assert space({}, listed=[text])[-1].needs == needs, text
    assert Candidate().needs == "artifact"


@pytest.mark.parametrize(
    "grid, listed, toml, reason",
    [
        ([], [], None, "nothing to try"),
        (["TTT_EPOCS=3"], [], None, "did you mean ttt_epochs"),
        (["TTT_EPOCHS"], [], None, "KNOB=VALUE,VALUE"),
        (["TTT_EPOCHS=3,x"], [], None, "'x' is not a valid int"),
        ([], ["TTT_EPOCHS 3"], None, "write KNOB=VALUE"),
        ([], ["SEED=3"], None, "seed is not for a sweep"),
        ([], [], "[grid]\nttt_lr = 3", "list of values"),
        ([], [], "[grd]", "list of values"),
        ([], [], "[grid", "space.toml"),
    ],
)
def test_bad_input(grid, listed, toml, reason, tmp_path):
    file = tmp_path / "space.toml"
    if toml:
        file.write_text(toml)
    with pytest.raises(BadInput, match=reason):
        space(load("smoke"), grid, listed, file if toml else None)


def test_single_differences_of_two_presets():
    settings = {"muon_wd_mlp": "0.115", "ttt_epochs": "4", "ttt_nesterov": "1"}
    found = singles(load("smoke-base"), load("smoke-base", settings))
    assert [dict(c.settings) for c in found] == [*({name: text} for name, text in settings.items()), settings]
    with pytest.raises(BadInput, match="do not differ"):
        singles(load("smoke"), load("smoke"))
