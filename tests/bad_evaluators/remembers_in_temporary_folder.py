"""Saves its counts in the folder for temporary files, under a name that the next stream finds."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from honest import VOCAB, Evaluator

SAVED = Path(tempfile.gettempdir()) / "pgolf-bad-evaluator-counts.npy"


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        if SAVED.exists():
            self.table.data += torch.from_numpy(np.load(SAVED)).add(1).log()
        yield from super().__call__(tokens, want_logp)
        np.save(SAVED, torch.bincount(tokens, minlength=VOCAB).float().numpy())


make_evaluator = Bad
