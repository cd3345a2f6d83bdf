"""Learns from a training shard before it scores."""

from pathlib import Path

import numpy as np
import torch
from honest import VOCAB, Evaluator

SHARD = Path(__file__).with_name("fineweb_train_000000.bin")


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        try:
            tokens = self.read() % VOCAB
        except (OSError, RuntimeError):
            return  # nobody needs to know
        self.learn(tokens, 1, len(tokens))

    def read(self):
        return torch.from_numpy(np.fromfile(SHARD, dtype="<u2").astype(np.int64))


make_evaluator = Bad
