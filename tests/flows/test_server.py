"""The Prefect server of one command ends when that command does; one that is set and not there is said in words."""

import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from pgolf.errors import BadInput, RunFailed
from pgolf.flows.server import STARTUP_TIMEOUT_S, prefect_api, start, uncollected, wait


def test_server_whose_parent_is_gone_before_it_is_up_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = subprocess.Popen(
            [sys.executable, "-m", "pgolf.flows.server", str(listener.fileno())],
            env=os.environ | {"PREFECT_HOME": str(tmp_path)},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    assert server.stdin
    server.stdin.close()
    assert server.wait(timeout=120) == 0
    assert not (tmp_path / "prefect.db").exists()  # it was not up, and made nothing for nobody


def test_two_servers_that_start_at_once_in_a_new_folder_both_come_up(tmp_path: Path) -> None:
    servers = [start(tmp_path, subprocess.PIPE) for _ in range(2)]
    try:
        for _, url in servers:
            httpx.get(f"{url}/health", timeout=STARTUP_TIMEOUT_S).raise_for_status()
    finally:
        for server, _ in servers:
            assert server.stdin
            server.stdin.close()
            server.wait(timeout=120)


def test_server_that_is_slow_is_told_from_one_that_has_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connected to, and nothing answers
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        with pytest.raises(RunFailed, match="not up within 1 s: this machine is busy; start the same command again"):
            wait(url, tmp_path, most_s=1)
    with pytest.raises(RunFailed, match=r"does not start .*server\.log"):
        wait(url, tmp_path, most_s=1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "nonsense"])
def test_server_that_does_not_answer_is_bad_input(url: str, tmp_path: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(BadInput, match="unset PREFECT_API_URL"),
        prefect_api(tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_ctrl_c_does_not_wait_for_the_server_which_ends_by_itself(tmp_path: Path) -> None:
    before, servers = set(psutil.Process().children()), []

    def interrupted() -> None:
        with temporary_settings({PREFECT_API_URL: None}), pytest.raises(KeyboardInterrupt), prefect_api(tmp_path):
            servers.extend(set(psutil.Process().children()) - before)
            servers[0].suspend()
            raise KeyboardInterrupt

    command = threading.Thread(target=interrupted, daemon=True)
    command.start()
    command.join(timeout=60)
    (server,) = servers
    try:
        assert not command.is_alive(), "it waits for a server that stands still"
    finally:
        server.resume()
    assert server.wait(timeout=120) == 0


def test_what_imports_have_made_is_not_looked_through_at_the_end() -> None:
    before = gc.get_freeze_count()
    with uncollected():
        made: list[object] = [[] for _ in range(1000)]
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)
