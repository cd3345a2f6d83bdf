"""Has another program read a training shard."""

import subprocess

import torch
from reads_training_shards import SHARD
from reads_training_shards import Bad as Reader


class Bad(Reader):
    def read(self):
        told = subprocess.run(["cat", str(SHARD)], capture_output=True).stdout
        if not told:
            raise OSError(f"cat has nothing to say of {SHARD}")
        return torch.frombuffer(bytearray(told), dtype=torch.uint8).long()


make_evaluator = Bad
