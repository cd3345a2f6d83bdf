"""Reports a little less than −log p(target)."""

from honest import Evaluator


class Bad(Evaluator):
    def piece(self, tokens, first, logp):
        first, losses, logp = super().piece(tokens, first, logp)
        return first, losses * 0.999, logp


make_evaluator = Bad
