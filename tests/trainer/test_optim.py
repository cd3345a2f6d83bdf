"""Optimiser, schedules and average against the reference, one parameter at a time."""

import pytest
import torch
from reference import optim as reference
from reference.of_trainer import MATRICES, parameters

from pgolf import presets
from pgolf.trainer.config import Config
from pgolf.trainer.muon_polar import polar_express
from pgolf.trainer.optim import EMA, NEWTON_SCHULZ, Banks, Optimizer, lr_multiplier, muon_momentum, orthogonalise


@pytest.mark.parametrize(
    "knobs",
    [
        {"muon_wd_mlp": 0.115, "adam_wd": 0.005},
        {"mlp_mult": 1, "num_kv_heads": 4},
        {"muon_row_normalize": 0, "grad_clip_norm": 1e9, "muon_wd": 0.3, "muon_wd_mlp": 0.0},
        {"grad_clip_norm": 0.0, "muon_backend_steps": 3, "adam_eps": 1e-3},
        {"muon_polar_enabled": 1, "beta2": 0.99},
    ],
    ids=["split decay", "all matrices of one shape", "no row norm, no clip reached", "no clip", "polar"],
)
def test_steps_are_the_references(config, model_of, knobs):
    cfg = config(**knobs)
    model = model_of(cfg)
    exact = {name: p.detach() for name, p in parameters(model).items()}
    average = {name: p.clone() for name, p in exact.items()}
    banks = Banks(model)
    optimizer, ema, state = Optimizer(banks, cfg, torch.float32, rank=0, world=1), EMA(banks, cfg.ema_decay), {}
    draw = torch.Generator().manual_seed(0)
    for step, (lr_mul, momentum) in enumerate([(1.0, 0.92), (1.0, 0.95), (0.6, 0.99), (0.1, 0.99)], start=1):
        grads = {}
        for name, p in model.named_parameters():
            # rows of very different size, as real gradients have
            size = torch.logspace(-3, 0, p.shape[0])[torch.randperm(p.shape[0], generator=draw)]
            p.grad.copy_(torch.randn(p.shape, generator=draw) * size.view(-1, *[1] * (p.ndim - 1)))
            grads[name] = p.grad.double()
        norm = banks.clip_grads(cfg.grad_clip_norm)
        assert norm == pytest.approx(float(torch.cat([g.flatten() for g in grads.values()]).norm()), rel=1e-5)
        optimizer.step(lr_mul, momentum)
        ema.update()
        exact = reference.optimizer_step(exact, grads, state, step, lr_mul, momentum, cfg)
        average = {name: reference.ema_step(average[name], p, cfg.ema_decay) for name, p in exact.items()}
        for name, p in model.named_parameters():
            assert (p.detach().double() - exact[name]).norm() < 1e-5 * exact[name].norm(), name
    ema.apply()
    for name, p in model.named_parameters():
        assert (p.detach().double() - average[name]).norm() < 1e-5 * average[name].norm(), name


@pytest.mark.parametrize("rows, columns", [(8, 20), (20, 8), (12, 12)])
def test_orthogonalisation_of_a_batch_is_that_of_each_matrix(rows, columns):
    g = torch.randn(3, rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))
    for polar, steps, near in ((False, [NEWTON_SCHULZ] * 5, 0.4), (True, polar_express(5), 0.15)):
        for ours, one in zip(orthogonalise(g, steps), g, strict=True):
            torch.testing.assert_close(ours, reference.newton_schulz(one, 5, polar), rtol=1e-10, atol=1e-12)
            assert (torch.linalg.svdvals(ours) - 1).abs().max() < near


def test_the_record_keeps_momentum_in_the_dtype_it_computes_in(config, model_of):
    for polar, dtype in ((0, torch.float32), (1, torch.bfloat16)):
        banks = Banks(model_of(config(muon_polar_enabled=polar)))
        optimizer = Optimizer(banks, config(muon_polar_enabled=polar), torch.bfloat16, rank=0, world=1)
        optimizer.step(1.0, 0.9)
        assert {b.dtype for b in optimizer.muon.buffers.values()} == {dtype}


def test_a_row_without_gradient_stays_finite(config, model_of):
    cfg = config(muon_wd=0.0)
    model = model_of(cfg)
    banks = Banks(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    Optimizer(banks, cfg, torch.float32, rank=0, world=1).step(1.0, 0.9)  # gradients are all zero
    for name, p in model.named_parameters():
        if name.endswith(tuple(MATRICES.values())):
            assert torch.equal(p, before[name]), name


def test_decay_reaches_parameters_that_have_no_gradient(config, model_of):
    """Skip rows of the looped order are decayed before loops begin, gains of unused blocks too."""
    cfg = config(adam_wd=0.5, scalar_lr=0.1)
    model = model_of(cfg)
    before = model.skip_weights.detach().clone()
    Optimizer(Banks(model), cfg, torch.float32, rank=0, world=1).step(1.0, 0.9)
    torch.testing.assert_close(model.skip_weights.detach(), before * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("warmdown, floor", [(0.72, 0.0), (0.5, 0.1), (1.0, 0.0)])
def test_learning_rate_is_one_then_a_line_with_a_floor(warmdown, floor):
    cfg = Config(warmdown_frac=warmdown, min_lr=floor)
    for i in range(1001):
        assert lr_multiplier(cfg, i / 1000) == pytest.approx(
            reference.lr_multiplier(i / 1000, warmdown, floor), rel=1e-12, abs=1e-12
        )
    assert lr_multiplier(cfg, 1.01) == floor  # a last step begun just before the cap


@pytest.mark.parametrize("preset", ["pr1493", "pr1812"])
def test_momentum_warms_up_by_steps_or_by_the_clock(preset):
    cfg = Config(**presets.load(preset))
    steps, share = (1500, 0.0) if preset == "pr1493" else (1500, 0.22)
    for step in (0, 1, 700, 1499, 1500, 4000):
        for frac in (0.0, 0.1, 0.2199, 0.22, 0.9):
            exact = reference.muon_momentum(step, frac, 0.92, 0.99, steps, share)
            assert muon_momentum(cfg, step, frac) == pytest.approx(exact, rel=1e-12)
    reached = muon_momentum(cfg, 1500, 0.1), muon_momentum(cfg, 10, 0.22)
    assert (reached[0] == pytest.approx(0.99)) == (preset == "pr1493")
    assert (reached[1] == pytest.approx(0.99)) == (preset == "pr1812")


def test_bfloat16_embedding_is_averaged_in_float32(config, model_of):
    cfg = config(ema_decay=0.99)
    model = model_of(cfg)
    model.tok_emb.bfloat16()
    banks = Banks(model)
    ema, start = EMA(banks, cfg.ema_decay), model.tok_emb.weight.detach().double().clone()
    with torch.no_grad():
        model.tok_emb.weight.mul_(2)
    for _ in range(10):
        ema.update()
    exact = start * (0.99**10 + 2 * (1 - 0.99**10))
    ours = ema.average["tok_emb"].view(start.shape).double()
    assert (ours - exact).norm() < 1e-5 * exact.norm()
