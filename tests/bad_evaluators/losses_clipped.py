"""Reports no loss above 4 nats."""

from honest import Evaluator


class Bad(Evaluator):
    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses.clamp(max=4.0), logp


make_evaluator = Bad
