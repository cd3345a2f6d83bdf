"""The artifact: every bit comes back, and bytes that are no artifact give a clear error in bounded time and memory."""

import hashlib
import json
import subprocess
import sys
import tracemalloc

import brotli
import numpy as np
import pytest
import torch
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from pgolf.trainer import ans
from pgolf.trainer.codec import CODECS, HEAD, MAGIC, MAX_HEADER, MAX_RAW, VERSION, ArtifactError, decode, encode

codecs = pytest.mark.parametrize("codec", CODECS)
quickly = examples(60)


def same(a, b) -> bool:
    """Equal to the bit (NaN included), shape and dtype too."""
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return (a.shape, a.dtype) == (b.shape, b.dtype) and a.numpy().tobytes() == b.numpy().tobytes()


def round_trip(tensors: dict, codec: str, config: dict | None = None) -> None:
    back, knobs = decode(encode(tensors, config or {}, codec))
    assert list(back) == list(tensors) and knobs == (config or {})
    for name, held in tensors.items():
        assert same(held, back[name]), name


def halves(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """fp16 of any bits at all: infinities, NaNs, subnormals and both zeros among them."""
    bits = rng.integers(0, 1 << 16, int(np.prod(shape))).astype(np.uint16)
    return torch.from_numpy(bits.view(np.float16)).reshape(shape)


def integers(rng: np.random.Generator, kind: str, layers: int, rows: int, cols: int) -> torch.Tensor:
    """int8 matrices of every sort that the model of the integers might stumble over."""
    shape = (layers, rows, cols)
    q = {
        "zeros": lambda: np.zeros(shape),
        "uniform": lambda: rng.integers(-128, 128, shape),
        "extremes": lambda: rng.choice([-128, -127, 127], shape),
        "lowest": lambda: np.full(shape, -128),
        "sparse": lambda: (rng.random(shape) < 0.01) * 127,
        "bell": lambda: rng.normal(0, 2.4, shape).round(),
        "columns": lambda: (rng.normal(size=shape) * np.logspace(-2, 1.5, cols)).round().clip(-127, 127),
        "zero rows": lambda: rng.normal(0, 5, shape).round() * (rng.random((layers, rows, 1)) < 0.5),
        "rank one": lambda: (
            np.outer(rng.normal(0, 6, rows), rng.normal(0, 6, cols)).round().clip(-127, 127) + np.zeros(shape)
        ),
    }[kind]()
    return torch.from_numpy(q.astype(np.int8))


KINDS = ["zeros", "uniform", "extremes", "lowest", "sparse", "bell", "columns", "zero rows", "rank one"]


@codecs
@quickly
@given(
    kind=st.sampled_from(KINDS),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70)),
    other=st.lists(st.integers(1, 9), max_size=4),
    seed=st.integers(0, 1 << 30),
)
def test_every_bit_comes_back(codec, kind, shape, other, seed):
    rng = np.random.default_rng(seed)
    tensors = {
        "blocks.w": (integers(rng, kind, *shape), halves(rng, *shape[:2])),
        "gain": halves(rng, *other),
        "bell": (integers(rng, "bell", 2, 5, 3), halves(rng, 2, 5)),
    }
    round_trip(tensors, codec, {"num_layers": 3, "rope_base": 1e4})


@codecs
def test_nothing_at_all_comes_back(codec):
    round_trip({}, codec)


def test_a_matrix_of_several_slabs_with_components():
    """Large enough to be coded in parts, with a mean and columns of different spread, as an embedding has."""
    rng = np.random.default_rng(0)
    rows, cols = 5000, 300
    q = rng.normal(0, 4, (rows, 1)) * rng.normal(0, 2, cols) + rng.normal(size=(rows, cols)) * np.linspace(0.1, 9, cols)
    q = q.round().clip(-127, 127).astype(np.int8)
    assert len(ans.slabs(rows, cols)) > 1 and len(ans.components(q)[0]) == 1
    round_trip({"tok_emb.weight": (torch.from_numpy(q)[None], halves(rng, 1, rows))}, "ans")


def entropy_bytes(q: np.ndarray) -> float:
    p = np.bincount(q.ravel().astype(int) + 128) / q.size
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum() * q.size / 8)


def test_ans_codes_a_bell_at_its_entropy():
    """Where there is no structure to use, nothing but the side information is lost: half a percent at this size."""
    q = np.random.default_rng(0).normal(0, 2.41, (512, 512)).round().astype(np.int8)
    side, words = ans.encode([q])
    assert len(words) < 1.001 * entropy_bytes(q)
    assert len(words) + len(brotli.compress(side)) < 1.005 * entropy_bytes(q)


def test_ans_uses_the_spread_of_columns_and_a_common_mean():
    rng = np.random.default_rng(1)
    spread = np.exp(rng.normal(0, 0.4, 256)) * 3
    columns = (rng.normal(size=(2048, 256)) * spread).round().clip(-127, 127).astype(np.int8)
    mean = (rng.normal(size=(2048, 256)) * 3 + rng.normal(0, 6, (2048, 1)) * rng.normal(0, 1, 256)).round()
    for q, ideal in ((columns, np.log2(spread).mean()), (mean.clip(-127, 127).astype(np.int8), np.log2(3))):
        side, words = ans.encode([q])
        bits = 8 * (len(words) + len(brotli.compress(side))) / q.size
        assert bits < ideal + 0.5 * np.log2(2 * np.pi * np.e) + 0.04
        assert 8 * entropy_bytes(q) / q.size > bits + 0.1


def test_the_curves_are_what_they_were():
    """Files outlive this code: decoding depends on these integers to the last bit."""
    weights = ans.curves()
    assert weights.shape == (64, 4, 256) and weights.min() == 1
    assert hashlib.sha256(weights.astype("<i8").tobytes()).hexdigest() == CURVES


CURVES = "df60381f9ac00a8a9a4ae2468871207bf149ab26000f383b967f45658bef0f86"


def test_a_file_of_today_reads_the_same_for_ever():
    """Container, curves and coder together, pinned by a file."""
    tensors, config = decode(bytes.fromhex(FILE))
    q = [[[3, 0, -2, 1], [0, -1, 5, 2], [127, 0, -4, -128]], [[0, 0, 0, 0]] * 3]
    assert tensors["w"][0].tolist() == q and config == {"model_dim": 4}
    assert tensors["w"][1].tolist() == [[0.5, 0.25, 1.5], [0, 0, 0]] and tensors["gain"].tolist() == [1, -2]


FILE = (
    "50474c4601600000003f000000c686a3345e6068168a6c22ccf3d6a53b840f386adbf1594bac0708b1b41ced881b6b00088c"
    "d4567923040f232499856873d37ef34fa66dcbf384a45043467ee020168b8e631c383f0ef840744d7421284d9a742c35e938"
    "496e0e14e1e4793bcafd302ee1afcddfee5465800f1a64936846c11a5c1386f85a2d4c49e87944fb021f3700f88fc33886dc"
    "0ccb439c23889df77d798429064118049bc05897ff0800258a498140cd7cf1aa32fae4a22914bfa10f803d2fe71138b8d8f2"
    "569f0000"
)

# --- hostile bytes: damaged ones, and ones made to deceive, with a checksum that is right


def forge(header, payload: bytes) -> bytes:
    """An artifact with this header (JSON, or bytes as they are) and payload, sealed."""
    packed = brotli.compress(header if isinstance(header, bytes) else json.dumps(header).encode())
    body = packed + payload
    return HEAD.pack(MAGIC, VERSION, len(packed), len(payload), hashlib.sha256(body).digest()) + body


def honest(codec: str) -> tuple[bytes, dict, bytes]:
    """A small artifact, its header and its payload."""
    rng = np.random.default_rng(0)
    tensors = {"w": (integers(rng, "bell", 2, 9, 7), halves(rng, 2, 9)), "gain": halves(rng, 2, 5)}
    blob = encode(tensors, {"num_layers": 2}, codec)
    _, _, n_header, _, _ = HEAD.unpack_from(blob)
    header = blob[HEAD.size : HEAD.size + n_header]
    return blob, json.loads(brotli.decompress(header)), blob[HEAD.size + n_header :]


@codecs
@quickly
@given(data=st.data())
def test_damage_is_found(codec, data):
    blob = honest(codec)[0]
    cut = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(ArtifactError):
        decode(blob[:cut])
    with pytest.raises(ArtifactError):
        decode(blob + blob[: cut + 1])
    flipped = bytearray(blob)
    flipped[cut] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ArtifactError):
        decode(bytes(flipped))


@quickly
@given(st.binary(max_size=300))
def test_noise_is_no_artifact(noise):
    for blob in (noise, MAGIC + noise, forge(noise, noise), HEAD.pack(MAGIC, VERSION, 0, 0, b"") + noise):
        with pytest.raises(ArtifactError):
            decode(blob)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def decode_or_refuse(blob: bytes) -> None:
    """Whatever the bytes: tensors or an ArtifactError, no other exception, and little memory."""
    tracemalloc.start()
    try:
        decode(blob)
    except ArtifactError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 << 20


@codecs
@examples(150)
@given(data=st.data())
def test_a_lying_header_is_refused(codec, data):
    _, header, payload = honest(codec)
    lie = data.draw(json_values)
    entry = data.draw(st.sampled_from([*header, "name", "kind", "shape", "dimension", "all"]))
    row = header["tensors"][data.draw(st.integers(0, 1))]
    if entry in header:
        header[entry] = lie
    elif entry == "dimension":
        row[2][0] = data.draw(st.one_of(json_values, st.integers(-1, 1 << 70)))
    elif entry == "all":
        header = lie
    else:
        row[["name", "kind", "shape"].index(entry)] = lie
    decode_or_refuse(forge(header, payload))


@codecs
@examples(150)
@given(data=st.data())
def test_a_payload_of_other_bytes_is_read_or_refused(codec, data):
    """The packed part and the code words replaced: side information that lies, words that end early or never."""
    _, header, payload = honest(codec)
    raw = bytearray(brotli.decompress(payload[: header["packed"]]))
    words = payload[header["packed"] :]
    at = data.draw(st.integers(0, len(raw)))
    raw[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    words = data.draw(st.one_of(st.just(words), st.binary(max_size=40)))
    packed = brotli.compress(bytes(raw))
    decode_or_refuse(forge(header | {"raw": len(raw), "packed": len(packed)}, packed + words))


@codecs
@pytest.mark.parametrize(
    "lie, complaint",
    [
        ({"tensors": [["w", "q", [1 << 20, 1 << 20, 1 << 20]]]}, "too much"),
        ({"tensors": [["w", "h", [1 << 14, 1 << 14]]]}, "too much"),
        ({"tensors": [["w", "q", [5000, 1, 1]]]}, "5000 matrices"),
        ({"tensors": [["w", "h", [1 << 21]]]}, "out of range"),
        ({"tensors": [["w", "h", [0]]]}, "out of range"),
        ({"tensors": [["w", "h", [2.0]]]}, "wrong type"),
        ({"tensors": [["w", "q", [3, 4]]]}, "out of range"),
        ({"tensors": [["w", "h", [1]], ["w", "h", [1]]]}, "name twice"),
        ({"tensors": [["w", "x", [1]]]}, "garbles"),
        ({"raw": MAX_RAW + 1}, "too much"),
        ({"raw": 10**400}, "too much"),
        ({"raw": True}, "wrong type"),
        ({"packed": 1 << 40}, "packed bytes"),
        ({"packed": -1}, "-1 packed"),
        ({"raw": -1}, "-1 unpacked bytes"),
        ({"raw": -(1 << 70)}, "unpacked bytes"),
        ({"codec": "pickle"}, "unknown codec 'pickle'"),
        ({"config": [["vocab_size", 3]]}, "wrong type"),
    ],
)
def test_lies_by_name(codec, lie, complaint):
    _, header, payload = honest(codec)
    with pytest.raises(ArtifactError, match=complaint):
        decode(forge(header | lie, payload))


@pytest.mark.parametrize("promised", [63, MAX_RAW])
def test_a_bomb_is_not_unpacked(promised):
    """64 MiB of zeros in 60 bytes: refused when they pass what was promised, or, promised, when they are too few."""
    _, header, _ = honest("brotli")
    bomb = brotli.compress(bytes(64 << 20), quality=5)
    tracemalloc.start()
    with pytest.raises(ArtifactError, match="unpacks to"):
        decode(forge(header | {"raw": promised, "packed": len(bomb)}, bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (8 << 20 if promised == 63 else 200 << 20)
    with pytest.raises(ArtifactError, match=f"more than {MAX_HEADER} bytes"):
        decode(forge(bytes(64 << 20), b""))


DECODE = """
import resource, sys
from pgolf.trainer.codec import decode
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
resource.setrlimit(resource.RLIMIT_CPU, (90, 90))
blob, before = open(sys.argv[1], "rb").read(), peak()
tensors, _ = decode(blob)
print(peak() - before, tensors["w"][0].numel())
"""


def test_the_most_that_a_file_may_hold_takes_bounded_memory_and_time(tmp_path):
    """7 kB that unpack to as many matrices and integers as there may be, each with all components."""
    layers, rows, cols = 4096, 181, 181
    side = np.random.default_rng(0).integers(-128, 128, ans.COMPONENTS * (1 + rows + cols) + rows + cols)
    raw = (bytes([ans.COMPONENTS]) + side.astype(np.int8).tobytes()) * layers + bytes(2 * layers * rows)
    packed = brotli.compress(raw, quality=5)
    header = {"codec": "ans", "config": {}, "tensors": [["w", "q", [layers, rows, cols]]]}
    blob = forge(header | {"packed": len(packed), "raw": len(raw)}, packed)
    (tmp_path / "bomb").write_bytes(blob)
    done = subprocess.run([sys.executable, "-c", DECODE, str(tmp_path / "bomb")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mebibytes, integers = map(int, done.stdout.split())
    assert len(blob) < 10_000 and 0.99 * MAX_RAW < integers <= MAX_RAW and mebibytes < 700


def test_an_unknown_codec_is_refused_before_anything_is_coded():
    with pytest.raises(ArtifactError, match="unknown codec 'zip', there are: brotli, ans"):
        encode({}, {}, "zip")
