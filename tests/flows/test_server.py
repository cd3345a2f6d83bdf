"""The Prefect server of one command ends when that command does, whatever it is at."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def test_server_whose_parent_is_gone_before_it_is_up_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.server", str(listener.fileno())],
            env=os.environ | {"PREFECT_HOME": str(tmp_path)},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    assert server.stdin
    server.stdin.close()
    assert server.wait(timeout=120) == 0
    assert not (tmp_path / "prefect.db").exists()  # it was not up, and made nothing for nobody
