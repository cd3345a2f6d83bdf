"""Binary files: artifacts, packed files, tokenizers, shards. Checksum and compression are made anew around a change."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import artifacts
import brotli
import numpy as np
import sentencepiece

from fuzz.mutate import change_bytes, change_json
from fuzz.reader import Files, Reader
from pgolf import pack
from pgolf.artifact import load_tokens, open_artifact, token_bytes
from pgolf.data.opening import count_bytes
from pgolf.evidence.wrapped import unwrapped
from pgolf.pack.wrapper import COMPRESSORS, SCRIPT, wrap
from pgolf.program.extracted import extracted
from pgolf.trainer.codec import HEAD, MAGIC, VERSION, decode, encode
from pgolf.trainer.config import Config
from pgolf.trainer.data import HEADER_INTS, DataError

SOURCE = (
    "import os\nclass Config:\n    num_layers: int = 3\n    matrix_lr: float = 0.02\nprint(os.environ.get('SEED', 1))\n"
)


@cache
def _artifacts() -> tuple[bytes, ...]:
    """A tiny model's artifact, with each codec."""
    artifacts.KNOBS |= {
        "vocab_size": 64,
        "num_layers": 2,
        "model_dim": 16,
        "rope_dims": 4,
        "num_heads": 2,
        "loop_end": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        blob = artifacts.make(Path(folder)).path.read_bytes()
    tensors, config = decode(blob)
    return blob, encode(tensors, config, "ans")


def _sealed(header: bytes, payload: bytes) -> bytes:
    body = header + payload
    return HEAD.pack(MAGIC, VERSION, len(header), len(payload), hashlib.sha256(body).digest()) + body


def _parts(blob: bytes) -> tuple[dict[str, Any], bytes, int]:
    """Header, payload, and how much of that is packed."""
    size = HEAD.unpack_from(blob)[2]
    header = json.loads(brotli.decompress(blob[HEAD.size : HEAD.size + size]))
    return header, blob[HEAD.size + size :], header["packed"]


def _changed_artifact(rng: Random) -> bytes:
    blob = rng.choice(_artifacts())
    header, payload, packed = _parts(blob)
    kind = rng.random()
    if kind < 0.05:
        return change_bytes(rng, blob)
    if kind < 0.55:
        said = change_json(rng, header)
        return _sealed(brotli.compress(said, quality=1), payload)
    if kind < 0.8:  # the config alone, so that shapes and sizes stay right
        header["config"] = json.loads("{}") if rng.random() < 0.02 else header["config"]
        said = json.dumps(header | {"config": "HERE"}).encode().replace(b'"HERE"', change_json(rng, header["config"]))
        return _sealed(brotli.compress(said, quality=1), payload)
    if kind < 0.9:
        return _sealed(brotli.compress(json.dumps(header).encode(), quality=1), change_bytes(rng, payload))
    raw = change_bytes(rng, brotli.decompress(payload[:packed]))
    new = brotli.compress(raw, quality=0)
    header |= {"packed": len(new), "raw": len(raw)}
    return _sealed(brotli.compress(json.dumps(header).encode(), quality=1), new + payload[packed:])


def _artifact(name: str, opened: bool, share: int) -> Reader:
    def make(rng: Random) -> Files:
        return {"final_model.int6.ptz": _changed_artifact(rng)}

    def call(box: Path) -> object:
        path = box / "final_model.int6.ptz"
        return open_artifact(path) if opened else decode(path.read_bytes())

    seeds = tuple({"final_model.int6.ptz": blob} for blob in _artifacts())
    right = Reader.right if opened else (DataError,)
    return Reader(name, seeds, make, call, right, share=share, most_mib=700)


@cache
def _bomb(unit: bytes, size: int) -> bytes:
    """So many bytes, packed."""
    return COMPRESSORS["zlib"].compress(unit * (size // len(unit)))


def _packed_script(rng: Random) -> bytes:
    kind, name = rng.random(), rng.choice(list(COMPRESSORS))
    script = wrap(SOURCE, "made by pgolf 0.1, 0123456789abcdef", COMPRESSORS[name], rng.random() < 0.5)
    if kind < 0.4:
        return change_bytes(rng, script)
    source = change_bytes(
        rng, SOURCE.encode(), words=(b"(" * 100, b"-" * 3000, b"+1" * 3000, b"[" * 90, b"a." * 3000, b"\x1b[2J")
    )
    compressor = COMPRESSORS[name]
    if kind < 0.6:
        compressor = COMPRESSORS["zlib"]
        packed = _bomb(rng.choice((b"\0", b"#", b"x=1\n", b"(" * 90)), rng.choice((10_000, 3_000_000, 30_000_000)))
    else:
        packed = compressor.compress(source)
    if kind > 0.9:
        packed = change_bytes(rng, packed)
    literal = repr(packed.decode("latin-1")) + ".encode('l1')"
    text = SCRIPT.format(
        label=rng.choice(("x", "\x1b[31m", "y" * 9000)),
        modules=compressor.name,
        restored=compressor.expression % literal,
    )
    return text.encode("latin-1")


def _packed(name: str, unpacked: bool, share: int) -> Reader:
    seeds = tuple({"packed.py": wrap(SOURCE, "x", compressor)} for compressor in COMPRESSORS.values())

    def make(rng: Random) -> Files:
        return {"packed.py": _packed_script(rng)}

    def call(box: Path) -> object:
        code = pack.read_packed(box / "packed.py")
        return pack.unpack(code) if unpacked else None

    return Reader(name, seeds, make, call, share=share)


def _remember_our_own() -> None:
    """`unpack` flattens our trainer to compare it, which takes seconds and depends on no input but the knobs."""
    known, flatten = {}, pack._flatten

    def remembered(*args: Any) -> Any:
        if repr(args) not in known:
            known[repr(args)] = flatten(*args)
        return known[repr(args)]

    pack._flatten = remembered


def _wrapped(name: str, call: Callable[[Path], object], share: int) -> Reader:
    """The self-extracting scripts of others, as the audit looks into them, or as `pgolf unpack` prints them."""
    seeds = tuple({"train_gpt.py": wrap(SOURCE * 20, "x", c, True)} for c in COMPRESSORS.values())

    def make(rng: Random) -> Files:
        return {
            "train_gpt.py": _packed_script(rng)
            if rng.random() < 0.5
            else change_bytes(rng, rng.choice(seeds)["train_gpt.py"])
        }

    return Reader(name, seeds, make, call, share=share)


@cache
def _tokenizer() -> bytes:
    words = [f"{a}{b} {b}{a}" for a in "abcdefgh" for b in "ijklmnop"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, model_type="bpe", vocab_size=300, byte_fallback=True,
        minloglevel=2, normalization_rule_name="identity", num_threads=1,
    )  # fmt: skip
    return model.getvalue()


TOKENS = "datasets/fineweb10B_sp300/fineweb_val_000000.bin"
MODEL = "tokenizers/fineweb_300_bpe.model"


def _shard(tokens: list[int]) -> bytes:
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = 20240520, 1, len(tokens)
    return header.tobytes() + np.array(tokens, "<u2").tobytes()


def _tokens() -> bytes:
    sp = sentencepiece.SentencePieceProcessor(model_proto=_tokenizer())
    return _shard([sp.bos_id(), *sp.encode("ai ia bj"), sp.bos_id(), *sp.encode("ck é")])


def _scored(box: Path) -> object:
    cfg = Config(data_dir=str(box), vocab_size=300, eval_seq_len=4)
    counter = token_bytes(cfg)
    try:
        return count_bytes(counter, load_tokens(cfg))
    except DataError:
        return None


def _dataset(name: str, file: str, share: int) -> Reader:
    whole = {TOKENS: _tokens(), MODEL: _tokenizer()}

    def make(rng: Random) -> Files:
        content = whole[file]
        if file == TOKENS and rng.random() < 0.5:  # the header's count is right
            changed = change_bytes(rng, content[4 * HEADER_INTS :])[: 1 << 16]
            return {**whole, file: _shard(np.frombuffer(changed[: len(changed) // 2 * 2], "<u2").tolist())}
        return {**whole, file: change_bytes(rng, content)}

    return Reader(name, (whole,), make, _scored, share=share)


def readers() -> list[Reader]:
    """Of this file."""
    _remember_our_own()
    return [
        _artifact("artifact, decoded", False, 60),
        _artifact("artifact, opened", True, 4),
        _packed("packed file", False, 40),
        _packed("packed file, unpacked", True, 4),
        _wrapped("packed file of others", lambda box: unwrapped((box / "train_gpt.py").read_bytes()), 10),
        _wrapped("packed file of others, printed", lambda box: extracted(box / "train_gpt.py"), 4),
        _dataset("tokenizer", MODEL, 15),
        _dataset("shard", TOKENS, 15),
    ]
