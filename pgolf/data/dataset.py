"""A dataset on disk: shards and the tokenizer that made them, checked whole and hashed.

DATA_DIR/datasets/fineweb10B_sp<V>/fineweb_{train,val}_<NNNNNN>.bin
DATA_DIR/tokenizers/fineweb_<V>_bpe.model
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

from pgolf.data.caseops import is_caseops
from pgolf.data.documents import check_boundaries
from pgolf.data.leak import Overlap, Progress, overlap
from pgolf.data.opening import check_validation, count_bytes, open_tokenizer, open_tokens
from pgolf.data.present import MANIFEST, MOST_MANIFEST, how_to_get
from pgolf.data.windows import Letters
from pgolf.errors import BadInput
from pgolf.files import sha256_file
from pgolf.phrases import counted
from pgolf.tracks import MOST_SHARED, too_many_near
from pgolf.trainer.caseops import SideCar, side_cars
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.data import DataError, open_shard, shards, tokens_sha256
from pgolf.trainer.token_bytes import TokenBytes
from pgolf.untrusted import Untrusted, read_json


@dataclass(frozen=True)
class Dataset:
    """A checked dataset. `val_*` describe the whole split, before a trainer cuts it to EVAL_SEQ_LEN."""

    name: str
    data_dir: Path
    vocab_size: int
    documents: int  # counted by the token that begins one
    document_start: int  # that token: the tokenizer's BOS, if the manifest names no other
    val_documents: int
    val_documents_in_train: int  # validation documents that are training documents, too, token for token
    val_documents_near_train: int  # validation documents that are in the training text, exactly or nearly
    train_documents_compared: int  # for which the same was counted, against the rest of the training text
    train_documents_near_train: int
    train_tokens: int
    val_tokens: int
    val_bytes: int  # UTF-8 bytes of the text that the validation tokens stand for; the side-cars' sum, if there are any
    # of the whole validation split's tokens as little-endian uint16; what a run scores of them is its scored_sha256
    val_sha256: str
    files: dict[str, str]  # path relative to data_dir -> SHA-256
    input_hash: str  # of what it was made from; of the files, if that is not known
    reused: bool

    @property
    def caseops(self) -> bool:
        """Whether its text is transformed by CaseOps: bytes are then in side-cars."""
        return any("_val_bytes_" in name for name in self.files)

    def facts(self) -> dict[str, Any]:
        """The facts about the files, without those about this call; for a manifest."""
        return {k: v for k, v in asdict(self).items() if k not in ("data_dir", "reused")}


def open_dataset(
    data_dir: Path,
    vocab_size: int,
    progress: Progress = lambda what, done, total: None,
    document_start: int | None = None,
) -> Dataset:
    """Check every file of the dataset in `data_dir`; BadInput names a file that is missing, short or foreign.

    BadInput, too, if more than MOST_SHARED of the validation documents are training documents, or more are nearly than
    an honest split has. A manifest.json is optional; if there is one, the files must be those that it lists.

    `document_start` is the token that documents begin with; default: the one that the manifest names, else the
    tokenizer's BOS. BadInput if a split has none.
    """
    data_dir = data_dir.resolve()
    cfg = Config(data_dir=str(data_dir), vocab_size=vocab_size)
    if not (shards_dir := Path(cfg.datasets_dir)).is_dir():
        lacks = f"{data_dir} has no dataset of vocabulary {vocab_size}, {shards_dir.relative_to(data_dir)}"
        raise BadInput(f"{lacks}: {how_to_get(data_dir, vocab_size)}")
    try:
        token_bytes = bytes_counter(cfg)
        paths = {split: shards(cfg, split) for split in ("train", "val")}
        train = [_open_checked(path, vocab_size) for path in paths["train"]]
        val_shards = [_open_checked(path, vocab_size) for path in paths["val"]]
        val = torch.from_numpy(np.concatenate(val_shards).astype(np.int64))
        val_bytes = count_bytes(token_bytes, val)
        cars = side_cars(cfg) if isinstance(token_bytes, SideCar) else []
    except DataError as e:
        raise BadInput(f"{e}; {_remedy(data_dir)}") from None
    start = _document_start(data_dir / MANIFEST, token_bytes.sp) if document_start is None else document_start
    name = f"BOS (token {start})" if start == token_bytes.sp.bos_id() else f"token {start}"
    check_boundaries(paths["val"], val_shards, start, name)
    check_boundaries(paths["train"], train, start, name)
    files = {
        str(path.relative_to(data_dir)): sha256_file(path)
        for path in [Path(cfg.tokenizer_path), *paths["train"], *paths["val"], *cars]
    }
    letters = Letters(token_bytes.sp, start)
    shared = overlap(val_shards, train, letters, list(files.items()), progress)
    _check_apart(shared, cfg.datasets_dir)
    return Dataset(
        name=data_dir.name,
        data_dir=data_dir,
        vocab_size=vocab_size,
        documents=sum(int(np.count_nonzero(tokens == start)) for tokens in [*train, val.numpy()]),
        document_start=start,
        val_documents=shared.documents,
        val_documents_in_train=shared.exact,
        val_documents_near_train=shared.near,
        train_documents_compared=shared.compared,
        train_documents_near_train=shared.compared_near,
        train_tokens=sum(map(len, train)),
        val_tokens=len(val),
        val_bytes=val_bytes,
        val_sha256=tokens_sha256(val),
        files=files,
        input_hash=_input_hash(data_dir / MANIFEST, files),
        reused=True,
    )


def _check_apart(shared: Overlap, folder: str) -> None:
    """BadInput if too many validation documents are in the training text for a score to mean anything."""
    if shared.exact > MOST_SHARED * shared.documents:
        raise BadInput(
            f"{folder}: {shared.exact:,} of {shared.documents:,} validation documents are training documents, too: "
            "no score on this split means anything; make the splits anew"
        )
    if too_many_near(shared.documents, shared.near, shared.compared, shared.compared_near):
        raise BadInput(
            f"{folder}: {shared.near:,} of {shared.documents:,} validation documents are in the training text, exactly "
            f"or nearly; only {shared.compared_near:,} of {shared.compared:,} training documents are in the rest of "
            "it: no score on this split means anything; shuffle the documents and make the splits anew"
        )


def _open_checked(path: Path, vocab_size: int) -> np.ndarray:
    tokens = open_tokens(path)
    if (largest := int(tokens.max())) >= vocab_size:
        raise DataError(f"{path}: token {largest} does not fit VOCAB_SIZE {vocab_size}")
    return tokens


def bytes_counter(cfg: Config) -> TokenBytes:
    """The counter of a dataset's validation bytes: its side-cars, if it has any. Untrusted or DataError for files that
    cannot be used, and for CaseOps text without side-cars."""
    if Path(cfg.tokenizer_path).exists():  # else its own message says what to do
        open_tokenizer(Path(cfg.tokenizer_path))
    check_validation(cfg)
    cars = side_cars(cfg)
    if any(path.exists() for path in cars):
        return SideCar(cfg)
    counter = TokenBytes(cfg)
    if is_caseops(counter.sp):
        raise DataError(
            f"{cars[0]}: missing, and {cfg.tokenizer_path} has CaseOps' operators as pieces: without side-cars each "
            "operator would count as three bytes, and bits per byte would be too low; get the side-cars, too, or make "
            "them with `pgolf data tokenize --caseops`"
        )
    return counter


def check_shares(cfg: Config, world: int) -> None:
    """BadInput unless each of `world` ranks has a training file of its own that holds a sequence."""
    try:
        files = shards(cfg, "train")
        if len(files) < world:
            raise BadInput(
                f"{cfg.datasets_dir}: {counted(len(files), 'training file')} for {counted(world, 'rank')}; each rank "
                "reads files of its own, so take fewer ranks, or a dataset of more shards"
            )
        for rank in range(world):
            if all(len(open_shard(path)) <= cfg.train_seq_len for path in files[rank::world]):
                raise BadInput(
                    f"{cfg.datasets_dir}: no training file of rank {rank} of {world} holds {cfg.train_seq_len + 1} "
                    "tokens; take fewer ranks, or a shorter TRAIN_SEQ_LEN"
                )
    except DataError as e:
        raise BadInput(f"{e}; {_remedy(Path(cfg.data_dir))}") from None


def check_case(dataset: Dataset, caseops: bool) -> Dataset:
    """Return the dataset; BadInput if its text is CaseOps' and CASEOPS_ENABLED is off, or the other way round: bits per
    byte would be wrong."""
    if dataset.caseops != caseops:
        has, want = ("byte side-cars", "off") if dataset.caseops else ("no byte side-cars", "on")
        raise BadInput(
            f"{dataset.data_dir}: has {has}, and CASEOPS_ENABLED is {want}; they go together, so set the knob or name "
            "another dataset"
        )
    return dataset


def check_named(cfg: Config) -> None:
    """Check data that is named by DATASETS_DIR and TOKENIZER_PATH: BadInput if its bytes would be counted wrongly, or
    if knobs need to see where its documents begin, and it does not show."""
    try:
        counter = bytes_counter(cfg)
        if isinstance(counter, SideCar) and not cfg.caseops_enabled:
            raise BadInput(f"{cfg.datasets_dir}: has byte side-cars, and CASEOPS_ENABLED is off; set CASEOPS_ENABLED=1")
        if knob := needs_documents(cfg):
            for split in ("val",) if cfg.eval_only else ("val", "train"):
                check_starts(cfg, split, knob.upper())
    except DataError as e:
        raise BadInput(str(e)) from None


def check_starts(cfg: Config, split: str, knob: str) -> None:
    """BadInput if `knob` needs to see where documents begin, and no shard of a split has a BOS. DataError for data that
    cannot be read."""
    paths = shards(cfg, split)
    if not any((open_tokens(path) == BOS).any() for path in paths):
        raise BadInput(
            f"{paths[0]}: no document begins with token {BOS}, BOS, and {knob} needs to see where documents begin; "
            "make the shards anew with it before every document, as `pgolf data tokenize` does"
        )


def check_documents(dataset: Dataset, cfg: Config) -> Dataset:
    """Return the dataset; BadInput if knobs of the trainer look for documents that begin with BOS, and these don't."""
    if (knob := needs_documents(cfg)) and dataset.document_start != BOS:
        raise BadInput(
            f"{dataset.data_dir}: its documents begin with token {dataset.document_start}, and {knob.upper()} needs "
            f"token {BOS}, BOS, there; turn the knob off, or make the shards anew with `pgolf data tokenize`"
        )
    return dataset


def needs_documents(cfg: Config) -> str | None:
    """The knob that is on and needs to see where documents begin; None: there is none."""
    on = {"phased_ttt_enabled": cfg.ttt_enabled and cfg.phased_ttt_enabled}
    on |= {name: getattr(cfg, name) for name in ("doc_attention_enabled", "smear_gate_enabled")}
    return next((name for name, value in on.items() if value), None)


def _document_start(manifest: Path, sp: sentencepiece.SentencePieceProcessor) -> int:
    """The token that begins a document: the one that a manifest names, else BOS; BadInput if there is neither."""
    content = read_json(manifest, MOST_MANIFEST) if manifest.exists() else {}
    named = content.get("document_start") if isinstance(content, dict) else None
    start = sp.bos_id() if named is None else named
    if type(start) is not int or not 0 <= start < sp.vocab_size():
        said = f"{manifest}: document_start is {start!r}" if named is not None else f"{manifest.parent}: no BOS"
        raise BadInput(
            f"{said}: documents have to begin with a token of the vocabulary; name it with `pgolf data document-start "
            "FOLDER TOKEN`, or make the shards anew with a tokenizer that has a BOS"
        )
    return start


def _input_hash(manifest: Path, files: dict[str, str]) -> str:
    """The manifest's input hash, once its list agrees with `files`; without a manifest a hash of the list."""
    if not manifest.exists():
        return hashlib.sha256("".join(f"{files[name]} {name}\n" for name in sorted(files)).encode()).hexdigest()
    try:
        content = read_json(manifest, MOST_MANIFEST)
        listed, input_hash = dict(content["files"]), str(content["input_hash"])
    except Untrusted as e:
        raise BadInput(f"{manifest}: not a dataset's manifest: {e.without(manifest)}") from None
    except (ValueError, LookupError, TypeError) as e:
        raise BadInput(f"{manifest}: not a dataset's manifest ({e!r})") from None
    for name in sorted(listed.keys() | files.keys()):
        found, wanted = files.get(name, "missing"), listed.get(name, "not listed")
        if found != wanted:
            raise Untrusted(
                f"{manifest.parent / name}: SHA-256 is {found}, in the manifest {wanted}; {_remedy(manifest.parent)}"
            )
    return input_hash


def _remedy(data_dir: Path) -> str:
    """How to get the dataset in `data_dir` anew, by the command that its manifest says has made it."""
    try:
        content = read_json(data_dir / MANIFEST, MOST_MANIFEST)
    except BadInput:
        return f"no manifest there says what made it: get that file again, or delete {data_dir} and make it anew"
    made = content if isinstance(content, dict) else {}
    fetched = made.get("fetched_from")
    command = "`pgolf data pydocs`" if "versions" in made else "the `pgolf data tokenize` that made it"
    if isinstance(fetched, dict):
        words = [str(fetched.get(key, "")) for key in ("repository", "variant", "revision")]
        plain = all(re.fullmatch(r"\w[\w./-]{0,199}", word) for word in words)
        repo, variant, revision = words if plain else ("OWNER/NAME", "VARIANT", "main")
        command = f"`pgolf data fineweb --repo {repo} --variant {variant} --revision {revision} --out {data_dir}`"
    return f"delete {data_dir}, then run {command} again"
