"""The artifact: a container of our own for quantised tensors. No pickle; hostile bytes give a clear error.

    'PGLF'  u8 version  u32 header length  u32 payload length  32 bytes SHA-256 of header + payload
    header  JSON, Brotli: codec, config of the model, (name, kind, shape) of each tensor in order, sizes of
            the packed and the unpacked part
    payload packed part: Brotli of integers (or what stands for them), then fp16 values
            the rest: code words, with codec `ans`

Numbers are little-endian. A 'q' tensor is int8 `[layers, rows, cols]` and fp16 row scales `[layers, rows]`, an 'h'
tensor fp16. Codec `brotli` packs the integers as bytes, as the records do; `ans` codes them in the code words and packs
its side information. Even and odd bytes of fp16 tensors go apart.
"""

import hashlib
import json
import math
import struct
from typing import Any

import brotli
import numpy as np
import torch
from torch import Tensor

from pgolf.trainer.data import DataError

Tensors = dict[str, Tensor | tuple[Tensor, Tensor]]
Shapes = list[tuple[str, str, list[int]]]  # name, kind, shape
CODECS = ("brotli", "ans")
MAGIC, VERSION = b"PGLF", 1
HEAD = struct.Struct("<4sBII32s")
# no artifact of this game holds more: bytes unpacked, bytes of header, matrices, size of a dimension
MAX_RAW, MAX_HEADER, MAX_MATRICES, MAX_DIM = 1 << 27, 1 << 20, 1 << 12, 1 << 20


class ArtifactError(DataError):
    """Bytes that are no artifact of ours, or a damaged one; the message says where they go wrong."""


def check_codec(codec: str) -> None:
    """ArtifactError if there is no such codec, DataError if its library is missing."""
    if codec not in CODECS:
        raise ArtifactError(f"unknown codec {codec!r}, there are: {', '.join(CODECS)}")
    if codec == "ans":
        from pgolf.trainer import ans

        ans.check_library()


def encode(tensors: Tensors, config: dict[str, Any], codec: str = "brotli", lgwin: int = 24) -> bytes:
    """The artifact of `tensors` (see `quantize.quantise`) and the model's `config`."""
    check_codec(codec)
    listed, matrices, halves = [], [], []
    for name, held in tensors.items():
        integers, half = held if isinstance(held, tuple) else (None, held)
        listed.append([name, "h" if integers is None else "q", list((half if integers is None else integers).shape)])
        matrices += [] if integers is None else list(integers.cpu().numpy())
        halves.append(_shuffle(half))
    if codec == "ans":
        from pgolf.trainer import ans

        integers, words = ans.encode(matrices)  # type: ignore[assignment]  # another name takes more bytes, packed
    else:
        integers, words = b"".join(q.tobytes() for q in matrices), b""  # type: ignore[assignment]
    raw = integers + b"".join(halves)  # type: ignore[operator]
    packed = brotli.compress(raw, quality=11, lgwin=lgwin)
    facts = {"codec": codec, "config": config, "tensors": listed, "packed": len(packed), "raw": len(raw)}
    header = brotli.compress(json.dumps(facts, separators=(",", ":")).encode(), quality=11)
    body = header + packed + words
    return HEAD.pack(MAGIC, VERSION, len(header), len(packed + words), hashlib.sha256(body).digest()) + body


def decode(blob: bytes) -> tuple[Tensors, dict[str, Any]]:
    """(tensors, config) of an artifact; ArtifactError for anything else, in bounded memory and time."""
    header, payload = _open(blob)
    codec, config, shapes, packed, raw_size = _read_header(header, len(payload))
    check_codec(codec)
    raw = _unbrotli(payload[:packed], raw_size)
    sizes = [2 * math.prod(shape[:-1] if kind == "q" else shape) for _, kind, shape in shapes]
    cut = len(raw) - sum(sizes)
    if cut < 0:
        raise ArtifactError(f"{len(raw)} bytes unpacked, fp16 values alone need {sum(sizes)}")
    integers = _integers(codec, raw[:cut], payload[packed:], [shape for _, kind, shape in shapes if kind == "q"])
    tensors: Tensors = {}
    for (name, kind, shape), size in zip(shapes, sizes, strict=True):
        half = _unshuffle(raw[cut : cut + size], shape[:-1] if kind == "q" else shape)
        tensors[name] = (integers.pop(0), half) if kind == "q" else half
        cut += size
    return tensors, config


def facts_of(blob: bytes) -> tuple[str, dict[str, Any], Shapes]:
    """Codec, config and shapes of an artifact, which nothing is unpacked for; ArtifactError if it is none."""
    header, payload = _open(blob)
    return _read_header(header, len(payload))[:3]


def _open(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload, the checksum verified."""
    if len(blob) < HEAD.size or blob[:4] != MAGIC:
        raise ArtifactError(f"not an artifact: begins with {bytes(blob[:4])!r}")
    _, version, n_header, n_payload, digest = HEAD.unpack_from(blob)
    if version != VERSION:
        raise ArtifactError(f"artifact of version {version}, this reads version {VERSION}")
    body = blob[HEAD.size :]
    if len(body) != n_header + n_payload:
        raise ArtifactError(f"{len(body)} bytes after the head, not {n_header} + {n_payload}: cut or padded")
    if hashlib.sha256(body).digest() != digest:
        raise ArtifactError("checksum does not match")
    try:
        header = json.loads(_unbrotli(body[:n_header], None))
    except (ValueError, RecursionError) as e:
        raise ArtifactError(f"header is no JSON: {e}") from None
    return header, body[n_header:]


def _read_header(header: dict[str, Any], payload: int) -> tuple[str, dict[str, Any], Shapes, int, int]:
    """Codec, config, shapes, packed and unpacked size, each of them possible."""
    try:
        codec, config, packed, raw_size = (header[k] for k in ("codec", "config", "packed", "raw"))
        shapes = [(name, kind, shape) for name, kind, shape in header["tensors"]]
        sane = isinstance(codec, str) and isinstance(config, dict) and type(packed) is type(raw_size) is int
        sane = sane and len({name for name, _, _ in shapes}) == len(shapes)
        for name, kind, shape in shapes:
            dimensions = {"q": (3,), "h": range(8)}[kind]
            sane = sane and isinstance(name, str) and len(shape) in dimensions
            sane = sane and all(type(d) is int and 0 < d <= MAX_DIM for d in shape)
    except (KeyError, TypeError, ValueError) as e:
        raise ArtifactError(f"header lacks or garbles an entry: {e!r}") from None
    if not sane:
        raise ArtifactError("header has a wrong type, a shape out of range, or a name twice")
    elements = sum(math.prod(shape) for _, _, shape in shapes)
    matrices = sum(shape[0] for _, kind, shape in shapes if kind == "q")
    if max(elements, raw_size) > MAX_RAW or matrices > MAX_MATRICES:
        raise ArtifactError(f"header promises {elements} elements in {matrices} matrices, {raw_size} bytes: too much")
    if not 0 <= packed <= payload or raw_size < 0:
        raise ArtifactError(f"header promises {packed} packed bytes of {payload}, {raw_size} unpacked bytes")
    return codec, config, shapes, packed, raw_size


def _integers(codec: str, raw: bytes, words: bytes, shapes: list[list[int]]) -> list[Tensor]:
    """The int8 tensors of these shapes."""
    if codec == "ans":
        from pgolf.trainer import ans

        try:
            matrices = ans.decode(raw, words, [shape[1:] for shape in shapes for _ in range(shape[0])])
        except ValueError as e:
            raise ArtifactError(f"code words: {e}") from None
        return [torch.from_numpy(np.stack([matrices.pop(0) for _ in range(shape[0])])) for shape in shapes]
    sizes = [math.prod(shape) for shape in shapes]
    if len(raw) != sum(sizes) or words:
        raise ArtifactError(f"{len(raw)} integers and {len(words)} code words, the shapes need {sum(sizes)} and none")
    parts = torch.frombuffer(bytearray(raw), dtype=torch.int8).split(sizes) if sizes else []
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _unbrotli(packed: bytes, size: int | None) -> bytes:
    """Unpack, stopping as soon as there is more than `size` (or, if None, than a header may have)."""
    limit, decoder = MAX_HEADER if size is None else size, brotli.Decompressor()
    try:
        out = decoder.process(packed, output_buffer_limit=limit + 1)
    except brotli.error as e:
        raise ArtifactError(f"Brotli: {e}") from None
    if len(out) > limit:
        raise ArtifactError(f"unpacks to more than {limit} bytes")
    if not decoder.is_finished() or (size is not None and len(out) < size):
        raise ArtifactError(f"unpacks to {len(out)} bytes instead of {limit}")
    return out


def _shuffle(x: Tensor) -> bytes:
    """fp16 bytes, all upper ones first, the sign moved to the lowest bit: exponents and leading digits go together."""
    bits = x.cpu().numpy().view(np.uint16).ravel()
    return (bits << 1 | bits >> 15).astype(">u2").view(np.uint8).reshape(-1, 2).T.tobytes()


def _unshuffle(piece: bytes, shape: list[int]) -> Tensor:
    bits = np.frombuffer(piece, np.uint8).reshape(2, -1).T.copy().view(">u2").astype(np.uint16)
    return torch.from_numpy((bits >> 1 | bits << 15).view(np.float16).reshape(shape))
