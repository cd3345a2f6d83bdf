"""reaper: on a schedule, end the rented pods of this owner that no live flow run owns. One of four nets."""

import logging
from pathlib import Path

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType

from flows.pods import TAG, api_key
from pgolf.pods.reap import reap
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import read_settings

log = logging.getLogger("pgolf.reaper")
ALIVE = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING]
PAGE = 200


@flow(name="reaper")
def reap_pods(runs_dir: str = "runs", pods_file: str | None = None) -> list[str]:
    """End the pods of this owner whose record neither a live flow run nor a process of this machine works on.

    Args:
        runs_dir: Folder for records: one that a process of this machine works on is left alone.
        pods_file: The pods.toml with owner and API. Default: PGOLF_PODS_FILE, else pods.toml.
    """
    key = api_key()
    if key is None:
        log.info("no RunPod key here: nothing that could have been rented")
        return []
    settings = read_settings(Path(pods_file) if pods_file else None).runpod
    live = live_records()
    ended = reap(Runpod(settings.api, key), settings.owner, live, Path(runs_dir))
    log.info("%d records are worked on, %d pods ended", len(live), len(ended))
    return [pod.name for pod in ended]


def live_records() -> set[str]:
    """The records that flow runs of this server are at."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))
    found: set[str] = set()
    with get_client(sync_client=True) as client:
        offset = 0
        while runs := client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state), limit=PAGE, offset=offset):
            found |= {tag.removeprefix(TAG) for run in runs for tag in run.tags if tag.startswith(TAG)}
            offset += PAGE
    return found
