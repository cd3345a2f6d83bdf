"""Where a machine is reached, and the host key that it is known by."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from pgolf.errors import BadInput
from pgolf.files import write_atomic
from pgolf.pods import Gone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where a machine is reached, as whom, with which private key; `pins` is the file that holds its host key.

    Another host key there is for the user to look at; of a `rented` machine it means that the machine is lost.
    """

    host: str
    port: int
    user: str
    key: Path
    pins: Path
    rented: bool = False


async def pinned_key(machine: str, at: Address, timeout_s: float) -> asyncssh.SSHKey:
    """The host key that counts: the pinned one, else the one shown now, which is pinned before it is used.

    Raises
    ------
    BadInput : the file of pins holds something else than a key.
    Gone : `machine` shows no key.
    """
    name = f"[{at.host}]:{at.port}"
    lines = at.pins.read_text().splitlines() if at.pins.exists() else []
    for line in lines:
        host, _, key = line.partition(" ")
        if host == name:
            try:
                return asyncssh.import_public_key(key)
            except ValueError as e:
                raise BadInput(f"{at.pins}: not the host key of {name}: {e}; delete that line") from None
    shown = await asyncio.wait_for(asyncssh.get_server_host_key(at.host, at.port, config=None), timeout_s)
    if shown is None:
        raise Gone(f"{machine}: {at.host}:{at.port} shows no host key")
    key = shown.export_public_key().decode().strip()
    write_atomic(at.pins, "".join(f"{line}\n" for line in [*lines, f"{name} {key}"]))
    log.info("%s: first contact, host key %s pinned in %s", machine, shown.get_fingerprint(), at.pins.name)
    return shown
