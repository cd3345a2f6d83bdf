"""A server that speaks the dataset hub's wire format, for one repository, and misbehaves on request."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` by path; `cut` breaks the connection in the middle of a file, so many times; `lies` serves other bytes
    than are listed; `gone` lists a file and has none; `small` are outside large-file storage. `requests` counts
    GETs of files, `bytes_sent` what they brought.
    """

    repo: str
    files: dict[str, bytes]
    cut: dict[str, int] = field(default_factory=dict)
    lies: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    small: set[str] = field(default_factory=set)
    token: str | None = None
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
                    "oid": hashlib.sha1(content).hexdigest(),
                    **({} if path in self.small else {"lfs": self.large(content)}),
                }
                for path, content in self.files.items()
            ),
        ]


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
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self.refuse(401, "RepoNotFound")
            api, files = f"/api/datasets/{hub.repo}", f"/datasets/{hub.repo}/resolve/{COMMIT}/"
            if path in (f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                return self.say({"id": hub.repo, "sha": COMMIT, "siblings": [], "private": False, "tags": []})
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

        def say(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
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
            self.wfile.write(rest)
            hub.bytes_sent += len(rest)

    return Handler
