"""The names of rented pods, `pgolf.<owner>.<record-id>.<slot>.<nonce>`, of files in a pod's folder, and of paths."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pgolf.errors import BadInput
from pgolf.files import stays_inside

MAX_NAME_CHARS = 191  # RunPod's limit
TAKEN = ("pod.json", "exit.json", "place.json", "train.log", "supervisor.err")  # files that a pod itself writes


@dataclass(frozen=True)
class PodName:
    """The parts of a pod's name."""

    owner: str
    record_id: str
    slot: str


def pod_name(owner: str, record_id: str, slot: str, nonce: str) -> str:
    """The name of a rented pod.

    >>> pod_name("me", "10min_16mb-pr1812-0f.1", "pod-1", "c0ffee")
    'pgolf.me.10min_16mb-pr1812-0f.1.pod-1.c0ffee'
    """
    name = f"pgolf.{owner}.{record_id}.{slot}.{nonce}"
    assert len(name) <= MAX_NAME_CHARS
    return name


def read_name(name: str) -> PodName | None:
    """The parts of a pod's name; None if pgolf did not make it.

    >>> read_name("pgolf.me.10min_16mb-pr1812-0f.1.pod-1.c0ffee")
    PodName(owner='me', record_id='10min_16mb-pr1812-0f.1', slot='pod-1')
    >>> read_name("my pod")
    >>> read_name("pgolf.me.../../elsewhere.pod-1.c0ffee")  # a record's folder has the record's name
    """
    parts = name.split(".")
    if len(parts) < 5 or parts[0] != "pgolf" or not stays_inside(name) or "/" in name or not parts[2]:
        return None
    return PodName(parts[1], ".".join(parts[2:-2]), parts[-2])


def checked_name(name: str) -> PurePosixPath:
    """The path of a file to put into a pod's folder; BadInput if it leaves the folder, or if a pod writes that file.

    >>> checked_name("tokenizers/x.model")
    PurePosixPath('tokenizers/x.model')
    """
    if not stays_inside(name):
        raise BadInput(f"{name!r}: not the name of a file in a pod's folder; give a relative path without '..'")
    if name in TAKEN:
        raise BadInput(f"{name}: a pod writes a file of this name itself; give yours another name")
    return PurePosixPath(name)


def moved(value: str, root: Path, target: PurePosixPath) -> str:
    """`value` with `target` in place of the folder `root`, where it is that folder or begins with a path in it.

    Examples
    --------
    >>> moved("/here/datasets/x/fineweb_train_*.bin", Path("/here"), PurePosixPath("/there"))
    '/there/datasets/x/fineweb_train_*.bin'
    >>> moved("/here2/datasets", Path("/here"), PurePosixPath("/there"))
    '/here2/datasets'
    """
    if value == str(root) or value.startswith(f"{root}/"):
        return str(target) + value.removeprefix(str(root))
    return value
