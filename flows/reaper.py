"""reaper: on a schedule, hand a record whose worker was killed to the next worker, end what it has left of a cancelled
one, and end rented pods of this owner whose record nobody works on. One of the four nets of docs/runpod.md."""

import logging
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import AwaitingRetry, Cancelled

from pgolf.flows.pods import TAG, api_key, end_pods, end_what_is_left, folders_of
from pgolf.pods.reap import reap, worked_on
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import read_settings
from pgolf.record.costs import list_costs_if_free

log = logging.getLogger("pgolf.reaper")
# scheduled runs, too: one with a record's tag has worked on that record, and is to go on
ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING, StateType.SCHEDULED]
PAGE = 200
SETTLE_S = 10.0  # for a flow run that has unlocked its record to report its end


@flow(name="reaper")
def reap_pods(runs_dir: str = "runs", pods_file: str | None = None) -> list[str]:
    """Hand on the records of killed workers; end the pods of this owner whose record nobody works on.

    A live flow run and a process of this machine each count as somebody.

    Args:
        runs_dir: Folder that holds all runs; a record there that a process of this machine works on is left alone.
        pods_file: File that names the owner and the API. Default: PGOLF_PODS_FILE, else pods.toml.
    """
    take_up()
    key = api_key()
    if key is None:
        log.info("no RunPod API key here, so no pod of this owner is looked for")
        return []
    settings = read_settings(Path(pods_file) if pods_file else None).runpod
    live = live_records()
    ended = reap(Runpod(settings.api, key), settings.owner, live, Path(runs_dir))
    for record_id in {pod.record_id for pod in ended if pod.record_id}:
        list_costs_if_free(Path(runs_dir, record_id))
    log.info("%d records are worked on, %d pods ended", len(live), len(ended))
    return [pod.name for pod in ended]


def take_up() -> list[UUID]:
    """Schedule again each flow run of a deployment whose state is Running while nobody holds its record's lock; of one
    that is Cancelling, end what is left.

    The worker that takes it goes on where it stood. Records in folders that are not here are left alone. Returns the
    flow runs whose state is another one now.
    """
    left = {run.id for run in abandoned()}
    if left:
        time.sleep(SETTLE_S)
    moved = []
    for run in [run for run in abandoned() if run.id in left]:
        state: State[Any] = AwaitingRetry(message="its worker is gone; taken up by the next one")
        if run.state and run.state.is_cancelling():
            if not end_what_is_left(run):
                continue  # the next reaper tries again
            end_pods(reap_pods, run, run.state)
            state = Cancelled(message="its worker was gone; the reaper has ended what it left")
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, state, force=True)
        log.info("flow run %s: %s", run.id, state.message)
        moved.append(run.id)
    return moved


def abandoned() -> list[FlowRun]:
    """Flow runs of deployments whose state is Running or Cancelling, and on whose records nobody works."""
    found = []
    for run in flow_runs([StateType.RUNNING, StateType.CANCELLING]):
        folders = [folder for folder in folders_of(run.parameters, run.tags) if folder.is_dir()]
        if run.deployment_id and folders and not any(worked_on(f.parent, f.name) for f in folders):
            found.append(run)
    return found


def live_records() -> set[str]:
    """The records that flow runs of this server work on."""
    return {tag.removeprefix(TAG) for run in flow_runs(ALIVE) for tag in run.tags if tag.startswith(TAG)}


def flow_runs(states: list[StateType]) -> list[FlowRun]:
    """The flow runs of this server in one of these states."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=states))
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        while runs := client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state), limit=PAGE, offset=len(found)):
            found += runs
    return found
