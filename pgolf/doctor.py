"""List what this machine has for a record, what it lacks, and how to get it. Changes nothing, shows no secret."""

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import httpx
from packaging.requirements import Requirement

from pgolf import ledger, tracks
from pgolf.errors import BadInput
from pgolf.ledger.choosing import check_standing, standing_record
from pgolf.notify import VARIABLE as WEBHOOK
from pgolf.phrases import counted, signed
from pgolf.pods.places import KEY as RUNPOD_KEY
from pgolf.pods.settings import read_settings
from pgolf.presets import load
from pgolf.record.disk import check_room, existing
from pgolf.record.preflight import check_disk
from pgolf.record.refusals import SPARE_BYTES, check_data, check_folder
from pgolf.record.request import check_request
from pgolf.requirements import packages_of
from pgolf.tracks import Track

SKEW_S = 60.0  # between this clock and a server's, from which times in logs mislead
FREE_BYTES = 5e9


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `missing` stops a record of the track, `optional` only what `fix` names ('' for none)."""

    what: str
    state: Literal["ok", "optional", "missing"]
    found: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(track: str, data_dir: Path, runs_dir: Path) -> list[Finding]:
    """Look at all that a record of `track` needs on this machine; BadInput if there is no such track."""
    rules = tracks.load(track)
    looks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        (lambda: _program(rules)) if rules.target else (lambda: _trainer(rules)),
        lambda: _torch(rules),
        _prefect,
        lambda: _disk(track, rules, runs_dir),
        *([] if rules.target else [lambda: _data(track, rules, data_dir)]),
        *([] if rules.target or not rules.record else [lambda: _to_beat(rules)]),
        _keys,
        _clock,
    ]
    return [finding for look in looks for finding in look()]


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} at {sys.executable}"
    enough = sys.version_info >= (3, 11)
    yield Finding("Python", "ok" if enough else "missing", found, "" if enough else "install Python 3.11 or later")


def _packages() -> Iterator[Finding]:
    """Every requirement of pgolf itself, by the versions that are installed."""
    wrong = []
    for text in requires("pgolf") or ():
        need = Requirement(text)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            have = version(need.name)
        except PackageNotFoundError:
            wrong.append(f"no {need.name}")
            continue
        if not need.specifier.contains(have, prereleases=True):
            wrong.append(f"{need.name} {have}, wanted {need.specifier}")
    fix = "pip install --constraint constraints.txt --editable ." if wrong else ""
    yield Finding("packages", "missing" if wrong else "ok", "; ".join(wrong) or "all that pgolf needs", fix)


def _trainer(track: Track) -> Iterator[Finding]:
    """The packages that the trainer imports with the knobs of the track's preset."""
    packages = packages_of(load(track.preset))
    lacking = [text for text in packages if find_spec(Requirement(text).name) is None]
    found = f"no {', '.join(lacking)}" if lacking else ", ".join(packages)
    fix = shlex.join(["pip", "install", *lacking]) if lacking else ""
    yield Finding(f"trainer ({Path(track.preset).stem})", "missing" if lacking else "ok", found, fix)


def _program(track: Track) -> Iterator[Finding]:
    """A speedrun's runs are of a program of the user's, with its own packages and dataset."""
    found = f"a record of track {track.name} runs yours: `pgolf program check` says what it lacks here"
    yield Finding("program", "ok", found)


def _to_beat(track: Track) -> Iterator[Finding]:
    """The record that stands for the track."""
    try:
        check_standing(track)
        standing = standing_record(track)
    except BadInput as e:
        yield Finding("to beat", "missing", str(e), "pgolf ledger list")
        return
    if standing:
        sample = standing.sample()
        found = f"{standing.name}, {sample.mean:.8f} bpb over {counted(sample.n, 'seed')}; --against names another one"
    else:
        found = f"measured first, with preset {Path(str(track.baseline_preset)).stem}"
    yield Finding("to beat", "ok", found)


def _torch(track: Track) -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as e:  # a broken driver fails to load, not to import
        yield Finding("torch", "missing", f"cannot be imported: {e}", "pip install --constraint constraints.txt torch")
        return
    yield Finding("torch", "ok", torch.__version__)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = sorted({torch.cuda.get_device_name(i) for i in range(count)})
    found = f"{count} x {', '.join(names)}, CUDA {torch.version.cuda}" if count else "no GPU"
    if "CPU" in track.hardware:
        yield Finding("GPU", "ok", f"{found}; track {track.name} needs none")
    elif count >= track.nproc:
        yield Finding("GPU", "ok", found)
    else:
        fix = f"rent them: docs/runpod.md (track {track.name} is for {track.hardware})"
        yield Finding("GPU", "optional", found, fix)


def _prefect() -> Iterator[Finding]:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        yield Finding("Prefect", "ok", f"{version('prefect')}; no server is set, `pgolf record` brings its own")
        return
    try:
        httpx.get(f"{url}/health", timeout=5).raise_for_status()
        yield Finding("Prefect", "ok", f"{version('prefect')}, server at {url}")
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        fix = "start it (`prefect server start`), or unset PREFECT_API_URL"
        yield Finding("Prefect", "missing", f"no server at {url} ({type(e).__name__})", fix)


def _disk(track: str, rules: Track, runs_dir: Path) -> Iterator[Finding]:
    """Whether a record of the track can be written there, as `pgolf record` says before it starts, with some to spare.

    No program says how much a speedrun's runs leave.
    """
    try:
        check_folder(runs_dir)
        if rules.target:
            check_room(runs_dir, SPARE_BYTES, "its runs need")
        else:
            check_disk(check_request(track), runs_dir)
    except BadInput as e:
        yield _refused("disk", e)
        return
    free = shutil.disk_usage(existing(runs_dir)).free
    found = f"{free / 1e9:.1f} GB free at {existing(runs_dir)}"
    if free < FREE_BYTES:
        yield Finding("disk", "optional", found, "free some: three seeds with checkpoints take gigabytes")
    else:
        yield Finding("disk", "ok", found)


def _data(track: str, rules: Track, data_dir: Path) -> Iterator[Finding]:
    """Whether the dataset is there, as `pgolf record` says before it starts; it then checks what is in the files."""
    try:
        check_data(check_request(track), data_dir)
    except BadInput as e:
        yield _refused("dataset", e)
        return
    made = rules.corpus == "pydocs"
    found = f"track {rules.name} makes its own, in {data_dir}" if made else f"tokenizer and shards in {data_dir}"
    yield Finding("dataset", "ok", found)


def _refused(what: str, error: BadInput) -> Finding:
    """What a record would be refused for: its message says what is wrong, and after a semicolon what to do."""
    found, _, fix = str(error).partition("; ")
    return Finding(what, "missing", found, fix)


def _keys() -> Iterator[Finding]:
    """Examine the settings that only rented machines and notifications need. Values are never shown."""
    for name, purpose in ((RUNPOD_KEY, "to rent pods (docs/runpod.md)"), (WEBHOOK, "to be told in a chat")):
        there = bool(os.environ.get(name))
        yield Finding(
            name, "ok" if there else "optional", "is set" if there else "is not set", "" if there else purpose
        )
    try:
        key = read_settings().ssh.key
    except BadInput as e:
        yield Finding("pods.toml", "missing", str(e), "mend it (docs/runpod.md)")
        return
    there = key.is_file()
    fix = "" if there else "made by itself when the first pod is reached"
    yield Finding("SSH key", "ok" if there else "optional", str(key) if there else f"no {key}", fix)


def _clock() -> Iterator[Finding]:
    """Against the newest record in the ledger, and against the Prefect server's clock where there is one."""
    now = datetime.now(UTC)
    newest = max(date.fromisoformat(ledger.load(name).date) for name in ledger.names())
    if now.date() < newest:
        yield Finding("clock", "missing", f"{now:%Y-%m-%d}, before the ledger's newest record ({newest})", "set it")
        return
    skew = _skew()
    if skew is not None and abs(skew) > SKEW_S:
        yield Finding(
            "clock", "missing", f"{signed(skew, 0)} s off the Prefect server's", "synchronise it, with NTP say"
        )
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def _skew() -> float | None:
    url = os.environ.get("PREFECT_API_URL")
    try:
        told = httpx.get(f"{url}/health", timeout=5).headers["date"] if url else None
        return (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds() if told else None
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError):
        return None
