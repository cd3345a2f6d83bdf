"""Prefect servers of tests: one that all of pytest's workers share, and a database that is made once."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def common_server(folder: Path) -> Iterator[str]:
    """The API of the Prefect server of all processes that are in here with this `folder`: the first one starts it. It
    reads from a pipe that all of them hold open, so it ends with the last one, and when they are killed."""
    import httpx

    import pgolf.flows  # noqa: F401  before Prefect, which it gives defaults
    from pgolf.flows.server import STARTUP_TIMEOUT_S, start

    pipe, known = folder / "prefect.pipe", folder / "prefect.url"
    with FileLock(folder / "prefect.lock"):
        if not pipe.exists():
            os.mkfifo(pipe)
        try:
            held = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # nobody has the other end yet
            held = os.open(pipe, os.O_WRONLY)
            os.set_blocking(end, True)
            copy_database(folder / "prefect")
            _, url = start(folder / "prefect", end)
            os.close(end)
            httpx.get(f"{url}/health", timeout=STARTUP_TIMEOUT_S).raise_for_status()
            keep_database(folder / "prefect")
            known.write_text(url)
    try:
        yield known.read_text()
    finally:
        os.close(held)


def kept_database() -> Path | None:
    """Where all of pytest's workers have it; None outside of pytest."""
    return Path(os.environ["XDG_CACHE_HOME"], "prefect.db") if "PYTEST_VERSION" in os.environ else None


def keep_database(home: Path) -> None:
    """Keep the database that a server has just made, for other servers: to make one takes seconds."""
    kept = kept_database()
    if kept and not kept.exists():
        new = kept.with_suffix(".new")
        with closing(sqlite3.connect(home / "prefect.db")) as made, closing(sqlite3.connect(new)) as copy:
            made.backup(copy)
        new.replace(kept)


def copy_database(home: Path) -> None:
    """Give a PREFECT_HOME that has none the database that was kept, if there is one."""
    kept = kept_database()
    if kept and kept.exists() and not (home / "prefect.db").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(kept, home / "prefect.db")
