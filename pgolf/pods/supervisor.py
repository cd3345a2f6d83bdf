"""Runs one command for a local pod, in the current folder: `python -m pgolf.pods.supervisor COMMAND…`.

It outlives the orchestrator that started it, so that how the command ended is on disk even if nobody watched.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

from pgolf.files import write_json


def main(command: list[str]) -> int:
    """Run `command`; `pod.json` says who runs it, `train.log` what it printed, `exit.json` how it ended."""
    me = psutil.Process()
    write_json(Path("pod.json"), {"pid": me.pid, "started": me.create_time(), "command": command})
    signals: list[int] = []
    with open("train.log", "ab") as log:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        except OSError as e:
            log.write(f"cannot run {command[0]}: {e.strerror}\n".encode())
            exit_code = 127  # the shell's code for a command that could not be started
        else:

            def pass_on(number: int, _: FrameType | None) -> None:
                signals.append(number)
                child.send_signal(number)

            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, pass_on)
            exit_code = child.wait()
    free = psutil.disk_usage(".").free
    write_json(Path("exit.json"), {"exit_code": exit_code, "signals": signals, "ended": time.time(), "disk_free": free})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
