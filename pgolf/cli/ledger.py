"""`pgolf ledger …`."""

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pgolf.cli.options import AsJson, LedgerOut, Track
from pgolf.cli.output import show_table, show_tables
from pgolf.phrases import counted
from pgolf.report.columns import Columns

if TYPE_CHECKING:
    from pgolf.ledger import StandingRecord

STANDS, OUT = "●", "✗"  # what an entry is to its track, in one character
app = typer.Typer(no_args_is_help=True, help="List and make ledger entries: the records to beat, as data.")


@app.command("list")
def list_records(
    as_json: AsJson = False,
) -> None:
    """List the records to beat, best first.

    The one that stands for a track is the one that the track names, else its best one that its rules admit: with as
    many seeds as the track asks for, no size or time over its limits and their grace, and scored on its validation
    text. A mark says which one stands, and which is not admitted; --json, and a pipe, say why. --against names another
    one.
    """
    from pgolf import ledger
    from pgolf.ledger.choosing import count_seeds, statuses

    entries = sorted((ledger.load(name) for name in ledger.names()), key=lambda s: (s.track, s.sample().mean))
    status = statuses()
    if as_json:
        typer.echo(json.dumps([asdict(s) | {"status": status.get(s.name, "")} for s in entries], indent=2))
        return
    if not Console().is_terminal:
        show_table([(_score(s), s.date, s.track, s.name, _seeds(s), s.author, status.get(s.name, "")) for s in entries])
        return
    tables = []
    for track, of_track in groupby(entries, key=lambda s: s.track):
        rows = [
            (_score(s), _mark(status.get(s.name, "")), str(count_seeds(s)), s.name, s.date, s.author) for s in of_track
        ]
        headings = ("val_bpb", "", "seeds", "name", "date", "author")
        tables.append(Columns(rows, headings, {2}, title=f"track {track}", keep=4))
    marks = f"{STANDS} stands for its track · {OUT} its track's rules do not admit it; --json says why"
    show_tables(*tables, last=[marks])


def _score(record: "StandingRecord") -> str:
    return f"{record.sample().mean:.8f}"


def _seeds(record: "StandingRecord") -> str:
    from pgolf.ledger.choosing import count_seeds

    runs, seeds = len(record.seeds), count_seeds(record)
    return counted(seeds, "seed") if runs == seeds else f"{counted(runs, 'run')} of {counted(seeds, 'seed')}"


def _mark(status: str) -> str:
    return STANDS if status == "stands" else OUT if status else ""


@app.command("build")
def build_ledger(
    folder: Annotated[Path, typer.Argument(help="Folder with record folders in it.")],
    out: LedgerOut = None,
) -> None:
    """Make the ledger entries of all record folders anew from their logs."""
    from pgolf import ledger

    for standing in ledger.build(folder, out):
        typer.echo(str(standing.sample()))


@app.command("add")
def add_to_ledger(
    name: Annotated[str, typer.Argument(help="Name of the ledger entry.")],
    logs: Annotated[list[Path], typer.Argument(help="Logs of its seeds, one each.")],
    track: Track,
    title: Annotated[str, typer.Option(help="What the record is, in a few words.")],
    date: Annotated[str, typer.Option(help="Date of the record, as YYYY-MM-DD.")],
    author: Annotated[str, typer.Option(help="Author of the record.")] = "pgolf",
    source: Annotated[str, typer.Option(help="Where the logs come from.")] = "",
    out: LedgerOut = None,
) -> None:
    """Make one ledger entry from the logs of its seeds."""
    from pgolf import ledger, tracks
    from pgolf.evidence.logs import read_run
    from pgolf.report.inputs import check_day

    check_day(date)
    if known := tracks.recognised(track):
        tracks.load_limited(known)  # of a speedrun, the record to beat is a folder of its own runs
    runs = [read_run(log) for log in logs]
    standing = ledger.from_runs(runs, name=name, track=track, title=title, date=date, author=author, source=source)
    typer.echo(str(ledger.write_standing((out or ledger.own_folder()) / f"{name}.json", standing)))
