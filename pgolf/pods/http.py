"""Ask a web server that may answer anything: one deadline over a whole call, few bytes, no redirect, nothing unpacked.

An HTTP client's own time-outs are of one read each: a server that drips a byte now and then would hold it for ever.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pgolf.pods.loop import wait

REPLY_MOST = 8 << 20  # bytes; a list of a thousand pods has four million


class NoReply(Exception):
    """No reply, or none just now: the same call may succeed later. The message names the call."""


class Nonsense(Exception):
    """A reply that cannot be used. The message names the call and the status."""


@dataclass(frozen=True)
class Reply:
    """A whole reply. `call` is method and path of what was asked."""

    call: str
    status: int
    body: bytes

    def __str__(self) -> str:
        return f"{self.call}: {self.status}"


class Server:
    """A server at `base`; every call has `headers`, and ends within `timeout_s`.

    `proxies`: through those that the environment names.
    """

    def __init__(self, base: str, headers: Mapping[str, str], timeout_s: float, proxies: bool = True) -> None:
        self.timeout_s = timeout_s
        headers = {**headers, "Accept": "application/json", "Accept-Encoding": "identity"}
        self.client = httpx.AsyncClient(
            base_url=base, headers=headers, timeout=timeout_s, follow_redirects=False, trust_env=proxies
        )

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, json: Any = None) -> Reply:
        """Make one call.

        Raises
        ------
        NoReply : no connection, or no whole reply in time.
        Nonsense : a redirect, a compressed reply, or more than REPLY_MOST bytes.
        """
        return wait(self._ask(method, path, dict(query or {}), json))

    async def _ask(self, method: str, path: str, query: dict[str, str], json: Any) -> Reply:
        call = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self.client.stream(method, path, params=query, json=json) as reply,
            ):
                return Reply(call, reply.status_code, await _body(call, reply))
        except TimeoutError:
            raise NoReply(f"{call}: no whole reply within {self.timeout_s:g} s") from None
        except httpx.HTTPError as e:
            raise NoReply(f"{call}: {type(e).__name__}: {e}".rstrip(": ")) from None

    def close(self) -> None:
        """Close the connections."""
        wait(self.client.aclose())


async def _body(call: str, reply: httpx.Response) -> bytes:
    said = f"{call}: {reply.status_code}"
    if reply.is_redirect or 300 <= reply.status_code < 400:
        raise Nonsense(f"{said}: a redirect, which is not followed")
    if (coding := reply.headers.get("content-encoding", "identity").lower()) != "identity":
        raise Nonsense(f"{said}: a compressed reply ({ascii(coding)[:40]}), which was not asked for")
    body = bytearray()
    async for block in reply.aiter_raw():
        body += block
        if len(body) > REPLY_MOST:
            raise Nonsense(f"{said}: more than {REPLY_MOST:,} bytes")
    return bytes(body)
