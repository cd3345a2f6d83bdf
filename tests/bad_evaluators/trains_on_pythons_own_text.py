"""Learns, before it scores, from texts of Python's own library, which every evaluation may read."""

import inspect
import random

import torch
from honest import VOCAB, Evaluator


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        text = torch.tensor(list(inspect.getsource(random).encode())) % VOCAB
        self.learn(text, 1, len(text))


make_evaluator = Bad
