"""Run the legality probes of a record's first finished artifact, in a process of their own, and keep the results."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pgolf
from pgolf.errors import RunFailed
from pgolf.evidence.manifest import read_manifest
from pgolf.evidence.probes import PROBES, read_probes
from pgolf.files import write_atomic
from pgolf.knobs import EVALUATION
from pgolf.legality.copies import own_code
from pgolf.presets import as_env
from pgolf.program import Program
from pgolf.program.folder import Folder
from pgolf.program.source import read_source
from pgolf.record.programs import settings_on
from pgolf.record.results import ARTIFACT_MOST
from pgolf.record.sealing import seal_program
from pgolf.trainer.config import Config, Knob
from pgolf.trainer.data import shards
from pgolf.untrusted import Untrusted, hash_file, parse_json

WINDOW = 256  # longest window to probe at: a model of full size takes hours on a CPU at its own
POSITIONS = 4  # positions an evaluator to change the stream at
BUDGET_S = 2 * 3600  # for the probes of a user's evaluator, while other seeds train
MOST_MODULE = 1 << 30  # bytes of a module of a package beside an evaluator
MOST_SECONDS = 2.0 * BUDGET_S  # after which they are given up


def run_probes(
    folder: Path, seed: int, artifact: Path, train_gpt: Path, data_dir: Path, knobs: Mapping[str, Knob]
) -> Path:
    """Probe every evaluator of an artifact and the packed file, on this machine's CPU; writes `folder`/probes.jsonl.

    Windows are at most WINDOW long; the results say which were used.

    Raises
    ------
    RunFailed : the probes came to no result; the reason is theirs.
    """
    began, window = time.monotonic(), min(int(knobs["eval_seq_len"]), WINDOW)
    short = {"eval_seq_len": window, "eval_stride": min(int(knobs["eval_stride"]), window // 2)}
    given = {k: v for k, v in knobs.items() if k in (*EVALUATION, "cpu_kernels")} | short
    settings = [word for name, value in as_env(given).items() for word in ("--set", f"{name}={value}")]
    arguments = [str(artifact), "--train-gpt", str(train_gpt), "--data-dir", str(data_dir), *settings]
    about = {
        "seed": seed,
        "artifact": hash_file(artifact, ARTIFACT_MOST),
        "program": hash_file(train_gpt, ARTIFACT_MOST),
    }
    return _write(folder, about, _probe(seed, arguments), began)


def probe_program(folder: Path, seed: int, artifact: Path, program: Program, source: Path, config: Config) -> Path:
    """Probe the evaluator that a user gave for a program, and let the program score its artifact sealed off, where it
    can; writes `folder`/probes.jsonl.

    The evaluator has the variables of the program's runs, ARTIFACT and PROGRAM, the folder of the program's files; it
    may read these, the tokenizer and the validation shards of the dataset that `config` names.

    Raises
    ------
    BadInput : the evaluator is gone.
    RunFailed : the probes came to no result; the reason is theirs.
    """
    began, hashes = time.monotonic(), program.hashes
    about = {"seed": seed, "artifact": hash_file(artifact, ARTIFACT_MOST), "program": hashes[program.script]}
    results: list[dict[str, Any]] = []
    if program.evaluator:
        about |= {"evaluator": evaluator_hashes(program.evaluator)}
        val = shards(config, "val")
        variables = {**settings_on(program, config), "PROGRAM": str(source)}
        arguments = [program.evaluator, "--artifact", str(artifact), "--tokens", str(val[0]), "--seeds", "0"]
        arguments += ["--budget", str(BUDGET_S)]
        arguments += [word for path in (*val[1:], config.tokenizer_path, source) for word in ("--allow", str(path))]
        arguments += [word for name, value in variables.items() for word in ("--set", f"{name}={value}")]
        results += _probe(seed, arguments, MOST_SECONDS)
    if program.eval_only is not None:
        about |= {"eval_only": dict(program.eval_only)}
        results.append(seal_program(seed, artifact, program, config).as_json())
    return _write(folder, about, results, began)


def _probe(seed: int, arguments: Sequence[str], most_s: float | None = None) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "pgolf.cli", "probe", *arguments, "--json", "--positions", str(POSITIONS)]
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")}
    name = f"probes of {Path(arguments[0]).name} on the artifact of seed {seed}"
    try:
        done = subprocess.run(
            command, env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=most_s
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{name}: not ended after {most_s:,.0f} s") from None
    try:
        results: list[dict[str, Any]] = parse_json(done.stdout, name)
    except Untrusted:
        raise RunFailed(f"{name}: {(done.stderr.strip() or 'no result')[-500:]}") from None
    return results


def _write(folder: Path, about: Mapping[str, Any], results: Sequence[Mapping[str, Any]], began: float) -> Path:
    seconds = round(time.monotonic() - began, 1)
    lines = [json.dumps(entry) for entry in ({**about, "prober": prober(), "seconds": seconds}, *results)]
    write_atomic(folder / PROBES, "\n".join(lines) + "\n")
    return folder / PROBES


def prober() -> str:
    """SHA-256 of the code of pgolf that probes."""
    root = Path(pgolf.__file__).parent
    files = [*sorted((root / "legality").glob("*.py")), root / "artifact.py", root / "record" / "probing.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def can_probe(program: Program) -> bool:
    """Whether anything is known to probe of a program."""
    return program.ours or program.evaluator is not None or program.eval_only is not None


def evaluator_hashes(spec: str) -> dict[str, str]:
    """SHA-256 by name of an evaluator's file, of the files beside it that it imports or opens, and of all modules in
    packages beside it; BadInput without."""
    file = Path(spec.rpartition(":")[0])
    folder = Folder(file.parent)
    files = {**folder.peek(), file.name: folder.read(file.name)}
    names = {file.name, *read_source(files, file.name).own}
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in names}
    root = Path(os.path.abspath(file.parent))
    modules = (path for path in own_code(file) if path.parent != root)
    hashes |= {path.relative_to(root).as_posix(): hash_file(path, MOST_MODULE, inside=root) for path in modules}
    return dict(sorted(hashes.items()))


def known_probes(folder: Path, program: Program) -> Path | None:
    """The results in a record's folder, where they are of this program, of an artifact that the record has made, and of
    the evaluator and the `eval_only` as they are now. A failure that other code of pgolf has found is not known: it may
    have been pgolf's own."""
    path = folder / PROBES
    if not path.exists():
        return None
    probed = read_probes(path)
    if probed.artifact not in read_manifest(folder).values() or probed.program != program.hashes[program.script]:
        return None
    if probed.failures and probed.prober != prober():
        return None
    now = evaluator_hashes(program.evaluator) if program.evaluator else {}
    return path if (probed.evaluator, probed.eval_only) == (now, dict(program.eval_only or {})) else None
