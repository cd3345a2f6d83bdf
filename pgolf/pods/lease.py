"""The nets of a rented pod, as `runpod/watchdog.sh` there reads them, and the thread here that renews its lease."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from pgolf.pods import Gone
from pgolf.pods.settings import RunpodSettings

log = logging.getLogger(__name__)
SPARE_S = 60  # a pod's own bound comes later than the record's, which stops in order and fetches what it can


def environment(settings: RunpodSettings, public_key: str, lifetime_s: float) -> dict[str, str]:
    """The variables of a pod that is asked for now."""
    nets = settings.nets
    return {
        "PUBLIC_KEY": public_key,
        "PGOLF_API": settings.api,
        "PGOLF_BORN": f"{time.time():.0f}",
        "PGOLF_FIRST_LEASE_S": str(nets.first_lease_s),
        "PGOLF_LEASE_S": str(nets.lease_s),
        "PGOLF_LIFETIME_S": str(int(lifetime_s)),
        "PGOLF_FETCH_GRACE_S": str(nets.fetch_grace_s),
        "PGOLF_TICK_S": str(nets.tick_s),
    }


def renewal(age_s: float, left_s: float) -> str:
    """The command that renews the lease of a pod of this age, which the record needs for `left_s` more at most.

    It prints the id of the container's start. Others may run at the same time: each writes a file of its own.
    """
    token = secrets.token_hex(8)
    new = f".pgolf/lease.{token}"
    lines = ["mkdir -p .pgolf", f"printf '%s %s' {token} {time.time():.0f} > {new}"]
    if left_s < float("inf"):
        lines.append(f"printf %s {int(age_s + max(0.0, left_s)) + SPARE_S} > .pgolf/lifetime_s")
    lines += [f"mv {new} .pgolf/lease", "{ cat .pgolf/start 2>/dev/null || true; }"]
    return " && ".join(lines)


def heartbeat(name: str, every_s: float, ended: threading.Event, duties: Sequence[Callable[[], None]]) -> None:
    """Do all duties every so often until `ended` is set, whatever goes wrong in one; each new trouble is said once."""
    said = ""
    while not ended.wait(every_s):
        for duty in duties:
            try:
                duty()
            except Exception as e:  # a thread that ends here lets the pod end itself in the middle of a seed
                if str(e) != said and not ended.is_set():
                    log.warning("%s: its lease was not renewed: %s", name, e if isinstance(e, Gone) else repr(e))
                said = str(e)
