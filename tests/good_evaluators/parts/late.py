"""A module that nobody imports before it is used."""


def tempered(logp):
    return (logp / 1.1).log_softmax(-1)
