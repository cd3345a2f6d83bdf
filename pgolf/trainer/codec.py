"""The artifact: a container of our own for quantised tensors. No pickle; hostile bytes give a clear error.

    'PGLF'  u8 version  u32 header length  u32 payload length  32 bytes SHA-256 of header + payload
    header  JSON, Brotli: codec, raw size, config of the model, and (name, kind, shape) of each tensor in order
    payload all tensors' bytes in that order, coded

Numbers are little-endian. A 'q' tensor is int8 integers and fp16 row scales, an 'h' tensor fp16. Codec `brotli`
splits the even and odd bytes of what is fp16 and packs everything with Brotli 11, as the records do.
"""

import hashlib
import json
import math
import struct

import brotli
import numpy as np
import torch
from torch import Tensor

Tensors = dict[str, Tensor | tuple[Tensor, Tensor]]
MAGIC, VERSION = b"PGLF", 1
HEAD = struct.Struct("<4sBII32s")
MAX_RAW, MAX_HEADER = 1 << 29, 1 << 20  # no artifact of this game unpacks to more


class ArtifactError(Exception):
    """Bytes that are no artifact of ours, or a damaged one; the message says where they go wrong."""


def encode(tensors: Tensors, config: dict, codec: str = "brotli", lgwin: int = 24) -> bytes:
    """The artifact of `tensors` (see `quantize.quantise`) and the model's `config`."""
    if codec != "brotli":
        raise ValueError(f"COMPRESSOR {codec} is not known; there is: brotli")
    listed, parts = [], []
    for name, held in tensors.items():
        if isinstance(held, tuple):
            listed.append([name, "q", list(held[0].shape)])
            parts += [held[0].cpu().numpy().tobytes(), _shuffle(held[1])]
        else:
            listed.append([name, "h", list(held.shape)])
            parts.append(_shuffle(held))
    raw = b"".join(parts)
    header = {"codec": codec, "raw": len(raw), "config": config, "tensors": listed}
    packed = brotli.compress(json.dumps(header, separators=(",", ":")).encode(), quality=11)
    payload = brotli.compress(raw, quality=11, lgwin=lgwin)
    digest = hashlib.sha256(packed + payload).digest()
    return HEAD.pack(MAGIC, VERSION, len(packed), len(payload), digest) + packed + payload


def decode(blob: bytes) -> tuple[Tensors, dict]:
    """(tensors, config) of an artifact; ArtifactError for anything else, in bounded memory."""
    header, payload = _open(blob)
    try:
        sizes = [(str(n), str(k), [int(d) for d in shape]) for n, k, shape in header["tensors"]]
        config, codec, raw_size = dict(header["config"]), header["codec"], header["raw"]
    except (KeyError, TypeError, ValueError) as e:
        raise ArtifactError(f"header lacks or garbles an entry: {e!r}") from None
    if codec != "brotli":
        raise ArtifactError(f"unknown codec {codec!r}")
    lengths = [_length(*entry) for entry in sizes]
    if sum(lengths) != raw_size or raw_size > MAX_RAW:
        raise ArtifactError(f"shapes need {sum(lengths)} bytes, the header says {raw_size}, {MAX_RAW} is the most")
    raw, tensors, at = _unbrotli(payload, raw_size), {}, 0
    for (name, kind, shape), length in zip(sizes, lengths, strict=True):
        piece = raw[at : at + length]
        at += length
        if kind == "q":
            n = math.prod(shape)
            q = np.frombuffer(piece, dtype=np.int8, count=n).reshape(shape)
            tensors[name] = (torch.from_numpy(q.copy()), _unshuffle(piece[n:], shape[:-1]))
        else:
            tensors[name] = _unshuffle(piece, shape)
    if len(tensors) != len(sizes):
        raise ArtifactError("header names a tensor twice")
    return tensors, config


def _open(blob: bytes) -> tuple[dict, bytes]:
    if len(blob) < HEAD.size or blob[:4] != MAGIC:
        raise ArtifactError(f"not an artifact: {len(blob)} bytes that begin with {bytes(blob[:4])!r}")
    _, version, n_header, n_payload, digest = HEAD.unpack_from(blob)
    if version != VERSION:
        raise ArtifactError(f"artifact of version {version}, this reads version {VERSION}")
    body = blob[HEAD.size :]
    if len(body) != n_header + n_payload:
        raise ArtifactError(f"{len(body)} bytes after the head, it promises {n_header} + {n_payload}: cut or padded")
    if hashlib.sha256(body).digest() != digest:
        raise ArtifactError("checksum does not match: the artifact is damaged")
    try:
        header = json.loads(_unbrotli(body[:n_header], None))
    except (ValueError, RecursionError) as e:
        raise ArtifactError(f"header is no JSON: {e}") from None
    if not isinstance(header, dict):
        raise ArtifactError("header is no JSON object")
    return header, body[n_header:]


def _unbrotli(packed: bytes, size: int | None) -> bytes:
    """Unpack, stopping as soon as there is more than `size` (or, if None, than a header may have)."""
    limit = MAX_HEADER if size is None else size
    out, decoder = bytearray(), brotli.Decompressor()
    try:
        piece = decoder.process(packed, output_buffer_limit=1 << 20)
        while piece:
            out += piece
            if len(out) > limit:
                raise ArtifactError(f"unpacks to more than {limit} bytes")
            piece = b"" if decoder.is_finished() else decoder.process(b"", output_buffer_limit=1 << 20)
    except brotli.error as e:
        raise ArtifactError(f"Brotli: {e}") from None
    if not decoder.is_finished() or (size is not None and len(out) != size):
        raise ArtifactError(f"unpacks to {len(out)} bytes instead of {limit}")
    return bytes(out)


def _length(name: str, kind: str, shape: list[int]) -> int:
    if kind not in ("q", "h") or any(d <= 0 for d in shape) or len(shape) > 8 or (kind == "q" and not shape):
        raise ArtifactError(f"tensor {name!r} has kind {kind!r} and shape {shape}")
    return math.prod(shape) + 2 * math.prod(shape[:-1]) if kind == "q" else 2 * math.prod(shape)


def _shuffle(x: Tensor) -> bytes:
    """fp16 bytes, all low ones first: exponents and mantissas compress better apart."""
    return np.frombuffer(x.cpu().numpy().tobytes(), dtype=np.uint8).reshape(-1, 2).T.tobytes()


def _unshuffle(piece: bytes, shape: list[int]) -> Tensor:
    pairs = np.frombuffer(piece, dtype=np.uint8).reshape(2, -1).T.copy()
    return torch.from_numpy(pairs.reshape(-1).view("<f2").reshape(shape))
