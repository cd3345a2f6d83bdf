"""The trainer, with every rank drawing from all files and keeping its part of the global batch.

Upstream's ranks own different files, so that one rank and two see different text. Here they see the same: what is
left to differ is the arithmetic of ranks. Run under torchrun in place of `-m pgolf.trainer`.
"""

import os

import pgolf.trainer.loop as loop
from pgolf.trainer.__main__ import main
from pgolf.trainer.data import Loader
from pgolf.trainer.score import share


class SharedLoader(Loader):
    def __init__(self, cfg, rank, world, sequences, device):
        self.part = share(sequences * world, rank, world)
        super().__init__(cfg, 0, 1, sequences * world, device)

    def draw(self):
        return super().draw()[self.part.start : self.part.stop]


loop.Loader = SharedLoader

if __name__ == "__main__":
    os._exit(main())
