"""`pgolf doctor`."""

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from pgolf.cli.options import AsJson, DataDir, RunsDir, Track, examples

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
        light = {"ok": "[green]●[/green]", "optional": "[yellow]▲[/yellow]", "missing": "[red]✗[/red]"}
        stdout, width = Console(highlight=False), max(len(f.what) for f in findings)
        for f in findings:
            fix = f" → {escape(f.fix)}" if f.fix else ""
            stdout.print(f"{light[f.state]} {escape(f.what):{width}}  {escape(f.found)}{fix}", soft_wrap=True)
    raise typer.Exit(any(f.state == "missing" for f in findings))
