"""RunPod's REST API v1, https://rest.runpod.io/v1; only this module knows its wire format.

A request that only reads, or may be sent twice (DELETE), is tried again with jittered pauses. A create is never
repeated here: one whose reply is lost may have made a pod; the caller looks for its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import tenacity

from pgolf.errors import BadInput, RunFailed
from pgolf.pods.settings import Rent

TIMEOUT_S = 30.0
PATIENCE_S = 180.0  # for an API that restarts
NO_CAPACITY = ("no longer any instances", "no instances", "not available", "no capacity", "try a different machine")


class ApiError(RunFailed):
    """The API does not answer, or answers that it failed: whether it did what was asked is not known."""


class NoCapacity(RunFailed):
    """There is no such machine to be had just now. Nothing was made."""


class _Again(Exception):
    """A reply that is worth asking for again."""


@dataclass(frozen=True)
class Rented:
    """A pod as the API tells of it. `host` and `port` (of SSH) are None until it is up; `price` is dollars an hour."""

    id: str
    name: str
    status: str
    price: float
    host: str | None = None
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it runs; one that does not may cost money all the same, until it is deleted."""
        return self.status == "RUNNING"


class Runpod:
    """The API with one account's key."""

    def __init__(self, base: str, key: str, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self.client = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_S)

    def create(self, name: str, rent: Rent, gpu_count: int, env: Mapping[str, str], start: list[str]) -> Rented:
        """Rent a pod.

        Raises
        ------
        NoCapacity : nothing was made.
        ApiError : it is not known whether something was made.
        BadInput : the key or the request is refused.
        """
        body: dict[str, Any] = {
            "name": name,
            "gpuTypeIds": list(rent.gpu_types),
            "gpuCount": gpu_count,
            "cloudType": rent.cloud,
            "interruptible": rent.spot,
            "containerDiskInGb": rent.container_disk_gb,
            "minRAMPerGPU": rent.min_ram_gb_per_gpu,
            "ports": ["22/tcp"],
            "env": dict(env),
            "dockerStartCmd": start,
        }
        body |= {"imageName": rent.image} if rent.image else {"templateId": rent.template_id}
        body |= {"dataCenterIds": list(rent.data_centers)} if rent.data_centers else {}
        body |= (
            {"networkVolumeId": rent.network_volume_id} if rent.network_volume_id else {"volumeInGb": rent.volume_gb}
        )
        body |= {"supportPublicIp": True} if rent.cloud == "COMMUNITY" else {}
        try:
            reply = self.client.post("/pods", json=body)
        except httpx.HTTPError as e:
            raise ApiError(f"RunPod does not answer ({e!r})") from None
        said = _said(reply)
        if reply.status_code == 429 or any(words in said.lower() for words in NO_CAPACITY):
            raise NoCapacity(f"RunPod has no such machine just now: {said}")
        if reply.status_code >= 500:
            raise ApiError(f"RunPod failed ({reply.status_code}): {said}")
        _check(reply)
        return _rented(reply.json())

    def get(self, pod_id: str) -> Rented | None:
        """One pod; None once it is deleted."""
        reply = self._asked(lambda: self.client.get(f"/pods/{pod_id}"))
        return None if reply.status_code == 404 else _rented(_check(reply).json())

    def find(self, name: str | None = None) -> list[Rented]:
        """All pods of the account, or those of exactly this name."""
        asked = {"name": name} if name else {}
        reply = _check(self._asked(lambda: self.client.get("/pods", params=asked)))
        return [pod for pod in map(_rented, reply.json()) if name in (None, pod.name)]

    def delete(self, pod_id: str) -> None:
        """End a pod for good; one that is deleted already is fine."""
        reply = self._asked(lambda: self.client.delete(f"/pods/{pod_id}"))
        if reply.status_code != 404:
            _check(reply)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _asked(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        def once() -> httpx.Response:
            reply = ask()
            if reply.status_code == 429 or reply.status_code >= 500:
                raise _Again(f"{reply.status_code}: {_said(reply)}")
            return reply

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, _Again)),
            wait=tenacity.wait_random_exponential(multiplier=0.3, max=10),
            stop=tenacity.stop_after_delay(self.patience_s),
        )
        try:
            reply: httpx.Response = retrying(once)
            return reply
        except tenacity.RetryError as e:
            raise ApiError(f"RunPod does not answer ({e.last_attempt.exception()!r})") from None


def _said(reply: httpx.Response) -> str:
    return reply.text.strip()[:300] or reply.reason_phrase


def _check(reply: httpx.Response) -> httpx.Response:
    if reply.status_code in (401, 403):
        raise BadInput("RunPod refuses the API key; set RUNPOD_API_KEY, or the Secret block runpod-api-key, anew")
    if reply.status_code >= 400:
        raise BadInput(f"RunPod refuses the request ({reply.status_code}): {_said(reply)}")
    return reply


def _rented(pod: Mapping[str, Any]) -> Rented:
    port = (pod.get("portMappings") or {}).get("22")
    return Rented(
        id=str(pod["id"]),
        name=str(pod.get("name", "")),
        status=str(pod.get("desiredStatus", "")),
        price=float(pod.get("costPerHr") or 0),
        host=pod.get("publicIp") or None,
        port=int(port) if port else None,
        env={k: str(v) for k, v in (pod.get("env") or {}).items()},
    )
