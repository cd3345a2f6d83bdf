"""The seed of a record that is to run again: its log and score, and the dataset that it was trained on, by hashes.

Nothing heavy is imported here: a record, a seed or a dataset that is missing is told at once.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pgolf.cores import usable_cores
from pgolf.data.present import MANIFEST, MOST_MANIFEST
from pgolf.errors import BadInput
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.events import EVENTS, read_events
from pgolf.evidence.lines import printable
from pgolf.evidence.run import Run
from pgolf.files import stays_inside
from pgolf.phrases import counted
from pgolf.report.submission import DATASET
from pgolf.untrusted import Untrusted, hash_file, read_json

MOST_FOLDERS = 1000  # that are looked at for a dataset
MOST_SHARD = 1 << 30  # bytes of a file whose hash is compared
NAME_THEM = "give --data-dir, the folder with datasets/ and tokenizers/, or the folder above it"


def logged_seed(entry: Entry, seed: int | None) -> tuple[int, float, Run]:
    """(seed, its logged score, its run); by default the record's first. BadInput for a seed that it does not have."""
    runs = {r.seed.value: (r.seed.value, r.final.val_bpb, r) for r in entry.runs if r.seed and r.final}
    if not runs:
        raise BadInput(f"{entry.path}: no log there gives a seed and a final score")
    if seed is None:
        return next(iter(runs.values()))
    if seed not in runs:
        raise BadInput(f"{entry.path} has no seed {seed}; it has {', '.join(map(str, runs))}")
    return runs[seed]


def logged_threads(run: Run | None) -> int | None:
    """Threads of a rank that a run had, up to this machine's cores: with as many its scores come out to the last digit.
    None: its log does not say."""
    return min(run.threads.value, usable_cores()) if run and run.threads and run.threads.value else None


def threads_beside(artifact: Path) -> int | None:
    """`logged_threads` of the run in whose folder an artifact lies, by its events."""
    with suppress(BadInput):
        return logged_threads(read_events(artifact.with_name(EVENTS), artifact.parent))
    return None


def check_again(record: Path, seed: int | None, data_dir: Path, artifact: Path | None = None) -> None:
    """BadInput for a record, a seed, a dataset or an artifact that is missing. Nothing heavy is imported or run."""
    entry = read_entry(record)
    dataset_of(entry, logged_seed(entry, seed)[2], data_dir)
    if artifact and not artifact.exists():
        raise BadInput(f"no file {artifact}")


def dataset_of(entry: Entry, run: Run, data_dir: Path) -> Path:
    """The record's dataset: `data_dir`, or a folder in it. By the hashes that the record's folder gives; where it gives
    none, by the vocabulary that the run's log names, `data_dir` itself if that tells none.

    Raises
    ------
    BadInput : no folder has those files, and why each has not; or several have a dataset of that vocabulary.
    """
    if not data_dir.is_dir():
        raise BadInput(f"no data in {data_dir}: no such folder; {NAME_THEM}")
    inside = sorted(folder for folder in data_dir.glob("*") if (folder / "datasets").is_dir())[:MOST_FOLDERS]
    found = [data_dir] if (data_dir / "datasets").is_dir() else inside
    if listed := _listed(entry.path):
        differs = {folder: _difference(folder, listed) for folder in found}
        if fitting := [folder for folder, why in differs.items() if why is None]:
            return fitting[0]
        looked = "; ".join(f"{folder}: {why}" for folder, why in differs.items()) or "no dataset is there"
        made = ", or make it with `pgolf data pydocs` and the record's versions of these packages"
        raise BadInput(
            f"{entry.path}: its {DATASET} names {counted(len(listed), 'file')} by hash, and {data_dir} has not these "
            f"({looked}); {NAME_THEM}{made if _is_made(entry.path) else ''}"
        )
    said = run.hyperparameters.get("vocab_size")
    if said and re.fullmatch(r"\d{1,7}", said.value):
        found = [folder for folder in found if (folder / "datasets" / f"fineweb10B_sp{said.value}").is_dir()]
    if len(found) > 1:
        raise BadInput(f"{data_dir}: has several datasets ({', '.join(map(str, found))}); name one with --data-dir")
    return found[0] if found else data_dir


def _facts(record: Path) -> Mapping[str, object]:
    try:
        facts = read_json(record / DATASET, MOST_MANIFEST, record)
    except Untrusted:
        return {}
    return facts if isinstance(facts, dict) else {}


def _listed(record: Path) -> dict[str, str]:
    """SHA-256 by path of the dataset's files, as a record's folder gives them; empty where it gives none."""
    files = _facts(record).get("files")
    if not isinstance(files, dict):
        return {}
    return {name: said for name, said in files.items() if stays_inside(name) and isinstance(said, str)}


def _is_made(record: Path) -> bool:
    return str(_facts(record).get("name")).startswith("pydocs-")


def _difference(folder: Path, listed: Mapping[str, str]) -> str | None:
    """Why a dataset is not the listed one; None: it is. Its manifest is asked first, which takes no time."""
    try:
        manifest = read_json(folder / MANIFEST, MOST_MANIFEST)
        known = manifest.get("files") if isinstance(manifest, dict) else None
    except Untrusted:
        known = None
    for name, said in sorted(listed.items()):
        if not (folder / name).is_file():
            return printable(f"no {name}")
        if isinstance(known, dict) and known.get(name, said) != said:
            return printable(f"{name} is another")
    for name, said in sorted(listed.items()):
        if hash_file(folder / name, MOST_SHARD) != said:
            return printable(f"{name} is another")
    return None
