"""Options that several commands share, each written once; a command gives the default."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def examples(*commands: str) -> str:
    """The end of a command's help; tests parse these examples, too."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def presets() -> list[str]:
    """The names that a shell completes a preset to."""
    from pgolf.presets import names

    return list(names())


def tracks() -> list[str]:
    """The names that a shell completes a track to."""
    from pgolf.tracks import names

    return list(names())


def ledger_entries() -> list[str]:
    """The names that a shell completes a ledger entry to."""
    from pgolf.ledger import names

    return list(names())


class Format(StrEnum):
    """How audits are printed: `pgolf.report.formats.Format` for a command line."""

    text = "text"
    json = "json"
    github = "github"
    markdown = "markdown"


class FailOn(StrEnum):
    """The mildest finding that makes the exit code 1."""

    fail = "fail"
    warn = "warn"
    never = "never"


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core where there are many folders.")]
Parallel = Annotated[int | None, typer.Option(min=1, help="Runs at the same time; default: as many as fit.")]

# What is run, and by which rules
Preset = Annotated[str, typer.Option(help="The knobs: a preset's name, or a TOML file.", autocompletion=presets)]
TrackPreset = Annotated[
    str | None,
    typer.Option(help="The knobs: a preset's name, or a TOML file; default: the track's.", autocompletion=presets),
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Change a knob; repeatable.")]
Track = Annotated[str, typer.Option(help="The rules: a track's name, or a TOML file.", autocompletion=tracks)]
NamedTrack = Annotated[
    str | None,
    typer.Option(
        help="The rules: a track's name, or a TOML file; default: the track that the record names.",
        autocompletion=tracks,
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Seeds, as in 42,314,999; default: the track's.")]
Against = Annotated[
    str | None,
    typer.Option(
        help="The record to beat: a ledger entry, a record folder, or auto: the one that stood for the track "
        "before the folder's day; default: the one that the record names.",
        autocompletion=ledger_entries,
    ),
]

# Folders and files
RecordFolder = Annotated[Path, typer.Argument(help="The record's folder.")]
RecordFolders = Annotated[list[Path], typer.Argument(help="Record folders, anyone's.")]
RunsDir = Annotated[Path, typer.Option(help="Folder that holds all runs.")]
DataDir = Annotated[
    Path, typer.Option(help="Folder that holds the datasets that pgolf makes; for another corpus, its dataset.")
]
DatasetDir = Annotated[Path, typer.Option(help="The dataset: a folder with datasets/ and tokenizers/.")]
DatasetNear = Annotated[
    Path, typer.Option(help="The dataset: a folder with datasets/ and tokenizers/, or the folder above it.")
]
FolderName = Annotated[str | None, typer.Option("--id", help="Folder in --runs-dir; default: made of the inputs.")]
DatasetOut = Annotated[Path, typer.Option(help="Folder for the dataset.")]
LedgerOut = Annotated[Path | None, typer.Option(help="Folder to write to; default: the ledger that pgolf ships.")]
PodsFile = Annotated[
    Path | None,
    typer.Option(
        help="File with machines and what to rent; default: PGOLF_PODS_FILE, else ./pods.toml, else your own."
    ),
]

# A corpus
Docs = Annotated[list[str], typer.Option(help="*.jsonl, *.parquet or *.txt: a file or a pattern; repeatable.")]
TextField = Annotated[str, typer.Option(help="Name of the field or column that holds the text.")]

# The test of two records
Alpha = Annotated[float, typer.Option(help="Level of the one-sided test.")]
