"""LQER against the reference, and on its way through the file: bits, ranks, whole runs, and factors that lie."""

from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from reference import lqer as reference

from pgolf.artifact import open_artifact
from pgolf.errors import BadInput
from pgolf.trainer.codec import CODECS, ArtifactError, Tensors, decode, encode
from pgolf.trainer.config import MODEL_KNOBS, Config
from pgolf.trainer.lqer import dense, factors, product, repaired, repairs
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import quantise, restore

BARE = Config(
    vocab_size=96, num_layers=3, model_dim=64, num_heads=2, num_kv_heads=2, mlp_mult=2.0, loop_start=1, loop_end=1,
    passthrough_numel=512, matrix_bits=3, matrix_clip_sigmas=3.0, embed_bits=4, embed_clip_sigmas=3.0,
)  # fmt: skip
ON = replace(BARE, lqer_enabled=True)


def model_of(cfg: Config) -> GPT:
    """Random weights; those of one matrix large, with a strong component that clipping will spoil."""
    torch.manual_seed(0)
    model = GPT(cfg)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
        model.blocks[1].mlp.fc.weight += torch.outer(torch.randn(128) ** 3, torch.randn(64))
    return model


def quantised(cfg: Config, model: GPT | None = None) -> Tensors:
    model = model or model_of(cfg)
    modules = [(name, module) for name, module in model.named_modules() if hasattr(module, "weight")]
    hessians = {f"{name}.weight": torch.eye(module.weight.shape[1]) for name, module in modules}
    return quantise(model, hessians, cfg, 0, 1, lambda text: None)


@cache
def repaired_once() -> Tensors:
    return quantised(ON)


def errors_of(model: GPT, tensors: Tensors) -> dict[tuple[int, str], torch.Tensor]:
    """W − what comes back, matrix by matrix, of all that was quantised."""
    back = repaired(tensors)
    return {
        (i, role): model.get_parameter(role.replace("blocks.", f"blocks.{i}.")).detach() - value
        for role, held in tensors.items()
        if isinstance(held, tuple) and not role.startswith("lqer.")
        for i, value in enumerate(dense(back[role]))
    }


@examples(25)
@given(
    rows=st.integers(1, 24),
    cols=st.sampled_from([1, 7, 16, 32]),
    rank=st.integers(1, 4),
    asym=st.booleans(),
    bits=st.integers(2, 8),
    group=st.sampled_from([8, 64]),
    seed=st.integers(0, 99),
)
def test_factors_are_the_references(rows, cols, rank, asym, bits, group, seed):
    rng = np.random.default_rng(seed)
    # components of well separated strength, since equal ones have no order
    error = sum(8.0**-k * np.outer(rng.normal(size=rows), rng.normal(size=cols)) for k in range(min(rows, cols, 5)))
    error = error.astype(np.float32)
    cfg = Config(lqer_rank=rank, lqer_asym_enabled=asym, lqer_factor_bits=bits, lqer_asym_group=group)
    ours = product(*factors(torch.from_numpy(error), cfg), rows, cols).numpy()
    a, b = reference.stored(*reference.components(error, rank), asym, bits, group)
    # float32 against float64: an element next to a half may fall the other way
    wrong = np.abs(ours - a @ b) > 1e-3 * np.abs(a @ b).max()
    assert wrong.mean() <= 0.1


def test_the_worst_matrices_are_repaired_as_the_reference_repairs_them():
    model = model_of(ON)
    before, tensors = errors_of(model, quantised(BARE, model)), quantised(ON, model)
    after = errors_of(model, tensors)
    worst = sorted(before, key=lambda key: -before[key].norm())[:3]
    assert worst[0] == (1, "blocks.mlp.fc.weight")
    assert {name for name in tensors if name.startswith("lqer.")} == {
        f"lqer.{s}.{i}.{r}" for s in "ab" for i, r in worst
    }
    for key, error in before.items():
        fix = reference.repair(error.numpy(), ON.lqer_rank) if key in worst else np.zeros(error.shape)
        assert np.linalg.norm(error.numpy() - fix - after[key].numpy()) <= 0.02 * error.norm(), key
    assert after[worst[0]].norm() < 0.9 * before[worst[0]].norm()


@examples(6)
@given(seed=st.integers(0, 999), rank=st.integers(1, 8), asym=st.booleans(), bits=st.integers(2, 4))
def test_no_error_ever_grows(seed, rank, asym, bits):
    """Heavy tails on two bits: the product of the factors is often worse than nothing, and is then left out."""
    model = model_of(BARE)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) ** 3)
    cfg = replace(ON, lqer_rank=rank, lqer_asym_enabled=asym, lqer_factor_bits=bits, lqer_top_k=8)
    tensors = {name: held for name, held in quantised(BARE, model).items() if name != "skip_weights"}
    before = errors_of(model, tensors)
    after = errors_of(model, tensors | repairs(model, tensors, cfg, 0, 1))
    assert all(after[key].norm() <= before[key].norm() for key in before)


@pytest.mark.parametrize("codec", CODECS)
def test_the_file_gives_back_every_bit(codec):
    model, other = model_of(ON), model_of(ON)
    tensors = quantised(ON, model)
    back, _ = decode(encode(tensors, {}, codec))
    assert list(back) == list(tensors)
    restore(model, tensors)
    restore(other, back)
    for (name, p), (_, theirs) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(p, theirs), name
    fc = tensors["blocks.mlp.fc.weight"]
    a, b = (dense(tensors[f"lqer.{side}.1.blocks.mlp.fc.weight"]) for side in "ab")
    exact = fc[0][1].double() * fc[1][1].double()[:, None] + a.view(128, 4).double() @ b.view(4, 64).double()
    torch.testing.assert_close(model.blocks[1].mlp.fc.weight.double(), exact, rtol=1e-5, atol=1e-6)


# --- factors that lie


def damaged(change) -> Tensors:
    tensors = dict(repaired_once())
    change(tensors, "lqer.a.1.blocks.mlp.fc.weight", "lqer.b.1.blocks.mlp.fc.weight")
    return tensors


def held(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(shape, dtype=torch.int8), torch.ones(shape[:-1], dtype=torch.float16)


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda t, a, b: t.pop(a), "factors of no matrix: \\['lqer.b.1.blocks.mlp.fc.weight'\\]"),
        (lambda t, a, b: t.update({"lqer.a.9.tok_emb.weight": t.pop(a)}), "factors of no matrix"),
        (lambda t, a, b: t.update({"lqer.": t[a]}), "factors of no matrix: \\['lqer.'\\]"),
        (
            lambda t, a, b: t.update({"lqer.a.0.skip_weights": t[a], "lqer.b.0.skip_weights": t[b]}),
            "factors of no matrix",
        ),
        (lambda t, a, b: t.update({a: held(1, 1, 127)}), "127 and 256 values, no factors of 128 × 64"),
        (lambda t, a, b: t.update({b: held(1, 4, 63)}), "512 and 252 values"),
        (lambda t, a, b: t.update({a: held(1, 128, 65), b: held(1, 65, 64)}), "of small rank"),
    ],
)
def test_factors_that_are_none_are_refused(change, complaint, tmp_path):
    tensors = damaged(change)
    with pytest.raises(ArtifactError, match=complaint):
        restore(model_of(ON), tensors)
    path = tmp_path / "lie.ptz"
    path.write_bytes(encode(tensors, {name: getattr(ON, name) for name in MODEL_KNOBS}))
    with pytest.raises(BadInput, match=complaint):
        open_artifact(path)


@examples(40)
@given(data=st.data())
def test_any_shapes_at_all_are_read_or_refused(data):
    sizes = st.integers(1, 20)

    def lie(tensors: Tensors, a: str, b: str) -> None:
        name = data.draw(st.sampled_from([a, b, "lqer.a.0.tok_emb.weight", "lqer.b", "lqer.c.1.blocks.mlp.fc.weight"]))
        shape = data.draw(st.tuples(sizes, sizes, sizes))
        tensors[name] = data.draw(st.sampled_from([held(*shape), held(*shape)[1]]))

    tensors = damaged(lie)
    with suppress(ArtifactError):
        repaired(tensors)


def test_a_run_with_lqer_is_scored_again_from_its_artifact(run_trainer):
    """EVAL_ONLY and `pgolf eval` need no knob for it: the artifact says what it holds."""
    knobs = {"sliding_window_enabled": 0, "ttt_enabled": 0, "iterations": 4, "matrix_bits": 3, "mlp_bits": 4}
    run = run_trainer(lqer_enabled=1, lqer_top_k=2, **knobs)
    assert run.code == 0, run.err
    artifact = run.folder / "final_model.int6.ptz"
    assert sum(name.startswith("lqer.") for name in decode(artifact.read_bytes())[0]) == 4
    assert (
        "  lqer: lqer.a." in run.log
        and "  gptq (int3): blocks.attn" in run.log
        and "  gptq (int4): blocks.mlp" in run.log
    )
    again = run_trainer(eval_only=artifact, **knobs)
    assert again.code == 0, again.err
    assert again.stages() == {"quantized": run.stages()["quantized"]}
    opened = open_artifact(artifact).model
    assert sum(p.numel() for p in opened.parameters()) == run.events("model")[0]["parameters"]
