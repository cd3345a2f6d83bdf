"""RunPod's REST API v1, https://rest.runpod.io/v1; only this module knows its wire format.

A request that only reads, or may be sent twice (DELETE), is tried again with jittered pauses. A create is never
repeated here: one whose reply is lost may have made a pod; the caller looks for its name.

No reply is believed before its form is checked. A pod whose id can be read is a pod, whatever else is broken: it may
cost money, and can be ended. Of such a one what cannot be read is unknown.
"""

import itertools
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import tenacity
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pgolf.errors import BadInput, RunFailed
from pgolf.pods.allowed import LOOPBACK, check_address
from pgolf.pods.http import Nonsense, NoReply, Reply, Server
from pgolf.pods.names import MAX_NAME_CHARS
from pgolf.pods.settings import Rent, WithoutGpu
from pgolf.untrusted import Untrusted, parse_json

log = logging.getLogger(__name__)
T = TypeVar("T")
TIMEOUT_S = 30.0  # of one call, from the connection to the last byte
PATIENCE_S = 180.0  # for an API that restarts
GONE_PATIENCE_S = 60.0  # for a pod that was deleted to be gone
TRIES = 4  # of a call whose reply cannot be used
SAID_AFTER = 3  # tries of a call, so that nobody waits without knowing why
PODS_MOST, WORDS_MOST = 10_000, 300  # pods in a list, characters of a message
TOLD_MOST = 100  # warnings about pods that are not valid, of one process
PRICE_LEAST, PRICE_MOST = 0.001, 1000.0  # dollars an hour of a pod; what is outside is no price
ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
ENDED = ("EXITED", "TERMINATED", "PAUSED", "DEAD")
NO_CAPACITY = ("no longer any instances", "no instances", "not available", "no capacity", "try a different machine")
FOR_GOOD = re.compile(  # whatever the status: these came with 500, too
    r"insufficient (\w+ )?(balance|funds|credit)|(not|n't)( have)? enough (\w+ )?(balance|funds|credit|money)"
    r"|balance (is )?(too )?low|low balance|payment|spend(ing)? limit|quota|max(imum)? (number of )?pods|pod limit"
    r"|not (authori[sz]ed|allowed|permitted)|unauthori[sz]ed|forbidden|permission|access denied",
    re.IGNORECASE,
)


class ApiError(RunFailed):
    """The API does not answer, or not as it should: whether it did what was asked is not known."""


class NoCapacity(RunFailed):
    """There is no such machine to be had just now. Nothing was made."""


class Denied(BadInput):
    """The API refuses for good (key, balance, quota, the request itself), in its own words. Nothing was made.

    To ask again, for whichever seed, changes nothing.
    """


@dataclass(frozen=True)
class Rented:
    """A pod as the API tells of it. `host` and `port` (of SSH) are None until it is up.

    `name` is '' and `status` 'UNKNOWN' where they cannot be read; `price`, dollars an hour, is None then.
    """

    id: str
    name: str
    status: str
    price: float | None
    host: str | None = None
    port: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as is known; one that does not may cost money all the same, until it is deleted."""
        return self.status not in ENDED


class Runpod:
    """The API at `base`, with one account's key; BadInput for an address that no key goes to."""

    def __init__(self, base: str, key: str, patience_s: float = PATIENCE_S, timeout_s: float = TIMEOUT_S) -> None:
        elsewhere = check_address(base).host not in LOOPBACK  # a proxy of plain http would read the key
        self.key, self.patience_s = key, patience_s
        self.server = Server(base, {"Authorization": f"Bearer {key}"}, timeout_s, proxies=elsewhere)
        self.told: set[str] = set()  # a pod is asked for every two seconds

    def create(self, name: str, rent: Rent, gpu_count: int, env: Mapping[str, str], start: list[str]) -> Rented:
        """Rent a pod.

        Raises
        ------
        NoCapacity : nothing was made; it may work later.
        Denied : nothing was made, and it will not work later.
        ApiError : it is not known whether something was made.
        """
        body: dict[str, Any] = {
            "name": name,
            "cloudType": rent.cloud,
            "interruptible": rent.spot,
            "containerDiskInGb": rent.container_disk_gb,
            "ports": ["22/tcp"],
            "env": dict(env),
            "dockerStartCmd": start,
        }
        if isinstance(rent, WithoutGpu):
            body |= {"computeType": "CPU", "cpuFlavorIds": list(rent.cpu_flavors), "vcpuCount": rent.vcpus}
        else:
            gpus = {"gpuTypeIds": list(rent.gpu_types), "gpuCount": gpu_count}
            body |= {**gpus, "minRAMPerGPU": rent.min_ram_gb_per_gpu}
        body |= {"imageName": rent.image} if rent.image else {"templateId": rent.template_id}
        body |= {"dataCenterIds": list(rent.data_centers)} if rent.data_centers else {}
        body |= (
            {"networkVolumeId": rent.network_volume_id} if rent.network_volume_id else {"volumeInGb": rent.volume_gb}
        )
        body |= {"supportPublicIp": True} if rent.cloud == "COMMUNITY" else {}
        try:
            reply = self.server.ask("POST", "/pods", json=body)
            if reply.status < 400:
                return self._rented(reply, _json(reply))
        except (NoReply, Nonsense) as e:
            raise ApiError(f"RunPod: {e}") from None
        said = self._said(reply)
        if reply.status == 429:
            raise NoCapacity(said)
        if FOR_GOOD.search(said):
            raise self._denied(reply)
        if any(words in said.lower() for words in NO_CAPACITY):
            raise NoCapacity(f"RunPod has no such machine just now: {said}")
        if reply.status >= 500 or reply.status == HTTPStatus.REQUEST_TIMEOUT:
            raise ApiError(said)
        raise self._denied(reply)

    def get(self, pod_id: str) -> Rented | None:
        """One pod; None once it is deleted."""

        def understand(reply: Reply) -> Rented | None:
            if reply.status == HTTPStatus.NOT_FOUND:
                return None
            pod = self._rented(reply, _json(self._accepted(reply)))
            if pod.id != pod_id:
                raise Nonsense(f"{reply}: it tells of another pod, {pod.id}")
            return pod

        return self._asked("GET", _path(pod_id), understand)

    def find(self, name: str | None = None) -> list[Rented]:
        """All pods of the account, or those of exactly this name.

        A pod without an id that can be read is named in the log and left out, as nothing can be done with it here.

        Raises
        ------
        ApiError : no list; or there may be a pod of this name among those without an id.
        """

        def understand(reply: Reply) -> list[Rented]:
            listed = _json(self._accepted(reply))
            if not isinstance(listed, list) or len(listed) > PODS_MOST:
                raise Nonsense(f"{reply}: not a list of at most {PODS_MOST:,} pods")
            pods = []
            for entry in listed:
                try:
                    pods.append(self._rented(reply, entry))
                except Nonsense as e:
                    theirs = entry.get("name") if isinstance(entry, dict) else None
                    if name is not None and (not isinstance(theirs, str) or theirs == name):
                        raise
                    self._tell(f"{e}, and it may cost money; look at it in RunPod's console")
            return [pod for pod in pods if name in (None, pod.name)]

        return self._asked("GET", "/pods", understand, {"name": name} if name else {})

    def delete(self, pod_id: str) -> None:
        """End a pod for good, and see that it is gone; one that is gone already is fine.

        Raises
        ------
        ApiError : it is still there, or that is not known.
        Denied : the API refuses.
        """
        path, deadline = _path(pod_id), time.monotonic() + min(self.patience_s, GONE_PATIENCE_S)
        for number in itertools.count():
            self._asked("DELETE", path, lambda reply: reply.status == HTTPStatus.NOT_FOUND or self._accepted(reply))
            left = self.get(pod_id)
            if left is None or left.status == "TERMINATED":
                return
            if time.monotonic() > deadline:
                raise ApiError(f"RunPod: DELETE {path}: the pod is still there ({left.status}) after it was deleted")
            time.sleep(min(0.1 * 2**number, 5.0))

    def close(self) -> None:
        """Close the connections."""
        self.server.close()

    def _asked(
        self, method: str, path: str, understand: Callable[[Reply], T], query: Mapping[str, str] | None = None
    ) -> T:
        def once() -> T:
            reply = self.server.ask(method, path, query)
            if reply.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or reply.status >= 500:
                raise NoReply(self._said(reply))
            return understand(reply)

        after = tenacity.stop_after_delay(self.patience_s)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((NoReply, Nonsense)),
            wait=tenacity.wait_random_exponential(multiplier=0.3, max=10),
            stop=lambda state: after(state) or _tried_enough(state),
            before_sleep=_say_again,
            reraise=True,
        )
        try:
            return retrying(once)
        except (NoReply, Nonsense) as e:
            raise ApiError(f"RunPod: {e}") from None

    def _accepted(self, reply: Reply) -> Reply:
        if reply.status >= 400:
            raise self._denied(reply)
        return reply

    def _denied(self, reply: Reply) -> Denied:
        key = "; the key is refused: set RUNPOD_API_KEY, or the Secret block runpod-api-key, anew"
        return Denied(f"RunPod refuses for good: {self._said(reply)}{key if reply.status in (401, 403) else ''}")

    def _said(self, reply: Reply) -> str:
        """Call, status, and the API's own words in one line, without the key, should it be in there."""
        return f"{reply}: {_words(reply).replace(self.key, '…')[:WORDS_MOST]}"

    def _rented(self, reply: Reply, said: Any) -> Rented:
        """A pod from a reply; Nonsense without an id. What cannot be read of it is said once."""
        broken: set[str] = set()
        try:
            pod = _Pod.model_validate(said)
        except ValidationError as e:
            broken = {str(error["loc"][0]) for error in e.errors(include_input=False) if error["loc"]}
            if not isinstance(said, dict) or "id" in broken:
                raise Nonsense(f"{reply}: a pod without a valid id") from None
            pod = _Pod.model_validate({name: value for name, value in said.items() if name not in broken})
            self._tell(f"RunPod: {reply}: pod {pod.id}: not valid, so taken as unknown: {', '.join(sorted(broken))}")
        port = pod.ports.ssh if pod.ports else None
        return Rented(pod.id, pod.name, pod.status, pod.price, pod.host, port)

    def _tell(self, message: str) -> None:
        if message not in self.told and len(self.told) < TOLD_MOST:
            self.told.add(message)
            log.warning("%s", message)


def _decimal(value: Any) -> Any:
    """A decimal number written as text, as the published example has it, as a number; anything else as it is."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", value) else value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("not printable")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Price = Annotated[float, Field(ge=PRICE_LEAST, le=PRICE_MOST, allow_inf_nan=False)]
Host = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?$")]


class _Ports(BaseModel):
    model_config = ConfigDict(strict=True)
    ssh: Port | None = Field(default=None, alias="22")


class _Pod(BaseModel):
    """The parts of the schema's Pod that pgolf reads."""

    model_config = ConfigDict(strict=True)
    id: str = Field(pattern=f"^{ID}$")
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_printable)] = ""
    status: str = Field(default="UNKNOWN", alias="desiredStatus", pattern=r"^[A-Z_]{1,20}$")
    price: Annotated[Price | None, BeforeValidator(_decimal)] = Field(default=None, alias="costPerHr")
    host: Annotated[Host | None, BeforeValidator(lambda said: said or None)] = Field(default=None, alias="publicIp")
    ports: _Ports | None = Field(default=None, alias="portMappings")


def _path(pod_id: str) -> str:
    if not re.fullmatch(ID, pod_id):
        raise BadInput(f"{ascii(pod_id)[:80]}: not the id of a pod")
    return f"/pods/{pod_id}"


def _json(reply: Reply) -> Any:
    """The content of a reply; Nonsense if it is no JSON. One pod's NaN, which is None here, hides no other pod."""
    try:
        return parse_json(reply.body, "reply", number=_value)
    except Untrusted:
        raise Nonsense(f"{reply}: not JSON, but {_words(reply)[:80]}") from None


def _value(digits: str) -> int | float | None:
    if len(digits) > 40:
        return None
    value = int(digits) if digits.lstrip("-").isdecimal() else float(digits)
    return value if math.isfinite(value) else None


def _words(reply: Reply) -> str:
    """The words of a reply on one line, without what a terminal would take for a command."""
    text = reply.body[: 1 << 16].decode(errors="replace").strip()
    try:
        said = parse_json(text, "reply", number=_value)
    except Untrusted:
        said = None
    for name in ("error", "message", "detail", "title"):
        if isinstance(said, dict) and isinstance(said.get(name), str):
            text = said[name]
            break
    if text.startswith("<"):
        return "a web page"
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words or next((status.phrase for status in HTTPStatus if status == reply.status), "no words")


def _say_again(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == SAID_AFTER and state.outcome:
        log.warning("RunPod: %s; trying again", state.outcome.exception())


def _tried_enough(state: tenacity.RetryCallState) -> bool:
    outcome = state.outcome.exception() if state.outcome else None
    return isinstance(outcome, Nonsense) and state.attempt_number >= TRIES
