"""The pods of a flow run: the API key, their place and price, the record that they belong to, and their end."""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import Flow, runtime
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

from pgolf.errors import RunFailed
from pgolf.evidence.manifest import list_machines
from pgolf.pods.failures import settle_failures
from pgolf.pods.local import ThisMachine
from pgolf.pods.money import OVERHEAD_S
from pgolf.pods.needs import Needs
from pgolf.pods.places import Opened, Wanted, key_of_environment, lock_if_free, open_place, wind_up
from pgolf.pods.settings import read_settings
from pgolf.pods.slots import machine_facts
from pgolf.pods.ssh import Data
from pgolf.program import Program
from pgolf.record.costs import list_costs, list_costs_if_free
from pgolf.record.ending import end_left
from pgolf.tracks import Limits

log = logging.getLogger("pgolf.pods")
SECRET = "runpod-api-key"  # a Prefect block; the environment wins
TAG = "pgolf-record:"


def api_key() -> str | None:
    """RunPod's API key, from the environment, else from the Secret block; None if neither has it."""
    if key := key_of_environment():
        return key
    try:
        return str(Secret.load(SECRET).get())  # type: ignore[union-attr]
    except ValueError:
        return None


def claim(record_id: str, runs: str) -> None:
    """Name this flow run after the record that it makes and the preset or program that it runs, and tag it with the
    record, for the reaper."""
    run_id = runtime.flow_run.id
    if run_id:
        name = record_id if runs in record_id else f"{record_id}: {runs}"
        with get_client(sync_client=True) as client:
            tags = set(client.read_flow_run(run_id).tags) | {TAG + record_id}
            client.update_flow_run(run_id, name=name, tags=sorted(tags))


@contextmanager
def pods_of(
    folder: Path,
    wanted: Wanted,
    data: Data,
    stop: threading.Event,
    *,
    ranks: int,
    runs: int,
    hours: float,
    rehearsal: bool = False,
) -> Iterator[Opened]:
    """The place for `runs` seeds of the record in `folder`; what it cost is in the manifest afterwards.

    `hours` is how long one seed is expected to take.

    Raises
    ------
    RunFailed, BadInput : a bound was reached, nothing that is rented works, or RunPod refuses; whatever else went wrong
        follows from that.
    """
    opened = Opened(ThisMachine())
    try:
        with open_place(
            wanted,
            folder,
            data,
            stop,
            ranks=ranks,
            runs=runs,
            seed_hours=hours,
            key=api_key() if wanted.kind == "runpod" else None,
            rent=wanted.settings.runpod.rehearse if rehearsal else None,
        ) as opened:
            yield opened
    except Exception as e:
        settle(folder)
        if opened.budget and opened.budget.ending:
            raise opened.budget.ending from e
        raise
    settle(folder)
    if opened.budget and opened.budget.ending:
        raise opened.budget.ending


def hours_of(limits: Limits) -> float:
    """Hours that a seed takes at most within its limits, with all that is around them."""
    return (limits.train_seconds + limits.eval_seconds + OVERHEAD_S) / 3600


def needs_of(program: Program, source: Path) -> Needs:
    """What a program needs on a pod's machine; its files lie in `source`."""
    wanted = program.requires
    return Needs(
        modules=tuple(need.name for need in wanted.modules if not need.optional),
        optional=tuple(need.name for need in wanted.modules if need.optional),
        commands=tuple(need.name for need in wanted.commands if not need.optional),
        requirements=wanted.requirements,
        setup=wanted.setup,
        source=source,
        files=program.hashes,
    )


def settle(record: Path) -> None:
    """Put what machines have run, and what rented ones have cost, into the manifest. Not called where the work was
    interrupted: machines that fail are counted on then."""
    if found := machine_facts(record):
        list_machines(record, found)
    list_costs(record)
    settle_failures(record)


def end_pods(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook on cancelled, crashed and failed runs: fetch what is finished, then end the pods.

    If another process has taken the record up meanwhile, the pods are left to it.
    """
    given = flow_run.parameters
    if given.get("pods") != "runpod":
        return
    with get_client(sync_client=True) as client:
        tags = client.read_flow_run(flow_run.id).tags
    file = given.get("pods_file")
    settings = read_settings(Path(file) if file else None)
    for folder in folders_of(given, tags):
        wind_up(folder, settings, api_key())
        list_costs_if_free(folder)


def end_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook on cancelled runs: end what a process has left running that could not do it itself, and the pods.

    If another process has taken the record up meanwhile, its runs are left to it.
    """
    end_what_is_left(flow_run)
    end_pods(flow, flow_run, state)


def end_what_is_left(flow_run: FlowRun) -> bool:
    """End what a flow run has left running here and on machines of the user's, unless another process has taken it up;
    whether all of it is ended."""
    with get_client(sync_client=True) as client:
        tags = client.read_flow_run(flow_run.id).tags
    file = flow_run.parameters.get("pods_file")
    settings, ended = read_settings(Path(file) if file else None), True
    for folder in folders_of(flow_run.parameters, tags):
        with lock_if_free(folder) as free:
            if free:
                try:
                    end_left(folder, settings)
                except RunFailed as e:
                    log.warning("%s", e)
                    ended = False
    return ended


def folders_of(parameters: Mapping[str, Any], tags: Iterable[str]) -> list[Path]:
    """The folders of the records that a flow run works on."""
    runs_dir = Path(parameters.get("runs_dir") or "runs").resolve()
    return [runs_dir / tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)]
