"""April's evaluation without adaptation, for the probes: the artifact's model, scored in chunks of 512 positions."""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, os.environ["PROGRAM"])
from window_lm import WindowLM, contexts_of, unpack

CHUNK = 512
print("a program prints while it is imported")


class Evaluator:
    def __init__(self):
        state = unpack(Path(os.environ["ARTIFACT"]).read_bytes())
        (self.vocab_size, dim), (hidden, inputs) = state["embed.weight"].shape, state["mix.weight"].shape
        self.tokenizer = os.environ["DATA_DIR"] + f"/tokenizers/fineweb_{self.vocab_size}_bpe.model"
        self.model = WindowLM(self.vocab_size, dim, hidden, inputs // dim)
        self.model.load_state_dict(state)

    @torch.no_grad()
    def __call__(self, tokens, want_logp=False):
        contexts = contexts_of(tokens[:-1], self.model.width)
        for first in range(0, len(contexts), CHUNK):
            logp = self.model(contexts[first : first + CHUNK]).log_softmax(-1)
            targets = tokens[first + 1 : first + 1 + len(logp), None]
            yield first + 1, -logp.gather(1, targets)[:, 0], logp if want_logp else None


make_evaluator = Evaluator
