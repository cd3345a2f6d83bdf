"""Make a record in a process of its own, which no terminal ends: `python -m pgolf.flows.detached`, started by
`pgolf record`.

What to do comes in by standard input, as JSON, so that nobody sees it among the arguments of processes: the flow's
module, name and parameters, the command that starts it again, and the folder where this process says how it goes until
the record has one.
"""

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.flows.here import run_here
from pgolf.record.ending import Busy
from pgolf.record.orchestrator import BoundedLog, Here, move_to
from pgolf.record.outcome import End, write_end
from pgolf.record.stopping import KEPT


def main() -> None:
    """Do what standard input says; whatever comes of it is in a file."""
    given: dict[str, Any] = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    starting = Path(given["starting"])
    Here.starting, Here.command = starting, tuple(given["command"])
    log = logging.getLogger("pgolf")
    log.addHandler(BoundedLog(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        run_here(given["module"], given["flow"], given["parameters"], "detached")
    except Busy as e:
        move_to(starting, e.folder)
    except BaseException as e:
        if not isinstance(e, BadInput | RunFailed | OSError | SystemExit):
            traceback.print_exc()
        if Here.starting:  # else it is told in the record's folder
            told_to_end = isinstance(e, SystemExit | KeyboardInterrupt)
            said = f"stopped before its first run; {KEPT}" if told_to_end else str(e) or repr(e)
            write_end(starting, End(exit_code=2 if isinstance(e, BadInput) else 1, error=said))
        sys.exit(1)


if __name__ == "__main__":
    main()
