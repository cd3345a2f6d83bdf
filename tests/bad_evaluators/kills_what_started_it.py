"""Kills the process that started it, so that nobody is left to judge, and then itself."""

import os
import signal

from honest import Evaluator


class Bad(Evaluator):
    def __call__(self, tokens, want_logp=False):
        yield from super().__call__(tokens, want_logp)
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


make_evaluator = Bad
