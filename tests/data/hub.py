"""A server that speaks the dataset hub's wire format, for one repository, and misbehaves on request.

Uploads come by git-lfs's protocol (HF_HUB_DISABLE_XET=1 for the client: the newer one is not spoken here).
"""

import base64
import hashlib
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` by path; `cut` breaks the connection in the middle of a file, so many times; `lies` serves other bytes
    than are listed; `gone` lists a file and has none; `small` are outside large-file storage. `requests` counts
    GETs of files, `bytes_sent` what they brought.

    `made` is whether the repository exists, `private` what it is; `token` is the one that may read and write.
    `received` has what was uploaded, by SHA-256; `commits` the paths of each commit, of which `refused` fail first;
    `loses` takes files away after they were committed.
    """

    repo: str
    files: dict[str, bytes]
    made: bool = True
    private: bool = False
    received: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    refused: int = 0
    loses: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    lies: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    small: set[str] = field(default_factory=set)
    token: str | None = None
    pause_s: float = 0.0  # after each 64 KiB of a file
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    bytes_sent: int = 0

    def __enter__(self) -> "Hub":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @staticmethod
    def large(content: bytes) -> dict:
        return {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}

    def tree(self) -> list[dict]:
        """As the hub lists it: large files with their SHA-256."""
        return [
            {"type": "directory", "path": "datasets", "oid": "0" * 40, "size": 0},
            *(
                {
                    "type": "file",
                    "path": path,
                    "size": len(content),
                    "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
                    **({"lfs": self.large(content)} if is_large(path) and path not in self.small else {}),
                }
                for path, content in self.files.items()
            ),
        ]


def is_large(path: str) -> bool:
    """Whether the hub's .gitattributes name it."""
    return path.endswith((".bin", ".model"))


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            with suppress(ConnectionError):  # a killed client's; another test may listen to stderr by now
                self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if not self.may() or not hub.made:
                return self.refuse(401, "RepoNotFound")
            api, files = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}/resolve/{COMMIT}/"
            if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                return self.say({"id": hub.repo, "sha": COMMIT, "siblings": [], "private": hub.private, "tags": []})
            if path.startswith(f"{api}/revision/"):
                return self.refuse(404, "RevisionNotFound")
            if path.startswith(f"{api}/tree/{COMMIT}"):
                return self.say(hub.tree())
            name = path.removeprefix(files)
            if not path.startswith(files):
                return self.refuse(404, "RepoNotFound")
            if name not in hub.files or name in hub.gone:
                return self.refuse(404, "EntryNotFound")
            return self.send_file(name, body)

        def may(self) -> bool:
            return not hub.token or self.headers.get("Authorization") == f"Bearer {hub.token}"

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def do_PUT(self) -> None:
            content = self.body()
            assert f"/lfs/{hashlib.sha256(content).hexdigest()}" == self.path
            hub.received[self.path.removeprefix("/lfs/")] = content
            self.say({})

        def do_POST(self) -> None:
            body, path = self.body(), urlsplit(self.path).path
            api, batch = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}.git/info/lfs/objects/batch"
            if not self.may():
                return self.refuse(401, "RepoNotFound")
            if path == "/api/repos/create":
                asked = json.loads(body)
                if f"{asked['organization']}/{asked['name']}" != hub.repo:
                    return self.refuse(403, "Forbidden")
                where = {"url": f"{hub.endpoint}/datasets/{hub.repo}"}
                if hub.made:
                    return self.say(where | {"error": "You already created this dataset repo"}, 409)
                hub.made, hub.private = True, asked.get("visibility") == "private"
                return self.say(where)
            if path == f"{api}/preupload/main":
                asked = json.loads(body)["files"]
                modes = {f["path"]: "lfs" if is_large(f["path"]) else "regular" for f in asked}
                files = [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]
                return self.say({"files": files})
            if path == batch:
                objects = json.loads(body)["objects"]
                for o in objects:
                    if o["oid"] not in hub.received:
                        o["actions"] = {"upload": {"href": f"{hub.endpoint}/lfs/{o['oid']}"}}
                return self.say({"transfer": "basic", "objects": objects})
            if path == f"{api}/commit/main":
                return self.commit([json.loads(line) for line in body.splitlines()])
            return self.refuse(404, "EntryNotFound")

        def commit(self, lines: list[dict]) -> None:
            if hub.refused:
                hub.refused -= 1
                return self.refuse(400, "BadRequest")
            for line in lines[1:]:
                path, value = line["value"]["path"], line["value"]
                hub.files[path] = (
                    hub.received[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
                )
            hub.commits.append([line["value"]["path"] for line in lines[1:]])
            for path in hub.loses & hub.files.keys():
                del hub.files[path]
            self.say({"commitUrl": f"{hub.endpoint}/datasets/{hub.repo}/commit/{COMMIT}", "commitOid": COMMIT})

        def say(self, value: object, status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def send_file(self, name: str, body: bool) -> None:
            content = hub.files[name]
            etag = hashlib.sha256(content).hexdigest()
            if name in hub.lies:
                content = content[:-1] + bytes([content[-1] ^ 1])
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            for key, value in {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{etag}"',
                "X-Linked-Etag": f'"{etag}"',
                "X-Linked-Size": str(len(content)),
                "Accept-Ranges": "bytes",
                "Content-Length": str(len(content) - start),
                **({"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if wanted else {}),
            }.items():
                self.send_header(key, value)
            self.end_headers()
            if not body:
                return
            hub.requests.append((name, wanted))
            rest = content[start:]
            if hub.cut.get(name, 0):
                hub.cut[name] -= 1
                rest = rest[: len(rest) // 2]
                self.close_connection = True
            for at in range(0, len(rest), 65536):
                self.wfile.write(rest[at : at + 65536])
                hub.bytes_sent += len(rest[at : at + 65536])
                time.sleep(hub.pause_s)

    return Handler
