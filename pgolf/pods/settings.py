"""pods.toml: which machines there are, and what to rent. docs/runpod.md has one with every entry."""

import getpass
import hashlib
import os
import re
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pgolf.errors import BadInput
from pgolf.pods.allowed import API, CONFIG, address_of_api, check_path
from pgolf.untrusted import Untrusted, first_of, read_toml

ENVIRONMENT = "PGOLF_PODS_FILE"
H100 = "NVIDIA H100 80GB HBM3"  # the SXM part, by RunPod's name
OFFICIAL_TEMPLATE = "y5cejece4j"  # the contest's image
MOST_BYTES = 1 << 20  # of pods.toml
DAY = 24 * 3600
# TOML has types of its own: true is no number, and "7" is a text
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Some = Annotated[int, Field(strict=True, ge=1, le=1024)]  # GPUs
Seconds = Annotated[int, Field(strict=True, ge=1, le=30 * DAY)]
Grace = Annotated[int, Field(strict=True, ge=0, le=30 * DAY)]  # seconds
Patience = Annotated[float, Field(strict=True, ge=0, le=30 * DAY)]  # seconds
Amount = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Price = Annotated[float, Field(strict=True, gt=0, le=10_000)]  # dollars an hour


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Checks(_Entry):
    """The checks of `runpod/bootstrap.sh`. GPUs that a pod was rented with are always checked."""

    min_free_gb: Amount = 5.0
    min_disk_mb_s: Amount = 100.0
    max_clock_skew_s: Patience = 60.0
    min_torch: Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4}){0,3}$")] = "2.6"
    cuda: Flag = True  # torch there must see every GPU
    max_setup_s: Seconds = 1800  # for a program's setup script, and as much for its requirements


class Inventoried(_Entry):
    """A machine of the user's. `host_key`: as in a known_hosts file; without it the first contact pins one."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    host: str = Field(max_length=253, pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:%-]*$")
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 22
    user: Text | None = None
    host_key: Text | None = None
    gpus: Annotated[int, Field(strict=True, ge=0, le=1024)] = 0
    gpu: str = ""
    price_per_hour: Annotated[float, Field(strict=True, ge=0, le=10_000)] = 0.0


class Staging(_Entry):
    """How a machine comes by the dataset: it fetches it from the dataset's source, for `seconds` at most, `at_once`
    files at a time. Where that fails, `send_most_gb` GB at most are sent from here (default: 2 to a rented pod, all to
    a machine of yours)."""

    seconds: float = Field(default=3600.0, ge=1, le=86400)
    at_once: int = Field(default=8, ge=1, le=64)
    send_most_gb: float | None = Field(default=None, ge=0, le=1e6)


class Reaching(_Entry):
    """How machines are reached and worked with; `work` is relative to the user's home there."""

    key: Path = CONFIG / "id_ed25519"
    user: Text = "root"
    work: Text = "pgolf"
    python: Text = "python3"
    patience_s: Patience = 300.0
    checks: Checks = Checks()
    staging: Staging = Staging()


class Ssh(Reaching):
    """The inventory."""

    known_hosts: Path = CONFIG / "known_hosts"
    machines: tuple[Inventoried, ...] = ()


class Rent(_Entry):
    """The pods to rent. `max_price_per_hour` is of a whole pod; without template an image is needed."""

    gpu_types: Texts = (H100,)
    gpu_count: Some | None = None  # default: the track's ranks
    cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    spot: Flag = False
    data_centers: tuple[Text, ...] = ()
    template_id: Text | None = OFFICIAL_TEMPLATE
    image: Text | None = None
    container_disk_gb: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 50
    volume_gb: Count = 0
    network_volume_id: Text | None = None
    min_ram_gb_per_gpu: Count = 8
    max_price_per_hour: Price = 40.0


class Small(Rent):
    """The pod to rent for a rehearsal: any cheap GPU."""

    gpu_types: Annotated[tuple[Text, ...], Field(min_length=1)] = (
        "NVIDIA L4",
        "NVIDIA RTX A5000",
        "NVIDIA GeForce RTX 4090",
    )
    gpu_count: Some | None = 1
    max_price_per_hour: Price = 1.0


class WithoutGpu(Rent):
    """The pod to rent that fills a network volume: without GPUs, of the first of these flavors that there is."""

    gpu_types: tuple[str, ...] = ()
    cpu_flavors: tuple[Literal["cpu3c", "cpu3g", "cpu3m", "cpu5c", "cpu5g", "cpu5m"], ...] = ("cpu3c", "cpu5c", "cpu3g")
    vcpus: int = Field(default=4, ge=1, le=64)
    template_id: str | None = None
    image: str | None = "runpod/pytorch:1.0.3-cu1281-torch291-ubuntu2404"
    container_disk_gb: int = 20
    max_price_per_hour: float = 0.5


class Nets(_Entry):
    """How long a pod may go on unattended, in seconds."""

    first_lease_s: Seconds = 1200  # from a pod's first second to its first lease
    lease_s: Seconds = 1200  # from the last renewal to a pod's end
    lifetime_s: Seconds = 4 * 3600  # of a pod, whatever happens
    fetch_grace_s: Annotated[int, Field(strict=True, ge=0, le=30 * DAY)] = (
        1800  # more, for a finished seed that nobody has fetched
    )
    heartbeat_s: Annotated[float, Field(strict=True, gt=0, le=DAY)] = 20.0
    tick_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 5  # of the watchdog

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.heartbeat_s >= self.lease_s:
            raise ValueError(f"a lease of {self.lease_s} s ends before a heartbeat of {self.heartbeat_s:g} s renews it")
        return self


class RunpodSettings(Reaching):
    """Rented pods. `owner` is in every pod's name: the reaper ends no one else's."""

    api: str = API  # where the API key goes; see `allowed.address_of_api`
    work: str = "/workspace/pgolf"
    owner: str = Field(default_factory=lambda: default_owner(), pattern=r"^[a-z0-9-]{1,40}$")
    capacity_patience_s: Patience = 3600.0  # for a machine to be had
    ready_patience_s: Patience = 900.0  # for a rented one to answer
    rent: Rent = Rent()
    rehearse: Small = Small()
    stage: WithoutGpu = WithoutGpu()
    nets: Nets = Nets()


class Settings(_Entry):
    """All of pods.toml."""

    ssh: Ssh = Ssh()
    runpod: RunpodSettings = Field(default_factory=RunpodSettings)


def default_owner() -> str:
    """This user on this machine."""
    name = re.sub(r"[^a-z0-9-]", "", getpass.getuser().lower()) or "user"
    return f"{name[:20]}-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}"


def settings_file(path: Path | None = None) -> Path | None:
    """The pods.toml that `read_settings` reads; None: there is none."""
    given = path or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    return given or next((f for f in (Path("pods.toml"), CONFIG / "pods.toml") if os.path.lexists(f)), None)


def read_settings(path: Path | None = None) -> Settings:
    """Read pods.toml: the one given, else PGOLF_PODS_FILE, else ./pods.toml, else the user's own, else defaults.

    Paths in it are relative to it; `~` is the user's home. BadInput for a wrong entry, and for one that only the user
    may make, where the file may be a stranger's.
    """
    file = settings_file(path)
    if file is None:
        return Settings(runpod=RunpodSettings(api=address_of_api(None, None)))
    if not os.path.lexists(file):
        raise BadInput(f"{file}: no such file; docs/runpod.md shows what a pods.toml holds")
    try:
        settings = Settings.model_validate(read_toml(file, MOST_BYTES))
    except ValidationError as e:
        raise Untrusted(f"{file}: {first_of(e.errors())}") from None
    ssh = settings.ssh.model_copy(
        update={
            "key": _beside(file, "ssh.key", settings.ssh.key),
            "known_hosts": _beside(file, "ssh.known_hosts", settings.ssh.known_hosts),
        }
    )
    api = address_of_api(file, settings.runpod.api if "api" in settings.runpod.model_fields_set else None)
    runpod = settings.runpod.model_copy(update={"key": _beside(file, "runpod.key", settings.runpod.key), "api": api})
    if "key" in settings.ssh.model_fields_set:
        check_path(file, "ssh.key", ssh.key, written=False)
    if "known_hosts" in settings.ssh.model_fields_set:
        check_path(file, "ssh.known_hosts", ssh.known_hosts, written=True)
    if "key" in settings.runpod.model_fields_set:
        check_path(file, "runpod.key", runpod.key, written=False)
    if len({m.name for m in ssh.machines}) < len(ssh.machines):
        raise BadInput(f"{file}: two machines have the same name")
    return settings.model_copy(update={"ssh": ssh, "runpod": runpod})


def _beside(file: Path, entry: str, path: Path) -> Path:
    """A path of `file`, from its folder on."""
    try:
        return (file.parent / path.expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as e:  # a NUL in it, a home that nobody has, links in a circle
        raise Untrusted(f"{file}: {entry} is not a path that can be used: {e}") from None
