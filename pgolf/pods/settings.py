"""pods.toml: which machines there are, and what to rent. docs/runpod.md has one with every entry."""

import getpass
import hashlib
import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pgolf.errors import BadInput
from pgolf.pods.allowed import API, CONFIG, address_of_api, check_path

ENVIRONMENT = "PGOLF_PODS_FILE"
H100 = "NVIDIA H100 80GB HBM3"  # the SXM part, by RunPod's name
OFFICIAL_TEMPLATE = "y5cejece4j"  # the contest's image


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Checks(_Entry):
    """The checks of `runpod/bootstrap.sh`. GPUs that a pod was rented with are always checked."""

    min_free_gb: float = 5.0
    min_disk_mb_s: float = 100.0
    max_clock_skew_s: float = 60.0
    min_torch: str = "2.6"
    cuda: bool = True  # torch there must see every GPU
    max_setup_s: int = Field(default=1800, ge=1)  # for a program's setup script, and as much for its requirements


class Inventoried(_Entry):
    """A machine of the user's. `host_key`: as in a known_hosts file; without it the first contact pins one."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    host: str = Field(max_length=253, pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:%-]*$")
    port: int = 22
    user: str | None = None
    host_key: str | None = None
    gpus: int = 0
    gpu: str = ""
    price_per_hour: float = 0.0


class Reaching(_Entry):
    """How machines are reached and worked with; `work` is relative to the user's home there."""

    key: Path = CONFIG / "id_ed25519"
    user: str = "root"
    work: str = "pgolf"
    python: str = "python3"
    patience_s: float = 300.0
    checks: Checks = Checks()


class Ssh(Reaching):
    """The inventory."""

    known_hosts: Path = CONFIG / "known_hosts"
    machines: tuple[Inventoried, ...] = ()


class Rent(_Entry):
    """The pods to rent. `max_price_per_hour` is of a whole pod; without template an image is needed."""

    gpu_types: tuple[str, ...] = (H100,)
    gpu_count: int | None = Field(default=None, ge=1)  # default: the track's ranks
    cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    spot: bool = False
    data_centers: tuple[str, ...] = ()
    template_id: str | None = OFFICIAL_TEMPLATE
    image: str | None = None
    container_disk_gb: int = 50
    volume_gb: int = 0
    network_volume_id: str | None = None
    min_ram_gb_per_gpu: int = 8
    max_price_per_hour: float = 40.0


class Small(Rent):
    """The pod to rent for a rehearsal: any cheap GPU."""

    gpu_types: tuple[str, ...] = ("NVIDIA L4", "NVIDIA RTX A5000", "NVIDIA GeForce RTX 4090")
    gpu_count: int | None = Field(default=1, ge=1)
    max_price_per_hour: float = 1.0


class Nets(_Entry):
    """How long a pod may go on unattended, in seconds."""

    first_lease_s: int = 1200  # from a pod's first second to its first lease
    lease_s: int = 1200  # from the last renewal to a pod's end
    lifetime_s: int = 4 * 3600  # of a pod, whatever happens
    fetch_grace_s: int = 1800  # more, for a finished seed that nobody has fetched
    heartbeat_s: float = 20.0
    tick_s: int = 5  # of the watchdog


class RunpodSettings(Reaching):
    """Rented pods. `owner` is in every pod's name: the reaper ends no one else's."""

    api: str = API  # where the API key goes; see `allowed.address_of_api`
    work: str = "/workspace/pgolf"
    owner: str = Field(default_factory=lambda: default_owner(), pattern=r"^[a-z0-9-]{1,40}$")
    capacity_patience_s: float = 3600.0  # for a machine to be had
    ready_patience_s: float = 900.0  # for a rented one to answer
    rent: Rent = Rent()
    rehearse: Small = Small()
    nets: Nets = Nets()


class Settings(_Entry):
    """All of pods.toml."""

    ssh: Ssh = Ssh()
    runpod: RunpodSettings = Field(default_factory=RunpodSettings)


def default_owner() -> str:
    """This user on this machine."""
    name = re.sub(r"[^a-z0-9-]", "", getpass.getuser().lower()) or "user"
    return f"{name[:20]}-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}"


def read_settings(path: Path | None = None) -> Settings:
    """Read pods.toml: the one given, else PGOLF_PODS_FILE, else ./pods.toml, else the user's own, else defaults.

    Paths in it are relative to it; `~` is the user's home. BadInput for a wrong entry, and for one that only the user
    may make, where the file may be a stranger's.
    """
    given = path or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    file = given or next((f for f in (Path("pods.toml"), CONFIG / "pods.toml") if f.is_file()), None)
    if file is None:
        return Settings(runpod=RunpodSettings(api=address_of_api(None, None)))
    if not file.is_file():
        raise BadInput(f"{file}: no such file; docs/runpod.md shows what a pods.toml holds")
    try:
        settings = Settings.model_validate(tomllib.loads(file.read_text()))
    except ValidationError as e:
        first = e.errors()[0]
        raise BadInput(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as e:  # no UTF-8, too
        raise BadInput(f"{file}: not TOML: {e}") from None
    ssh = settings.ssh.model_copy(
        update={"key": _beside(file, settings.ssh.key), "known_hosts": _beside(file, settings.ssh.known_hosts)}
    )
    api = address_of_api(file, settings.runpod.api if "api" in settings.runpod.model_fields_set else None)
    runpod = settings.runpod.model_copy(update={"key": _beside(file, settings.runpod.key), "api": api})
    if "key" in settings.ssh.model_fields_set:
        check_path(file, "ssh.key", ssh.key, written=False)
    if "known_hosts" in settings.ssh.model_fields_set:
        check_path(file, "ssh.known_hosts", ssh.known_hosts, written=True)
    if "key" in settings.runpod.model_fields_set:
        check_path(file, "runpod.key", runpod.key, written=False)
    if len({m.name for m in ssh.machines}) < len(ssh.machines):
        raise BadInput(f"{file}: two machines have the same name")
    return settings.model_copy(update={"ssh": ssh, "runpod": runpod})


def _beside(file: Path, path: Path) -> Path:
    return (file.parent / path.expanduser()).resolve()
