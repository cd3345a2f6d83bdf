"""A real sshd on a loopback port, with a home folder of its own: what is reached by SSH in these tests."""

import getpass
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
MISSING = "no sshd here: it is Debian's openssh-server (apt-get install openssh-server)"
USER = getpass.getuser()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write_config(home: Path, port: int, path: str) -> Path:
    """sshd's configuration for a machine whose user lives in `home`; a host key is made where there is none."""
    etc = home / "etc"
    etc.mkdir(parents=True, exist_ok=True)
    if not (etc / "host_key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / "host_key"], check=True)
    # sshd drops its privileges into this folder; Debian makes it only where its service runs
    with suppress(OSError):
        Path("/run/sshd").mkdir(exist_ok=True)
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {etc / 'host_key'}",
        f"AuthorizedKeysFile {home / '.ssh/authorized_keys'}",
        f"PidFile {etc / 'sshd.pid'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        f"SetEnv HOME={home} PATH={path}",
        f"Subsystem sftp internal-sftp -d {home}",
    ]
    config = etc / "sshd_config"
    config.write_text("".join(f"{line}\n" for line in lines))
    return config


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """A machine's power cut: the process and all below it, at once."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


class Sshd:
    """A machine: sshd on `port`, its user's home in `home`, `public_key` accepted."""

    def __init__(self, home: Path, public_key: str, path: str = "/usr/bin:/bin") -> None:
        assert SSHD, MISSING
        self.home, self.port = home.resolve(), free_port()
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        (home / ".ssh/authorized_keys").write_text(public_key + "\n")
        self.config = write_config(self.home, self.port, path)
        self.start()

    def pods_file(self, path: Path) -> Path:
        """A pods.toml with this machine, `there`, as its inventory; its key lies beside it."""
        path.write_text(f"""
[ssh]
key = "id_ed25519"
known_hosts = "known_hosts"
work = "work"
python = "{sys.executable}"
patience_s = 20.0
[ssh.checks]
min_free_gb = 0.01
min_disk_mb_s = 0.1
[[ssh.machines]]
name = "there"
host = "127.0.0.1"
port = {self.port}
user = "{USER}"
""")
        return path

    @property
    def host_key(self) -> str:
        return " ".join((self.home / "etc/host_key.pub").read_text().split()[:2])

    def start(self) -> None:
        with (self.home / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", self.config], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self.process.poll() is None, (self.home / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """Cut the network: sshd and its connections end, what was started detached goes on."""
        end_tree(self.process)
