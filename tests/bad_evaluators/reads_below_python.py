"""Reads a training shard by a way that Python does not hear of."""

import torch
from reads_training_shards import SHARD
from reads_training_shards import Bad as Reader


class Bad(Reader):
    def read(self):
        return torch.from_file(str(SHARD), size=SHARD.stat().st_size, dtype=torch.uint8).long()


make_evaluator = Bad
