"""GPTQ with SDClip against the reference, column by column; the Hessians against the sum over every visit."""

import pytest
import torch
from reference import gptq as reference
from reference import model as reference_model
from reference.of_trainer import as_model, matrix_name, parameters, shape_of

from pgolf.trainer.codec import decode, encode
from pgolf.trainer.config import Config
from pgolf.trainer.quantize import Hessians, gptq, quantise, restore, roles


def draw(rows: int, cols: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix and the Hessian of correlated inputs of very different sizes, as activations have."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(4 * cols, cols, generator=g) @ torch.randn(cols, cols, generator=g)
    x *= torch.logspace(-1, 1, cols)[torch.randperm(cols, generator=g)]
    return torch.randn(rows, cols, generator=g), x.T @ x


def unequal(ours: torch.Tensor, exact: torch.Tensor) -> int:
    assert (ours.int() - exact.int()).abs().max() <= 1
    return int((ours != exact).sum())


@pytest.mark.parametrize("bits, sigmas", [(6, 12.85), (8, 20.0), (4, 3.0)])
@pytest.mark.parametrize("cols", [24, 150])
def test_integers_are_the_references(bits, sigmas, cols):
    cfg = Config()
    drawn = [draw(12, cols, seed) for seed in range(2)]
    q, scale = gptq(torch.stack([w for w, _ in drawn]), torch.stack([h for _, h in drawn]), bits, sigmas, cfg)
    for i, (w, h) in enumerate(drawn):
        exact, exact_scale = reference.quantize(w, h, bits, sigmas, cfg.gptq_damp)
        assert torch.equal(scale[i], exact_scale)
        # float32 against float64: an integer next to a half may fall the other way, and carry on from there
        assert unequal(q[i], exact) <= 2


def test_errors_are_fed_forward():
    """What GPTQ is for: less error on the inputs than rounding each weight by itself."""
    w, h = draw(16, 64, seed=3)
    q, scale = gptq(w[None], h[None], 4, 3.0, Config())
    plain = torch.round(w / scale[0, :, None]).clamp(-7, 7)

    def error(integers: torch.Tensor) -> float:
        d = integers * scale[0, :, None].float() - w
        return float((d @ h * d).sum())

    assert error(q[0]) < 0.7 * error(plain)


def test_clip_is_in_unbiased_standard_deviations_of_the_row():
    w, h = draw(5, 40, seed=1)
    _, scale = gptq(w[None], h[None], 6, 12.85, Config())
    exact = [12.85 * (sum((v - row.mean()) ** 2 for v in row) / 39) ** 0.5 / 31 for row in w.double()]
    torch.testing.assert_close(scale[0].double(), torch.stack(exact), rtol=2**-10, atol=0)


def test_dead_columns_give_zeros_and_constant_rows_no_nan():
    w, h = draw(6, 40, seed=2)
    h[[3, 17]] = 0
    h[:, [3, 17]] = 0
    w[1], w[4] = 0.0, 0.25
    (q,), (scale,) = gptq(w[None], h[None], 6, 12.85, Config())
    exact, exact_scale = reference.quantize(w, h, 6, 12.85, 0.01)
    assert unequal(q, exact) <= 2 and torch.equal(scale, exact_scale)
    assert not q[:, [3, 17]].any() and not q[[1, 4]].any() and not scale[[1, 4]].any()


def test_untrained_projections_are_zeros(config, model_of):
    cfg = config(passthrough_numel=64)
    model = model_of(cfg)
    with torch.no_grad():
        model.blocks[0].attn.proj.weight.zero_()
    tensors = quantise(model, collect(model, tokens_of(cfg)), cfg, 0, 1, log=lambda text: None)
    q, scale = tensors["blocks.attn.proj.weight"]
    assert not q[0].any() and not scale[0].any() and q[1:].any()
    restore(model, tensors)
    assert not model.blocks[0].attn.proj.weight.any()


def tokens_of(cfg: Config) -> torch.Tensor:
    return torch.randint(cfg.vocab_size, (3, 11), generator=torch.Generator().manual_seed(0))


def collect(model, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    hessians = Hessians(model)
    with torch.no_grad():
        for batch in tokens.split(2):
            model(batch)
    return hessians.finish(world=1)


@pytest.mark.parametrize("looping", [False, True])
def test_hessians_sum_up_every_visit(config, model_of, looping, monkeypatch):
    monkeypatch.setattr(Hessians, "TILE", 48)  # several tiles, the last one smaller
    cfg = config(mlp_mult=3)
    model, tokens = model_of(cfg, looping=looping), tokens_of(cfg)
    ours = collect(model, tokens)
    exact: dict[str, torch.Tensor] = {}

    def seen(name: str, x: torch.Tensor) -> None:
        key = matrix_name(name) if name != "embedding" else "tok_emb.weight"
        exact[key] = exact.get(key, 0) + x.T @ x

    reference = as_model({n: p.detach() for n, p in parameters(model).items()}, shape_of(cfg))
    for sequence in tokens:
        reference_model.hidden_states(sequence, reference, shape_of(cfg), looping, seen)
    assert ours.keys() == exact.keys() and len(ours) == 4 * 6 + 1
    for name, h in ours.items():
        assert (h.double() - exact[name]).norm() < 1e-5 * exact[name].norm(), name
    assert not model._forward_hooks and not any(m._forward_pre_hooks for m in model.modules())


def test_the_records_artifact_has_67_hessians():
    with torch.device("meta"):
        from pgolf.trainer.model import GPT

        names = [n for n, p in GPT(Config()).named_parameters() if p.ndim == 2 and p.numel() > 65_536]
    assert len(names) == 67


def test_what_is_quantised_how_finely_and_what_passes_through(config, model_of):
    cfg = config(passthrough_numel=2048, matrix_bits=5, embed_bits=7, embed_clip_sigmas=9.0, mlp_clip_sigmas=7.0)
    model = model_of(cfg)
    tensors = quantise(model, collect(model, tokens_of(cfg)), cfg, 0, 1, log=lambda text: None)
    assert tensors.keys() == roles(model).keys()
    quantised = {role for role, held in tensors.items() if isinstance(held, tuple)}
    # 64 × 64 and larger; k and v are 32 × 64 = 2048, which is not above the threshold
    assert quantised == {"tok_emb.weight"} | {
        f"blocks.{m}.weight" for m in ("attn.c_q", "attn.proj", "mlp.fc", "mlp.proj")
    }
    for role, sigmas, most in (
        ("tok_emb.weight", 9.0, 63),
        ("blocks.mlp.fc.weight", 7.0, 15),
        ("blocks.attn.c_q.weight", 12.85, 15),
    ):
        q, scale = tensors[role]
        rows = torch.stack([model.get_parameter(name) for name in roles(model)[role]])
        torch.testing.assert_close(scale.float(), rows.std(-1) * sigmas / most, rtol=1e-3, atol=0)
        assert q.dtype == torch.int8 and q.abs().max() <= most
    assert torch.equal(tensors["skip_weights"][0], model.skip_weights.half())


def test_the_artifact_gives_back_every_bit(config, model_of):
    cfg = config()
    model, other = model_of(cfg, seed=1), model_of(cfg, seed=2)
    tensors = quantise(model, collect(model, tokens_of(cfg)), cfg, 0, 1, log=lambda text: None)
    back, knobs = decode(encode(tensors, {"num_layers": 4}))
    assert knobs == {"num_layers": 4}
    restore(model, tensors)
    restore(other, back)
    for (name, p), (_, theirs) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(p, theirs), name
