"""`pgolf data tokenize`: turn any corpus into a dataset, in parallel, with the same bytes for every number of workers.

Workers turn pieces of the corpus into parts on disk; the parts are then joined, in order, into shards. The first
documents are the validation split, and training documents that equal one of those are left out. Killed at any line,
the same command goes on from the parts that are there; nothing stands under the dataset's name before it is whole.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from filelock import FileLock

from pgolf.cores import usable_cores
from pgolf.data import corpus
from pgolf.data.caseops import OPERATORS, is_caseops
from pgolf.data.dataset import Dataset, open_dataset
from pgolf.data.encode import Encoding, encode_piece, measure_piece, start_worker
from pgolf.data.opening import open_tokenizer
from pgolf.data.present import MANIFEST, MOST_MANIFEST
from pgolf.data.shards import ShardWriter
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file, write_atomic, write_json
from pgolf.phrases import counted
from pgolf.trainer.config import Config
from pgolf.untrusted import Untrusted, read_json

FORMAT = 1  # raise it when the same input would give other bytes
VAL_DOCS = 50_000  # of the contest's own split
SHARD_TOKENS = 100_000_000
LEAST_SHARDS = 8  # rank r reads every world-th training shard

Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True)
class Recipe:
    """The files of a corpus, and what to make of them."""

    files: tuple[Path, ...]
    encoding: Encoding
    val_docs: int
    shard_tokens: int

    def facts(self) -> dict[str, Any]:
        """All that the bytes of the dataset depend on."""
        return {
            "format": FORMAT,
            "sentencepiece": version("sentencepiece"),
            "sources": [sha256_file(path) for path in self.files],
            "tokenizer": sha256_file(self.encoding.tokenizer),
            "field": self.encoding.field,
            "caseops": self.encoding.case,
            "val_docs": self.val_docs,
            "shard_tokens": self.shard_tokens,
        }


def tokenize(
    docs: Sequence[str],
    tokenizer: Path,
    out: Path,
    *,
    val_docs: int = VAL_DOCS,
    field: str = "text",
    shard_tokens: int = SHARD_TOKENS,
    case: bool = False,
    workers: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Dataset:
    """Make the dataset `out` of a corpus, or check the one of the same input that is already there.

    Parameters
    ----------
    docs : names or glob patterns of *.jsonl, *.parquet and *.txt files, in order.
    tokenizer : a SentencePiece model with a BOS.
    val_docs : number of first documents, empty ones not counted, that make the validation split.
    field : name of the field of *.jsonl, or the column of *.parquet, that holds the text.
    shard_tokens : a split is cut evenly into shards of about so many tokens at most, training into at least 8.
    case : transform the text (CaseOps), and write side-cars with the bytes of the original text for each
        validation token, `fineweb_val_bytes_<NNNNNN>.bin`.
    workers : processes; default: one a core. The result does not depend on it.

    Raises
    ------
    BadInput : files or a tokenizer that cannot be used, too few documents, or another dataset in `out`.
    RunFailed : a worker was killed.
    """
    model = check_tokenizer(tokenizer, case)
    files = corpus.find_files(docs)
    if val_docs < 1 or shard_tokens < 1:
        raise BadInput(f"--val-docs {val_docs} and --shard-tokens {shard_tokens} must be at least 1")
    recipe = Recipe(tuple(files), Encoding(tokenizer.resolve(), field, case), val_docs, shard_tokens)
    facts = recipe.facts()
    input_hash = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    with exclusively(out):
        if out.exists():
            return _check_made(out, model.vocab_size(), input_hash, progress)
        scratch = out.with_name(f".{out.name}.partial")
        try:
            parts = _encode(recipe, scratch / f"parts-{input_hash[:12]}", workers or usable_cores(), progress)
            made = scratch / "dataset"
            shutil.rmtree(made, ignore_errors=True)
            layout = Config(data_dir=str(made), vocab_size=model.vocab_size())
            write_atomic(Path(layout.tokenizer_path), tokenizer.read_bytes())
            split = _join(parts, Path(layout.datasets_dir), recipe, progress)
            progress("checking", 0, 1)
            dataset = open_dataset(made, model.vocab_size(), progress)
        except BadInput:
            shutil.rmtree(scratch, ignore_errors=True)  # no part of it will ever be wanted
            raise
        dataset = replace(dataset, name=out.name, data_dir=out.resolve(), input_hash=input_hash, reused=False)
        write_json(made / MANIFEST, dataset.facts() | {"split": asdict(split), "made_from": facts})
        os.replace(made, out)
        shutil.rmtree(scratch)
    return dataset


def check_tokenizer(path: Path, case: bool) -> sentencepiece.SentencePieceProcessor:
    """The tokenizer; BadInput if it cannot be used: no BOS, too many pieces, or of text of another case."""
    if not path.exists():
        raise BadInput(f"--tokenizer {path}: no such file; `pgolf data train-tokenizer` makes one")
    try:
        model = open_tokenizer(path)
    except Untrusted as e:
        raise Untrusted(f"--tokenizer {e}") from None
    if model.bos_id() < 0 or model.vocab_size() > 1 << 16:
        raise BadInput(
            f"--tokenizer {path}: BOS id {model.bos_id()} and {model.vocab_size()} pieces; documents begin with a BOS, "
            "and shards hold uint16"
        )
    if case and any(model.piece_to_id(c) == model.unk_id() for c in OPERATORS):
        raise BadInput(f"--tokenizer {path}: it has no pieces for CaseOps' operators; train one with --caseops")
    if not case and is_caseops(model):
        raise BadInput(
            f"--tokenizer {path}: it is of text that CaseOps transformed, and has no capitals; give --caseops, too, or "
            "a tokenizer of plain text"
        )
    return model


@contextmanager
def exclusively(out: Path) -> Iterator[None]:
    """One builder of `out` at a time; the others wait. BadInput for '.' and '/', which have nothing beside them."""
    if not out.name:
        raise BadInput(f"--out {out}: name a folder that is to be made, such as data/mine")
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f".{out.name}.lock")):
        yield


def _check_made(out: Path, vocab_size: int, input_hash: str, progress: Progress) -> Dataset:
    """The dataset in `out`, checked whole; BadInput if it was made from other input."""
    dataset = open_dataset(out, vocab_size, progress)
    if dataset.input_hash != input_hash:
        raise BadInput(f"--out {out}: holds a dataset of other text, another tokenizer or other settings; name another")
    return dataset


def _encode(recipe: Recipe, folder: Path, workers: int, progress: Progress) -> list[Path]:
    """Make a part of every piece of the corpus, in order; parts that are there already are kept.

    With CaseOps the side-cars of the pieces with validation documents are written beside them, as `side_car(part)`.
    """
    pieces = corpus.cut(recipe.files)
    parts = [folder / f"{i:06}.npz" for i in range(len(pieces))]
    jobs = list(zip(pieces, parts, strict=True))
    _run(recipe, encode_piece, jobs, workers, lambda done, total: progress("tokenizing", done, total))
    if recipe.encoding.case:
        left, measured = recipe.val_docs, []
        for piece, part in jobs:
            if left > 0:
                with np.load(part) as content:
                    documents = min(left, len(content["lengths"]))
                measured.append((piece, documents, side_car(part)))
                left -= documents
        _run(recipe, measure_piece, measured, workers, lambda done, total: progress("counting bytes", done, total))
    return parts


def side_car(part: Path) -> Path:
    """The file that holds the bytes of a part's validation tokens."""
    return part.with_suffix(".bytes.npy")


def _run(
    recipe: Recipe,
    work: Callable[..., int],
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Do `work` on each job whose result, its last argument, is not there yet."""
    todo = [job for job in jobs if not job[-1].exists()]
    if not todo:
        return
    pool = ProcessPoolExecutor(
        min(workers, len(todo)),
        mp_context=get_context("spawn"),  # a fork of a process with threads may hang
        initializer=start_worker,
        initargs=(recipe.encoding,),
    )
    try:
        futures = [pool.submit(work, *job) for job in todo]
        for done, future in enumerate(as_completed(futures), start=len(jobs) - len(todo)):
            progress(done, len(jobs))
            future.result()
    except BrokenProcessPool:
        raise RunFailed("a worker was killed (out of memory?); the same command goes on from here") from None
    finally:
        pool.shutdown(cancel_futures=True)
    progress(len(jobs), len(jobs))


@dataclass(frozen=True)
class Split:
    """How the documents were split. Bytes are UTF-8 bytes of the text."""

    val_documents: int
    val_text_bytes: int
    train_documents: int
    train_text_bytes: int
    left_out_of_training: int  # since they are validation documents, too
    empty: int


def read_split(out: Path) -> Split:
    """Read how the documents of the dataset in `out` were split, from its manifest."""
    content = read_json(out / MANIFEST, MOST_MANIFEST)
    try:
        return Split(**{field.name: int(content["split"][field.name]) for field in fields(Split)})
    except (LookupError, TypeError, ValueError) as e:
        raise BadInput(f"{out / MANIFEST}: not of `pgolf data tokenize` ({e!r}); make it anew") from None


def _join(parts: Sequence[Path], folder: Path, recipe: Recipe, progress: Progress) -> Split:
    """Write the shards of both splits from the parts."""
    val_docs = recipe.val_docs
    val_hashes: set[bytes] = set()
    kept: list[np.ndarray] = []  # for each part, which of its documents are written
    tokens, count = {"val": 0, "train": 0}, {"val": 0, "train": 0}
    text, empty, seen = {"val": 0, "train": 0}, 0, 0
    for path in parts:
        with np.load(path) as part:
            lengths, text_bytes, hashes = part["lengths"], part["text_bytes"], part["hashes"]
            empty += int(part["empty"])
        cut = min(max(val_docs - seen, 0), len(lengths))
        seen += len(lengths)
        keys = [row.tobytes() for row in hashes]
        val_hashes.update(keys[:cut])
        kept.append(np.array([i < cut or key not in val_hashes for i, key in enumerate(keys)], dtype=bool))
        for split, rows in (("val", slice(0, cut)), ("train", slice(cut, None))):
            tokens[split] += int(lengths[rows][kept[-1][rows]].sum())
            text[split] += int(text_bytes[rows][kept[-1][rows]].sum())
            count[split] += int(kept[-1][rows].sum())
    if not count["train"]:
        raise BadInput(f"{counted(seen, 'document')}: --val-docs {val_docs} leaves none to train on")
    shards = {split: -(-tokens[split] // recipe.shard_tokens) for split in tokens}
    with (
        ShardWriter(folder, "val", tokens["val"], shards["val"]) as val,
        ShardWriter(folder, "val_bytes", tokens["val"], shards["val"]) as val_bytes,
        ShardWriter(folder, "train", tokens["train"], max(LEAST_SHARDS, shards["train"])) as train,
    ):
        seen = 0
        for i, (path, keep) in enumerate(zip(parts, kept, strict=True)):
            progress("writing shards", i, len(parts))
            with np.load(path) as part:
                ends = np.cumsum(part["lengths"])
                documents = np.split(part["tokens"], ends[:-1]) if len(ends) else []
            for document, wanted in zip(documents, keep, strict=True):
                if wanted:
                    (val if seen < val_docs else train).add(document)
                seen += 1
            if side_car(path).exists():
                sizes = np.load(side_car(path))
                for size in np.split(sizes, ends[ends < len(sizes)]):
                    val_bytes.add(size)
    return Split(
        val_documents=count["val"],
        val_text_bytes=text["val"],
        train_documents=count["train"],
        train_text_bytes=text["train"],
        left_out_of_training=seen - count["val"] - count["train"],
        empty=empty,
    )
