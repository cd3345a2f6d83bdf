"""Phased test-time training against the reference, one document at a time; and what it may learn from, and when."""

import re

import pytest
import torch
from reference import of_trainer
from reference import phased as reference

from pgolf.trainer import phased_ttt
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.phased_ttt import Adapters, blocks_of, documents, length, phased

SMALL = {
    "vocab_size": 40, "num_layers": 3, "model_dim": 16, "num_heads": 2, "num_kv_heads": 1, "rope_dims": 4,
    "loop_start": 1, "loop_end": 1, "num_loops": 1, "parallel_residual_start": 2, "xsa_last_n": 2, "eval_seq_len": 12,
    "ttt_chunk_size": 5, "ttt_eval_seq_len": 12, "ttt_batch_size": 2, "ttt_lora_rank": 4, "ttt_lora_alpha": 8,
    "ttt_lora_lr": 3e-4, "phased_ttt_prefix_docs": 6, "phased_ttt_num_phases": 2, "global_ttt_chunk_tokens": 15,
    "global_ttt_lr": 0.05, "global_ttt_batch_seqs": 2,
}  # fmt: skip
FRONTIER = {
    "smear_gate_enabled": 1, "sparse_attn_gate_enabled": 1, "attn_out_gate_enabled": 0, "doc_attention_enabled": 1,
    "parallel_start_layer": 1, "parallel_residual_start": 3, "sparse_attn_gate_scale": 0.5,
}  # fmt: skip
LENGTHS = (9, 14, 6, 3, 12, 10, 1, 13, 16, 7, 11, 5)


@pytest.fixture(autouse=True)
def two_lanes(monkeypatch):
    """A phase after a few batches of a short stream."""
    monkeypatch.setattr(phased_ttt, "LANES", 2)
    monkeypatch.setattr(reference, "LANES", 2)


def stream(lengths=LENGTHS, seed: int = 0) -> torch.Tensor:
    """Documents with something to learn, each a word of its own over and over; the last has no BOS behind it."""
    draw, parts = torch.Generator().manual_seed(seed), []
    for n in lengths:
        word = torch.randint(2, 40, (4,), generator=draw)
        parts += [torch.tensor([BOS]), word.repeat(n)[: n - 1]]
    return torch.cat([*parts, torch.tensor([5])])


def losses(scored, n: int) -> torch.Tensor:
    """By position; each has to come once."""
    found = torch.full((n,), float("nan"))
    for start, part, _ in scored:
        assert found[start - 1 : start - 1 + len(part)].isnan().all() and len(part)
        found[start - 1 : start - 1 + len(part)] = part
    assert not found.isnan().any()
    return found


def order(cfg: Config, tokens: torch.Tensor) -> list[int]:
    """Positions in the order in which an honest evaluator hands them over: that of batches, chunks, documents."""
    if cfg.phased_ttt_group_docs:
        return list(range(1, len(tokens)))
    return [
        t
        for batches, _ in blocks_of(cfg, tokens)
        for batch in batches
        for at in range(0, max(map(length, batch)), cfg.ttt_chunk_size)
        for s, e in batch
        for t in range(s + at + 1, min(s + at + cfg.ttt_chunk_size, e) + 1)
    ]


@pytest.mark.parametrize(
    "knobs",
    [
        {"global_ttt_warmup_chunks": 2},
        FRONTIER | {"ttt_warm_start_a": 0, "ttt_grad_steps": 2, "ttt_beta1": 0.5, "ttt_k_lora": 0, "ttt_mlp_lora": 0},
        {"phased_ttt_group_docs": 4, "ttt_optimizer": "sgd", "ttt_lora_lr": 0.05, "ttt_o_lora": 0},
    ],
    ids=["the record's plan", "the frontier's model", "left to right"],
)
def test_scores_and_parameters_are_the_references(config, model_of, knobs, monkeypatch):
    cfg = config(**(SMALL | knobs))
    model, tokens = model_of(cfg, looping=True), stream()
    adapters = Adapters(model)
    adapters.take_off()
    drawn = {name: a[:, 0] for name, a in adapters.drawn.items()}
    monkeypatch.setattr(phased_ttt, "rows_that_fit", lambda *a, **k: 15)  # a step runs as several micro-batches
    exact, trained, phases = reference.score(of_trainer.parameters(model), drawn, tokens, cfg, BOS)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert [docs for _, docs in blocks_of(cfg, tokens) if docs] == phases and len(phases) >= 2
    found = losses(phased(model, tokens), len(tokens) - 1)
    torch.testing.assert_close(found, exact.float(), rtol=1e-5, atol=1e-6)
    for name, p in model.named_parameters():
        moved = (trained[name] - before[name]).norm()
        assert moved > 0 or name.startswith("skip"), name
        assert (p - trained[name]).norm() <= 1e-3 * moved + 1e-6 * p.norm(), name


def test_at_the_records_size_phases_wait_for_the_batches_in_hand(monkeypatch):
    """As the record's logs say of 50,000 documents on 8 ranks: 1296, 2128, 2960 scored, 833, 1666, 2500 used."""
    monkeypatch.setattr(phased_ttt, "LANES", 8)
    lengths = torch.Generator().manual_seed(0)
    lengths = torch.empty(50_000).log_normal_(6, 1, generator=lengths).long() + 2
    tokens = torch.full((int(lengths.sum()) + 1,), 7)
    tokens[torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)[:-1]])] = BOS
    blocks = blocks_of(Config(), tokens)
    assert [len(batches) for batches, _ in blocks] == [21, 13, 13, 782 - 47]
    assert [len(docs) for _, docs in blocks] == [833, 1666, 2500, 0]
    sizes = [len(batch) for batches, _ in blocks for batch in batches]
    assert sizes == [16] + [64] * 781
    every = [length(d) for batches, _ in blocks for batch in batches for d in reversed(batch)]
    assert every == sorted(lengths.tolist(), reverse=True)
    assert max(map(length, blocks[0][1])) == every[1296 - 833]  # the longest 463 are not used


def test_every_token_is_of_one_document():
    tokens = stream()
    found = documents(tokens)
    assert [t for s, e in found for t in range(s, e)] == list(range(len(tokens) - 1))
    assert [e - s for s, e in found] == list(LENGTHS) and all(tokens[s] == BOS for s, _ in found)
    assert documents(torch.tensor([3, 4, BOS])) == [(0, 2)]  # the last token is a target only
    assert documents(torch.tensor([BOS, BOS, 4])) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("knobs", [{}, {"phased_ttt_group_docs": 4}], ids=["longest first", "left to right"])
def test_a_token_changes_no_score_that_is_given_before_it(config, model_of, knobs):
    cfg, tokens = config(**(SMALL | {"ttt_lora_lr": 0.01} | knobs)), stream()
    places = order(cfg, tokens)
    one = losses(phased(model_of(cfg, looping=True), tokens), len(tokens) - 1)
    for k in (0, 7, 33, 60, len(places) - 1):
        other, at = tokens.clone(), places[k]
        other[at] = BOS if other[at] == BOS else 2 + (other[at] + 1) % 38
        two = losses(phased(model_of(cfg, looping=True), other), len(tokens) - 1)
        before = torch.tensor(places[:k], dtype=torch.int64) - 1
        assert torch.equal(one[before], two[before])
        assert one[at - 1] != two[at - 1] or other[at] == BOS


def test_documents_do_not_see_each_other_but_through_phases_and_warm_a(config, model_of):
    """Neither those of one batch nor those of the next."""
    cfg = config(**(SMALL | {"ttt_lora_lr": 0.01, "ttt_warm_start_a": 0, "phased_ttt_num_phases": 0}))
    tokens = stream()
    one = losses(phased(model_of(cfg, looping=True), tokens), len(tokens) - 1)
    s, e = documents(tokens)[4]
    other = tokens.clone()
    other[s + 2] = 2 + (other[s + 2] + 1) % 38
    moved = one != losses(phased(model_of(cfg, looping=True), other), len(tokens) - 1)
    assert moved[s + 1 : e].all() and not moved[: s + 1].any() and not moved[e:].any()


def test_a_documents_last_chunk_is_never_trained_on(config, model_of, monkeypatch):
    cfg = config(**SMALL)
    model, steps = model_of(cfg, looping=True), []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: (steps.append(1), real(self))[1])
    for n, expected in ((5, 0), (6, 1), (10, 1), (11, 2)):
        steps.clear()
        losses(phased(model, stream((n,))), n)
        assert len(steps) == expected, n


def test_the_model_is_left_without_adapters(config, model_of):
    cfg = config(**(SMALL | {"phased_ttt_num_phases": 0}))
    model, tokens = model_of(cfg, looping=True), stream()
    before = model(tokens[None, :12])
    scored = phased(model, tokens)
    next(scored)
    scored.close()
    assert torch.equal(model(tokens[None, :12]), before) and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_lanes_and_score_as_one(config, model_of, world, monkeypatch):
    monkeypatch.setattr(phased_ttt, "LANES", 4)
    cfg, tokens = config(**(SMALL | {"ttt_lora_lr": 0.01, "phased_ttt_num_phases": 0})), stream()
    model = model_of(cfg, looping=True)
    one = losses(phased(model, tokens), len(tokens) - 1)
    shares = [list(phased(model, tokens, rank=rank, world=world)) for rank in range(world)]
    assert all(shares) and torch.equal(losses([piece for share in shares for piece in share], len(tokens) - 1), one)


def test_the_stage_logs_what_the_record_logs(run_trainer):
    knobs = {"phased_ttt_enabled": 1, "sliding_window_enabled": 0, "iterations": 1, "ttt_eval_seq_len": 64}
    knobs |= {
        "ttt_lora_rank": 4,
        "ttt_chunk_size": 64,
        "ttt_batch_size": 2,
        "phased_ttt_prefix_docs": 10,
        "phased_ttt_num_phases": 2,
    }
    knobs |= {"global_ttt_chunk_tokens": 256}
    run = run_trainer(**knobs)
    assert run.code == 0, run.err
    total = len(re.findall(r"^ttp: b", run.log, re.M))
    line = r"^ttp: b(\d+)/(\d+) bl:\d\.\d{4} bb:\d\.\d{4} rl:\d\.\d{4} rb:\d\.\d{4} dl:\d+-\d+ gd:0$"
    first = re.search(line, run.log, re.M)
    assert first and int(first[1]) == int(first[2]) == total
    for line in (
        r"ttt_phased: total_docs:\d+ prefix_docs:10 suffix_docs:\d+ num_phases:2 boundaries:\[5, 10\]",
        r"ttpp: phase:2/2 pd:\d+ gd:10 t:[\d.]+s",
        r"tttg: c1/\d+ lr:0.001000 t:[\d.]+s",
        r"ttpr: phase:2/2 t:[\d.]+s",
        r"quantized_ttt_phased val_loss:\S+ val_bpb:\S+ eval_time:\d+ms",
        r"total_eval_time:[\d.]+s",
    ):
        assert re.search(f"^{line}$", run.log, re.M), line
    [last] = re.findall(r"^ttp: .* rl:(\S+) rb:(\S+) .*$", run.log, re.M)[-1:]
    [stage] = [e for e in run.events("stage") if e["stage"] == "quantized_ttt_phased"]
    assert (stage["val_loss"], stage["val_bpb"]) == pytest.approx(tuple(map(float, last)), abs=1e-4)
    assert run_trainer(**knobs, eval_only=run.folder / "final_model.int6.ptz").stages() == {
        k: v for k, v in run.stages().items() if k.startswith("quantized")
    }
