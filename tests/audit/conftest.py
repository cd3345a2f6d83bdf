"""A good folder of a record, and the folder of the record before."""

import pytest
from good_entry import BPB, FIRST, SEEDS, Folder, log_text


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "2026-04-25_A_Record")
    f.write()
    return f


@pytest.fixture
def previous(tmp_path):
    """The record before: the same stack, 0.00260 bpb worse, with four epochs and another learning rate."""
    f = Folder(tmp_path / "2026-04-09_Before")
    f.write()
    for seed in SEEDS:
        text = log_text(seed, BPB[seed] + 0.00260, tuple(x + 0.02 for x in FIRST[seed]))
        f.log(seed).write_text(
            text.replace("ttt_epochs: 3", "ttt_epochs: 4").replace("matrix_lr: 0.022", "matrix_lr: 0.02")
        )
    return f
