"""Fill a network volume with a dataset before GPUs are rented: a pod without any does it, for cents an hour.

    runs/volume-<id>-<dataset>/pods/<slot>.json     the pods that it took, as of a record
    runs/volume-<id>-<dataset>/whole.json           written when every file is there, with its SHA-256

A record on that volume rents its GPUs when it is whole, and only looks again then.
"""

import logging
import math
import random
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.pods import Gone
from pgolf.pods.failures import settle_failures
from pgolf.pods.money import Budget, spent
from pgolf.pods.needs import digest
from pgolf.pods.rental import Rental, Rentals
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import RunpodSettings
from pgolf.pods.slots import NotNow, lock_file, read_slot
from pgolf.pods.ssh import Data
from pgolf.pods.staging import Staged, also_staged, size_of, stage_data

log = logging.getLogger(__name__)
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WHOLE = "whole.json"
PAUSE_MOST_S = 60.0  # between two requests for a pod while there is none to be had
MOST_DOLLARS = 2.0  # for all pods of one filling; a pod without GPUs costs cents an hour


@dataclass(frozen=True)
class Filled:
    """A dataset that is whole on a network volume: bytes and files, `folder` there, and what this call has brought.

    `known`: it was whole before, by what an earlier call has written down, and nobody has looked again.
    """

    volume: str
    files: int
    bytes: int
    folder: str
    known: bool
    staged: tuple[Staged, ...] = ()
    dollars: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        facts = {name: getattr(self, name) for name in ("volume", "files", "bytes", "folder", "known", "dollars")}
        return facts | {"staged": [one.as_json() for one in self.staged]}


def folder_of(runs_dir: Path, volume: str, data: Data) -> Path:
    """The folder that keeps what is known of a dataset on a volume; BadInput for an id that cannot be one."""
    if not ID.fullmatch(volume):
        raise BadInput(f"--volume {volume[:80]!r}: not the id of a network volume; RunPod's console shows it")
    return runs_dir.resolve() / f"volume-{volume}-{digest(dict(data.files))[:8]}"


def fill_volume(
    volume: str,
    data: Data,
    settings: RunpodSettings,
    key: str,
    runs_dir: Path,
    *,
    max_cost: float = MOST_DOLLARS,
    again: bool = False,
    stop: threading.Event | None = None,
) -> Filled:
    """Bring a dataset to a network volume by a pod without GPUs, and end that; rent nothing if it is known whole.

    Parameters
    ----------
    max_cost : dollars, of all pods that it takes.
    again : rent a pod and look, though it is known whole.
    stop : ends it when set.

    Raises
    ------
    BadInput : not the id of a volume.
    RunFailed : three pods in a row failed in the same way, the bound is reached, or the source has not these files.
    """
    folder, there = folder_of(runs_dir, volume, data), f"{settings.work}/{data.folder}"
    facts = (volume, len(data.files), size_of(data, list(data.files)), there)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_file(folder)):  # another record may fill it just now
        if (folder / WHOLE).exists() and not again:
            return Filled(*facts, known=True)
        before, stop = spent(folder), stop or threading.Event()
        budget = Budget(folder, stop, before + max_cost, None, settings.staging.seconds / 3600)
        rent = settings.stage.model_copy(update={"network_volume_id": volume})
        rentals = Rentals(Runpod(settings.api, key), settings, rent, 1, folder, data, budget)
        rentals.runs = lambda: 1
        log.info("network volume %s: %.2f GB, by a pod without GPUs", volume, facts[2] / 1e9)
        try:
            staged = _by_any(rentals, data, settings)
        finally:
            rentals.close()
            settle_failures(folder)
        write_json(folder / WHOLE, {"folder": there, "files": dict(data.files), "at": round(time.time(), 3)})
    return Filled(*facts, known=False, staged=tuple(staged), dollars=round(spent(folder) - before, 4))


def _by_any(rentals: Rentals, data: Data, settings: RunpodSettings) -> list[Staged]:
    """Let one pod after another try it, an earlier process's first; what the last one has brought.

    `Rentals.another` ends it when pods fail alike.
    """
    waiting, pause, stop = [*rentals.before()], 1.0, rentals.budget.stop
    error: Gone
    while True:
        pod = waiting.pop() if waiting else rentals.another()
        assert isinstance(pod, Rental)
        try:
            machine = pod.reach()
            machine.install()
            staged = stage_data(machine, data, settings.staging, send_most=math.inf)
            known = read_slot(pod.path)
            write_json(pod.path, {**known, "ready": data.folder.name, "staged": also_staged(known, staged)})
            return staged
        except NotNow as e:
            error = e
            waiting.append(pod)
            stop.wait(random.uniform(0.5, pause))
            pause = min(2 * pause, PAUSE_MOST_S)
        except Gone as e:
            log.warning("%s: not used: %s", pod.name, e)
            pod.failed(e)
            pod.end()
            error = e
        if stop.is_set():
            raise rentals.budget.ending or RunFailed(f"{rentals.record.name}: stopped: {error}")
