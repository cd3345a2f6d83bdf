"""Prefect's API for one command, where nobody runs a server: SQLite in a folder, on a free port of this machine.

Prefect's own temporary server would outlive a killed parent. This one ends when its parent does, kill -9 included:
it holds the other end of a pipe.
"""

import fcntl
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings

from pgolf.errors import BadInput, RunFailed
from pgolf.record.disk import full_disk

log = logging.getLogger("pgolf.server")
SHUTDOWN_TIMEOUT_S = 30
STARTUP_TIMEOUT_S = 600  # the first start creates the database: ten seconds on a quiet machine
SAID_EVERY_S = 60


@contextmanager
def prefect_api(home: Path) -> Iterator[Callable[[], None]]:
    """Prefect's API: the server of the settings (PREFECT_API_URL), else one for as long as this lasts.

    It starts while the caller does something else. Yields a function that waits until it is up, and raises RunFailed if
    it does not start. BadInput if a server is set and does not answer. Where somebody ends the command, that does not
    wait for its server, which ends by itself some seconds later.
    """
    if url := PREFECT_API_URL.value():
        _check_reachable(url)
        yield lambda: None
        return
    log.info("prefect: starting a server for this command, its database is in %s", home)
    server, url = start(home, subprocess.PIPE)
    assert server.stdin
    told_to_end = False
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield lambda: wait(url, home)
            finally:
                for handler in logging.getLogger("prefect.flow_runs").handlers:
                    handler.flush()  # the last lines are still on their way
    except (KeyboardInterrupt, SystemExit):
        told_to_end = True
        raise
    finally:
        server.stdin.close()
        if not told_to_end:
            server.wait()


def wait(url: str, home: Path, most_s: float = STARTUP_TIMEOUT_S) -> None:
    """Wait until a server that was started is up, and say every minute that it is not.

    Raises
    ------
    RunFailed : it has ended, or has not answered within `most_s` seconds.
    """
    began = time.monotonic()
    while (left := began + most_s - time.monotonic()) > 0:
        try:  # it is connected to at once, and answers when it is up
            httpx.get(f"{url}/health", timeout=min(left, SAID_EVERY_S)).raise_for_status()
            return
        except httpx.TimeoutException:
            log.info("prefect: the server is not up after %.0f s: this machine is busy", time.monotonic() - began)
        except httpx.HTTPError as e:
            why = full_disk(home, home / "server.log")
            raise RunFailed(why or f"Prefect's server does not start ({e!r}); see {home / 'server.log'}") from e
    raise RunFailed(
        full_disk(home, home / "server.log")
        or f"Prefect's server was not up within {most_s:.0f} s: this machine is busy; start the same command again, "
        "or keep a server up (`prefect server start`) and set PREFECT_API_URL"
    )


def start(home: Path, stdin: int) -> tuple[subprocess.Popen[bytes], str]:
    """A server whose database is in `home`, and its URL. It ends when its standard input does."""
    home.mkdir(parents=True, exist_ok=True)
    quiet = {
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",  # `serve` does it, one server after another
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "PREFECT__SERVER_EPHEMERAL": "1",
    }
    with (home / "server.log").open("wb") as output, socket.create_server(("127.0.0.1", 0)) as listener:
        server = subprocess.Popen(
            [sys.executable, "-m", "pgolf.flows.server", str(listener.fileno())],
            env=os.environ | quiet,
            stdin=stdin,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for us: the last states still have to reach it
        )
        return server, f"http://127.0.0.1:{listener.getsockname()[1]}/api"


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected while imports make a million objects that stay: a sixth of their time. Nor is it looked
    for among them afterwards, at the end of the process least of all, which took seconds."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _check_reachable(url: str) -> None:
    """Raise BadInput if nothing answers at PREFECT_API_URL; any answer will do."""
    try:
        httpx.get(f"{url}/health", timeout=30)
    except (httpx.TransportError, httpx.InvalidURL) as e:
        fix = "start it (`prefect server start`), or unset PREFECT_API_URL"
        raise BadInput(f"no Prefect server at {url} ({type(e).__name__}): {fix}") from None


def serve(listener: socket.socket) -> None:
    """Serve on `listener` until standard input ends."""
    server: Any = None

    def end_with_parent() -> None:
        sys.stdin.read()
        sys.stdin.close()
        if server:
            server.should_exit = True
            time.sleep(SHUTDOWN_TIMEOUT_S)  # it looks at that only when it is up: minutes, on a busy machine
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    with uncollected():
        import uvicorn
        from prefect.server.api.server import create_app
        from prefect.server.database import provide_database_interface
        from prefect.settings import PREFECT_HOME

        app = create_app()

    class AfterOthers(uvicorn.Server):
        """Makes its tables before it starts, where no other server of this folder is at that: both would fail."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with (PREFECT_HOME.value() / "tables.lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                await provide_database_interface().create_db()
            await super().startup(sockets)

    server = AfterOthers(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5))
    server.run(sockets=[listener])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
