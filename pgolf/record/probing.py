"""The legality probes of a record's first finished artifact: run in a process of their own, kept, and read again.

`probes.jsonl` has one JSON object a line: first what was probed, then a result each. A statement can so name its line.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.artifact import EVAL_KNOBS
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file, write_atomic
from pgolf.legality.results import CounterExample, ProbeResult
from pgolf.presets import as_env
from pgolf.record.manifest import read_manifest
from pgolf.record.run import Evidence
from pgolf.trainer.config import Knob

PROBES = "probes.jsonl"
WINDOW = 256  # longest window to probe at: a model of full size takes hours on a CPU at its own
POSITIONS = 4  # positions an evaluator to change the stream at


@dataclass(frozen=True)
class Probed:
    """What was probed, and what came of it. `artifact` and `program` are SHA-256."""

    seed: int
    artifact: str
    program: str
    results: tuple[ProbeResult, ...]

    def of(self, *probes: str, evaluator: str | tuple[str, ...] = "") -> "Answer":
        """Whether all these probes (of one evaluator, or of any) pass; None where one was not run."""
        lines = [
            (line, r) for line, r in enumerate(self.results, 2) if r.probe in probes and r.subject.startswith(evaluator)
        ]
        results = [r for _, r in lines]
        holds: bool | None = all(r.passed for r in results) if results else None
        if holds is False and not any(r.passed is False for r in results):
            holds = None
        tried = min(((r.positions, r.borders) for r in results), default=(0, 0))
        return Answer(holds, tuple(Evidence(PROBES, line) for line, _ in lines), *tried)

    @property
    def notes(self) -> list[str]:
        """What the results say beside, each once."""
        return list(dict.fromkeys(note.rstrip(".") for r in self.results for note in r.notes))

    @property
    def failures(self) -> list[str]:
        """A sentence for each probe that fails, with its counter-example."""
        return [
            f"probe '{r.probe}' of {r.subject} fails: {r.counter_example.what if r.counter_example else r.power}"
            for r in self.results
            if r.passed is False
        ]


@dataclass(frozen=True)
class Answer:
    """What some probes say together: as many positions, and borders among them, as the least thorough one tried."""

    holds: bool | None
    evidence: tuple[Evidence, ...]
    positions: int
    borders: int


def run_probes(
    folder: Path, seed: int, artifact: Path, train_gpt: Path, data_dir: Path, knobs: Mapping[str, Knob]
) -> Path:
    """Probe every evaluator of an artifact and the packed file, on this machine's CPU; writes `folder`/probes.jsonl.

    Windows are at most WINDOW long; the results say which were used.

    Raises
    ------
    RunFailed : the probes came to no result; the reason is theirs.
    """
    window = min(int(knobs["eval_seq_len"]), WINDOW)
    short = {"eval_seq_len": window, "eval_stride": min(int(knobs["eval_stride"]), window // 2)}
    given = {k: v for k, v in knobs.items() if k in EVAL_KNOBS} | short
    settings = [word for name, value in as_env(given).items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "pgolf.cli", "probe", str(artifact), "--json", "--train-gpt", str(train_gpt)]
    command += ["--data-dir", str(data_dir), "--positions", str(POSITIONS), *settings]
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")}
    done = subprocess.run(command, env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RunFailed(f"probes of {artifact.name} of seed {seed}: {(done.stderr.strip() or 'no result')[-500:]}")
    about = {"seed": seed, "artifact": sha256_file(artifact), "program": sha256_file(train_gpt)}
    lines = [json.dumps(entry) for entry in (about, *json.loads(done.stdout))]
    write_atomic(folder / PROBES, "\n".join(lines) + "\n")
    return folder / PROBES


def known_probes(folder: Path, train_gpt: Path) -> Path | None:
    """The results in a record's folder, where they are of this program and of an artifact that the record has made."""
    path = folder / PROBES
    if not path.exists():
        return None
    probed = read_probes(path)
    made = probed.artifact in read_manifest(folder).values() and probed.program == sha256_file(train_gpt)
    return path if made else None


def read_probes(path: Path) -> Probed:
    """What `run_probes` has written; BadInput if it is something else."""
    try:
        about, *results = (json.loads(line) for line in path.read_text().splitlines())
        return Probed(about["seed"], about["artifact"], about["program"], tuple(_result(r) for r in results))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BadInput(f"{path} holds no results of probes: {e}") from None


def _result(entry: dict[str, Any]) -> ProbeResult:
    example = entry["counter_example"]
    lists = {k: tuple(entry[k]) for k in ("seeds", "notes")}
    return ProbeResult(**entry | lists | {"counter_example": CounterExample(**example) if example else None})
