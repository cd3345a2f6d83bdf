"""Steps of rows by what their errors cost: against the reference, and what they are for."""

import numpy as np
import torch
from reference import mixed_bits as reference
from reference.of_trainer import as_model, parameters, shape_of

from pgolf.trainer import mixed_bits
from pgolf.trainer.codec import decode
from pgolf.trainer.config import Config
from pgolf.trainer.mixed_bits import Probe, drawn
from pgolf.trainer.quantize import Hessians, gptq


def tokens_of(cfg: Config, sequences: int = 4) -> torch.Tensor:
    return torch.randint(cfg.vocab_size, (sequences, 9), generator=torch.Generator().manual_seed(0))


def probed(model, tokens: torch.Tensor) -> tuple[Probe, dict[str, torch.Tensor]]:
    hessians, probe = Hessians(model), Probe(model)
    probe(tokens)
    return probe, hessians.finish(1)


def test_squares_are_those_of_the_references_gradients(config, model_of, monkeypatch):
    """A gradient for each of PIECES, with labels given here, since the reference cannot draw the same."""
    monkeypatch.setattr(mixed_bits, "PIECES", 2)
    cfg = config(num_layers=3, num_heads=2, num_kv_heads=1)
    model, tokens = model_of(cfg, looping=True), tokens_of(cfg, 2)[:, :5]
    labels = tokens.flip(0, 1)
    pieces = iter(labels.chunk(mixed_bits.PIECES))
    monkeypatch.setattr(mixed_bits, "drawn", lambda model, states: next(pieces).flatten())
    probe = Probe(model)
    probe(tokens)
    exact: dict[str, torch.Tensor] = {}
    shape = shape_of(cfg) | {"looping": True}
    for x, y in zip(tokens.chunk(mixed_bits.PIECES), labels.chunk(mixed_bits.PIECES), strict=True):
        named = parameters(model)
        squares = reference.gradient_squares(x, y, named, as_model(named, shape), shape)
        exact = {name: exact.get(name, 0) + s for name, s in squares.items()}
    assert len(exact) > 3 * 6
    for name, s in exact.items():
        torch.testing.assert_close(probe.squares[name].double(), s, rtol=1e-3, atol=1e-12, msg=name)
    assert all(p.grad is None for p in model.parameters())


def test_labels_are_drawn_from_the_models_own_predictions(config, model_of):
    cfg = config()
    model = model_of(cfg)
    with torch.no_grad():
        model.tok_emb.weight *= 20
        states = model(tokens_of(cfg, 1))[0, :1]
        p = (cfg.logit_softcap * torch.tanh(states @ model.tok_emb.weight.T / cfg.logit_softcap)).softmax(-1)[0]
    torch.manual_seed(0)
    drawn_share = drawn(model, states.expand(4000, -1)).bincount(minlength=cfg.vocab_size) / 4000
    assert 0.1 < p.max() < 0.99 and (drawn_share - p).abs().max() < 0.04


def test_spreads_are_the_references(config, model_of):
    cfg = config()
    model = model_of(cfg)
    probe, hessians = probed(model, tokens_of(cfg))
    rows = probe.finish(hessians, cfg.gptq_damp, 1)
    weights = {name: model.get_parameter(name).detach().numpy() for name in hessians}
    squares = {name: probe.squares[name].double() for name in hessians}
    squares = {name: s.clamp_min(mixed_bits.FAINTEST * s.mean()).numpy() for name, s in squares.items()}
    exact_hessians = {name: h.double().numpy() for name, h in hessians.items()}
    exact = reference.spreads(squares, exact_hessians, weights, cfg.gptq_damp, mixed_bits.POWER)
    assert rows.keys() == {f"{name}.rows" for name in exact}
    for name, spread in exact.items():
        np.testing.assert_allclose(rows[f"{name}.rows"].numpy(), spread, rtol=2e-3, err_msg=name)


def test_a_matrix_of_which_nothing_is_known_keeps_its_spread(config, model_of):
    cfg = config()
    model = model_of(cfg)
    probe, hessians = probed(model, tokens_of(cfg))
    hessians["blocks.1.mlp.fc.weight"] = hessians["blocks.1.mlp.fc.weight"] * torch.nan
    probe.squares["blocks.2.mlp.fc.weight"].zero_()
    with torch.no_grad():
        model.blocks[0].attn.proj.weight.zero_()
    rows = probe.finish(hessians, cfg.gptq_damp, 1)
    assert all(spread.isfinite().all() for spread in rows.values())
    for name in ("blocks.1.mlp.fc", "blocks.2.mlp.fc", "blocks.0.attn.proj"):
        assert torch.equal(rows[f"{name}.weight.rows"], model.get_parameter(f"{name}.weight").std(-1)), name


def test_steps_follow_the_rows_and_no_weight_is_clipped():
    """Rows ten thousand times apart: the coarse ones become zeros, the fine ones have 8 bits."""
    w = torch.randn(2, 12, 40, generator=torch.Generator().manual_seed(0))
    spread = torch.logspace(-2, 2, 12).expand(2, 12)
    q, scale = gptq(w, [torch.eye(40)] * 2, 6, 12.4, Config(mixed_bits_enabled=True), rows=list(spread))
    finest = w.abs().amax(-1) / 100
    torch.testing.assert_close(scale.float(), torch.maximum(spread * 0.4, finest), rtol=1e-3, atol=0)
    assert (w - q * scale.float()[..., None]).abs().le(0.501 * scale.float()[..., None]).all()
    assert q[:, 0].abs().max() == 100 and not q[:, -1].any()


def test_a_runs_artifact_is_one_like_any(run_trainer):
    """Row steps that SDClip would not give, and nothing that EVAL_ONLY has to know."""
    knobs = {"sliding_window_enabled": 0, "ttt_enabled": 0, "iterations": 4}
    run = run_trainer(mixed_bits_enabled=1, **knobs)
    assert run.code == 0, run.err
    artifact = run.folder / "final_model.int6.ptz"
    _, scale = decode(artifact.read_bytes())[0]["blocks.mlp.proj.weight"]
    weights = torch.load(run.folder / "final_model.pt", weights_only=True)
    std = torch.stack([weights[f"blocks.{i}.mlp.proj.weight"].std(-1) for i in range(4)])
    assert (scale.float() / std).log().std() > 0.1
    again = run_trainer(eval_only=artifact, **knobs)
    assert again.code == 0 and again.stages() == {"quantized": run.stages()["quantized"]}
