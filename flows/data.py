"""prepare-data: make a tokenizer and shards of a corpus. fetch-fineweb: download a dataset from the hub.

Both go on from what is there; `pgolf.data` does the work and checks it.
"""

import logging
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from pgolf.data.dataset import Dataset
from pgolf.data.fineweb import fetch
from pgolf.data.tokenize import VAL_DOCS, check_tokenizer, tokenize
from pgolf.data.tokenizer import Trained, train_on_corpus
from pgolf.errors import BadInput, RunFailed

log = logging.getLogger("pgolf.data")


@task(name="train tokenizer", task_run_name="train tokenizer of {vocab}", cache_policy=NO_CACHE)
def train_tokenizer(docs: list[str], out: Path, vocab: int, val_docs: int, field: str, caseops: bool) -> Trained:
    """Train a tokenizer on the documents that are not held out."""
    return train_on_corpus(docs, out, vocab, val_docs=val_docs, field=field, case=caseops, progress=tell)


@task(name="tokenize", task_run_name="tokenize to {out}", cache_policy=NO_CACHE)
def make_shards(
    docs: list[str], tokenizer: Path, out: Path, val_docs: int, field: str, caseops: bool, workers: int | None
) -> Dataset:
    """Turn a corpus into shards."""
    return tokenize(docs, tokenizer, out, val_docs=val_docs, field=field, case=caseops, workers=workers, progress=tell)


def network_failed(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Whether to try a fetch again: it failed, and the user's input was good."""
    return isinstance(state.data, RunFailed)


@task(
    name="fetch",
    task_run_name="fetch {variant}",
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=network_failed,
    cache_policy=NO_CACHE,
)
def fetch_dataset(
    repo: str, variant: str, out: Path, train_shards: int | None, revision: str, tokenizer: str | None
) -> Dataset:
    """Download shards and tokenizer from the hub; try again if the network failed."""
    return fetch(repo, variant, out, train_shards=train_shards, revision=revision, tokenizer=tokenizer, progress=tell)


def tell(what: str, done: int, total: int) -> None:
    """Log each step as it begins."""
    if done == 0:
        log.info("data: %s", what)


@flow(name="prepare-data", flow_run_name="prepare {out}")
def prepare_data(
    docs: list[str],
    out: str,
    tokenizer: str | None = None,
    vocab: int = 8192,
    val_docs: int = VAL_DOCS,
    field: str = "text",
    caseops: bool = False,
    workers: int | None = None,
) -> Dataset:
    """Make a dataset of a corpus, with a tokenizer of its own unless one is given.

    Args:
        docs: *.jsonl, *.parquet and *.txt files, or patterns, in order.
        out: Folder for the dataset.
        tokenizer: A SentencePiece model. Default: `out`.model, trained if it is missing.
        vocab: Pieces of that tokenizer.
        val_docs: Number of first documents that make the validation split.
        field: Name of the field or column that holds the text.
        caseops: Apply the case transform to the text, and write byte side-cars.
        workers: Processes. Default: one a core.
    """
    model = Path(tokenizer) if tokenizer else Path(f"{out}.model")
    if not tokenizer and model.exists():
        if (pieces := check_tokenizer(model, caseops).vocab_size()) != vocab:
            raise BadInput(
                f"{model}: has {pieces} pieces, not vocab {vocab}; name another `out`, or give it as `tokenizer`"
            )
        log.info("tokenizer: %s is there", model)
    elif not tokenizer:
        trained = train_tokenizer(docs, model, vocab, val_docs, field, caseops)
        log.info("tokenizer: %.4f bytes per token, %d pieces unused", trained.bytes_per_token, trained.unused_pieces)
    return show(make_shards(docs, model, Path(out), val_docs, field, caseops, workers))


@flow(name="fetch-fineweb", flow_run_name="fetch {variant}")
def fetch_fineweb(
    repo: str,
    variant: str = "sp8192",
    out: str = "data/fineweb",
    train_shards: int | None = None,
    revision: str = "main",
    tokenizer: str | None = None,
) -> Dataset:
    """Download a dataset from the hub, and verify it; uses HF_TOKEN and HF_ENDPOINT of the worker's environment.

    Args:
        repo: Dataset repository, as in owner/name.
        variant: sp8192, or another fineweb10B_<variant> of the repository.
        out: Folder for the dataset.
        train_shards: Number of training shards, from the first on. Default: all.
        revision: Branch, tag or commit.
        tokenizer: Path of the tokenizer in the repository, if it has several.
    """
    return show(fetch_dataset(repo, variant, Path(out), train_shards, revision, tokenizer))


def show(dataset: Dataset) -> Dataset:
    """Show a dataset's facts in Prefect's UI."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in dataset.facts().items() if name != "files")
    create_markdown_artifact(f"| | |\n|---|---|\n{rows}\n", key="dataset", description=str(dataset.data_dir))
    return dataset
