"""`pgolf doctor`."""

import json
from pathlib import Path

import typer
from rich.text import Text

from pgolf.cli.options import AsJson, DataDir, RunsDir, Track, examples
from pgolf.cli.output import show_table

app = typer.Typer()


@app.command(
    epilog=examples(
        "pgolf doctor --track 10min_16mb",
    )
)
def doctor(
    track: Track = "cpu_smoke",
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List what this machine lacks for a record, and how to get it.

    Changes nothing, and shows no key. Exit 0: a record can start; 1: something is missing.
    """
    from pgolf.doctor import examine

    findings = examine(track, data_dir, runs_dir)
    if as_json:
        typer.echo(json.dumps([f.as_json() for f in findings], indent=2))
    else:
        light = {"ok": ("●", "green"), "optional": ("▲", "yellow"), "missing": ("✗", "red")}
        show_table(
            [
                (Text.assemble(light[f.state], f" {f.what}"), f.found + (f"\n→ {f.fix}" if f.fix else ""))
                for f in findings
            ]
        )
    raise typer.Exit(any(f.state == "missing" for f in findings))
