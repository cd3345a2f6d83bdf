"""Debian's PostgreSQL for a test: a cluster in a temporary folder, on a loopback port, run by somebody unprivileged."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from fakes.sshd import free_port

BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
POSTGRES = shutil.which("postgres", path=os.pathsep.join([*map(str, BIN), os.environ["PATH"]]))
MISSING = "no PostgreSQL here: it is Debian's postgresql (apt-get install postgresql)"
NAME = "prefect"  # of role and database


class Postgres:
    """A running server with the role and the database that docs/operate.md makes; gone, with its files, at the end."""

    def __init__(self) -> None:
        assert POSTGRES
        self.bin = Path(POSTGRES).resolve().parent
        self.user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # root, it refuses
        self.folder = Path(tempfile.mkdtemp(prefix="pgolf-postgres-"))  # pytest's own folders are closed to others
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        self.url = f"postgresql+asyncpg://{NAME}@127.0.0.1:{self.port}/{NAME}"

    def __enter__(self) -> "Postgres":
        self._run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--no-sync")
        words = [self.bin / "postgres", "-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder, "-F"]
        with (self.folder / "server.log").open("wb") as log:
            self.server = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log, **self._as_user())
        at = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        deadline = time.monotonic() + 120
        while subprocess.run([self.bin / "pg_isready", *at], capture_output=True).returncode:
            assert self.server.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        self._run("createuser", *at, NAME)
        self._run("createdb", *at, "-O", NAME, NAME)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait(timeout=60)
        shutil.rmtree(self.folder)

    def _as_user(self) -> dict:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        as_other = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}
        return {"env": environment, **(as_other if os.geteuid() == 0 else {})}

    def _run(self, tool: str, *words: str) -> None:
        done = subprocess.run(
            [self.bin / tool, *words], cwd=self.folder, capture_output=True, text=True, **self._as_user()
        )
        assert done.returncode == 0, done.stderr
