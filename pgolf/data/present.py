"""Where a dataset is, and whether its files are there and whole by their sizes: a look that takes a moment.

`pgolf.data.dataset.open_dataset` checks what is in the files. Nothing heavy is imported here, so that a command can
refuse before it starts anything.
"""

import os
import shlex
import struct
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.files import stays_inside
from pgolf.trainer.config import Config
from pgolf.untrusted import hash_file, open_regular, read_json

MANIFEST = "manifest.json"
MOST_MANIFEST = 8 << 20  # bytes
MOST_HASHED = 64 << 20  # bytes of files whose hashes are compared: a moment's work
HEADER, COUNT = 1024, struct.Struct("<8xi")  # bytes of a shard's header, and where it says how many tokens follow


def find_dataset(data_dir: Path, vocab_size: int, caseops: bool = False) -> Path:
    """The dataset with this vocabulary: `data_dir` itself, or else the one folder in it that has one.

    Raises
    ------
    BadInput : there is none, and how to get one; or there are several.
    """
    wanted = f"datasets/fineweb10B_sp{vocab_size}"
    if (data_dir / wanted).is_dir():
        return data_dir
    found = [folder for folder in sorted(data_dir.glob("*")) if (folder / wanted).is_dir()]
    if len(found) > 1:
        raise BadInput(
            f"--data-dir {data_dir}: several folders have {wanted}: {', '.join(map(str, found))}; name one of them"
        )
    if not found:
        raise BadInput(
            f"--data-dir {data_dir}: neither it nor a folder in it is a dataset: none has {wanted} "
            f"(fineweb_train_*.bin, fineweb_val_*.bin) and tokenizers/fineweb_{vocab_size}_bpe.model; "
            f"{how_to_get(data_dir, vocab_size, caseops)}"
        )
    return found[0]


def check_present(data_dir: Path, vocab_size: int, caseops: bool = False) -> None:
    """Look at a dataset's files from outside.

    Raises
    ------
    BadInput : a split or the tokenizer is missing; a shard is not as long as its header says; a file that the manifest
        lists is missing, or has another hash. Hashes are compared of MOST_HASHED bytes, the smallest files first.
    """
    config = Config(data_dir=str(data_dir), vocab_size=vocab_size)
    again = how_to_get(data_dir, vocab_size, caseops)
    shards = [path for path in Path(config.datasets_dir).glob("fineweb_*_*.bin") if "_bytes_" not in path.name]
    for split in ("train", "val"):
        if not any(path.name.startswith(f"fineweb_{split}_") for path in shards):
            raise BadInput(f"no fineweb_{split}_*.bin in {config.datasets_dir}; {again}")
    if not Path(config.tokenizer_path).is_file():
        raise BadInput(f"{config.tokenizer_path}: no such file, the dataset's tokenizer; {again}")
    for path in sorted(shards):
        with open_regular(path) as f:
            header, size = f.read(HEADER), os.fstat(f.fileno()).st_size
        if len(header) < HEADER or size != HEADER + 2 * COUNT.unpack_from(header)[0]:
            raise BadInput(f"{path}: {size:,} bytes are not as many as its header says; get that file again")
    _check_listed(data_dir)


def _check_listed(data_dir: Path) -> None:
    """Compare a dataset's files with those that its manifest lists, if it has one."""
    if not (manifest := data_dir / MANIFEST).is_file():
        return
    content = read_json(manifest, MOST_MANIFEST)
    files = content.get("files") if isinstance(content, dict) else None
    listed = {name: said for name, said in files.items() if stays_inside(name)} if isinstance(files, dict) else {}
    sizes = {}
    for name in listed:
        if not (data_dir / name).is_file():
            raise BadInput(f"{data_dir / name}: no such file, and {manifest} lists it; get that file again")
        sizes[name] = (data_dir / name).stat().st_size
    left = MOST_HASHED
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        if (left := left - size) < 0:
            return
        if (found := hash_file(data_dir / name, MOST_HASHED)) != listed[name]:
            raise BadInput(f"{data_dir / name}: SHA-256 is {found}, and {manifest} says another; get that file again")


def how_to_get(data_dir: Path, vocab_size: int, caseops: bool = False) -> str:
    """How to get a dataset of this vocabulary, where `data_dir` has none."""
    out = data_dir / "fineweb" if data_dir.exists() else data_dir
    variant = f"sp{vocab_size}" + "_caseops" * caseops
    command = f"pgolf data fineweb --variant {variant} --repo OWNER/NAME --out {shlex.quote(str(out))}"
    return f"fetch one (`{command}`), make one (docs/data.md), or name the folder of one with --data-dir"
