"""A RunPod account for tests: `runpod_api.py` in a process of its own, and the pods.toml that uses it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from fakes.runpod_api import KEY
from fakes.sshd import USER, free_port

TESTS = Path(__file__).parents[1]
DOCUMENT = "shared/runpod-api/openapi-v1.json"  # beside this repository, or further up
OPENAPI = next((p / DOCUMENT for p in TESTS.parents[1:] if (p / DOCUMENT).exists()), TESTS.parents[1] / DOCUMENT)
MISSING = "the published description of RunPod's API is not beside this repository"


class FakeRunpod:
    """A running server; `close` ends it with every pod of its."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = KEY
        with (folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fakes.runpod_api", folder, str(self.port), OPENAPI],
                cwd=TESTS,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.ledger()
                return
            except httpx.HTTPError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def tell(self, what: str, **body: Any) -> None:
        httpx.post(f"{self.url}/fake/{what}", json=body, timeout=60).raise_for_status()

    def ledger(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/fake/ledger", timeout=60).raise_for_status().json())

    def pods(self) -> list[dict[str, Any]]:
        return list(self.ledger()["pods"])

    def alive(self) -> list[dict[str, Any]]:
        """Pods that cost money, or that still run something."""
        return [pod for pod in self.pods() if pod["alive"] or pod["processes"]]

    def pods_file(self, path: Path, more: str = "", nets: str = "", python: str = sys.executable) -> Path:
        """A pods.toml for this account, with nets and patience of seconds."""
        path.write_text(f"""
[runpod]
api = "{self.url}/v1"
key = "{path.with_name("id_ed25519")}"
user = "{USER}"
work = "wörk"
python = "{python}"
owner = "tests"
patience_s = 20.0
ready_patience_s = 60.0
capacity_patience_s = 60.0
{more}
[runpod.checks]
min_free_gb = 0.01
min_disk_mb_s = 0.1
cuda = false
[runpod.rent]
gpu_types = ["NVIDIA H100 80GB HBM3"]
[runpod.rehearse]
max_price_per_hour = 2.5
[runpod.nets]
first_lease_s = 300
lease_s = 60
lifetime_s = 3600
fetch_grace_s = 60
heartbeat_s = 2.0
tick_s = 1
{nets}
""")
        return path

    def __enter__(self) -> "FakeRunpod":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
