"""When a flow's process is told to end: whether the record's runs end with it, or go on for the next one."""

import logging

from prefect import runtime
from prefect.client.orchestration import get_client

from pgolf.pods.places import Wanted
from pgolf.record.orchestrator import Attending, Here
from pgolf.record.stopping import Stop

log = logging.getLogger("pgolf.record")


def end_or_leave(stop: Stop, error: BaseException, attending: Attending, wanted: Wanted) -> None:
    """Have all watchers end their runs, or leave them.

    Below a Prefect worker that is told to end, by Ctrl-C or a signal, runs here and on machines of the user's go on,
    and the next run of the flow takes them up. They are ended where somebody asks for just that (a cancellation in
    Prefect, `pgolf stop`), where the flow failed by itself, and on rented pods, as nobody would end these.
    """
    told = not isinstance(error, Exception) and Here.how == "worker" and not attending.asked.is_set()
    if told and wanted.kind != "runpod" and not is_cancelled():
        log.warning("told to end; what runs goes on, and the next run of this flow takes it up")
        attending.leaves = True
        stop.leave()
    else:
        stop.set()


def is_cancelled() -> bool:
    """Whether somebody has asked Prefect to cancel this flow run; False where its server does not answer."""
    try:
        with get_client(sync_client=True) as client:
            runs = {runtime.flow_run.id, runtime.flow_run.root_flow_run_id} - {None}
            states = [client.read_flow_run(run).state for run in runs]
        return any(state is not None and (state.is_cancelling() or state.is_cancelled()) for state in states)
    except Exception as e:  # a server that is gone says nothing, and this process is about to end
        log.warning("Prefect does not say whether this run is cancelled: %r", e)
        return False
