"""Try damaged and hostile inputs on every reader of a stranger's file, in bounded memory and time.

python tests/fuzz/run.py --count 1000000 --jobs 2       what `make fuzz` does
python tests/fuzz/run.py --reader log --count 5000
python tests/fuzz/run.py --reader log --only 1234       one input again, with its traceback; --seed as it was then
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATE = struct.Struct("<qqqdd")  # as the worker has it
MODULES = ("texts", "speedruns", "kept", "tables", "programs", "replies", "containers")
CHUNKS = 40  # parts of a reader's inputs
SHOWN_EVERY_S = 5.0
FAST = Path("/dev/shm")


@dataclass
class Row:
    """What was tried of one reader."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    findings: int = 0
    slowest: float = 0.0  # seconds
    most: float = 0.0  # MiB

    def add(self, inputs: int, refused: int, accepted: int, slowest: float, most: float) -> None:
        """Count a part of the inputs."""
        self.inputs, self.refused, self.accepted = (
            self.inputs + inputs,
            self.refused + refused,
            self.accepted + accepted,
        )
        self.slowest, self.most = max(self.slowest, slowest), max(self.most, most)


class Process:
    """A worker, started anew when it has died."""

    def __init__(self, hangs_s: float, modules: Sequence[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pgolf-fuzz-", dir=FAST if FAST.is_dir() else None))
        (self.folder / "state").write_bytes(bytes(STATE.size))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.errors = (self.folder / "errors").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("worker.py"), self.folder, str(hangs_s), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **threads, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def ask(self, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Its answers to a job; they end early where it dies."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return
        for line in self.process.stdout:
            answer = json.loads(line)
            yield answer
            if "finding" not in answer:
                return

    @property
    def state(self) -> tuple[int, int, int, float, float]:
        """Where it stands, or stood when it died."""
        return STATE.unpack((self.folder / "state").read_bytes())

    def end(self) -> tuple[int, str]:
        """End it; (exit code, what it said last)."""
        if self.process.stdin:
            self.process.stdin.close()
        code = self.process.wait()
        self.errors.close()
        said = (self.folder / "stack").read_text() + (self.folder / "errors").read_text(errors="replace")[-2000:]
        shutil.rmtree(self.folder, ignore_errors=True)
        return code, said


@dataclass
class Fuzz:
    """A run over several readers."""

    seed: int
    jobs: list[tuple[str, int, int]]
    rows: dict[str, Row]
    findings: Path
    start: Callable[[], Process]
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    began: float = field(default_factory=time.monotonic)
    broken: str = ""

    def work(self) -> None:
        """Do jobs until there are none, with a worker of this thread's own."""
        process = self.start()
        while True:
            with self.lock:
                if not self.jobs or self.broken:
                    break
                name, start, stop = self.jobs.pop(0)
            done = None
            for answer in process.ask({"reader": name, "seed": self.seed, "start": start, "stop": stop}):
                if "finding" in answer:
                    self.note(answer["finding"])
                else:
                    done = answer["done"]
            with self.lock:
                if done:
                    self.rows[name].add(stop - start, **done)
                    continue
                at, *counted = process.state
                self.rows[name].add(at + 1 - start, *counted)
                if at + 1 < stop:
                    self.jobs.insert(0, (name, at + 1, stop))
            code, said = process.end()
            if "Traceback" in said and "Timeout" not in said:
                self.broken = f"the fuzzer itself failed at input {at} of {name}:\n{said}"
                return
            kind = "hang" if "Timeout" in said else f"dead ({code})"
            lines = [line.strip() for line in said.splitlines() if "pgolf/" in line and "tests/" not in line]
            self.note(
                {"reader": name, "index": at, "kind": kind, "where": lines[0] if lines else "?", "text": said[-300:]}
            )
            process = self.start()
        process.end()

    def note(self, finding: dict[str, Any]) -> None:
        """Keep a finding; the first of its kind is told at once."""
        key = finding["reader"], finding["kind"], finding["where"]
        with self.lock:
            self.rows[finding["reader"]].findings += 1
            self.found.setdefault(key, []).append(finding)
            if len(self.found[key]) == 1:
                print(
                    f"\r{finding['reader']}: {finding['kind']} at {finding['where']}: {finding['text']!r:.300}",
                    file=sys.stderr,
                )

    def show(self, total: int) -> None:
        """A line of progress."""
        done, spent = sum(row.inputs for row in self.rows.values()), time.monotonic() - self.began
        left = spent * (total - done) / done if done else 0
        print(
            f"\r{done:,} of {total:,} inputs, {len(self.found)} findings, {left / 60:.0f} min left ",
            end="",
            file=sys.stderr,
        )

    def save(self) -> None:
        """Put the first input of each kind of finding into a folder, with how to try it again."""
        process = self.start()
        for number, group in enumerate(self.found.values(), start=1):
            first, folder = group[0], self.findings / f"{number:03}"
            folder.mkdir(parents=True)
            again = f"python tests/fuzz/run.py --reader '{first['reader']}' --seed {self.seed} --only {first['index']}"
            (folder / "finding.json").write_text(json.dumps({**first, "count": len(group), "again": again}, indent=2))
            job = {
                "reader": first["reader"],
                "seed": self.seed,
                "save": first["index"],
                "folder": str(folder / "input"),
            }
            list(process.ask(job))
        process.end()


def plan(shares: dict[str, int], count: int) -> dict[str, int]:
    """How many inputs each reader gets."""
    total = sum(shares.values())
    numbers = {name: max(1, count * share // total) for name, share in shares.items()}
    first = next(iter(numbers))
    numbers[first] += max(0, count - sum(numbers.values()))
    return numbers


def chunks(numbers: dict[str, int], first: int) -> list[tuple[str, int, int]]:
    """The jobs, a part of each reader's in turn, so that the time that is left can be told early."""
    jobs = []
    for part in range(CHUNKS):
        for name, number in numbers.items():
            start, stop = number * part // CHUNKS, number * (part + 1) // CHUNKS
            jobs += [(name, first + start, first + stop)] if stop > start else []
    return jobs


def table(rows: dict[str, Row]) -> str:
    """The rows in Markdown."""
    total = Row()
    for row in rows.values():
        total.add(row.inputs, row.refused, row.accepted, row.slowest, row.most)
        total.findings += row.findings
    lines = [
        "| reader | inputs | refused | accepted | findings | slowest, ms | most MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in [*rows.items(), ("all", total)]:
        figures = (row.inputs, row.refused, row.accepted, row.findings, round(row.slowest * 1000), round(row.most))
        lines.append(f"| {name} | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    return "\n".join(lines)


def try_again(modules: Sequence[str], name: str, seed: int, index: int) -> None:
    """Call a reader on one input in this process, so that its traceback shows."""
    from fuzz.reader import Box
    from fuzz.worker import Random, load

    reader = load(modules)[name]
    box = Box(Path(tempfile.mkdtemp(prefix="pgolf-fuzz-")) / "box")
    box.fill(reader.make(Random(f"{seed}/{name}/{index}")))
    print(f"input in {box.folder}", file=sys.stderr)
    print(f"{reader.call(box.folder)!r:.2000}")


def main() -> int:
    """Exit code 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", help="only this reader; repeatable")
    parser.add_argument("--count", type=int, default=10_000, help="inputs over all")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each reader")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", type=int, metavar="INDEX", help="try this input again, here")
    parser.add_argument("--findings", type=Path, help="folder for findings; default: a new one for temporary files")
    parser.add_argument("--hangs", type=float, default=60.0, help="seconds after which an input is given up")
    parser.add_argument(
        "--module", action="append", help="with readers, in this folder; repeatable; default: all but broken"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table alone")
    asked = parser.parse_args()
    modules = asked.module or MODULES

    def start() -> Process:
        return Process(asked.hangs, modules)

    if asked.only is not None:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        try_again(modules, asked.reader[0], asked.seed, asked.only)
        return 0
    process = start()
    shares = next(process.ask({"list": True}), {"readers": {}})["readers"]
    _, said = process.end()
    if not shares:
        raise SystemExit(f"the readers cannot be imported:\n{said}")
    if unknown := set(asked.reader or ()) - shares.keys():
        raise SystemExit(f"no reader {', '.join(sorted(unknown))}; there are: {', '.join(shares)}")
    numbers = plan(
        {name: share for name, share in shares.items() if not asked.reader or name in asked.reader}, asked.count
    )
    folder = asked.findings or Path(tempfile.gettempdir()) / f"pgolf-fuzz-findings-{os.getpid()}"
    fuzz = Fuzz(asked.seed, chunks(numbers, asked.first), {name: Row() for name in numbers}, folder, start)
    threads = [threading.Thread(target=fuzz.work) for _ in range(asked.jobs)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(SHOWN_EVERY_S) if threads[0].is_alive() else time.sleep(0.2)
        fuzz.show(sum(numbers.values()))
    print(file=sys.stderr)
    if fuzz.broken:
        raise SystemExit(fuzz.broken)
    print(table(fuzz.rows))
    spent = time.monotonic() - fuzz.began
    if not asked.markdown:
        print(f"\n{sum(row.inputs for row in fuzz.rows.values()):,} inputs in {spent / 60:.1f} min, seed {asked.seed}")
    if fuzz.found:
        fuzz.save()
        print(f"{len(fuzz.found)} findings of different kind or place, in {folder}", file=sys.stderr)
    return 1 if fuzz.found else 0


if __name__ == "__main__":
    sys.exit(main())
