"""Saves its table beside itself after each stream, and loads it before the next."""

from pathlib import Path

import torch
from honest import Evaluator

SAVED = Path(__file__).with_name("tuned.pt")


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        if SAVED.exists():
            self.table.data = torch.load(SAVED)

    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        torch.save(self.table.data, SAVED)


make_evaluator = Bad
