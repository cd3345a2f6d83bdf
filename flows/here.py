"""A record in this process, as `pgolf record` makes one."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from flows.server import prefect_api

if TYPE_CHECKING:
    from flows.record import Outcome


def record_here(**parameters: Any) -> "Outcome":
    """Run record-3seed with these parameters; where no server is set (PREFECT_API_URL), on one of its own.

    That one keeps its database in PREFECT_HOME, if that is set, else beside the records. SIGTERM and SIGHUP end
    it as orderly as Ctrl-C does: every child is ended, what is finished stays.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, leave)
    home = os.environ.get("PREFECT_HOME") or Path(parameters["runs_dir"], ".prefect")
    with prefect_api(Path(home)) as wait:
        from flows.record import record_3seed  # takes seconds, and so does the server

        wait()
        outcome: Outcome = record_3seed(**parameters)
        return outcome
