"""Codec `ans`: matrices of integers in fewer bits than the entropy of their histograms.

Every integer q_ij is coded with a bell curve of its own, of mean μ_ij and width σ_ij:

    μ_ij = Σ_k u_ik · v_jk · 2^t_k     a few components, where they save more than they cost (an embedding's do)
    σ_ij = 2^((a_i + b_j) / 8) / 5     a byte a row, a byte a column

These bytes are the side information; the curves follow from them in integer arithmetic, so that decoding is the same
on every CPU. Integers that share a curve are coded together, by the ANS coder of `constriction` (Bamler,
arXiv:2201.01741).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgolf.trainer.data import DataError

WIDTHS, PHASES = 64, 4  # 8 widths an octave, means in quarters
COMPONENTS = 16  # at most


def curves() -> np.ndarray:
    """Weights of q − ⌊μ⌋ modulo 256 for each width and phase of μ: int64 `[WIDTHS, PHASES, 256]`.

    2^30 · (1 + d²/2nσ²)^−n with n = 128, by repeated squaring: a Gaussian with slightly heavier tails.
    """
    d = 4 * ((np.arange(256) + 128) % 256 - 128) - np.arange(PHASES)[:, None]  # distance from μ in quarters
    octave, step = np.divmod(np.arange(WIDTHS), 8)
    roots = np.array([256, 279, 304, 332, 362, 395, 431, 470])  # 256 · 2^(step/8)
    variance = (roots[step] ** 2 << 2 * octave)[:, None, None]  # 25 · 2^16 · σ²
    t = (variance << 30) // (variance + 400 * d * d)
    for _ in range(7):
        t = t * t >> 30
    return t + 1


def components(q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t `[k]`, u `[k, rows]` and v `[k, cols]`, int8, of the components of q that pay for themselves.

    The strongest by subspace iteration. A component of strength s saves s²/2σ² nats; at the step that is best for u and
    v, where rounding them costs half a nat each, they take about 2 nats a row and column.
    """
    rows, cols = q.shape
    f = q.astype(np.float32)
    v = f[:: -(-rows // COMPONENTS)].T
    for _ in range(4):
        v = np.linalg.qr(f.T @ (f @ v))[0]
    u, s, w = np.linalg.svd(f @ v, full_matrices=False)
    v, s = v @ w.T, s.astype(np.float64)
    rest = ((f * f).sum(dtype=np.float64) - np.cumsum(s**2)).clip(0) / f.size + 1 / 12
    n = int(np.argmin([*(s**2 > 4 * (rows + cols) * rest), False]))
    t = np.rint(np.log2(12 * 1024 * rest[n - 1] / s[:n])).clip(0, 15)
    scale = np.sqrt(s[:n] * 1024 / 2**t)
    parts = (t, (u[:, :n] * scale).T, (v[:, :n] * scale).T)
    return tuple(np.rint(x).clip(-127, 127).astype(np.int8) for x in parts)


def means(t: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """μ in quarters, int32 `[rows, cols]`. All terms and sums are integers below 2^53, which float64 holds exactly."""
    return np.floor((u * 2.0 ** (t & 15)[:, None]).T @ v.astype(np.float64) / 256 + 0.5).astype(np.int32)


def widths(error: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a `[rows]` and b `[cols]`, int8, that fit the squares of q − μ; a is zero where rows hardly differ.

    A width that n integers share is worth knowing to 28/√n steps of 1/8 octave: rounding it costs half a nat then.
    """
    square = error * error + np.float32(1e-4)
    a = np.ones(len(square), np.float32)
    for _ in range(4):
        b = (square / a[:, None]).mean(0)
        a = (square / b).mean(1)
    a = _multiples(4 * np.log2(a), error.shape[1])
    if (a * a).mean() < 1:
        a *= 0
        b = square.mean(0)
    d = (np.arange(256) + 128) % 256 - 128
    spread = (weights[:, 0] * d * d).sum(1) / weights[:, 0].sum(1)  # the curves' own variances
    b = _multiples(np.interp(np.log(b), np.log(spread), np.arange(WIDTHS)), len(error))
    return a.astype(np.int8), b.astype(np.int8)


def _multiples(steps: np.ndarray, n: int) -> np.ndarray:
    multiple = max(1, round(28 / n**0.5))
    return (np.rint(steps / multiple) * multiple).clip(-127, 127)


def plan(
    t: np.ndarray, u: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray | np.uint8, np.ndarray, np.ndarray]:
    """⌊μ⌋ modulo 256, uint8 `[rows, cols]` or a scalar; the integers' places (flat) in the order of their curves, and
    how many integers each curve has."""
    width = (a[:, None].astype(np.int16) + b).clip(0, WIDTHS - 1)
    mu = means(t, u, v) if len(t) else np.int32(0)
    curve = (PHASES * width + mu % PHASES).astype(np.uint8).ravel()
    floor = (mu // PHASES).astype(np.uint8)
    return floor, np.argsort(curve, kind="stable"), np.bincount(curve, minlength=WIDTHS * PHASES)


def slabs(rows: int, cols: int) -> list[slice]:
    """Rows to code at a time: about a million integers, so that memory stays small."""
    step = max(1, (1 << 20) // cols)
    return [slice(i, i + step) for i in range(0, rows, step)]


def check_library() -> None:
    """DataError without the library that codes."""
    try:
        import constriction  # noqa: F401
    except ImportError:
        raise DataError("codec ans needs a library: pip install constriction") from None


def coder(words: np.ndarray) -> tuple[Any, list[Any]]:
    """The coder over these words, and the model of each curve."""
    from constriction import stream  # here, since only this codec needs it

    weights = curves().reshape(-1, 256).astype(np.float64)
    return stream.stack.AnsCoder(words), [stream.model.Categorical(w, perfect=False) for w in weights]


def encode(matrices: list[np.ndarray]) -> tuple[bytes, bytes]:
    """Side information and code words of int8 matrices `[rows, cols]`."""
    ans, models = coder(np.empty(0, np.uint32))
    weights, sides = curves(), []
    for q in reversed(matrices):  # the coder is a stack
        t, u, v = components(q)
        error = q - means(t, u, v) / np.float32(PHASES) if len(t) else q.astype(np.float32)
        a, b = widths(error, weights)
        for part in reversed(slabs(*q.shape)):
            floor, order, counts = plan(t, u[:, part], v, a[part], b)
            symbols = (q[part].view(np.uint8) - floor).ravel()[order].astype(np.int32)
            ends = np.cumsum(counts)
            for c in np.flatnonzero(counts)[::-1]:
                ans.encode_reverse(symbols[ends[c] - counts[c] : ends[c]], models[c])
        parts = (np.int8([len(t)]), t, u, v, a, b)  # type: ignore[arg-type]  # numpy's types know of scalars only
        sides.append(b"".join(x.tobytes() for x in parts))
    return b"".join(reversed(sides)), ans.get_compressed().astype("<u4").tobytes()


def decode(side: bytes, words: bytes, shapes: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """The matrices of these shapes; ValueError for bytes that `encode` does not make."""
    ans, models = coder(np.frombuffer(words, "<u4").astype(np.uint32))
    left, matrices = np.frombuffer(side, np.int8), []
    for rows, cols in shapes:
        n = int(left[0]) if len(left) else -1
        sizes = (1, n, n * rows, n * cols, rows, cols)
        if not 0 <= n <= COMPONENTS or sum(sizes) > len(left):
            raise ValueError("side information ends early")
        _, t, u, v, a, b, left = np.split(left, np.cumsum(sizes))
        u, v = u.reshape(n, rows), v.reshape(n, cols)
        q = np.empty((rows, cols), np.uint8)
        for part in slabs(rows, cols):
            floor, order, counts = plan(t, u[:, part], v, a[part], b)
            symbols = [ans.decode(models[c], int(counts[c])) for c in np.flatnonzero(counts)]
            coded = np.empty(len(order), np.uint8)
            coded[order] = np.concatenate(symbols)
            q[part] = coded.reshape(-1, cols) + floor
        matrices.append(q.view(np.int8))
    if len(left) or not ans.is_empty():
        raise ValueError("something is left over at the end")
    return matrices
