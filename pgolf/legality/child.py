"""Scores a stream with an evaluator and writes a hash of the losses: child.py file.py:make_evaluator tokens.npy

`sealed.sealed_evaluator` runs this inside the seal, in a folder of its own.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch

from pgolf.legality.sealed import digest
from pgolf.legality.watch import load_factory, watch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
tokens = torch.from_numpy(np.load(sys.argv[2]))
Path("score").write_text(digest(watch(load_factory(sys.argv[1]), tokens, want_logp=False)))
