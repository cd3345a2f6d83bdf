"""`pgolf pods …`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pgolf.cli.options import AsJson, PodsFile, RunsDir

app = typer.Typer(no_args_is_help=True, help="List rented pods, and end those that no record uses.")


@app.command("list")
def pods_list(
    pods_file: PodsFile = None,
    as_json: AsJson = False,
) -> None:
    """List every pod of the RunPod account: owner, record, price."""
    from pgolf.pods.reap import account, find

    api, _ = account(pods_file)
    pods = find(api)
    if as_json:
        typer.echo(json.dumps([pod.as_json() for pod in pods], indent=2))
        return
    for pod in pods:
        whose = f"{pod.owner} {pod.record_id} {pod.slot}" if pod.owner else f"not pgolf's ({pod.name})"
        price = "price unknown" if pod.price_per_hour is None else f"${pod.price_per_hour:.2f}/h"
        typer.echo(f"{pod.id}  {pod.status:8} {price}  {whose}")


@app.command("reap")
def pods_reap(
    record_id: Annotated[
        str | None, typer.Option("--id", help="End the pods of this record, even if a process works on it.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    pods_file: PodsFile = None,
) -> None:
    """End your pods that no process of this machine works on.

    Never touches another owner's pods. Also ends pods of a record that only another machine works on: where several
    machines share an owner, use the `reaper` deployment instead.
    """
    from pgolf.pods.reap import account, reap

    api, owner = account(pods_file)
    for pod in reap(api, owner, runs_dir=runs_dir, only=record_id):
        typer.echo(f"ended {pod.id} ({pod.name})")
