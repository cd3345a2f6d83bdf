"""runpod/watchdog.sh, run here as a container's first process, whose container is started again and again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from pgolf.pods.bootstrap import SCRIPTS
from pgolf.pods.lease import renewal

HOUR = 3600


@dataclass
class Container:
    """A pod's container: its disk, its tools, and the settings that it is always started with."""

    home: Path
    tools: Path
    running: subprocess.Popen[bytes] | None = None
    env: dict[str, str] = field(default_factory=dict)

    def tool(self, name: str, body: str) -> None:
        self.tools.mkdir(exist_ok=True)
        (self.tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.tools / name).chmod(0o755)

    def api_time(self, unix: float) -> None:
        """What the API's clock says; its other replies are to a DELETE."""
        self.tool(
            "curl",
            f'case "$*" in *--head*) printf "HTTP/1.1 401 no\\r\\nDate: {formatdate(unix, usegmt=True)}\\r\\n";; '
            '*) cat >/dev/null; for last; do :; done; echo "curl $last" >>"$ENDED";; esac',
        )

    def start(self, **env: object) -> None:
        """Start it, for the first time or anew: nothing of an earlier start runs any more."""
        self.stop()
        self.home.mkdir(exist_ok=True)
        self.env |= {name: str(value) for name, value in env.items()}
        self.running = subprocess.Popen(
            ["bash", "-c", (SCRIPTS / "watchdog.sh").read_text(), "watchdog"], env=self.env, start_new_session=True
        )

    def stop(self, wipe: bool = False) -> None:
        if self.running:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()
            self.running = None
        if wipe:
            subprocess.run(["rm", "-r", self.home], check=True)

    @property
    def ended(self) -> list[str]:
        """How the pod has been ended, each time."""
        file = Path(self.env["ENDED"])
        return file.read_text().splitlines() if file.exists() else []

    @property
    def why(self) -> str:
        return (self.home / ".pgolf/watchdog.log").read_text()

    def counts(self, starts: int) -> None:
        """Wait until the watchdog has written down that the container was started so often, or has ended it."""
        deadline = time.monotonic() + 30
        while not self.ended and time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError, ValueError):
                if int((self.home / ".pgolf/watched").read_text().split()[3]) >= starts:
                    return
            time.sleep(0.02)

    def ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path / "home", tmp_path / "tools")
    made.tool("runpodctl", 'echo "$*" >>"$ENDED"')
    made.api_time(time.time())
    made.env = {
        "PATH": f"{made.tools}:{os.environ['PATH']}",
        "HOME": str(made.home),
        "ENDED": str(tmp_path / "ended"),
        "RUNPOD_POD_ID": "p0d",
        "RUNPOD_API_KEY": "its-own-key",
        "PGOLF_API": "http://api.test/v1",
        "PGOLF_BORN": f"{time.time():.0f}",
        "PGOLF_FIRST_LEASE_S": str(HOUR),
        "PGOLF_LEASE_S": str(HOUR),
        "PGOLF_LIFETIME_S": str(4 * HOUR),
        "PGOLF_FETCH_GRACE_S": "0",
        "PGOLF_TICK_S": "0.1",
    }
    yield made
    made.stop()


def lease(container: Container, words: str) -> None:
    (container.home / ".pgolf").mkdir(parents=True, exist_ok=True)
    (container.home / ".pgolf/lease").write_text(words)


def test_a_new_pod_lives_whatever_the_clock_there_says(container: Container) -> None:
    container.tool("date", 'case "$*" in *+%s*-d*|*-d*) exec /bin/date "$@";; *) echo 1;; esac')
    container.start()
    assert not container.ends_within(1.0)


@pytest.mark.parametrize("wipe", [True, False], ids=["disk wiped", "disk kept"])
def test_lifetime_counts_from_the_birth_and_not_from_a_start(container: Container, wipe: bool) -> None:
    began = time.monotonic()
    container.start(PGOLF_LIFETIME_S=3, PGOLF_BORN=int(time.time()))
    while not container.ends_within(0.7):
        assert time.monotonic() < began + 20
        container.stop(wipe)
        container.api_time(time.time())
        container.start()
    assert time.monotonic() > began + 2
    assert "its lifetime of 3 s is over" in container.why


def test_container_on_a_new_disk_that_was_never_leased_is_not_waited_for_again(container: Container) -> None:
    container.start(PGOLF_BORN=int(time.time()) - HOUR * 3 // 2)
    assert not container.ends_within(1.0)
    container.stop(wipe=True)
    container.api_time(time.time() + HOUR)
    container.start()
    assert container.ends_within(10)
    assert "no lease within 3600 s" in container.why


def test_starts_without_a_lease_are_counted_where_the_disk_is_kept(container: Container) -> None:
    for number in range(1, 11):
        assert not container.ended, number
        container.start()
        container.counts(number)
    assert container.ends_within(30)
    assert "started 10 times without a lease" in container.why


def test_leased_pod_is_not_ended_for_its_starts_but_an_old_lease_stays_old(container: Container) -> None:
    lease(container, "c0ffee 1")
    began = time.monotonic()
    container.start(PGOLF_LEASE_S=6)
    for _ in range(12):
        assert not container.ends_within(0.25)
        container.start()
    assert container.ends_within(20)
    assert time.monotonic() > began + 5
    assert "its lease was not renewed for 6 s" in container.why


def test_seed_that_waits_to_be_fetched_is_waited_for_once(container: Container) -> None:
    lease(container, "c0ffee 1")
    (container.home / ".pgolf/unfetched").mkdir()
    (container.home / ".pgolf/unfetched/a").touch()
    began = time.monotonic()
    container.start(PGOLF_LEASE_S=1, PGOLF_FETCH_GRACE_S=4)
    while not container.ends_within(1.0):
        assert time.monotonic() < began + 20
        container.start()
    assert time.monotonic() > began + 4


def test_without_the_api_a_pod_counts_from_its_start_until_that_answers(container: Container) -> None:
    container.tool("curl", "exit 7")
    container.start(PGOLF_BORN=int(time.time()) - 5 * HOUR)
    assert not container.ends_within(1.0)
    container.api_time(time.time())
    assert container.ends_within(10)


@pytest.mark.parametrize("tool", ["exit 1", None], ids=["broken", "missing"])
def test_pod_is_ended_without_runpodctl(container: Container, tool: str | None) -> None:
    if tool:
        container.tool("runpodctl", tool)
    else:
        (container.tools / "runpodctl").unlink()
    container.start(PGOLF_LIFETIME_S=0, PGOLF_BORN=int(time.time()) - 10)
    assert container.ends_within(10)
    assert container.ended[0] == "curl http://api.test/v1/pods/p0d"


@pytest.mark.parametrize(
    "kept", ["", "-", "x y z", "boot 99999999999999999999 1 1 - -", "a[$(touch /tmp/x)] 1 1 1 1 1"]
)
def test_nonsense_on_the_disk_is_no_birth(container: Container, kept: str) -> None:
    lease(container, "$(exit) `exit`")
    (container.home / ".pgolf/watched").write_text(kept)
    (container.home / ".pgolf/lifetime_s").write_text("08 seconds")
    container.start()
    assert not container.ends_within(0.6)
    assert len((container.home / ".pgolf/watched").read_text().split()) == 6


def test_renewals_at_one_time_do_not_spoil_each_other(tmp_path: Path) -> None:
    """The heartbeat's falls into the one that a ready machine gets: a pod was given back for it."""
    begins, _, ends = renewal(1.0, 10.0).partition(" && mv ")
    for command in (begins, renewal(1.0, 10.0), f"mv {ends}"):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert sorted(path.name for path in (tmp_path / ".pgolf").iterdir()) == ["lease", "lifetime_s"]
