"""Fetches a dataset's files on a pod, so that nobody has to send them. Its one file runs there by itself: it needs the
standard library, and huggingface_hub where the files are on the hub.

    python3 fetching.py start FOLDER < JOB      idempotent: repeat it if the reply is lost
    python3 fetching.py status FOLDER | stop FOLDER

JOB is JSON: {"repository": "owner/name", "commit": …, "endpoint": …, "token": …, "package": …} or {"web": true}, and
"files": [{"name", "path", "sha256", "size"}] ("path": in the repository, or a whole address), "at_once", "seconds".

Files come to FOLDER/name, each whole and with its SHA-256, or not at all; what a lost connection or a killed process
left is taken up. One process at a time fetches into a folder, detached, for `seconds` at most, and only while somebody
asks for its status. Every answer is JSON: {"state": "running", "done", "failed" or "lost", "bytes", "had", "total",
"seconds", "error", "permanent"}. A failure is `permanent` if another machine would meet it, too.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

STATE = os.path.join(os.path.expanduser("~"), ".pgolf")
UNASKED_S = 300.0  # a fetch that nobody has asked about for so long ends
TICK_S = 0.5
BLOCK_BYTES = 1 << 20
TRIES, PAUSE_S = 4, 2.0  # for a file, in a row without a byte more
TIMEOUT_S = 60.0  # for a server to say anything
SPARE_BYTES = 64 << 20  # more than was announced is too much
ERROR_MOST = 400  # characters
REFUSALS = (401, 403, 404, 410)
OLDEST = (0, 23)  # of huggingface_hub: older ones leave links in the folder that they download to
WEB = re.compile(r"https://|http://(127\.0\.0\.1|localhost)[:/]")


class Wrong(Exception):
    """The source has not what was asked for: another try, or another machine, would not help."""


def main(action: str, folder: str) -> None:
    """Do one action on one folder; print the answer."""
    folder = os.path.realpath(folder)
    if action == "run":
        run(folder, json.load(sys.stdin))
        return
    if action == "start":
        start(folder, json.load(sys.stdin))
    elif action == "stop":
        stop(folder)
    print(json.dumps(status(folder)))


def place(folder: str, name: str) -> str:
    """The path of a file about a folder's fetch; on this machine, since a network volume may know no locks."""
    return os.path.join(STATE, f"fetch-{hashlib.sha256(folder.encode()).hexdigest()[:16]}.{name}")


def locked(folder: str) -> int | None:
    """A file descriptor that holds the folder's lock; None if a process that fetches has it."""
    os.makedirs(STATE, exist_ok=True)
    lock = os.open(place(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except BlockingIOError:
        os.close(lock)
        return None


def start(folder: str, job: dict[str, Any]) -> None:
    """Start to fetch, unless a process is at it; it inherits the lock."""
    lock = locked(folder)
    if lock is None:
        return
    write(folder, job, "running", None, False)
    ask(folder)
    with open(place(folder, "log"), "wb") as log:
        child = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "run", folder],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )
    with child.stdin as pipe:  # type: ignore[union-attr]
        pipe.write(json.dumps(job).encode())  # a token is in here, and nowhere else
    os.close(lock)


def ask(folder: str) -> None:
    """Note that somebody waits for it."""
    with open(place(folder, "asked"), "wb"):
        pass


def status(folder: str) -> dict[str, Any]:
    """How far it is; `lost` if its process is gone and has not said why."""
    ask(folder)
    lock = locked(folder)  # before its last words are read
    try:
        with open(place(folder, "json")) as f:
            answer: dict[str, Any] = json.load(f)
    except (FileNotFoundError, ValueError):
        answer = {"state": "lost"}
    if lock is not None:
        os.close(lock)
        if answer["state"] == "running":
            answer["state"] = "lost"
    return {key: value for key, value in answer.items() if key != "pid"}


def stop(folder: str) -> None:
    """End the process that fetches; what it has is kept."""
    deadline = time.monotonic() + 10
    while (lock := locked(folder)) is None and time.monotonic() < deadline:
        with suppress(OSError, ValueError, LookupError, TypeError), open(place(folder, "json")) as f:
            os.killpg(json.load(f)["pid"], signal.SIGKILL)
        time.sleep(0.05)
    if lock is not None:
        os.close(lock)


class Fetch:
    """What is fetched into a folder, and how far that is."""

    def __init__(self, folder: str, job: dict[str, Any]) -> None:
        self.folder, self.job, self.began = folder, job, time.monotonic()
        # of this machine's own: others may fetch into the same network volume
        self.parts = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}-{socket.gethostname()}")
        self.total, self.placed = sum(file["size"] for file in job["files"]), 0
        self.lock, self.over = threading.Lock(), False
        self.had = self.bytes() + sum(file["size"] for file in job["files"] if self.there(file))

    def there(self, file: dict[str, Any]) -> bool:
        """Whether a file of the right size is in its place."""
        target = os.path.join(self.folder, file["name"])
        return os.path.isfile(target) and os.path.getsize(target) == file["size"]

    def bytes(self) -> int:
        """Bytes on the disk: files that are placed, and parts; a sparse part counts what is there."""
        found = 0
        for at, _, names in os.walk(self.parts):
            for name in names:
                with suppress(OSError):
                    known = os.lstat(os.path.join(at, name))
                    found += min(known.st_size, 512 * known.st_blocks)
        return self.placed + found

    def say(self, state: str, error: str | None = None, permanent: bool = False) -> None:
        """Write down how far it is; the first end that is written stands."""
        with self.lock:
            if not self.over:
                self.over = state != "running"
                write(self.folder, self.job, state, error, permanent, self)

    def watch(self) -> None:
        """Tell how far it is, and end it when its time is over, nobody waits, or more comes than was announced."""
        while True:
            if time.time() - os.stat(place(self.folder, "asked")).st_mtime > UNASKED_S:
                os._exit(1)  # whoever comes back starts it again
            why = None
            if time.monotonic() - self.began > self.job["seconds"]:
                why = f"not done in {self.job['seconds']:.0f} s"
            elif self.bytes() > self.total + SPARE_BYTES:
                why = "more bytes come than were announced"
            self.say("failed" if why else "running", why)
            if why:
                os._exit(1)  # threads wait for servers
            time.sleep(TICK_S)

    def one(self, number: int) -> None:
        """Fetch one file, unless it is in its place."""
        file = self.job["files"][number]
        target = os.path.join(self.folder, file["name"])
        if not (self.there(file) and sha256(target) == file["sha256"]):
            parts = os.path.join(self.parts, hashlib.sha256(file["name"].encode()).hexdigest()[:16])
            os.makedirs(parts, exist_ok=True)
            path = from_web(file, parts) if "web" in self.job else from_hub(self.job, file, parts)
            size, found = os.path.getsize(path), sha256(path)
            if (size, found) != (file["size"], file["sha256"]):
                os.unlink(path)
                raise Wrong(f"{file['name']}: {size} bytes with SHA-256 {found} came, not {file['sha256']}")
            with open(path, "rb") as f:
                os.fsync(f.fileno())
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(path, target)
            shutil.rmtree(parts, ignore_errors=True)
        with self.lock:
            self.placed += file["size"]


def write(
    folder: str, job: dict[str, Any], state: str, error: str | None, permanent: bool, fetch: Fetch | None = None
) -> None:
    """Replace the file that tells how far it is."""
    said = re.sub(r"\s+", " ", error or "").replace(job.get("token") or "\n", "…")
    answer = {
        "state": state,
        "bytes": fetch.bytes() if fetch else 0,
        "had": fetch.had if fetch else 0,
        "total": sum(file["size"] for file in job["files"]),
        "seconds": round(time.monotonic() - fetch.began, 3) if fetch else 0.0,
        "error": said[:ERROR_MOST] or None,
        "permanent": permanent,
        "pid": os.getpid() if fetch else None,
    }
    path = place(folder, "json")
    with open(path + ".new", "w") as f:
        json.dump(answer, f)
    os.replace(path + ".new", path)


def run(folder: str, job: dict[str, Any]) -> None:
    """Fetch all files of a job, several at a time; the first failure ends it."""
    fetch = Fetch(folder, job)
    threading.Thread(target=fetch.watch, daemon=True).start()
    try:
        os.makedirs(fetch.parts, exist_ok=True)
        free, needed = shutil.disk_usage(fetch.parts).free, fetch.total - fetch.had
        if free < needed:
            raise OSError(f"{free / 1e9:.1f} GB are free there, {needed / 1e9:.1f} are needed")
        if "web" not in job:
            prepare_hub(job, fetch.parts)
        with ThreadPoolExecutor(job["at_once"]) as pool:
            try:
                for future in as_completed([pool.submit(fetch.one, i) for i in range(len(job["files"]))]):
                    future.result()
            except BaseException as e:
                said = str(e) if isinstance(e, Wrong) else f"{type(e).__name__}: {e}"
                fetch.say("failed", said, refused(e))
                os._exit(1)
        shutil.rmtree(fetch.parts, ignore_errors=True)
        fetch.say("done")
    except Exception as e:
        fetch.say("failed", str(e))
        os._exit(1)


def refused(error: BaseException) -> bool:
    """Whether the source, and not this machine or its network, is why it failed."""
    code = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, Wrong) or code in REFUSALS


def sha256(path: str) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def prepare_hub(job: dict[str, Any], parts: str) -> None:
    """Make huggingface_hub importable, beside this machine's packages if it lacks it, and keep its caches out of the
    way."""
    os.environ.update(
        HF_HOME=os.path.join(parts, "home"),
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
        HF_HUB_DOWNLOAD_TIMEOUT=str(int(TIMEOUT_S)),
        HF_XET_CHUNK_CACHE_SIZE_BYTES="0",
    )
    if job["endpoint"]:
        os.environ["HF_ENDPOINT"] = job["endpoint"]
    with suppress(PackageNotFoundError, ValueError):
        if tuple(map(int, version("huggingface_hub").split(".")[:2])) >= OLDEST:
            return
    packages = os.path.join(STATE, "hub")  # what programs import stays as it is
    if not os.path.isdir(packages):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "--target", packages + ".new", job["package"]], stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode:
            said = done.stderr[-2000:].decode(errors="replace").strip().splitlines()
            raise OSError(f"cannot install {job['package']}: {said[-1] if said else done.returncode}")
        os.replace(packages + ".new", packages)
    sys.path.insert(0, packages)


def from_hub(job: dict[str, Any], file: dict[str, Any], parts: str) -> str:
    """Download a file of the repository; its path. huggingface_hub takes up what is there, and tries again itself."""
    from huggingface_hub import hf_hub_download

    for left in reversed(range(TRIES)):
        try:
            return hf_hub_download(
                job["repository"],
                file["path"],
                repo_type="dataset",
                revision=job["commit"],
                local_dir=parts,
                endpoint=job["endpoint"],
                token=job["token"] or False,
            )
        except Exception as e:  # it raises many kinds
            if refused(e) or not left:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only, or to this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request that follows."""
        if not WEB.match(newurl):
            raise Wrong(f"{req.full_url[:200]}: leads away from https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def from_web(file: dict[str, Any], parts: str) -> str:
    """Download a file behind an address; its path. Takes up what is there, as long as every try brings some of it."""
    path, opener = os.path.join(parts, "part"), urllib.request.build_opener(SafeRedirects)
    tries = TRIES
    while True:
        have = os.path.getsize(path) if os.path.exists(path) else 0
        if have == file["size"] and have:
            return path
        if have > file["size"]:
            os.unlink(path)
            raise Wrong(f"{file['name']}: more than its {file['size']} bytes came")
        try:
            take(opener, file, path, have)
            error: Exception | None = None
        except OSError as e:  # of the network, or an answer's code
            if refused(e):
                raise
            error = e
        now = os.path.getsize(path) if os.path.exists(path) else 0
        tries = TRIES if now > have else tries - 1
        if now == file["size"]:
            return path
        if not tries:
            raise error or OSError(f"{file['name']}: ends after {now} of {file['size']} bytes")
        if error or now <= have:
            time.sleep(PAUSE_S)


def take(opener: urllib.request.OpenerDirector, file: dict[str, Any], path: str, have: int) -> None:
    """Append what a server sends from byte `have` on; from the first one where it cannot do that."""
    asked = urllib.request.Request(file["path"], headers={"Range": f"bytes={have}-"} if have else {})
    with opener.open(asked, timeout=TIMEOUT_S) as reply:
        append = have and reply.status == 206
        with open(path, "ab" if append else "wb") as f:
            size = have if append else 0
            while size <= file["size"] and (block := reply.read(BLOCK_BYTES)):
                size += f.write(block)


if __name__ == "__main__":
    main(*sys.argv[1:])
