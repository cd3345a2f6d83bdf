"""A process that tries inputs. It takes jobs as lines of JSON, answers in lines of JSON, and may die of an input.

    {"list": true}                                          -> {"readers": {name: share}}
    {"reader": name, "seed": s, "start": i, "stop": j}      -> {"finding": …} for each, then {"done": …}
    {"reader": name, "seed": s, "save": i, "folder": path}  -> {"done": …}; the input's files, nothing is called

Where it stands is in the file `state`, which outlives it: index, inputs refused and accepted, most seconds and MiB.
"""

import faulthandler
import gc
import importlib
import json
import mmap
import os
import resource
import shutil
import struct
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.reader import Box, Reader
from fuzz.watch import Memory, Watch
from pgolf.cli import UNUSABLE

REPOSITORY = Path(__file__).parents[2]
STATE = struct.Struct("<qqqdd")
ROOM = 4 << 30  # bytes of address space beside what the process has
MOST_SAID = 100_000  # characters of an error


class Worker:
    """Everything that lives as long as the process."""

    def __init__(self, folder: Path, hangs_s: float) -> None:
        self.hangs_s = hangs_s  # wall-clock seconds after which an input is given up, and its stack written down
        self.box, self.empty = Box(folder / "box"), folder / "empty"
        self.empty.mkdir()
        os.chdir(self.empty)
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        self.stack = (folder / "stack").open("w")
        with (folder / "state").open("r+b") as f:
            self.state = mmap.mmap(f.fileno(), STATE.size)
        self.ports: set[int] = set()
        self.watch = Watch(folder / "box", REPOSITORY, self.ports)
        self.memory = Memory()
        self.readers: dict[str, Reader] = {}
        self.warm: set[str] = set()

    def say(self, **answer: Any) -> None:
        """Answer the parent."""
        print(json.dumps(answer), file=self.out, flush=True)

    def warmed(self, reader: Reader) -> None:
        """Call a reader on right inputs, which it must take: what it imports and keeps is then there."""
        if reader.name in self.warm:
            return
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for files in reader.seeds:
            self.box.fill(files)
            reader.call(self.box.folder)
        self.warm.add(reader.name)
        if reader.name == "API reply":
            self.ports.update(importlib.import_module("fuzz.replies").PORTS)
        gc.collect()
        gc.freeze()
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + ROOM, resource.RLIM_INFINITY))

    def run(self, reader: Reader, seed: int, start: int, stop: int) -> None:
        """Try inputs; tell the parent of findings."""
        self.warmed(reader)
        index, refused, accepted, slowest, most = start, 0, 0, 0.0, 0.0
        for index in range(start, stop):
            self.state[:] = STATE.pack(index, refused, accepted, slowest, most)
            self.box.fill(reader.make(Random(f"{seed}/{reader.name}/{index}")))
            before = self.memory.begin()
            began = time.process_time()
            problem, right = self._call(reader)
            seconds = time.process_time() - began
            mib = self.memory.peak() - before
            slowest, most = max(slowest, seconds), max(most, mib)
            refused, accepted = refused + (not right), accepted + right
            if not problem and seconds > reader.most_seconds:
                problem = ("time", f"over {reader.most_seconds:g} s", f"{seconds:.1f} s")
            if not problem and mib > reader.most_mib:
                problem = ("memory", f"over {reader.most_mib:g} MiB", f"{mib:.0f} MiB")
            if problem:
                self.say(
                    finding={
                        "reader": reader.name,
                        "index": index,
                        "kind": problem[0],
                        "where": problem[1],
                        "text": problem[2],
                    }
                )
        self.say(done={"refused": refused, "accepted": accepted, "slowest": slowest, "most": most})

    def _call(self, reader: Reader) -> tuple[tuple[str, str, str] | None, bool]:
        """(kind, where, what of a finding, or None; whether the input was taken)."""
        problem, right = None, False
        faulthandler.dump_traceback_later(self.hangs_s, exit=True, file=self.stack)
        self.watch.on = True
        try:
            reader.call(self.box.folder)
            right = True
        except reader.right as e:
            if len(str(e)) > MOST_SAID:
                problem = ("long error", _where(e), f"{len(str(e))} characters: {e!s:.200}")
        except Exception as e:
            if not (isinstance(e, OSError) and e.filename and e.errno in UNUSABLE):
                problem = (type(e).__name__, _where(e), f"{e!s:.300}")
        except BaseException as e:  # SystemExit, KeyboardInterrupt
            problem = (type(e).__name__, _where(e), f"{e!s:.300}")
        finally:
            self.watch.on = False
            faulthandler.cancel_dump_traceback_later()
        left = os.listdir(self.empty)
        seen = self.watch.seen + [f"leaves {name}" for name in left]
        if left:
            shutil.rmtree(self.empty)
            self.empty.mkdir()
            os.chdir(self.empty)
        if seen:
            problem = problem or ("forbidden", seen[0][:120], "; ".join(seen[:5])[:500])
            self.watch.seen.clear()
        return problem, right


def load(modules: Iterable[str]) -> dict[str, Reader]:
    """Readers by name."""
    found = (reader for name in modules for reader in importlib.import_module(f"fuzz.{name}").readers())
    return {reader.name: reader for reader in found}


def _where(error: BaseException) -> str:
    """The innermost line of pgolf's that an error came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}pgolf{os.sep}" in f.filename]
    if not frames:
        frames = list(traceback.extract_tb(error.__traceback__))
    name = frames[-1].filename
    name = name[max(0, name.rfind("pgolf" + os.sep)) :]
    return f"{name}:{frames[-1].lineno} {frames[-1].name}"


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def main(folder: Path, hangs_s: float, modules: Iterable[str]) -> None:
    """Work until there are no more jobs."""
    worker = Worker(folder, hangs_s)
    worker.readers = load(modules)
    for line in sys.stdin:
        job = json.loads(line)
        if "list" in job:
            worker.say(readers={name: reader.share for name, reader in worker.readers.items()})
            continue
        reader = worker.readers[job["reader"]]
        if "save" in job:
            files = reader.make(Random(f"{job['seed']}/{reader.name}/{job['save']}"))
            Box(Path(job["folder"])).fill(files)
            worker.say(done={})
        else:
            worker.run(reader, job["seed"], job["start"], job["stop"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
