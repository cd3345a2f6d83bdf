"""Scoring in a stream against the reference, which keeps keys and values and takes one token at a time."""

import pytest
import torch
from reference import stream as reference
from reference.of_trainer import as_model, parameters, shape_of
from test_model import FRONTIER
from test_scoring import in_order
from test_scoring import stream as text_for

from pgolf.trainer import adapt
from pgolf.trainer.config import BOS
from pgolf.trainer.score import fixed
from pgolf.trainer.stream import stream

STREAM = {"stream_enabled": 1, "stream_window": 11, "stream_piece": 40, "stream_context": 15, "rope_train_seq_len": 4}
VARIANTS = {
    "everything on": {},
    "smear gate": {"smear_gate_enabled": 1},
    "two lanes": {"parallel_start_layer": 3, "parallel_residual_start": 9, "parallel_final_lane": "mlp"},
    "the frontier without documents": {**FRONTIER, "doc_attention_enabled": 0},
    "trained within windows": {"attn_window": 9, "attn_window_early": 4},
    "no kernels, no skip gates": {"cpu_kernels": 0, "skip_gates_enabled": 0},
}


def exact(model, tokens, cfg) -> torch.Tensor:
    with torch.no_grad():
        return reference.losses(tokens, as_model(parameters(model), shape_of(cfg)), shape_of(cfg), True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stream_is_the_references_token_by_token(config, model_of, variant, monkeypatch):
    cfg = config(**STREAM | VARIANTS[variant])
    model, tokens = model_of(cfg, looping=True), text_for(cfg, 100)
    tokens[[0, 7, 55]] = BOS
    wanted = exact(model, tokens, cfg)
    for fit in (1, 7, 20, 100_000):  # tokens of a piece that pass at once: of its context, too
        monkeypatch.setattr("pgolf.trainer.stream.rows_that_fit", lambda *a, fit=fit: fit)
        torch.testing.assert_close(in_order(stream(model, tokens)).double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "length, knobs", [(2, {}), (12, {}), (41, {}), (190, {"stream_window": 140, "stream_piece": 180})]
)
def test_short_and_long_streams_and_a_window_over_several_blocks_of_queries(config, model_of, length, knobs):
    cfg = config(**STREAM | knobs)
    model, tokens = model_of(cfg, looping=True), text_for(cfg, length)
    torch.testing.assert_close(
        in_order(stream(model, tokens)).double(), exact(model, tokens, cfg), rtol=1e-5, atol=1e-5
    )


def test_a_window_as_long_as_the_text_scores_as_one_sequence_does(config, model_of):
    cfg = config(**STREAM | {"stream_window": 64, "stream_piece": 64, "rope_train_seq_len": 64})
    model, tokens = model_of(cfg, looping=True), text_for(cfg, 65)
    torch.testing.assert_close(in_order(stream(model, tokens)), in_order(fixed(model, tokens)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("world", [2, 3, 8])
def test_any_number_of_ranks_scores_the_same(config, model_of, world):
    cfg = config(**STREAM)
    model, tokens = model_of(cfg, looping=True), text_for(cfg, 257)
    alone = in_order(stream(model, tokens))
    shares = [losses for rank in range(world) for _, losses, _ in stream(model, tokens, rank=rank, world=world)]
    assert torch.equal(torch.cat(shares), alone)


def test_distributions_are_whole_and_give_the_losses(config, model_of):
    cfg = config(**STREAM)
    model, tokens = model_of(cfg, looping=True), text_for(cfg, 130)
    for start, losses, logp in stream(model, tokens, want_logp=True):
        targets = tokens[start : start + len(losses)]
        torch.testing.assert_close(-logp.gather(1, targets[:, None])[:, 0], losses, rtol=0, atol=0)
        torch.testing.assert_close(logp.exp().sum(-1), torch.ones(len(logp)), rtol=0, atol=1e-5)


def test_adaptation_scores_chunks_in_a_stream_with_the_weights_of_their_moment(config, model_of, monkeypatch):
    cfg = config(**STREAM, ttt_chunk_tokens=96, ttt_epochs=2, ttt_lr=0.05, eval_seq_len=32)
    model, tokens, moments = model_of(cfg, looping=True), text_for(cfg, 3 * 96 + 50), []
    real = adapt.train_chunk

    def train_chunk(*arguments):
        real(*arguments)
        moments.append(parameters(model))

    moments.append(parameters(model))
    monkeypatch.setattr(adapt, "train_chunk", train_chunk)
    ours, shape = in_order(adapt.ttt(model, tokens)), shape_of(cfg)
    assert len(moments) == 4 and len(ours) == len(tokens) - 1
    for chunk, named in enumerate(moments):
        start, stop = chunk * 96, min((chunk + 1) * 96, len(tokens) - 1)
        with torch.no_grad():
            wanted = reference.losses(tokens, as_model(named, shape), shape, True, start, stop)
        torch.testing.assert_close(ours[start:stop].double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_run_with_a_window_scores_its_artifact_in_a_stream_as_often_as_one_asks(run_trainer, tmp_path):
    knobs = {"attn_window": 24, "attn_window_at": 0.5, "stream_enabled": 1, "stream_window": 30, "stream_piece": 500}
    run = run_trainer(**knobs, iterations=4)
    assert run.code == 0, run.err
    stages = run.stages()
    assert list(stages)[1:] == ["quantized", "quantized_sliding_window", "quantized_stream", "quantized_ttt"]
    artifact = run.folder / "final_model.int6.ptz"
    again = run_trainer(eval_only=artifact, stream_enabled=1, stream_window=30, stream_piece=500)
    assert {stage: again.stages()[stage] for stage in again.stages()} == {s: stages[s] for s in list(stages)[1:]}
    other = run_trainer(eval_only=artifact, stream_enabled=1, stream_window=2, ttt_enabled=0)
    assert other.stages()["quantized"] == stages["quantized"]
    assert other.stages()["quantized_stream"] > stages["quantized_stream"]
