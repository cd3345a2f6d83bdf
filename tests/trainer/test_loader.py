"""Shards, the order of training sequences, and the bytes of a token."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece as spm
import torch
from reference import loader as reference
from reference import token_bytes as reference_bytes

from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError, Loader, load_validation, open_shard, tokens_sha256
from pgolf.trainer.token_bytes import TokenBytes

CPU = torch.device("cpu")


def write_shard(path: Path, tokens: np.ndarray, magic=20240520, version=1, count=None) -> None:
    header = np.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(tokens) if count is None else count
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


@pytest.fixture
def five_files(tmp_path) -> Config:
    """Training files of 400, 90, 17, 233 and 16 tokens, each token telling its file and place."""
    cfg = Config(data_dir=str(tmp_path), vocab_size=5000, train_seq_len=16, train_batch_tokens=64)
    for i, length in enumerate((400, 90, 17, 233, 16)):
        write_shard(Path(cfg.datasets_dir) / f"fineweb_train_{i:06}.bin", 1000 * i + np.arange(length))
    return cfg


def drawn(loader: Loader, batches: int) -> list[tuple[int, int]]:
    """(file among those owned, start) of each sequence, read off the tokens; targets must be one further on."""
    out = []
    for _ in range(batches):
        x, y = loader.next()
        assert torch.equal(x + 1, y) and torch.equal(x, x[:, :1] + torch.arange(16))
        out += [divmod(int(start), 1000) for start in x[:, 0]]
    return out


@pytest.mark.parametrize("world", [1, 2, 4])
def test_every_rank_draws_its_files_in_the_references_order(five_files, world):
    paths = sorted(Path(five_files.datasets_dir).iterdir())
    for rank in range(world):
        owned = reference.owned_files(paths, rank, world)
        if rank == 4 % world:
            assert paths[4] in owned, "the file of 16 tokens holds no sequence and is never drawn"
        lengths = [len(open_shard(p)) for p in owned]
        batches = 40  # several times through all there is
        exact = reference.draw_order(lengths, 16, seed=rank, draws=4 * batches)
        ours = drawn(Loader(five_files, rank, world, sequences=4, device=CPU), batches)
        assert ours == [(paths.index(owned[file]), start) for file, start in exact]


def test_a_sequence_is_drawn_once_before_any_is_drawn_again(five_files):
    order = drawn(Loader(five_files, 0, 1, sequences=1, device=CPU), 42)
    assert len(set(order)) == 42  # 24 + 5 + 1 + 14 sequences, less at most one a file for the phase


def test_order_is_one_for_all_seeds_and_another_for_data_seed(five_files):
    def order(**knobs) -> list[tuple[int, int]]:
        cfg = Config(data_dir=five_files.data_dir, vocab_size=5000, train_seq_len=16, **knobs)
        return drawn(Loader(cfg, 0, 1, sequences=4, device=CPU), 5)

    assert order(seed=1) == order(seed=2)
    assert order(seed=1) != order(seed=1, data_seed=0)
    assert order(data_seed=7) == order(data_seed=7, seed=3) != order(data_seed=8)


def test_skipping_batches_goes_on_where_reading_would_have(five_files):
    read = drawn(Loader(five_files, 0, 1, sequences=3, device=CPU), 30)
    skipping = Loader(five_files, 0, 1, sequences=3, device=CPU)
    skipping.skip(20)
    assert drawn(skipping, 10) == read[60:]


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda p, t: write_shard(p, t, magic=7), ["magic 7", "20240520"]),
        (lambda p, t: write_shard(p, t, version=2), ["version 2"]),
        (lambda p, t: write_shard(p, t, count=len(t) + 3), ["1230", "1224"]),
        (lambda p, t: write_shard(p, t, count=-1), ["-1"]),
        (lambda p, t: p.write_bytes(p.read_bytes()[:-1]), ["1224", "1223"]),
        (lambda p, t: p.write_bytes(b"x" * 99), ["96", "1024"]),
        (lambda p, t: p.write_bytes(b""), ["1024"]),
        (lambda p, t: write_shard(p, t[:0]), ["no tokens"]),
    ],
    ids=["magic", "version", "more promised", "negative count", "cut", "short header", "empty", "no tokens"],
)
def test_a_damaged_shard_is_refused_by_name_and_numbers(tmp_path, damage, said):
    path, tokens = tmp_path / "fineweb_train_000000.bin", np.arange(100)
    write_shard(path, tokens)
    assert open_shard(path).tolist() == tokens.tolist()
    damage(path, tokens)
    with pytest.raises(DataError) as e:
        open_shard(path)
    assert path.name in str(e.value) and all(word in str(e.value) for word in said)


def test_tokens_outside_the_vocabulary_are_refused(five_files):
    small = Config(data_dir=five_files.data_dir, datasets_dir=five_files.datasets_dir, vocab_size=50, train_seq_len=16)
    with pytest.raises(DataError, match="VOCAB_SIZE 50"):
        Loader(small, 0, 1, sequences=4, device=CPU).next()


def test_a_rank_without_a_file_or_a_sequence_is_told(five_files):
    with pytest.raises(DataError, match="rank 5 has no training file"):
        Loader(five_files, 5, 6, sequences=1, device=CPU)
    with pytest.raises(DataError, match="17 tokens"):
        Loader(five_files, 4, 5, sequences=1, device=CPU)


def test_validation_is_all_shards_cut_to_whole_sequences(tmp_path):
    cfg = Config(data_dir=str(tmp_path), vocab_size=500, eval_seq_len=16)
    for i, part in enumerate((np.arange(0, 70), np.arange(70, 200))):
        write_shard(Path(cfg.datasets_dir) / f"fineweb_val_{i:06}.bin", part)
    tokens = load_validation(cfg)
    assert tokens.tolist() == list(range(193))  # 12 sequences of 16, and the last one's target
    assert tokens_sha256(tokens) != tokens_sha256(tokens.flip(0))


# --- bytes


@pytest.fixture
def counter(tiny_data) -> TokenBytes:
    return TokenBytes(Config(data_dir=str(tiny_data.data_dir), vocab_size=tiny_data.vocab_size))


def test_bytes_of_tokens_are_the_references(counter, tiny_data):
    [path] = tiny_data.data_dir.glob("datasets/*/*_val_*.bin")
    val = torch.from_numpy(open_shard(path).astype(np.int64))
    # control, unknown and byte pieces follow each other in ways that no text has
    noise = torch.randint(tiny_data.vocab_size, (4000,), generator=torch.Generator().manual_seed(0))
    rare = torch.randint(8, (1000,), generator=torch.Generator().manual_seed(1))
    for stream in (val, noise, rare):
        each = [reference_bytes.bytes_of(counter.sp, a, b) for a, b in pairwise(stream.tolist())]
        assert counter.count(stream).tolist() == each


def test_bytes_of_a_split_are_those_of_its_text(counter, tiny_data):
    [path] = tiny_data.data_dir.glob("datasets/*/*_val_*.bin")
    tokens = torch.from_numpy(open_shard(path).astype(np.int64))
    documents: list[list[int]] = []
    for token in tokens.tolist():
        if token == counter.sp.bos_id():
            documents.append([])
        documents[-1].append(token)
    text_bytes = sum(len(counter.sp.decode(ids).encode()) for ids in documents)
    assert counter.check(tokens) == (text_bytes, text_bytes) == (tiny_data.val_bytes, tiny_data.val_bytes)


def train_tokenizer(folder: Path, text: str, **options) -> Config:
    cfg = Config(data_dir=str(folder), vocab_size=300)
    Path(cfg.tokenizer_path).parent.mkdir(parents=True)
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([text] * 50),
        model_prefix=cfg.tokenizer_path.removesuffix(".model"),
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    cfg.vocab_size = spm.SentencePieceProcessor(model_file=cfg.tokenizer_path).vocab_size()
    return cfg


def test_a_tokenizer_without_the_space_piece_is_refused(tmp_path):
    cfg = train_tokenizer(tmp_path, "abcabdabe" * 20, add_dummy_prefix=False)
    with pytest.raises(DataError, match="lacks '▁'"):
        TokenBytes(cfg)


def test_a_space_inside_a_piece_is_caught(tmp_path):
    text = "the cat sat on the mat, the cat sat on the hat, " * 20
    cfg = train_tokenizer(tmp_path, text, split_by_whitespace=False)
    counter = TokenBytes(cfg)
    assert any("▁" in counter.sp.id_to_piece(i)[1:] for i in range(cfg.vocab_size)), "there must be such a piece"
    with pytest.raises(DataError, match="bits per byte would be wrong"):
        counter.check(torch.tensor([counter.sp.bos_id(), *counter.sp.encode(text)]))


def test_a_tokenizer_of_another_size_is_refused(tiny_data):
    path = next(tiny_data.data_dir.glob("tokenizers/*.model"))
    with pytest.raises(DataError, match="512 pieces, VOCAB_SIZE is 1024"):
        TokenBytes(Config(tokenizer_path=str(path), vocab_size=1024))
