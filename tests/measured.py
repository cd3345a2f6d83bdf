"""A command in a process of its own, whose memory is counted: in pytest's process other tests allocate, too."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

# A small process between pytest and the command: until a process executes something, it counts its parent's memory.
BETWEEN = """
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
code = subprocess.run([sys.executable, *sys.argv[2:]]).returncode
with open(sys.argv[1], "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)
"""


class Ended(NamedTuple):
    code: int  # 128 and the signal's number, if a signal ended it
    out: str
    err: str
    peak: int  # bytes of memory that the process held at most


def run_measured(*words: object, cwd: Path | None = None) -> Ended:
    """Run `pgolf WORDS`, or Python itself where the first word is '-c'; killed after two minutes of the processor's
    time, which no test here takes."""
    command = ["-m", "pgolf.cli"] if words[0] != "-c" else []
    with tempfile.NamedTemporaryFile("r") as peak:
        done = subprocess.run(
            [sys.executable, "-c", BETWEEN, peak.name, *command, *map(str, words)],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "400"},
        )
        return Ended(done.returncode, done.stdout, done.stderr, 1024 * int(peak.read()))
