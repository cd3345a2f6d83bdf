"""`pydocs`: the docstrings of installed packages as a corpus: real text on a machine without a network.

About 10 MB of English and code from numpy, scipy and torch. Files are parsed with `ast`, never imported.
The same files, Python and SentencePiece give the same bytes, and a dataset that is there is not built again.
"""

import ast
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import sentencepiece
from filelock import FileLock

from pgolf.data.dataset import Dataset, open_dataset
from pgolf.data.present import MANIFEST
from pgolf.data.shards import write_shard
from pgolf.data.tokenizer import train_tokenizer
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file, write_atomic, write_json
from pgolf.python_source import uncollected
from pgolf.trainer.config import Config

PACKAGES = ("numpy", "scipy", "torch")
VOCAB_SIZE = 1024
TRAIN_SHARDS = 8  # rank r reads every world-th one, and world size divides 8
VALIDATION_SHARE = 20  # one document in so many
MIN_CHARACTERS = 400
FORMAT = 1  # raise it when the same input would give other bytes

Progress = Callable[[str, int, int], None]  # what is being done, done, total


def build(
    cache_dir: Path,
    progress: Progress | None = None,
    *,
    packages: Sequence[str] = PACKAGES,
    vocab_size: int = VOCAB_SIZE,
) -> Dataset:
    """The dataset `cache_dir`/pydocs-<hash of its input>; built, unless it is there whole and unchanged.

    Killed at any line, it leaves nothing under that name; two builders wait for each other.
    Raises BadInput if a package is not installed or has too little text for the vocabulary.
    """
    progress = progress or (lambda what, done, total: None)
    sources = find_sources(packages)
    input_hash = _hash_input(sources, vocab_size)
    data_dir = cache_dir.resolve() / f"pydocs-{input_hash[:12]}"
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(data_dir.with_name(f".{data_dir.name}.lock")):
        existing = _open_built(data_dir, vocab_size, input_hash)
        if existing:
            return existing
        scratch = data_dir.with_name(f".{data_dir.name}.partial")
        for leftover in (scratch, data_dir):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            dataset = _build_in(scratch, read_documents(sources, progress), vocab_size, progress)
            dataset = replace(dataset, name=data_dir.name, data_dir=data_dir, input_hash=input_hash, reused=False)
            _write_manifest(scratch, dataset, packages)
            os.replace(scratch, data_dir)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return dataset


def _open_built(data_dir: Path, vocab_size: int, input_hash: str) -> Dataset | None:
    try:
        dataset = open_dataset(data_dir, vocab_size)
    except BadInput:
        return None
    return dataset if dataset.input_hash == input_hash else None


def find_sources(packages: Sequence[str]) -> dict[str, Path]:
    """Python files of installed top-level packages and modules, by path from the folder that holds them."""
    sources: dict[str, Path] = {}
    for package in packages:
        spec = importlib.util.find_spec(package)  # of a top-level name: finds, imports nothing
        if spec is None or not spec.origin:
            raise BadInput(f"package '{package}' is not installed, and the corpus is made of its docstrings")
        origin = Path(spec.origin)
        files = origin.parent.rglob("*.py") if spec.submodule_search_locations else [origin]
        root = origin.parent.parent if spec.submodule_search_locations else origin.parent
        sources |= {path.relative_to(root).as_posix(): path for path in files}
    return dict(sorted(sources.items()))


def read_documents(sources: dict[str, Path], progress: Progress) -> list[str]:
    """The distinct docstrings of at least MIN_CHARACTERS, ordered by the SHA-256 of their text."""
    documents = {}
    with uncollected():
        for done, path in enumerate(sources.values()):
            if done % 100 == 0:
                progress("parsing", done, len(sources))
            for text in _docstrings(path.read_bytes()):
                if len(text) >= MIN_CHARACTERS and _is_plain(text):
                    documents[hashlib.sha256(text.encode()).digest()] = text
    progress("parsing", len(sources), len(sources))
    return [text for _, text in sorted(documents.items())]


def _docstrings(source: bytes) -> list[str]:
    if b'"""' not in source and b"'''" not in source:
        return []  # no long docstring here, and parsing is the slow part
    try:
        with warnings.catch_warnings(action="ignore"):  # escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []  # test data of another Python
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in _statements(tree) if isinstance(node, holders)]
    return [text for text in found if text]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree and all statements within it: `ast.walk` without expressions, which are most of a tree."""
    left = [tree]
    while left:
        yield (node := left.pop())
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            held = getattr(node, name, ())
            left += held if isinstance(held, list) else ()


def _is_plain(text: str) -> bool:
    """Whether the text survives the tokenizer: valid Unicode without NUL and SentencePiece's space sign."""
    return "▁" not in text and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def write_documents(path: Path, packages: Sequence[str] = PACKAGES, progress: Progress | None = None) -> int:
    """Write the documents as *.jsonl, in the order of the dataset; return their number."""
    path.parent.mkdir(parents=True, exist_ok=True)  # what cannot be written is told before a minute's work
    if path.is_dir():
        raise BadInput(f"{path}: a folder; name a file to write the documents to")
    documents = read_documents(find_sources(packages), progress or (lambda what, done, total: None))
    write_atomic(path, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents))
    return len(documents)


def _build_in(folder: Path, documents: list[str], vocab_size: int, progress: Progress) -> Dataset:
    """Make tokenizer and shards of `documents` under `folder`; check that the tokens count the text's bytes."""
    cut = max(1, len(documents) // VALIDATION_SHARE)
    val, train = documents[:cut], documents[cut:]
    if len(train) < TRAIN_SHARDS:
        raise BadInput(f"{len(documents)} docstrings are too few for {TRAIN_SHARDS} train shards and validation")
    layout = Config(data_dir=str(folder), vocab_size=vocab_size)
    progress("training the tokenizer", 0, 1)
    model = train_tokenizer(train, vocab_size)
    write_atomic(Path(layout.tokenizer_path), model)
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model)
    shards = {"val_000000": val} | {
        f"train_{i:06}": train[len(train) * i // TRAIN_SHARDS : len(train) * (i + 1) // TRAIN_SHARDS]
        for i in range(TRAIN_SHARDS)
    }
    for done, (name, part) in enumerate(shards.items()):
        progress("tokenizing", done, len(shards))
        write_shard(Path(layout.datasets_dir) / f"fineweb_{name}.bin", _encode(part, tokenizer))
    progress("tokenizing", len(shards), len(shards))
    dataset = open_dataset(folder, vocab_size, progress)
    expected = sum(len(text.encode()) for text in val)
    if dataset.val_bytes != expected:
        raise RunFailed(f"validation tokens count {dataset.val_bytes} bytes, their text has {expected}")
    return dataset


def _encode(texts: Sequence[str], tokenizer: sentencepiece.SentencePieceProcessor) -> np.ndarray:
    """[tokens] uint16: each document is BOS and its pieces."""
    pieces = tokenizer.encode(list(texts), add_bos=True, num_threads=1)
    for text, ids in zip(texts, pieces, strict=True):
        if tokenizer.decode(ids) != text:
            raise RunFailed(f"the tokenizer does not give back the document that begins {text[:60]!r}")
    return np.concatenate([np.array(ids, dtype=np.uint16) for ids in pieces])


def _hash_input(sources: dict[str, Path], vocab_size: int) -> str:
    """SHA-256 over all that the built bytes depend on: files, Python's grammar, SentencePiece, settings."""
    settings = {
        "format": FORMAT,
        "python": sys.version_info[:2],
        "sentencepiece": version("sentencepiece"),
        "vocab_size": vocab_size,
        "sources": {name: sha256_file(path) for name, path in sources.items()},
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _write_manifest(folder: Path, dataset: Dataset, packages: Sequence[str]) -> None:
    versions = {"python": "{}.{}".format(*sys.version_info[:2]), "sentencepiece": version("sentencepiece")}
    for package in packages:
        if package not in sys.stdlib_module_names:
            versions[package] = version(package)
    write_json(folder / MANIFEST, dataset.facts() | {"versions": versions})
