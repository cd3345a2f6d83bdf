"""How much memory this machine has, and how much a process takes with all its children."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container that this process runs in, has."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no such control group, or no limit ("max")
            continue
    return min(limits)


def memory_of(pid: int) -> int:
    """Bytes of memory that a process and its children take, but for files; 0 where the system does not say."""
    return sum(_own(p) for p in tree(pid))


def tree(pid: int) -> Iterator[int]:
    """A process, its children, and theirs."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # it has ended meanwhile
            continue
        for child in children:
            yield from tree(int(child))


def _own(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    figures = [line.split() for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(figure[1]) for figure in figures) * 1024
