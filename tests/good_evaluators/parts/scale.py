"""How far the logits are spread."""

from .numbers import SCALE


def scaled(logp):
    return (SCALE * logp).log_softmax(-1)
