"""Replies of RunPod's API, over a real socket, and of a pod's agent."""

import json
import socket
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

from fuzz.mutate import TEXTS, as_json, change_bytes, change_json, weird
from fuzz.reader import Files, Reader
from pgolf.pods.answers import checked_hashes, checked_status, choose, status_of_end
from pgolf.pods.machine import Address, Machine
from pgolf.pods.runpod import Runpod
from pgolf.pods.settings import Rent

POD: dict[str, Any] = {
    "id": "xedezhzb9la3ye", "name": "pgolf-me-x", "desiredStatus": "RUNNING", "costPerHr": 2.69,
    "publicIp": "100.65.0.119", "portMappings": {"22": 10341}, "env": {"PGOLF_OWNER": "me"},
    "image": "runpod/pytorch", "gpu": {"id": "x", "count": 8}, "machine": {"dataCenterId": "EU-RO-1"},
    "lastStartedAt": "2026-04-09T00:00:00Z", "memoryInGb": 62, "ports": ["22/tcp"],
}  # fmt: skip
FOUND = {
    "get": lambda api: api.get("xedezhzb9la3ye"),
    "find": lambda api: api.find(),
    "create": lambda api: api.create("pgolf-me-x", Rent(), 8, {"A": "b"}, ["bash", "-c", "true"]),
    "delete": lambda api: api.delete("xedezhzb9la3ye"),
}
CODES = (
    200,
    200,
    200,
    200,
    201,
    204,
    301,
    302,
    304,
    307,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    429,
    500,
    502,
    503,
    100,
    101,
    600,
    999,
    0,
)


PORTS: list[int] = []  # that readers here may connect to


class Server:
    """Answers each request with `reply`, byte for byte, and closes."""

    def __init__(self) -> None:
        self.reply = b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        PORTS.append(self.port)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            one, _ = self.listening.accept()
            with one, suppress(OSError):
                one.settimeout(5)
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += one.recv(65536)
                head, _, body = asked.partition(b"\r\n\r\n")
                length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
                while len(body) < length:
                    body += one.recv(65536)
                one.sendall(self.reply)


def _http(code: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {code} X",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


@cache
def _spaces() -> bytes:
    """256 MiB, packed."""
    return zlib.compress(b" " * (1 << 28), 1)


def _reply(rng: Random, call: str) -> bytes:
    value = [POD, POD | {"id": "b"}] if call == "find" else POD
    kind = rng.random()
    if kind < 0.7:
        return _http(200, change_json(rng, value))
    code = rng.choice(CODES)
    if kind < 0.8:
        body = rng.choice(
            (b"", b"<html>" * 50, json.dumps({"error": rng.choice(TEXTS)}).encode(), change_json(rng, {"error": "x"}))
        )
        return _http(code, body, f"Location: {rng.choice(('/', 'http://127.0.0.1:1/', 'file:///etc/passwd'))}")
    if kind < 0.9:
        return change_bytes(rng, _http(code, as_json(value).encode()))
    if kind < 0.93:
        packed = zlib.compress(as_json(weird(rng)).encode("utf-8", "surrogatepass") * rng.choice((1, 10_000)))
        return _http(200, packed, "Content-Encoding: deflate")
    if kind < 0.94:
        return _http(200, _spaces(), "Content-Encoding: deflate")
    if kind < 0.97:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + change_bytes(rng, b"5\r\n[1,2]\r\n0\r\n\r\n")
    return _http(
        200, b"[]", rng.choice(("X: " + "y" * 200_000, "X: y\r\n" * 2000, "Content-Length: 9", "Set-Cookie: \x00"))
    )


def _api() -> Reader:
    server: list[Server] = []

    def make(rng: Random) -> Files:
        call = rng.choice(list(FOUND))
        return {"call": call.encode(), "reply": _reply(rng, call)}

    def call(box: Path) -> object:
        if not server:
            server.append(Server())
        server[0].reply = (box / "reply").read_bytes()
        api = Runpod(f"http://127.0.0.1:{server[0].port}/v1", "key", patience_s=0)
        try:
            return FOUND[(box / "call").read_text()](api)
        finally:
            api.close()

    right = {name: _http(200, json.dumps([POD] if name == "find" else POD).encode()) for name in FOUND}
    right["delete"] = _http(404, b"{}")  # it is gone
    seeds = tuple({"call": name.encode(), "reply": reply} for name, reply in right.items())
    return Reader("API reply", seeds, make, call, share=15)


class Saying(Machine):
    """A machine whose commands print what the input says."""

    text = ""

    def run(self, command: str, stdin: str = "", timeout_s: float = 0, most: int = 0) -> str:
        return self.text


def _ended(answer: Any) -> object:
    """As a pod's exit.json is read, which is an object by then."""
    return status_of_end(answer, 1.0) if isinstance(answer, dict) else None


SHA = "ab" * 32
ASKED = ["exit.json", "final_model.int6.ptz", "pod.json", "train.log"]
ANSWERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "sizes": ({"files": dict.fromkeys(ASKED, 10) | {"logs/42.txt": 3}, "more": 0}, choose),
    "hashes": ({name: [SHA, 10] for name in ASKED}, lambda answer: checked_hashes(answer, ASKED)),
    "status": (
        {"state": "ended", "exit_code": 0, "interrupted": False, "started": 1.7e9, "ended": 1.7e9, "disk_full": False},
        checked_status,
    ),
    "ending": ({"exit_code": 0, "signals": [], "ended": 1.7e9, "disk_free": 10**12}, _ended),
}


def _agent() -> Reader:
    nowhere = Address("127.0.0.1", 1, "root", Path("key"), Path("pins"))
    machine = Saying.__new__(Saying)
    machine.name, machine.address, machine.work, machine.python = "a", nowhere, PurePosixPath("/w"), "python3"

    def make(rng: Random) -> Files:
        action = rng.choice(list(ANSWERS))
        return {"action": action.encode(), "answer": change_json(rng, ANSWERS[action][0])}

    def call(box: Path) -> object:
        action = (box / "action").read_text()
        Saying.text = (box / "answer").read_bytes().decode(errors="replace")
        answer = machine.agent(action, PurePosixPath("f"), None, ANSWERS[action][1])
        if action == "sizes":
            home = (Path("/record") / "attempt").resolve()
            outside = [name for name in answer.home if not (home / name).resolve().is_relative_to(home)]
            assert not outside, outside
        return str(answer)

    seeds = tuple(
        {"action": name.encode(), "answer": json.dumps(content).encode()} for name, (content, _) in ANSWERS.items()
    )
    return Reader("pod reply", seeds, make, call, share=150)


def readers() -> list[Reader]:
    """Of this file."""
    return [_api(), _agent()]
