"""LQER, one matrix at a time and element by element: the strongest components of a rounding error on few bits."""

import numpy as np


def components(error: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """A `[rows, rank]` and B `[rank, cols]` in float64, by one power iteration after the other; of a component the
    largest element of A is negative."""
    left, rank = error.astype(np.float64).copy(), min(rank, *error.shape)
    a, b = np.zeros((len(error), rank)), np.zeros((rank, error.shape[1]))
    for k in range(rank):
        values, vectors = np.linalg.eigh(left.T @ left)
        v = vectors[:, np.argmax(values)]
        u = left @ v
        if u[np.argmax(abs(u))] > 0:
            u, v = -u, -v
        a[:, k], b[k] = u, v
        left -= np.outer(u, v)
    return a, b


def on_grid(x: float, scale: np.float16, low: int, high: int) -> float:
    """The value that x is stored as."""
    return 0.0 if scale == 0 else min(max(round(x / float(scale)), low), high) * float(scale)


def stored(a: np.ndarray, b: np.ndarray, asym: bool, bits: int, group: int) -> tuple[np.ndarray, np.ndarray]:
    """A and B as they come back."""
    a_hat, b_hat, most = np.zeros_like(a), np.zeros_like(b), 2 ** (bits - 1) - 1
    if asym and b.size % group == 0:
        scale = np.float16(np.float32(abs(a).max()) / 1.5)
        for i in np.ndindex(a.shape):
            a_hat[i] = on_grid(a[i], scale, -2, 1)
        for first in range(0, b.size, group):
            scale = np.float16(np.float32(abs(b.flat[first : first + group]).max()) / 7.5)
            for i in range(first, first + group):
                b_hat.flat[i] = on_grid(b.flat[i], scale, -8, 7)
        return a_hat, b_hat
    for x, x_hat in ((a, a_hat), (b, b_hat)):
        for r in range(len(x)):
            scale = np.float16(np.float32(abs(x[r]).max()) / most)
            for j in range(x.shape[1]):
                x_hat[r, j] = on_grid(x[r, j], scale, -most, most)
    return a_hat, b_hat


def repair(error: np.ndarray, rank: int, asym: bool = True, bits: int = 4, group: int = 64) -> np.ndarray:
    """What is added to the rounded matrix; nothing where that would make the error larger."""
    a, b = stored(*components(error, rank), asym, bits, group)
    return a @ b if np.linalg.norm(error - a @ b) < np.linalg.norm(error) else np.zeros(error.shape)
