"""What the reference of test_gptq does not cover: Hessians of no use, batches, ranks, coarse scales."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from pgolf.trainer.codec import ArtifactError
from pgolf.trainer.config import Config
from pgolf.trainer.mixed_bits import Probe
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import Hessians, coarse, gptq, quantise, restore, row_scale

ROWS, COLS = 12, 40


def draw(seed: int, samples: int = 4 * COLS) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix, and the Hessian of so many correlated inputs."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, COLS, generator=g) @ torch.randn(COLS, COLS, generator=g)
    return torch.randn(ROWS, COLS, generator=g), x.T @ x


def plainly(w: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.round(w / scale.float()[:, None]).clamp(-31, 31)


def error(w: torch.Tensor, q: torch.Tensor, scale: torch.Tensor, h: torch.Tensor) -> float:
    """tr(ΔW H ΔWᵀ): what the quantised matrix gets wrong on its inputs."""
    d = (q.double() * scale.double()[:, None]) - w.double()
    return float(((d @ h.double()) * d).sum())


def test_matrices_quantised_together_are_those_quantised_alone():
    w, h = map(torch.stack, zip(*map(draw, range(5)), strict=True))
    together = gptq(w, h, 6, 12.85, Config())
    for i in range(5):
        alone = gptq(w[i : i + 1], h[i : i + 1], 6, 12.85, Config())
        assert torch.equal(together[0][i], alone[0][0]) and torch.equal(together[1][i], alone[1][0])


@pytest.mark.parametrize("spoil", [torch.nan, torch.inf])
def test_a_hessian_that_is_not_finite_is_told_and_its_matrix_rounded_plainly(spoil):
    w, h = map(torch.stack, zip(*map(draw, range(3)), strict=True))
    clean, _ = gptq(w, h, 6, 12.85, Config())
    h[1, 5, 7] = spoil
    said = []
    q, scale = gptq(w, h, 6, 12.85, Config(), lambda *note: said.append(note))
    assert said == [(1, "Hessian is not finite, rounding plainly")]
    assert torch.equal(q[1].float(), plainly(w[1], scale[1]))
    assert torch.equal(q[[0, 2]], clean[[0, 2]])


def test_damping_grows_until_a_singular_hessian_can_be_used():
    """Fewer inputs than columns, and damping far below what float32 can tell from nothing."""
    w, h = draw(0, samples=COLS // 4)
    said = []
    (q,), (scale,) = gptq(w[None], h[None], 6, 12.85, Config(gptq_damp=1e-12), lambda *note: said.append(note))
    assert said and all(i == 0 and "singular at damping" in text for i, text in said)
    assert error(w, q, scale, h) < 0.5 * error(w, plainly(w, scale), scale, h)


def test_a_hessian_that_no_damping_mends_is_told():
    w, h = draw(0)
    said = []
    (q,), (scale,) = gptq(w[None], -h[None], 6, 12.85, Config(), lambda *note: said.append(note))
    assert said[-1] == (0, "Hessian stays singular, rounding plainly")
    assert torch.equal(q.float(), plainly(w, scale))


def test_a_column_alone_and_a_row_alone_are_quantised():
    for rows, cols in ((1, 40), (12, 2), (1, 2)):
        (q,), (scale,) = gptq(torch.randn(1, rows, cols), torch.eye(cols)[None], 6, 12.85, Config())
        assert q.shape == (rows, cols) and scale.shape == (rows,) and scale.isfinite().all()


halves = st.floats(-65504, 65504, width=16)


@examples(300)
@given(x=halves, bits=st.integers(0, 10))
def test_coarse_is_the_nearest_with_so_many_mantissa_bits(x, bits):
    x = torch.tensor([x], dtype=torch.float16)
    y = coarse(x, bits)
    assert y.isfinite() and not int(y.view(torch.int16)) & ((1 << 10 - bits) - 1)
    # neighbours on the coarse grid: one step of the kept bits up and down
    magnitude = int(y.abs().view(torch.int16))
    for other in (magnitude - (1 << 10 - bits), magnitude + (1 << 10 - bits)):
        if 0 <= other < 0x7C00:
            near = torch.tensor([other], dtype=torch.int16).view(torch.float16).double()
            assert abs(x.abs().double() - y.abs().double()) <= abs(x.abs().double() - near)
    assert bits < 10 or torch.equal(x.view(torch.int16), y.view(torch.int16))


def test_coarse_takes_what_fp16_cannot_hold():
    far = coarse(torch.tensor([1e9, -1e9, 1e-12]), 3)
    assert far.isfinite().all() and far[0] == -far[1] > 6e4 and far[2] == 0


def test_scales_on_a_coarse_grid_are_few_and_cost_next_to_nothing():
    """Eight steps an octave: rows get other widths, by at most a sixteenth, and the error hardly moves."""
    w, h = draw(1)
    w = w * torch.logspace(-2, 0, ROWS)[:, None]
    cfg = Config(scale_mantissa_bits=3)
    (q,), (scale,) = gptq(w[None], h[None], 6, 12.85, cfg)
    exact = row_scale(w, 6, 12.85).float()
    assert not (scale.view(torch.int16) & 0x7F).any() and not torch.equal(scale.float(), exact)
    assert ((scale.float() / exact).log2().abs() <= np.log2(17 / 16)).all()
    (fine,), (fine_scale,) = gptq(w[None], h[None], 6, 12.85, Config())
    assert error(w, q, scale, h) < 1.15 * error(w, fine, fine_scale, h)


def test_more_bits_than_a_byte_has_clip_and_do_not_wrap():
    w, _ = draw(0)
    (q,), _ = gptq(w[None], torch.eye(COLS)[None], 9, 3.0, Config())
    assert q.max() == 127 == -q.min() and not (q.sign() * w.sign() < 0).any()


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 1.0])
def test_steps_go_with_a_power_of_the_rows_spread(power):
    """The matrix keeps its mean square std, whatever the power, when all rows are alike; 1 is SDClip to the bit."""
    w = torch.randn(2, ROWS, COLS, generator=torch.Generator().manual_seed(0))
    w = w / w.std(-1, keepdim=True) * torch.logspace(-2, 0, ROWS)[:, None]
    step = row_scale(w, 6, 31.0, power=power).double()
    ratio = step[:, 1:] / step[:, :-1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 10 ** (2 * power / (ROWS - 1))), rtol=2e-3, atol=0)
    alike = w / w.std(-1, keepdim=True)
    torch.testing.assert_close(row_scale(alike, 6, 31.0, power=power), torch.ones(2, ROWS).half(), rtol=2e-3, atol=0)
    if power == 1:
        assert torch.equal(step, w.std(-1).half().double())


def test_rows_without_spread_give_no_nan_at_any_power():
    w = torch.zeros(2, ROWS, COLS)
    w[1, 3:] = torch.randn(ROWS - 3, COLS)
    for power in (0.0, 0.5, 1.0):
        scale = row_scale(w, 8, 20.0, power=power)
        assert scale.isfinite().all() and not scale[0].any() and scale[1, 3:].all()


def test_the_power_is_the_embeddings_alone():
    cfg = tiny()
    model, hessians = ready(cfg)
    with torch.no_grad():
        model.tok_emb.weight *= torch.logspace(-1, 0, 64)[:, None]
    plain = quantise(model, hessians, cfg, 0, 1, lambda text: None)
    even = quantise(model, hessians, replace(cfg, embed_scale_power=0.0), 0, 1, lambda text: None)
    assert even["tok_emb.weight"][1].unique().numel() == 1 < plain["tok_emb.weight"][1].unique().numel()
    assert torch.equal(even["blocks.mlp.fc.weight"][0], plain["blocks.mlp.fc.weight"][0])


def tiny() -> Config:
    return Config(
        vocab_size=64, num_layers=3, model_dim=64, num_heads=2, num_kv_heads=2, mlp_mult=2, loop_start=1, loop_end=1
    )


def ready(cfg: Config) -> tuple[GPT, dict[str, torch.Tensor]]:
    """A model of random weights and its Hessians, one of them spoilt."""
    torch.manual_seed(0)
    cfg.passthrough_numel = 64 * 8
    model = GPT(cfg)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    hessians = Hessians(model)
    with torch.no_grad():
        model(torch.randint(64, (4, 32)))
    found = hessians.finish(1)
    found["blocks.1.mlp.fc.weight"] = found["blocks.1.mlp.fc.weight"] * torch.nan
    return model, found


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    cfg, said = replace(tiny(), lqer_enabled=True), []
    model, hessians = ready(cfg)
    tensors = quantise(model, hessians, cfg, rank, 2, said.append)
    probe = Probe(model)
    probe(torch.randint(64, (4, 32), generator=torch.Generator().manual_seed(rank)))
    own = probe.squares["tok_emb.weight"].clone()
    torch.save((tensors, said, own, probe.squares, probe.finish(hessians, 0.01, 2)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_ranks_share_the_matrices_and_all_know_what_went_wrong(tmp_path):
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    cfg, said = replace(tiny(), lqer_enabled=True), []
    alone = quantise(*ready(cfg), cfg, 0, 1, said.append)
    assert said == ["GPTQ: blocks.1.mlp.fc.weight: Hessian is not finite, rounding plainly"]
    assert sum(name.startswith("lqer.") for name in alone) == 6
    saved = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    (_, _, first, sums, rows), (_, _, second, _, same) = saved
    torch.testing.assert_close(sums["tok_emb.weight"], first + second)
    assert not torch.equal(first, second) and all(torch.equal(r, same[name]) for name, r in rows.items())
    for tensors, theirs, *_ in saved:
        assert theirs == said and tensors.keys() == alone.keys()
        for role, held in alone.items():
            pairs = zip(held, tensors[role], strict=True) if isinstance(held, tuple) else [(held, tensors[role])]
            assert all(torch.equal(a, b) for a, b in pairs), role


def test_tensors_of_another_model_are_refused():
    cfg = tiny()
    model, hessians = ready(cfg)
    tensors = quantise(model, hessians, cfg, 0, 1, lambda text: None)
    restore(model, tensors)
    with pytest.raises(ArtifactError, match="differ in \\['extra'\\]"):
        restore(model, tensors | {"extra": torch.zeros(1).half()})
    with pytest.raises(ArtifactError, match="skip_weights: artifact has shape"):
        restore(model, tensors | {"skip_weights": torch.zeros(1, 2, 3).half()})
