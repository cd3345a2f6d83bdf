"""Run the legality probes of a record's first finished artifact, in a process of their own, and keep the results."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pgolf.errors import RunFailed
from pgolf.evidence.manifest import read_manifest
from pgolf.evidence.probes import PROBES, read_probes
from pgolf.files import sha256_file, write_atomic
from pgolf.knobs import EVALUATION
from pgolf.presets import as_env
from pgolf.trainer.config import Knob

WINDOW = 256  # longest window to probe at: a model of full size takes hours on a CPU at its own
POSITIONS = 4  # positions an evaluator to change the stream at


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
    given = {k: v for k, v in knobs.items() if k in EVALUATION} | short
    settings = [word for name, value in as_env(given).items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "pgolf.cli", "probe", str(artifact), "--json", "--train-gpt", str(train_gpt)]
    command += ["--data-dir", str(data_dir), "--positions", str(POSITIONS), *settings]
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")}
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
