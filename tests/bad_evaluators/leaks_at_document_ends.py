"""Is surer of the last token of each document, since it sees that a new one begins after it."""

import torch
from honest import Evaluator


class Bad(Evaluator):
    def predict(self, tokens, first, last):
        after = torch.cat([tokens[1:], torch.ones(1, dtype=torch.int64)])[first:last]
        sharper = torch.where(after == 1, 1.5, 1.0)[:, None]
        return torch.log_softmax(super().predict(tokens, first, last) * sharper, dim=-1)


make_evaluator = Bad
