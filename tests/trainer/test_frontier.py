"""The frontier's own ways to read, score and clip: rows of documents, one rank and two, and CaseOps' side-cars."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from reference import loader as reference_loader
from reference import model as reference_model
from reference import optim as reference_optim
from reference.of_trainer import as_model, parameters, shape_of
from test_ranks import events, torchrun

from pgolf.data.dataset import check_case, open_dataset
from pgolf.data.shards import write_shard
from pgolf.data.tokenize import tokenize
from pgolf.data.tokenizer import train_on_corpus
from pgolf.errors import BadInput
from pgolf.trainer.caseops import SideCar
from pgolf.trainer.config import BOS, Config, config_from_env
from pgolf.trainer.data import DataError, load_validation, open_shard, shards
from pgolf.trainer.doc_attention import RowLoader, segment_bounds
from pgolf.trainer.model import GPT
from pgolf.trainer.score import fixed

CPU = torch.device("cpu")
FRONTIER = {
    "attn_out_gate_enabled": 0,
    "sparse_attn_gate_enabled": 1,
    "sparse_attn_gate_scale": 0.5,
    "smear_gate_enabled": 1,
    "parallel_residual_start": 9,
    "parallel_start_layer": 3,
    "doc_attention_enabled": 1,
    "muon_polar_enabled": 1,
    "clip_before_average_enabled": 1,
    "min_lr": 0.1,
}
UNSCORED = {"sliding_window_enabled": 0, "ttt_enabled": 0}


@pytest.mark.parametrize("world", [1, 3])
def test_rows_are_the_references_on_every_rank(tmp_path, world):
    draw, files = np.random.default_rng(0), []
    cfg = Config(data_dir=str(tmp_path), vocab_size=50, train_seq_len=4)
    for i, length in enumerate((200, 30, 77, 90)):  # the second is too short for three ranks
        files.append([2, 3, 1, *draw.integers(1, 50, length).tolist()][i % 3 :])
        write_shard(Path(cfg.datasets_dir) / f"fineweb_train_{i:06}.bin", np.array(files[-1]))
    exact = reference_loader.rows(files, world, 11, draws=40)
    for rank in range(world):
        loader, later = (RowLoader(cfg, rank, world, 11, CPU) for _ in range(2))
        later.skip(25)
        for draws, wanted in enumerate(exact):
            x, y, bounds = loader.next()
            assert x.tolist() == [wanted[rank][:-1]] and y.tolist() == [wanted[rank][1:]]
            assert torch.equal(bounds, segment_bounds(x[0], 4))
            if draws >= 25:
                assert torch.equal(later.next()[0], x)
    with pytest.raises(DataError, match=r"no training file holds 40 rows of 12 tokens"):
        RowLoader(cfg, 0, 40, 11, CPU).next()


def test_rows_are_scored_as_the_reference_scores_them_by_any_number_of_ranks(config, model_of):
    cfg = config(**FRONTIER, eval_seq_len=16, val_batch_tokens=8 * 40)
    model = model_of(cfg, looping=True)
    tokens = torch.randint(cfg.vocab_size, (100,), generator=torch.Generator().manual_seed(0))
    tokens[[0, 7, 33, 70, 71]] = BOS
    exact = []
    weights = as_model(parameters(model), shape_of(cfg))
    for start in range(0, 99, 40):  # the last row is short, and scored
        row = tokens[start : start + 41]
        exact.append(reference_model.losses(row[None, :-1], row[None, 1:], weights, shape_of(cfg), True, 16)[0])
    for world in (1, 2):
        scored = [part for rank in range(world) for part in fixed(model, tokens, rank=rank, world=world)]
        assert [start for start, _, _ in scored] == [1, 41, 81]
        ours = torch.cat([losses for _, losses, _ in scored])
        torch.testing.assert_close(ours.double(), torch.cat(exact).detach(), rtol=1e-5, atol=1e-6)


def losses_by_hand(cfg: Config, steps: int, clip_each: bool) -> list[float]:
    """The mean loss of two ranks' rows before each step, float64, one parameter at a time."""
    shape, state, losses = shape_of(cfg), {}, []
    torch.manual_seed(cfg.seed)
    weights = {name: p.detach() for name, p in parameters(GPT(cfg)).items()}
    length = cfg.train_batch_tokens // 2
    files = [open_shard(path).tolist() for path in shards(cfg, "train")]
    for step, pair in enumerate(reference_loader.rows(files, 2, length, steps)):
        each, total = [], 0.0
        for row in torch.tensor(pair):
            leaves = {name: p.clone().requires_grad_() for name, p in weights.items()}
            looping = step / steps >= cfg.enable_looping_at
            model = as_model(leaves, shape)
            loss = reference_model.losses(
                row[None, :-1], row[None, 1:], model, shape, looping, cfg.train_seq_len
            ).mean()
            loss.backward()
            grads = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in leaves.items()}
            each.append(reference_optim.clip_jointly(grads, cfg.grad_clip_norm) if clip_each else grads)
            total += loss.item() / 2
        mean = {name: (each[0][name] + each[1][name]) / 2 for name in weights}
        rate = reference_optim.lr_multiplier(step / steps, cfg.warmdown_frac, cfg.min_lr)
        momentum = reference_optim.muon_momentum(step, 0, 0.92, 0.99, 8, 0)
        unclipped = replace(cfg, grad_clip_norm=0.0) if clip_each else cfg
        weights = reference_optim.optimizer_step(weights, mean, state, step + 1, rate, momentum, unclipped)
        losses.append(total)
    return losses


def test_two_ranks_read_rows_and_clip_their_own_gradients(trainer_env, tmp_path):
    knobs = FRONTIER | {"train_seq_len": 12, "train_batch_tokens": 48, "iterations": 3, "grad_clip_norm": 0.1}
    env = trainer_env(**knobs, **UNSCORED)
    process = torchrun(tmp_path, env, ["-m", "pgolf.trainer"])
    assert process.wait(timeout=300) == 0, (tmp_path / "out.txt").read_text()
    ours = [e["train_loss"] for e in events(tmp_path, "train")]
    assert ours == pytest.approx(losses_by_hand(config_from_env(env), 3, clip_each=True), rel=1e-5)
    assert ours != pytest.approx(losses_by_hand(config_from_env(env), 3, clip_each=False), rel=1e-5)


# --- CaseOps


@pytest.fixture(scope="module")
def case_data(tiny_data, tmp_path_factory):
    """The tiny dataset's documents, their case transformed, with side-cars; and those documents."""
    folder = tmp_path_factory.mktemp("case")
    sp = sentencepiece.SentencePieceProcessor(model_file=str(next(tiny_data.data_dir.glob("tokenizers/*"))))
    paths = sorted(tiny_data.data_dir.glob("datasets/*/fineweb_*.bin"), key=lambda p: "_val_" not in p.name)
    stream = np.concatenate([open_shard(p) for p in paths]).tolist()
    starts = [i for i, token in enumerate(stream) if token == sp.bos_id()]
    texts = [sp.decode(stream[a:b]) for a, b in pairwise([*starts, len(stream)])][:300]
    (folder / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    docs = [str(folder / "docs.jsonl")]
    train_on_corpus(docs, folder / "case.model", 500, val_docs=30, case=True)
    return tokenize(docs, folder / "case.model", folder / "made", val_docs=30, case=True), texts[:30]


def test_a_run_on_caseops_text_counts_the_original_bytes(case_data, run_trainer):
    dataset, texts = case_data
    assert check_case(dataset, True) is dataset
    knobs = {"data_dir": dataset.data_dir, "vocab_size": 500}
    cfg = Config(data_dir=str(dataset.data_dir), vocab_size=500, eval_seq_len=1)
    assert SideCar(cfg).check(load_validation(cfg))[0] == sum(len(text.strip().encode()) for text in texts)
    run = run_trainer(**FRONTIER | knobs | UNSCORED, caseops_enabled=1, iterations=3)
    assert run.code == 0, run.err
    [data] = run.events("data")
    cut = load_validation(replace(cfg, eval_seq_len=64))
    assert data["val_bytes"] == int(SideCar(cfg).sizes[: len(cut)].sum())
    for stage in run.events("stage"):
        bits = stage["val_loss"] * data["val_tokens"] / 0.6931471805599453
        assert stage["val_bpb"] == pytest.approx(bits / data["val_bytes"], rel=1e-9)
    again = run_trainer(**knobs | UNSCORED, eval_only=run.folder / "final_model.int6.ptz", caseops_enabled=1)
    assert again.code == 0, again.err


def test_side_cars_that_cannot_be_right_are_refused(case_data, tiny_data, tmp_path):
    dataset, _ = case_data
    for made, wanted in ((dataset, False), (tiny_data, True)):
        with pytest.raises(BadInput, match="CASEOPS_ENABLED is"):
            check_case(made, wanted)
    cfg = Config(data_dir=str(tmp_path), vocab_size=500, tokenizer_path=str(next(dataset.data_dir.glob("tok*/*"))))
    source = next(dataset.data_dir.glob("datasets/*"))
    tokens = open_shard(source / "fineweb_val_000000.bin")
    sizes = np.array(open_shard(source / "fineweb_val_bytes_000000.bin"))
    folder = Path(cfg.datasets_dir)
    write_shard(folder / "fineweb_val_000000.bin", tokens)
    with pytest.raises(DataError, match=r"val_bytes_000000\.bin: missing"):
        SideCar(cfg)
    operators = (tokens >= 4) & (tokens <= 7)
    for wrong, said in (
        (sizes[:-1], f"bytes of {len(tokens) - 1} tokens, the shard has {len(tokens)}"),
        (np.where(operators, 3, sizes), "side-cars give"),  # bytes of the transformed text
        (np.roll(sizes, 1), "side-cars give"),  # of the token before
        (np.where(tokens == BOS, 1, sizes), "to control tokens"),
    ):
        write_shard(folder / "fineweb_val_bytes_000000.bin", wrong)
        with pytest.raises(DataError, match=said):
            SideCar(cfg).check(torch.from_numpy(tokens.astype(np.int64)))
    write_shard(folder / "fineweb_val_bytes_000000.bin", sizes)
    assert SideCar(cfg).check(torch.from_numpy(tokens.astype(np.int64)))[0] == sizes.sum(dtype=np.int64)
    assert open_dataset(dataset.data_dir, 500).caseops
