"""The cores of this machine."""

import os


def usable_cores() -> int:
    """The cores that this process may use: fewer than the machine's where it is bound to some of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
