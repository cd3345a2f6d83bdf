"""The presets are the records' command lines, and differ where the records say that they do."""

import json
import math
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from pgolf import presets
from pgolf.describe import describe
from pgolf.errors import BadInput
from pgolf.trainer.config import KNOB_TYPES, Config, config_from_env

RECORD = Path("../shared/public-records/2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT/train_seed42.log")


def knobs(preset: str) -> dict:
    return asdict(Config(**presets.load(preset), run_id="x"))


@pytest.mark.skipif(not RECORD.exists(), reason="needs the public records")
def test_pr1493_is_what_the_record_logged():
    dump = RECORD.read_text().partition("Hyperparameters:\n")[2].partition("train_shards:")[0]
    logged = dict(re.findall(r"^  (\w+): (.*)$", dump, re.M))
    ours = knobs("pr1493")
    shared = (logged.keys() & ours.keys()) - {"run_id", "seed", "data_dir", "grad_accum_steps"}
    assert len(shared) > 50
    for name in shared:
        kind = KNOB_TYPES[name]
        value = logged[name] == "True" if kind is bool else kind(logged[name])
        assert ours[name] == value, name
    # 8 / world size, which the record logs as 1
    assert ours["grad_accum_steps"] == 0 and logged["grad_accum_steps"] == "1" and logged["world_size"] == "8"


@pytest.mark.parametrize("name", presets.names())
def test_a_written_preset_has_the_same_knobs_with_the_same_types(name, tmp_path):
    loaded = presets.load(name)
    again = presets.load(str(presets.write(tmp_path / "again.toml", loaded)))
    assert again == loaded and {k: type(v) for k, v in again.items()} == {k: type(v) for k, v in loaded.items()}


def test_pr1812_differs_where_its_record_discloses_and_by_the_gate():
    old, new = knobs("pr1493"), knobs("pr1812")
    assert {k: (old[k], v) for k, v in new.items() if v != old[k]} == {
        "ttt_epochs": (3, 4),
        "ttt_chunk_tokens": (32768, 65536),
        "muon_wd_mlp": (-1.0, 0.115),  # -1: the 0.095 of all matrices
        "adam_wd": (0.02, 0.005),
        "muon_momentum_warmup_frac": (0.0, 0.22),
        "attn_out_gate_enabled": (False, True),
    }
    assert new["muon_wd"] == 0.095 and new["gptq_reserve_seconds"] == 12.0


# frontier.md's table of what differs from pr1493; `gone` and what has another name here apart
FRONTIER = {
    "beta2": 0.99,
    "embed_bits": 7,
    "embed_clip_sigmas": 14.0,
    "gptq_calibration_batches": 16,
    "matrix_lr": 0.026,
    "min_lr": 0.1,
    "muon_momentum": 0.97,
    "qk_gain_init": 5.0,
    "val_loss_every": 0,
    "warmdown_frac": 0.85,
    "smear_gate_enabled": True,
    "sparse_attn_gate_enabled": True,
    "sparse_attn_gate_scale": 0.5,
    "parallel_start_layer": 8,
    "parallel_final_lane": "mean",
    "gated_attn_init_std": 0.01,
    "caseops_enabled": True,
    "attn_clip_sigmas": 13.0,
    "mlp_clip_sigmas": 11.5,
    "lqer_enabled": True,
    "phased_ttt_enabled": True,
}
OURS = {
    "compressor": "ans",  # lrzip by group
    "gptq_reserve_seconds": 8.0,  # 0.5
    "doc_attention_enabled": True,
    "muon_polar_enabled": True,
    "clip_before_average_enabled": True,
    "parallel_residual_start": 11,
    "sliding_window_enabled": False,
}


def test_pr1855_differs_from_pr1493_as_described():
    found = presets.differences("pr1493", "pr1855")
    assert {k: new for k, (_, new) in found.items()} == FRONTIER | OURS
    assert all(old == knobs("pr1493")[k] for k, (old, _) in found.items())


def test_the_smoke_frontier_is_pr1855_but_for_sizes():
    small, full = presets.differences("smoke-base", "smoke-frontier"), presets.differences("pr1493", "pr1855")
    sizes = {"parallel_residual_start": 4, "parallel_start_layer": 2, "val_batch_tokens": 65536}
    sizes |= {"ttt_eval_seq_len": 256, "ttt_chunk_size": 64, "ttt_batch_size": 16, "ttt_lora_rank": 8}
    sizes |= {"ttt_lora_alpha": 14.4, "phased_ttt_prefix_docs": 120, "global_ttt_chunk_tokens": 4096}
    bases = {"val_loss_every", "gptq_calibration_batches", "caseops_enabled"}  # smoke-base's, or pydocs'
    wanted = {k: new for k, (_, new) in full.items() if k not in bases} | sizes
    assert {k: new for k, (_, new) in small.items()} == wanted


def test_differences_are_shown():
    pgolf = [str(Path(sys.executable).with_name("pgolf")), "train", "--diff"]
    shown = subprocess.run([*pgolf, "pr1493", "pr1812"], capture_output=True, text=True, check=True).stdout
    assert "ttt_epochs                 3 → 4" in shown.splitlines() and len(shown.splitlines()) == 6
    shown = subprocess.run([*pgolf, "pr1493", "pr1855", "--json"], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown)["beta2"] == {"pr1493": 0.95, "pr1855": 0.99}


def test_the_smoke_presets_are_on_a_step_schedule():
    for preset in ("smoke-base", "smoke", "smoke-frontier"):
        assert knobs(preset)["max_wallclock_seconds"] == 0


def test_every_knob_is_an_environment_variable():
    changed = {"SEED": "7", "TTT_EPOCHS": "4", "TTT_ENABLED": "0", "MUON_WD_MLP": "0.115", "DATA_DIR": "/d"}
    cfg = config_from_env(changed)
    assert (cfg.seed, cfg.ttt_epochs, cfg.ttt_enabled, cfg.muon_wd_mlp) == (7, 4, False, 0.115)
    assert cfg.datasets_dir == "/d/datasets/fineweb10B_sp8192"
    assert config_from_env(presets.as_env(presets.load("smoke")) | {"RUN_ID": "x"}) == Config(
        **presets.load("smoke"), run_id="x"
    )


@pytest.mark.parametrize(
    ("knob", "value", "says"),
    [
        ("num_heads", "3", "num_heads has to divide model_dim"),
        ("num_kv_heads", "3", "num_kv_heads has to divide num_heads"),
        ("rope_dims", "2", "rope_dims has to be even, from 4 to 64"),
        ("rope_dims", "66", "rope_dims has to be even, from 4 to 64"),
        ("loop_end", "11", "loop_start to loop_end have to lie in 0 to 10"),
        ("num_layers", "1", "at least 2"),
        ("parallel_start_layer", "11", "parallel_start_layer has to be below 11"),
        ("parallel_final_lane", "both", "mean, attn or mlp"),
        ("attn_out_gate_src", "k", "proj or q"),
        ("gate_window", "513", "gate_window has to be from 1 to 512"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_before_anything_starts(knob, value, says):
    with pytest.raises(BadInput, match=f"pr1493: these knobs make no model: .*{says}"):
        presets.load("pr1493", {knob: value})


def test_the_size_to_expect_follows_bits_and_factors():
    def size(**overrides: str) -> int:
        return describe(presets.load("pr1493", overrides)).artifact_bytes_projected

    base, mlp = size(), 11 * 2 * 512 * 2048
    assert size(attn_bits="6", mlp_bits="6") == base
    assert base - size(mlp_bits="5") == pytest.approx(mlp * math.log2(31 / 15) / 8, rel=0.01)
    # the embedding and two `mlp.fc`: 4 components, 2 bits for rows and 4 for columns
    assert size(lqer_enabled="1") - base == pytest.approx(4 * (2 * (8192 + 2 * 2048) + 4 * 3 * 512) / 8, rel=0.01)
    assert size(lqer_enabled="1", lqer_top_k="0") == base


@pytest.mark.parametrize("text", ["", "# nothing\n", "[knobs]\n", 'extends = ""\n'])
def test_a_preset_that_says_nothing_is_refused(text, tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"empty\.toml: neither 'extends' nor a knob"):
        presets.load(str(path))
    path.write_text('extends = "smoke"\n')
    assert presets.load(str(path)) == presets.load("smoke")
