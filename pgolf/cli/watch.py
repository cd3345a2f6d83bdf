"""`pgolf status`, `watch`, `stop`: records and sweeps that are made by other processes of this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pgolf.cli.options import AsJson, PodsFile, RunsDir, examples
from pgolf.cli.outcome import show_outcome
from pgolf.cli.output import show_table, tell
from pgolf.errors import BadInput
from pgolf.phrases import not_a_folder

app = typer.Typer()
Record = Annotated[str, typer.Argument(metavar="ID", help="The id of the record or sweep, or its folder.")]
RUNS = Path("runs")  # which is not there before the first record
STYLES = {"running": "cyan", "starting": "cyan", "finished": "green", "failed": "red", "left": "yellow"}


@app.command(
    epilog=examples("pgolf status", "pgolf status --json"),
)
def status(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List the records and sweeps here, and where each stands.

    One that is `left` has runs that go on while nobody is at it: the command that started it takes them up, and
    `pgolf stop` ends them. One that is `stopped` goes on with the same command.
    """
    from pgolf.record.orchestrator import typed_here
    from pgolf.record.rows import said_left
    from pgolf.record.stand import list_stands

    if not runs_dir.is_dir() and (runs_dir != RUNS or runs_dir.exists()):
        raise BadInput(f"{not_a_folder(runs_dir)}: name the folder that holds the runs with --runs-dir")
    stands = list_stands(runs_dir)
    if as_json:
        typer.echo(json.dumps([stand.as_json() for stand in stands], indent=2, allow_nan=False))
        return
    if not stands:
        tell(f"no record in {runs_dir}")
        return
    rows: list[list[str | Text]] = []
    for stand in stands:
        runs = "" if stand.runs is None else f"{stand.done} of {stand.runs}"
        said = [said_left(stand.left), stand.said]
        if stand.state in ("left", "stopped", "failed") and stand.command:
            said.append(f"go on: {typed_here(stand.command, stand.cwd)}")
        state = Text(stand.state, STYLES.get(stand.state, ""))
        rows.append([state, stand.record, runs, "; ".join(filter(None, said))])
    headings = ["state", "record", "runs", "where it stands"]
    filled = [i for i, _ in enumerate(headings) if any(row[i] for row in rows)]
    show_table([[row[i] for i in filled] for row in rows], [headings[i] for i in filled])


@app.command(
    epilog=examples("pgolf watch cpu_smoke-smoke-1a2b3c4d"),
)
def watch(record: Record, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Show a record, a sweep or an ablation that is being made.

    Shows a record to its verdict, the others to their table. Works from any terminal; Ctrl-C leaves it. Exit 0: a
    record, or a table; 1: no record, or it failed; 2: bad input, or no such record.
    """
    from pgolf.cli.following import follow, leaving
    from pgolf.record.orchestrator import find_record

    folder = find_record(record, runs_dir)
    with leaving(folder):
        outcome = follow(folder).outcome()
    raise typer.Exit(show_outcome(outcome, as_json))


@app.command(
    epilog=examples("pgolf stop cpu_smoke-smoke-1a2b3c4d"),
)
def stop(record: Record, runs_dir: RunsDir = Path("runs"), pods_file: PodsFile = None) -> None:
    """End a record, sweep or ablation in order, and its pods.

    Ends every process of a run. Works also where the process that made it is gone and its runs go on, and on what a
    Prefect worker makes on this machine. Finished work is kept. Waits until nothing of it runs; then the same
    command goes on.
    """
    from pgolf.pods.settings import read_settings
    from pgolf.record.ending import stop_record
    from pgolf.record.orchestrator import end_starting, find_record, read_orchestrator, typed_here

    folder = find_record(record, runs_dir)
    who = read_orchestrator(folder)
    file = pods_file or (Path(who.pods_file) if who and who.pods_file else None)
    if who and folder.parent.name == ".starting":
        ended = end_starting(folder)
    else:
        ended = stop_record(folder, read_settings(file), _api_key(folder), tell)
    from pgolf.record.stand import stand_of

    if stand_of(folder, ()).state == "finished":
        typer.echo(f"{folder.name}: finished; nothing of it runs")
        return
    said = "stopped: nothing of it runs any more" if ended else "nothing of it runs"
    typer.echo(f"{folder.name}: {said}; finished work is kept")
    if who and who.command:
        typer.echo(f"go on: {typed_here(who.command, who.cwd)}")


def _api_key(folder: Path) -> str | None:
    """RunPod's key, where the record has rented pods."""
    from pgolf.pods.places import check_key, has_rented

    if not has_rented(folder):
        return None
    from pgolf.flows.pods import api_key

    return check_key(api_key())
