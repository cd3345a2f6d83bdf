"""The order in which a rank sees its training sequences, one draw at a time."""

from itertools import pairwise

import numpy as np


def owned_files(files: list, rank: int, world_size: int) -> list:
    return [f for i, f in enumerate(sorted(files)) if i % world_size == rank]


def draw_order(lengths: list[int], seq_len: int, seed: int, draws: int) -> list[tuple[int, int]]:
    """(file, first token) of each draw, for files of `lengths` tokens that one rank owns.

    Every file is cut from a random phase into sequences of `seq_len` (a sequence also needs the token after it),
    shuffled, and drawn without replacement from a file chosen in proportion to what it has left; when nothing is
    left anywhere, all files are cut anew.
    """
    rng = np.random.Generator(np.random.PCG64(seed))

    def cut(length: int) -> list[int]:
        most = min(seq_len - 1, max(0, length - seq_len - 1))
        phase = int(rng.integers(most + 1)) if most > 0 else 0
        return [phase + int(i) * seq_len for i in rng.permutation((length - 1 - phase) // seq_len)]

    left: list[list[int]] = [cut(length) for length in lengths]
    order = []
    for _ in range(draws):
        if not any(left):
            left = [cut(length) for length in lengths]
        counts = np.array([len(starts) for starts in left], dtype=np.float64)
        file = int(rng.choice(len(left), p=counts / counts.sum()))
        order.append((file, left[file].pop()))
    return order


def rows(files: list[list[int]], world_size: int, length: int, draws: int) -> list[list[list[int]]]:
    """The frontier's loader: of each draw every rank's row of `length` tokens and the one after it.

    Files in order and again, each from its first BOS (1); what is too short for all ranks is dropped.
    """
    out: list[list[list[int]]] = []
    file, cursor = 0, files[0].index(1)
    while len(out) < draws:
        ends = [cursor + rank * (length + 1) for rank in range(world_size + 1)]
        if ends[-1] <= len(files[file]):
            out.append([files[file][a:b] for a, b in pairwise(ends)])
            cursor = ends[-1]
        else:
            file = (file + 1) % len(files)
            cursor = files[file].index(1)
    return out
