"""Find rented pods by their names, and end those whose record nobody works on. Other owners' pods are not touched."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.pods.money import note_end
from pgolf.pods.names import read_name
from pgolf.pods.places import check_key, key_of_environment, lock_if_free
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import read_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A pod of this account; `record_id` and `slot` are None where pgolf did not make it, `owner` says whose it is.

    `price_per_hour` (dollars) is None where the API gives none that can be one.
    """

    id: str
    name: str
    status: str
    price_per_hour: float | None
    owner: str | None
    record_id: str | None
    slot: str | None

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf pods list --json` prints."""
        return asdict(self)


def find(api: Runpod, owner: str | None = None) -> list[Found]:
    """The pods of this account, or those of one owner."""
    found = []
    for pod in api.find():
        named = read_name(pod.name)
        whose = (named.owner, named.record_id, named.slot) if named else (None, None, None)
        found.append(Found(pod.id, pod.name, pod.status, pod.price, *whose))
    return [pod for pod in found if owner in (None, pod.owner) and pod.status != "TERMINATED"]


def account(pods_file: Path | None = None) -> tuple[Runpod, str]:
    """The API with this process's key, and the owner that the settings name; BadInput without a key."""
    settings = read_settings(pods_file).runpod
    return Runpod(settings.api, check_key(key_of_environment())), settings.owner


@contextmanager
def keeping_out(runs_dir: Path | None, record_id: str) -> Iterator[bool]:
    """Keep others out of a record in `runs_dir`, if it is there; yields False if a process here works on it."""
    folder = (runs_dir / record_id).resolve() if runs_dir else None
    if folder is None or not folder.is_dir():
        yield True
        return
    with lock_if_free(folder) as free:
        yield free


def worked_on(runs_dir: Path, record_id: str) -> bool:
    """Whether a process of this machine works on a record in `runs_dir`."""
    with keeping_out(runs_dir, record_id) as free:
        return not free


def reap(
    api: Runpod, owner: str, live: Collection[str] = (), runs_dir: Path | None = None, only: str | None = None
) -> list[Found]:
    """End the pods of `owner` whose record nobody works on; return those pods. One that cannot be ended hides no other.

    Parameters
    ----------
    live : ids of the records that are being worked on elsewhere.
    runs_dir : a record in this folder that a process of this machine works on is left alone.
    only : end the pods of this record and no others, even if a process works on it.

    Raises
    ------
    RunFailed : some could not be ended; all were tried.
    """
    ended, failed = [], []
    for pod in find(api, owner):
        assert pod.record_id
        if only is not None and pod.record_id != only:
            continue
        if only is None and pod.record_id in live:
            continue
        # a process that starts this record now waits, so that it does not take up a pod that is being ended
        with keeping_out(runs_dir, pod.record_id) as free:
            if free or only is not None:
                try:
                    api.delete(pod.id)
                except (RunFailed, BadInput) as e:
                    failed.append(f"{pod.name} ({pod.id}): {e}")
                    continue
                if free and runs_dir:  # a process that works on it notes that itself
                    note_end(runs_dir / pod.record_id, pod.name, pod.id, pod.price_per_hour)
                log.info("%s: ended, nobody works on %s", pod.name, pod.record_id)
                ended.append(pod)
    if failed:
        raise RunFailed(f"{len(ended)} pods ended, but not {'; '.join(failed)}; end them in RunPod's console")
    return ended
