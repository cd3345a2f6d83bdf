"""A small dataset out of a large one, for trials."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pgolf.data.opening import MOST_TOKENIZER
from pgolf.data.shards import write_shard
from pgolf.files import write_atomic
from pgolf.trainer.caseops import side_cars
from pgolf.trainer.config import Config
from pgolf.trainer.data import load_validation, open_shard, shards
from pgolf.untrusted import read_bytes

MOST_TOKENS = 2_000_000  # of each training shard


def cut_dataset(config: Config, folder: Path, val_tokens: int, train_shards: int) -> Config:
    """Put the beginning of a dataset into `folder`, complete in itself; the configuration that names it.

    It gets `val_tokens` tokens of validation text and the beginnings of `train_shards` training shards.
    """
    cut = replace(config, data_dir=str(folder.resolve()), datasets_dir="", tokenizer_path="")
    write_atomic(Path(cut.tokenizer_path), read_bytes(Path(config.tokenizer_path), MOST_TOKENIZER))
    vocabulary = Path(config.tokenizer_path).with_suffix(".vocab")
    if vocabulary.is_file():
        write_atomic(Path(cut.tokenizer_path).with_suffix(".vocab"), read_bytes(vocabulary, MOST_TOKENIZER))
    Path(cut.datasets_dir).mkdir(parents=True, exist_ok=True)
    whole = replace(config, eval_seq_len=1)  # a program of the user's cuts it as it likes
    write_shard(Path(cut.datasets_dir) / "fineweb_val_000000.bin", load_validation(whole)[:val_tokens].numpy())
    if cars := [path for path in side_cars(config) if path.exists()]:
        sizes = np.concatenate([open_shard(path) for path in cars])[:val_tokens]
        write_shard(Path(cut.datasets_dir) / "fineweb_val_bytes_000000.bin", sizes)
    for shard in shards(config, "train")[:train_shards]:
        write_shard(Path(cut.datasets_dir) / shard.name, open_shard(shard)[:MOST_TOKENS])
    return cut
