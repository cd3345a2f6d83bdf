"""Sliding windows and score-first adaptation against the reference, one window and one chunk at a time."""

import copy

import pytest
import torch
from reference import evaluate as reference
from torch._dynamo.testing import CompileCounter
from torch.func import functional_call

from pgolf.trainer import adapt
from pgolf.trainer.adapt import ttt
from pgolf.trainer.config import Config
from pgolf.trainer.score import fixed, fixed_windows, share, sliding, sliding_windows


def losses_of(model) -> reference.Losses:
    """The model (held to the reference elsewhere) as a function of its parameters; its loss in torch's own words."""

    def losses(params: dict, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        states = functional_call(model, params, (inputs,))
        z = 30 * torch.tanh(states @ params["tok_emb.weight"].T / 30)
        return torch.nn.functional.cross_entropy(z.mT, targets, reduction="none")

    return losses


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def stream(cfg: Config, length: int) -> torch.Tensor:
    """Tokens with something to learn: a few words, repeated at random."""
    draw = torch.Generator().manual_seed(length)
    words = torch.randint(cfg.vocab_size, (5, 7), generator=draw)
    return words[torch.randint(5, (length // 7 + 1,), generator=draw)].flatten()[:length]


def in_order(scored) -> torch.Tensor:
    """All losses; they must be yielded for position 1, 2, 3, … without a gap."""
    losses = []
    for start, part, _ in scored:
        assert start == 1 + sum(map(len, losses))
        losses.append(part)
    return torch.cat(losses)


@pytest.mark.parametrize("total", [1, 15, 16, 17, 63, 64, 65, 79, 80, 81, 1000])
@pytest.mark.parametrize("window, stride", [(64, 16), (64, 64), (16, 1), (48, 20)])
def test_windows_are_the_references_and_score_each_position_once(total, window, stride):
    ours = sliding_windows(Config(eval_seq_len=window, eval_stride=stride), total)
    assert ours == reference.windows(total, window, stride)
    assert [t for _, first, end in ours for t in range(first, end)] == list(range(total))
    assert all(end - start <= window for start, _, end in ours)


def test_windows_at_the_records_sizes():
    windows = sliding_windows(Config(), 40_540_160)
    assert windows[:2] == [(0, 0, 2048), (64, 2048 + 64 - 64, 2048 + 64)]
    assert len(windows) == (40_540_160 - 2048) // 64 + 1 and windows[-1][2] == 40_540_160
    assert len(fixed_windows(Config(), 40_540_160)) == 40_540_160 // 2048


@pytest.mark.parametrize("n, world", [(0, 2), (1, 2), (7, 2), (64, 8), (63, 8), (5, 3)])
def test_shares_are_contiguous_and_whole(n, world):
    assert [i for rank in range(world) for i in share(n, rank, world)] == list(range(n))


@pytest.mark.parametrize("length", [40, 200, 257])
def test_scores_are_the_references_window_by_window(config, model_of, length, monkeypatch):
    cfg = config(eval_seq_len=32, eval_stride=8)
    model, tokens = model_of(cfg, looping=True), stream(cfg, length)
    plain = reference.plain(losses_of(model), weights(model), tokens, 32)
    slid = reference.sliding(losses_of(model), weights(model), tokens, 32, 8)
    for fit in (1, 100, 100_000):  # one window at a time, a few, all that are alike
        monkeypatch.setattr("pgolf.trainer.score.rows_that_fit", lambda *a, fit=fit: fit)
        torch.testing.assert_close(in_order(fixed(model, tokens)), plain, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(in_order(sliding(model, tokens)), slid, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_positions_between_them(config, model_of, world):
    cfg = config(eval_seq_len=32, eval_stride=8)
    model, tokens = model_of(cfg, looping=True), stream(cfg, 257)
    for evaluator in (fixed, sliding):
        shares = [losses for rank in range(world) for _, losses, _ in evaluator(model, tokens, rank=rank, world=world)]
        torch.testing.assert_close(torch.cat(shares), in_order(evaluator(model, tokens)), rtol=1e-5, atol=1e-6)


TTT = {"eval_seq_len": 32, "eval_stride": 8, "ttt_lr": 0.05}


@pytest.mark.parametrize(
    "length, knobs",
    [
        (4 * 96 + 1, {"ttt_chunk_tokens": 96, "ttt_epochs": 2}),
        # steps of 2 and of 1 sequence, and a last chunk that is cut
        (4 * 96 + 40, {"ttt_chunk_tokens": 96, "ttt_epochs": 3, "ttt_batch_seqs": 2}),
        (300, {"ttt_chunk_tokens": 100, "ttt_epochs": 1, "ttt_grad_clip": 0.05}),  # a chunk is no whole sequences
        (90, {"ttt_chunk_tokens": 96, "ttt_epochs": 2}),  # a single chunk is never trained on
        (200, {"ttt_chunk_tokens": 24, "ttt_epochs": 1}),  # no chunk holds a sequence
    ],
    ids=["whole chunks", "small steps", "uneven chunks", "one chunk", "tiny chunks"],
)
def test_adaptation_is_the_references_chunk_by_chunk(config, model_of, length, knobs, monkeypatch):
    cfg = config(**(TTT | knobs))
    model, tokens = model_of(cfg, looping=True), stream(cfg, length)
    before = weights(model)
    exact, trained = reference.score_first(losses_of(model), before, tokens, cfg)
    monkeypatch.setattr("pgolf.trainer.adapt.rows_that_fit", lambda *a, **k: 64)  # a step runs as several micro-batches
    losses = in_order(ttt(model, tokens))
    torch.testing.assert_close(losses, exact, rtol=1e-4, atol=1e-5)
    trains = length > cfg.ttt_chunk_tokens >= 32
    for name, p in model.named_parameters():
        step = (trained[name] - before[name]).norm()
        assert bool(step > 0) == trains or name.startswith("skip"), name
        assert (p.detach() - trained[name]).norm() <= 1e-3 * step + 1e-6 * p.norm(), name


@pytest.mark.parametrize("changed", [1, 95, 96, 97, 150, 383])
def test_a_token_changes_no_score_before_it(config, model_of, changed):
    cfg = config(**TTT, ttt_chunk_tokens=96, ttt_epochs=2)
    tokens = stream(cfg, 4 * 96 + 1)
    other = tokens.clone()
    other[changed] = (other[changed] + 1) % cfg.vocab_size
    one, two = (in_order(ttt(model_of(cfg, looping=True), t)) for t in (tokens, other))
    at = changed - 1  # losses begin with position 1
    assert torch.equal(one[:at], two[:at])
    assert one[at] != two[at]


def test_adaptation_trains_only_on_what_has_been_scored(config, model_of, monkeypatch):
    """Tokens that tell their own position: each must be scored, and handed over, before it is trained on."""
    cfg = config(**TTT, ttt_chunk_tokens=96, ttt_epochs=1, vocab_size=500)
    tokens = torch.arange(4 * 96 + 30)
    scored, trained = 0, []
    real = adapt.train_chunk

    def train_chunk(model, forward, banks, optimizer, chunk, *more):
        assert chunk.max() <= scored
        trained.extend(chunk[1:].tolist())
        real(model, forward, banks, optimizer, chunk, *more)

    monkeypatch.setattr(adapt, "train_chunk", train_chunk)
    for start, losses, _ in ttt(model_of(cfg, looping=True), tokens):
        assert start == scored + 1
        scored += len(losses)
    assert scored == len(tokens) - 1 and trained == list(range(1, 4 * 96 + 1))


@pytest.mark.training
def test_a_compiled_model_adapts_as_it_does_eagerly_and_compiles_what_comes_again(config, model_of):
    """In bfloat16, whose embedding has another dtype than the rest and must find its own bank."""
    cfg = config(eval_seq_len=32, eval_stride=8, ttt_chunk_tokens=64, ttt_epochs=1)
    tokens, plain = stream(cfg, 64 * 3 + 24), model_of(cfg, looping=True)
    plain.dtype, plain.tok_emb = torch.bfloat16, plain.tok_emb.bfloat16()
    graphs = CompileCounter()
    compiled = torch.compile(copy.deepcopy(plain), backend=graphs, dynamic=False)
    torch.testing.assert_close(in_order(ttt(compiled, tokens)), in_order(ttt(plain, tokens)), rtol=1e-2, atol=0)
    # windows of a whole chunk, and training; not the first window, the rest of its chunk, or the last ones
    assert graphs.frame_count == 2
    assert compiled.tok_emb.weight.dtype == torch.bfloat16
