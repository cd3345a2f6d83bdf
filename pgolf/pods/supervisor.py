"""Runs one command for a local pod, in the current folder: `python -m pgolf.pods.supervisor COMMAND…`.

It outlives the orchestrator that started it, so that exit.json is written even if nobody watches. Pods elsewhere
have `agent.py` for that; here psutil identifies processes, on every system that it supports.
"""

import sys
import time
from pathlib import Path

import psutil

from pgolf.files import write_json
from pgolf.pods import agent


def main(command: list[str]) -> int:
    """Run `command`; `pod.json` says who runs it, `train.log` what it printed, `exit.json` how it ended."""
    me = psutil.Process()
    # `started` identifies the process, and is up to a second wrong; `began` is by the clock that `ended` is by
    about = {"pid": me.pid, "started": me.create_time(), "began": time.time(), "command": command}
    write_json(Path("pod.json"), about)
    ending = agent.run(command)
    write_json(Path("pod.json"), about)  # the command may have written over it
    write_json(Path("exit.json"), ending)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
