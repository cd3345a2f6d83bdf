"""`pgolf pods …`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pgolf.cli.options import AsJson, DatasetDir, PodsFile, RunsDir, examples
from pgolf.cli.output import show_table
from pgolf.phrases import counted

app = typer.Typer(no_args_is_help=True, help="List rented pods, end them, fill volumes.")


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
    rows = []
    for pod in pods:
        whose = f"{pod.owner} {pod.record_id} {pod.slot}" if pod.owner else f"not pgolf's ({pod.name})"
        price = "price unknown" if pod.price_per_hour is None else f"${pod.price_per_hour:.2f}/h"
        rows.append((pod.id, pod.status, price, whose))
    show_table(rows, ("pod", "status", "price", "whose"))


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
    from pgolf.record.costs import list_costs_if_free

    api, owner = account(pods_file)
    ended = reap(api, owner, runs_dir=runs_dir, only=record_id)
    for pod in ended:
        typer.echo(f"ended {pod.id} ({pod.name})")
    for name in {pod.record_id for pod in ended if pod.record_id}:
        list_costs_if_free(runs_dir / name)


@app.command("stage", epilog=examples("pgolf pods stage --volume agv6w2qcg7 --data-dir data/fineweb"))
def pods_stage(
    volume: Annotated[
        str | None, typer.Option(help="Id of the network volume; default: network_volume_id of pods.toml.")
    ] = None,
    data_dir: DatasetDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    pods_file: PodsFile = None,
    max_cost: Annotated[float, typer.Option(min=0.01, help="Dollars that the pods for it may cost.")] = 2.0,
    again: Annotated[
        bool, typer.Option("--again", help="Rent a pod and compare every file, though the volume is known to be whole.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill a network volume with a dataset, by a cheap pod.

    Rents a pod without GPUs, which fetches from the dataset's source, or is sent the files where there is none; then
    ends it. Stopped or killed, the same command goes on. Rents nothing for a volume that is known to be whole. `pgolf
    record` does the same before it rents GPUs, if network_volume_id is set and the dataset is large.
    """
    from pgolf.data.source import open_only, read_source
    from pgolf.pods.places import check_key, key_of_environment
    from pgolf.pods.settings import read_settings
    from pgolf.pods.ssh import Data
    from pgolf.pods.volume import fill_volume

    settings = read_settings(pods_file).runpod
    named = volume or settings.rent.network_volume_id
    if not named:
        raise typer.BadParameter("name a network volume, or set network_volume_id in pods.toml", param_hint="--volume")
    key, dataset = check_key(key_of_environment()), open_only(data_dir)
    data = Data(dataset.data_dir, dataset.files, source=read_source(dataset))
    filled = fill_volume(named, data, settings, key, runs_dir, max_cost=max_cost, again=again)
    if as_json:
        typer.echo(json.dumps(filled.as_json()))
        return
    typer.echo(
        f"network volume {named}: {counted(filled.files, 'file')}, {filled.bytes / 1e9:.2f} GB, "
        f"whole in {filled.folder}"
    )
    for one in filled.staged:
        typer.echo(f"{one.bytes / 1e9:.2f} GB came from {one.where} in {one.seconds:.0f} s")
    typer.echo("known since an earlier call" if filled.known else f"the pod cost ${filled.dollars:.2f}")
