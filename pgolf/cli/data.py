"""`pgolf data …`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pgolf.cli.options import AsJson, DatasetOut, Docs, TextField, examples
from pgolf.cli.output import progress_bar, show_rows
from pgolf.phrases import counted

if TYPE_CHECKING:
    from pgolf.data.dataset import Dataset

app = typer.Typer(no_args_is_help=True, help="Make or fetch datasets and tokenizers.")
caseops_app = typer.Typer(no_args_is_help=True, help="Apply or undo the lossless case transform, as a filter.")
app.add_typer(caseops_app, name="caseops")


@app.command()
def pydocs(
    data_dir: Annotated[Path, typer.Option(help="Folder to make the dataset in, as pydocs-<hash>.")] = Path("data"),
    write_docs: Annotated[
        Path | None, typer.Option(help="File to write the documents to, as *.jsonl; no dataset is made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a dataset of 10 MB of docstrings; download nothing.

    Takes the docstrings of the installed numpy, scipy and torch. Checks and keeps a dataset of the same input that is
    already there.
    """
    from pgolf.data.pydocs import build, write_documents

    with progress_bar("reading sources") as progress:
        if write_docs:
            typer.echo(f"{counted(write_documents(write_docs, progress=progress), 'document')} in {write_docs}")
            return
        dataset = build(data_dir, progress)
    _show_dataset(dataset, as_json)


@app.command(
    epilog=examples(
        "pgolf data fineweb --variant sp8192 --repo OWNER/NAME --train-shards 80",
    )
)
def fineweb(
    variant: Annotated[str, typer.Option(help="sp8192, or another fineweb10B_<variant> of the repository.")],
    repo: Annotated[str, typer.Option(envvar="PGOLF_FINEWEB_REPO", help="Dataset repository, as in owner/name.")],
    out: DatasetOut = Path("data/fineweb"),
    train_shards: Annotated[
        int | None, typer.Option(min=1, help="Number of training shards, from the first on; default: all.")
    ] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    tokenizer: Annotated[
        str | None, typer.Option(help="Path of the tokenizer in the repository, if it has several.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files to download at the same time.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Download shards and their tokenizer from the dataset hub.

    Goes on with files that are half there, and verifies every file. Takes token and endpoint from huggingface_hub's
    variables: HF_TOKEN, HF_ENDPOINT.
    """
    from pgolf.data.fineweb import fetch

    with progress_bar("listing") as progress:
        dataset = fetch(
            repo,
            variant,
            out,
            train_shards=train_shards,
            revision=revision,
            tokenizer=tokenizer,
            workers=workers,
            progress=progress,
        )
    _show_dataset(dataset, as_json)


@app.command(
    epilog=examples(
        "pgolf data source data/mine hf://OWNER/NAME",
        "pgolf data source data/mine https://example.org/mine/",
    )
)
def source(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    url: Annotated[
        str | None,
        typer.Argument(help="hf://OWNER/NAME, @REVISION at will, or https://HOST/FOLDER/; default: show the source."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where pods can fetch a dataset.

    Compares every file's SHA-256 with the repository's list, or with the manifest.json of the folder behind https, and
    keeps the source in the dataset's manifest. Changes neither the dataset's hash nor the id of a record.
    """
    from pgolf.data.source import find_source, keep_source, open_only, read_source

    with progress_bar("checking") as progress:
        dataset = open_only(folder, progress)
    if url:
        keep_source(dataset, find_source(dataset, url))
    kept = read_source(dataset)
    if as_json:
        typer.echo(json.dumps(kept and kept.as_json()))
    else:
        typer.echo(
            f"{counted(len(dataset.files), 'file')}: {kept.url}" if kept else "no source: pods are sent the files"
        )


@app.command(
    "document-start",
    epilog=examples(
        "pgolf data document-start data/mine 2",
    ),
)
def document_start(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    token: Annotated[int, typer.Argument(min=0, max=65535, help="Id of the token that begins a document.")],
    as_json: AsJson = False,
) -> None:
    """Name the token that begins a dataset's documents.

    Checks the dataset with that token in place of BOS, and keeps it in the manifest.
    """
    from pgolf.data.source import keep_document_start

    _show_dataset(keep_document_start(folder, token), as_json)


@app.command(
    epilog=examples(
        "pgolf data upload data/mine --repo OWNER/NAME --private",
    )
)
def upload(
    folder: Annotated[Path, typer.Argument(help="Folder of a dataset: datasets/, tokenizers/.")],
    repo: Annotated[str, typer.Option(help="Dataset repository, as in owner/name; made if it is missing.")],
    variant: Annotated[
        str | None, typer.Option(help="Name of the dataset there; default: sp and the vocabulary's size.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Files to upload at the same time.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Upload a dataset to the dataset hub, for others and pods.

    Checks the dataset whole first. Stopped or killed, the same command uploads the rest. Replaces no other file.
    Takes token and endpoint from huggingface_hub's variables: HF_TOKEN, HF_ENDPOINT.
    """
    from pgolf.data.upload import upload as send

    with progress_bar("checking") as progress:
        uploaded = send(folder, repo, variant=variant, private=private, workers=workers, progress=progress)
    if as_json:
        typer.echo(json.dumps(uploaded.as_json()))
        return
    typer.echo(
        f"{uploaded.repository} at {uploaded.revision}: {counted(uploaded.files, 'file')}, {uploaded.bytes:,} bytes, "
        f"{uploaded.sent} of them sent now"
    )
    typer.echo(f"pgolf data fineweb --variant {uploaded.variant} --repo {uploaded.repository}")


@app.command(
    epilog=examples(
        "pgolf data tokenize --docs docs.jsonl --tokenizer 2048.model --out data/mine --val-docs 340",
        "pgolf data tokenize --docs 'part-*.parquet' --tokenizer 2048.model --out data/mine --caseops",
    )
)
def tokenize(
    docs: Docs,
    tokenizer: Annotated[Path, typer.Option(help="A SentencePiece model.")],
    out: DatasetOut,
    val_docs: Annotated[int, typer.Option(help="Number of first documents that make the validation split.")] = 50_000,
    field: TextField = "text",
    shard_tokens: Annotated[int, typer.Option(help="Tokens of a shard, about, at most.")] = 100_000_000,
    case: Annotated[
        bool, typer.Option("--caseops", help="Apply the case transform to the text, and write byte side-cars.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a corpus into shards, in parallel.

    Leaves out training documents that are validation documents, too. Gives the same files for every number of workers.
    Stopped or killed, the same command goes on.
    """
    from pgolf.data.tokenize import read_split
    from pgolf.data.tokenize import tokenize as make

    with progress_bar("starting workers") as progress:
        dataset = make(
            docs,
            tokenizer,
            out,
            val_docs=val_docs,
            field=field,
            shard_tokens=shard_tokens,
            case=case,
            workers=workers,
            progress=progress,
        )
    _show_dataset(dataset, as_json)
    split = read_split(out)
    if not as_json and (split.left_out_of_training or split.empty):
        typer.echo(
            f"left out: {split.left_out_of_training} training documents that are validation documents, too, and "
            f"{split.empty} empty ones"
        )


@app.command(
    "train-tokenizer",
    epilog=examples(
        "pgolf data train-tokenizer --docs docs.jsonl --out 2048.model --vocab 2048 --val-docs 340",
    ),
)
def train_tokenizer(
    docs: Docs,
    out: Annotated[Path, typer.Option(help="File to write the tokenizer to.")],
    vocab: Annotated[int, typer.Option(min=300, max=65536, help="Pieces, with 256 bytes and 3 control pieces.")],
    val_docs: Annotated[int, typer.Option(min=0, help="Number of first documents to learn nothing from.")] = 50_000,
    field: TextField = "text",
    symbol: Annotated[
        list[str] | None, typer.Option(help="String that is always a piece of its own; repeatable.")
    ] = None,
    case: Annotated[
        bool, typer.Option("--caseops", help="Make the tokenizer for text under the case transform.")
    ] = False,
    sample_bytes: Annotated[int, typer.Option(min=1, help="Bytes to learn from, about.")] = 200_000_000,
    as_json: AsJson = False,
) -> None:
    """Train a tokenizer: SentencePiece BPE with byte fallback.

    Measures it on the documents that it did not learn from: bytes per token, and pieces that never occur.
    """
    from pgolf.data.tokenizer import train_on_corpus

    with progress_bar("reading") as progress:
        trained = train_on_corpus(
            docs,
            out,
            vocab,
            val_docs=val_docs,
            field=field,
            symbols=symbol or (),
            case=case,
            sample_bytes=sample_bytes,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(trained.as_json()))
    else:
        show_rows([(k, f"{v:,.4f}" if k == "bytes_per_token" else str(v)) for k, v in trained.as_json().items()])


@caseops_app.command("encode")
def caseops_encode() -> None:
    """Transform UTF-8 from standard input to standard output."""
    from pgolf.data.caseops import encode_file

    encode_file(sys.stdin.buffer, sys.stdout.buffer)


@caseops_app.command("decode")
def caseops_decode() -> None:
    """Undo `encode`; exit 2 if standard input is no transformed text."""
    from pgolf.data.caseops import decode_file

    decode_file(sys.stdin.buffer, sys.stdout.buffer)


def _show_dataset(dataset: "Dataset", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(dataset), default=str))
        return
    did = "reused" if dataset.reused else "built"
    typer.echo(
        f"{did} {dataset.documents} documents: {dataset.train_tokens} tokens to train on, {dataset.val_tokens} "
        f"to validate ({dataset.val_bytes} bytes, SHA-256 {dataset.val_sha256})"
    )
    if dataset.val_documents_in_train:
        typer.echo(f"{dataset.val_documents_in_train} validation documents are training documents, too")
    typer.echo(
        f"{dataset.val_documents_near_train} of {dataset.val_documents} validation documents are in the training text, "
        f"exactly or nearly; {dataset.train_documents_near_train} of {dataset.train_documents_compared} training "
        "documents are in the rest of it"
    )
    typer.echo(f"DATA_DIR={dataset.data_dir} VOCAB_SIZE={dataset.vocab_size}")
