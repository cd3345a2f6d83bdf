"""RunPod as far as pgolf can tell: a server that speaks the published OpenAPI, whose pods are sshds of this machine.

Every request and every reply of its own is held against the document; what does not fit is answered 400 (a request)
or ends the server's trust in itself (`faults` lists it). A pod runs its dockerStartCmd in a folder of its own, with
`sshd`, `ssh-keygen`, `runpodctl` and `nvidia-smi` as its image would have them, behind a wire that can be cut.

    python -m fakes.runpod_api FOLDER PORT OPENAPI.json     in a process of its own

Misbehaves on request: POST /fake/misbehave {"what": n, …} arms each for the next n occasions.

    no_capacity, unauthorized, too_many, server_error    what a request is answered, before anything is done
    refused            a create is answered 500, with words that the balance is too low; nothing is made
    html, empty, redirect, wrong_type, endless, slow, burst
                       what any request is answered, before anything is done: 200 with a web page, with nothing, with
                       JSON of another kind, without an end, a byte every 0.1 s, or 400 MB in 400 kB of gzip; or a 302
    no_price, null_price, nan_price, negative_price
                       a pod has no costPerHr, or one that is no price
    delete_ignored     a delete is answered 204, and nothing is done
    lost_reply         a pod is created, and the connection closed
    late_ip            a pod gets its address only when asked so often
    forgotten          a list leaves out the newest pod
    wrong_gpu          a pod has another GPU than was asked for
    small_disk         a pod has a disk of 64 MB (needs root)
    no_sshd            a pod's image starts no sshd: it has an address, and nothing answers there
    crash_loop         a pod's image dies after seconds, and its container is started again, with a new disk, for ever
    crash_loop_kept    the same, and the disk is kept

POST /fake/kill {"id"}: its machine dies. /fake/spot {"id"}: it is taken away (EXITED). /fake/cut {"id", "cut": bool}:
its network. /fake/restart_container {"id", "wipe": bool, "new_key": bool}: everything on it ends and its dockerStartCmd
runs again, on its disk as it was or on an empty one, with another host key or the same. /fake/fill {"id"}: its small
disk is full. /fake/restart {"seconds"}: the server goes down for so long.
GET /fake/ledger: every pod ever made, and whether it lives.
"""

import asyncio
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from fakes.network import Wire
from fakes.sshd import SSHD, end_tree, free_port, write_config

PRICE = 2.0  # dollars an hour and GPU
KEY = "the-account's-key-9d2f"
REFUSED = "create pod: Insufficient balance: add funds to rent a pod of $16.00 an hour"
MANGLED = ("html", "empty", "redirect", "wrong_type", "endless", "slow", "burst")
PRICES = {"no_price": ..., "null_price": None, "nan_price": float("nan"), "negative_price": -2.0}


class Contract:
    """The OpenAPI document, for one request or reply at a time."""

    def __init__(self, path: Path) -> None:
        self.document = json.loads(path.read_text())

    def _of(self, schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator(_plain({**schema, "components": self.document["components"]}))

    def request(self, method: str, path: str, query: dict[str, str], body: Any) -> str | None:
        """What is wrong with a request, or None."""
        operation = self.document["paths"][path][method]
        known = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        for name, value in query.items():
            if name not in known:
                return f"unknown query parameter {name}"
            if known[name].get("enum") and value not in known[name]["enum"]:
                return f"{name}: {value}"
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            allowed = self.document["components"]["schemas"]["PodCreateInput"]["properties"]
            if unknown := set(body) - set(allowed):
                return f"unknown: {sorted(unknown)}"
            if not all(isinstance(v, str) for v in body.get("env", {}).values()):
                return "env: strings only"
            return next((f"{e.json_path}: {e.message}" for e in self._of(schema).iter_errors(body)), None)
        return None

    def reply(self, method: str, path: str, code: int, body: Any) -> str | None:
        """What is wrong with a documented reply, or None."""
        replies = self.document["paths"][path][method]["responses"]
        content = replies.get(str(code), {}).get("content")
        if not content:
            return None
        errors = self._of(content["application/json"]["schema"]).iter_errors(body)
        return next((f"{e.json_path}: {e.message}" for e in errors), None)


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {k: _plain(v) for k, v in schema.items() if k != "example"}
    if plain.pop("nullable", None) and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


class FakePod:
    """One pod: a folder, an sshd, and what the account pays for."""

    def __init__(self, folder: Path, asked: dict[str, Any], api: str, number: int) -> None:
        self.id = f"{number:03}{secrets.token_hex(5)}"
        self.asked, self.api = asked, api
        self.home = folder / self.id
        self.created, self.ended = time.time(), None
        self.status, self.asks_until_up = "RUNNING", 0
        self.gpu = asked.get("gpuTypeIds", ["none"])[0]
        self.wire: Wire | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.mounted = False
        cheaper = 10 if asked.get("computeType") == "CPU" else 1
        self.price: Any = PRICE * asked.get("gpuCount", 1) / cheaper  # ...: there is none
        self.port = free_port()
        self.image_start = ""  # what its image starts in sshd's place
        self.starts, self.off, self.changing = 0, False, threading.Lock()

    def start(self, small_disk: bool = False) -> None:
        if small_disk:
            self.home.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self.home], check=True)
            self.mounted = True
        self._boot()
        self.wire = Wire(self.port)

    def _boot(self) -> None:
        image = self.home / "image"
        image.mkdir(parents=True, exist_ok=True)
        if (volume := self.asked.get("networkVolumeId")) and not (self.home / "wörk").exists():
            there = self.home.parent / f"volume-{volume}"  # pods that have it share the work folder
            there.mkdir(exist_ok=True)
            (self.home / "wörk").symlink_to(there)
        config = write_config(self.home, self.port, f"{image}:{os.environ['PATH']}")
        self._tool("sshd", self.image_start or f'exec {SSHD} -f {config} "$@"')
        self._tool("ssh-keygen", "exit 0")
        self._tool(
            "runpodctl",
            f"[ \"$1 $2\" = 'pod delete' ] || exit 1\n"
            f"exec {shlex.quote(sys.executable)} -c 'import httpx, os, sys; "
            f'httpx.delete(sys.argv[1], headers={{"Authorization": "Bearer " + os.environ["RUNPOD_API_KEY"]}})'
            f".raise_for_status()' {self.api}/pods/$3",
        )
        self._tool(
            "nvidia-smi",
            f'case "$1" in *name*) yes {shlex.quote(self.gpu)} | head -n {self.asked.get("gpuCount", 1)};; '
            "*driver*) echo 570.00;; *) echo 0;; esac",
        )
        env = {
            "PATH": f"{image}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "RUNPOD_POD_ID": self.id,
            "RUNPOD_API_KEY": self.id + "-key",  # good for this pod alone
            **self.asked.get("env", {}),
        }
        with (self.home / "pod.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.asked["dockerStartCmd"], cwd=self.home, env=env, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1

    def restart(self, wipe: bool = True, new_key: bool = True) -> None:
        """Its container is started again: nothing that ran there does any more, the address is the same."""
        with self.changing:
            if self.off:
                return
            self._end_processes()
            if wipe:
                for path in self.home.iterdir():
                    if path.name != "etc":
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            if new_key:
                shutil.rmtree(self.home / "etc")
            self._boot()

    def crash(self, wipe: bool) -> None:
        """Restart it whenever its first process ends, until it is deleted."""

        def again() -> None:
            while not self.off:
                if self.process:
                    self.process.wait()
                self.restart(wipe)

        threading.Thread(target=again, daemon=True).start()

    def _tool(self, name: str, body: str) -> None:
        path = self.home / "image" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on this pod."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def power_off(self) -> None:
        if self.wire:
            self.wire.close()
        with self.changing:
            self.off = True
            self._end_processes()
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.home], check=True)
            self.mounted = False

    def _end_processes(self) -> None:
        if self.process:
            end_tree(self.process)
            self.process = None
        for _ in range(3):
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def as_json(self) -> dict[str, Any]:
        if self.asks_until_up:
            self.asks_until_up -= 1
        up = self.status == "RUNNING" and not self.asks_until_up
        return {
            "id": self.id,
            "name": self.asked["name"],
            "desiredStatus": self.status,
            **({} if self.price is ... else {"costPerHr": self.price}),
            "image": self.asked.get("imageName", "template"),
            "interruptible": self.asked.get("interruptible", False),
            "env": self.asked.get("env", {}),
            "publicIp": "127.0.0.1" if up else "",
            "portMappings": {"22": self.wire.port} if up and self.wire else None,
            "ports": self.asked.get("ports", []),
        }


class Account:
    """The pods of one account, and what is to go wrong."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder, self.api = folder, api
        self.pods: dict[str, FakePod] = {}
        self.armed: dict[str, int] = {}
        self.faults: list[str] = []  # replies that broke the contract
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.server: uvicorn.Server | None = None
        self.down_s: float | None = None

    def due(self, what: str) -> bool:
        with self.lock:
            self.armed[what] = self.armed.get(what, 0) - 1
            return self.armed[what] >= 0

    def create(self, asked: dict[str, Any]) -> FakePod:
        with self.lock:
            pod = FakePod(self.folder, asked, self.api, len(self.pods) + 1)
            self.pods[pod.id] = pod
        if self.due("wrong_gpu"):
            pod.gpu = "NVIDIA GeForce RTX 4090" if "4090" not in pod.gpu else "NVIDIA L4"
        for what, price in PRICES.items():
            pod.price = price if self.due(what) else pod.price
        if self.due("late_ip"):
            pod.asks_until_up = 4
        crashes = {wipe: self.due(what) for what, wipe in (("crash_loop", True), ("crash_loop_kept", False))}
        if any(crashes.values()):
            pod.image_start = "sleep 4; exit 1"
        if self.due("no_sshd"):
            pod.image_start = "exec sleep 100000"
        pod.start(self.due("small_disk"))
        if any(crashes.values()):
            pod.crash(wipe=crashes[True])
        return pod

    def end(self, pod: FakePod, status: str) -> None:
        pod.status = status
        if status == "TERMINATED":
            pod.ended = time.time()
        pod.power_off()

    def ledger(self) -> list[dict[str, Any]]:
        return [
            {
                "id": pod.id,
                "name": pod.asked["name"],
                "status": pod.status,
                "alive": pod.ended is None,  # and costs money
                "seconds": (pod.ended or time.time()) - pod.created,
                "processes": len(pod.processes()),
                "starts": pod.starts,  # of its container
            }
            for pod in [*self.pods.values()]  # another request may add one
        ]


async def without_end(pause_s: float) -> AsyncIterator[bytes]:
    """A reply that never ends."""
    while True:
        yield b" " * (1 if pause_s else 1 << 16)
        await asyncio.sleep(pause_s)


def mangled(what: str) -> Response:
    """A reply as no API gives it."""
    packed = zlib.compressobj(9, wbits=31)
    match what:
        case "html":
            return HTMLResponse("<!doctype html><title>Sign in</title>")
        case "empty":
            return Response()
        case "redirect":
            return RedirectResponse("http://127.0.0.1:9/v1/pods", 302)
        case "wrong_type":
            return JSONResponse({"pods": 7})
        case "burst":
            bomb = b"".join(packed.compress(bytes(1 << 20)) for _ in range(400)) + packed.flush()
            return Response(bomb, headers={"content-encoding": "gzip"}, media_type="application/json")
    return StreamingResponse(without_end(0.1 if what == "slow" else 0.0), media_type="application/json")


def make_app(account: Account, contract: Contract) -> FastAPI:
    app = FastAPI(openapi_url=None)

    def answer(request: Request, path: str, code: int, body: Any = None) -> Response:
        odd = any(pod.price is None for pod in account.pods.values())  # by request; NaN and -2 are numbers
        if not odd and (wrong := contract.reply(request.method.lower(), path, code, body)):
            account.faults.append(f"{request.method} {path} {code}: {wrong}")
        return Response("" if body is None else json.dumps(body), code, media_type="application/json")

    def refusal(request: Request, path: str, body: Any = None) -> Response | None:
        account.requests.append(f"{request.method} {path}")
        allowed = {f"Bearer {KEY}"}
        if request.method == "DELETE":
            allowed.add(f"Bearer {request.path_params['pod_id']}-key")
        if request.headers.get("authorization") not in allowed or account.due("unauthorized"):
            return JSONResponse({"error": "Unauthorized"}, 401)
        for what in MANGLED:
            if account.due(what):
                return mangled(what)
        if account.due("too_many"):
            return JSONResponse({"error": "too many requests"}, 429)
        if account.due("server_error"):
            return JSONResponse({"error": "something went wrong"}, 500)
        wrong = contract.request(request.method.lower(), path, dict(request.query_params), body)
        return JSONResponse({"error": wrong}, 400) if wrong else None

    @app.post("/v1/pods")
    def create(request: Request, asked: dict[str, Any]) -> Response:
        if no := refusal(request, "/pods", asked):
            return no
        if account.due("refused"):
            return JSONResponse({"error": REFUSED, "status": 500}, 500)
        if account.due("no_capacity"):
            return JSONResponse({"error": "There are no longer any instances available with the requested specs"}, 500)
        pod = account.create(asked)
        if account.due("lost_reply"):
            return JSONResponse({"error": "gateway time-out"}, 504)
        return answer(request, "/pods", 201, pod.as_json())

    @app.get("/v1/pods")
    def listing(request: Request, name: str | None = None) -> Response:
        if no := refusal(request, "/pods"):
            return no
        pods = [p for p in [*account.pods.values()] if p.ended is None and name in (None, p.asked["name"])]
        if pods and account.due("forgotten"):
            pods = pods[:-1]
        return answer(request, "/pods", 200, [p.as_json() for p in pods])

    @app.get("/v1/pods/{pod_id}")
    def get(request: Request, pod_id: str) -> Response:
        if no := refusal(request, "/pods/{podId}"):
            return no
        pod = account.pods.get(pod_id)
        if pod is None or pod.ended:
            return JSONResponse({"error": "pod not found"}, 404)
        return answer(request, "/pods/{podId}", 200, pod.as_json())

    @app.delete("/v1/pods/{pod_id}")
    def delete(request: Request, pod_id: str) -> Response:
        if no := refusal(request, "/pods/{podId}"):
            return no
        pod = account.pods.get(pod_id)
        if pod is None or pod.ended:
            return JSONResponse({"error": "pod not found"}, 404)
        if not account.due("delete_ignored"):
            account.end(pod, "TERMINATED")
        return answer(request, "/pods/{podId}", 204)

    @app.post("/fake/misbehave")
    def misbehave(asked: dict[str, int]) -> None:
        account.armed.update(asked)

    @app.post("/fake/kill")
    def kill(asked: dict[str, str]) -> None:
        account.end(account.pods[asked["id"]], "TERMINATED")

    @app.post("/fake/spot")
    def spot(asked: dict[str, str]) -> None:
        account.end(account.pods[asked["id"]], "EXITED")

    @app.post("/fake/cut")
    def cut(asked: dict[str, Any]) -> None:
        wire = account.pods[asked["id"]].wire
        assert wire
        (wire.cut.set if asked["cut"] else wire.cut.clear)()

    @app.post("/fake/restart_container")
    def restart_container(asked: dict[str, Any]) -> None:
        account.pods[asked["id"]].restart(asked.get("wipe", True), asked.get("new_key", True))

    @app.post("/fake/fill")
    def fill(asked: dict[str, str]) -> None:
        with suppress(OSError), (account.pods[asked["id"]].home / "filler").open("wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))

    @app.post("/fake/restart")
    def restart(asked: dict[str, float]) -> None:
        assert account.server
        account.down_s, account.server.should_exit = asked["seconds"], True

    @app.get("/fake/ledger")
    def ledger() -> dict[str, Any]:
        return {"pods": account.ledger(), "faults": account.faults, "requests": account.requests}

    return app


def main(folder: str, port: str, openapi: str) -> None:
    account = Account(Path(folder).resolve(), f"http://127.0.0.1:{port}/v1")
    app = make_app(account, Contract(Path(openapi)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn hands it on when it is done; pods end below
    try:
        while True:
            config = uvicorn.Config(app, port=int(port), log_level="warning", timeout_graceful_shutdown=2)
            account.server = uvicorn.Server(config)
            account.server.run()
            if account.down_s is None:
                break
            time.sleep(account.down_s)
            account.down_s = None
    finally:
        for pod in account.pods.values():
            pod.power_off()


if __name__ == "__main__":
    main(*sys.argv[1:])
