"""The names of rented pods: `pgolf.<owner>.<record-id>.<slot>.<nonce>`. A name says whose a pod is."""

from dataclasses import dataclass

MAX_NAME_CHARS = 191  # RunPod's limit


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
    """
    parts = name.split(".")
    if len(parts) < 5 or parts[0] != "pgolf":
        return None
    return PodName(parts[1], ".".join(parts[2:-2]), parts[-2])
