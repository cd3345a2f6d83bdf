"""A machine that is reached by SSH: commands, files, and a connection that is made again when it is lost.

Host keys are compared with the one that is pinned; where there is none yet, the first contact pins what the machine
shows, and says so. What may succeed later (a lost connection, a machine that boots) is tried again with growing,
jittered pauses for as long as `patience_s`; a wrong host key or a refused key is not. The machine is a stranger: its
replies are bounded in size and time, and one that makes no sense is `Refused`.
"""

import asyncio
import hashlib
import json
import logging
import os
import stat
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any, TypeVar

import asyncssh
import tenacity

from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file
from pgolf.pods import Gone, Kind, agent
from pgolf.pods.answers import checked_hashes
from pgolf.pods.loop import loop, wait
from pgolf.pods.pins import Address, pinned_key

log = logging.getLogger(__name__)
logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every channel
T = TypeVar("T")
AGENT = Path(agent.__file__)
CONNECT_TIMEOUT_S = 20
COMMAND_TIMEOUT_S = 600.0  # hashing a dataset on a slow disk takes minutes
KEEPALIVE_S, KEEPALIVES = 5, 3  # a connection that says nothing for so long is lost
STOPPING_PATIENCE_S = 20.0  # for a machine that does not answer while the record is being stopped
READ_TIMEOUT_S, WRITE_TIMEOUT_S = 120.0, 300.0  # for one block of a file
BLOCK_BYTES = 1 << 22
SLOWEST, SLOWEST_STOPPING = 50_000, 1_000_000  # bytes a second; a file that comes home slower is not waited for
REPLY_MOST, LISTING_MOST = 1 << 20, 64 << 20  # characters of a command's reply, and of one that names files
TRANSIENT = (
    OSError,
    TimeoutError,
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)


class Refused(Gone):
    """The machine's command failed, or its reply makes no sense: asking again would not help."""

    kind = Kind.REFUSED


class Machine:
    """One machine. `gone` says that it is surely not there any more, so that nobody waits for it.

    Parameters
    ----------
    work : folder there that everything is kept in; relative to the user's home.
    python : the interpreter there.
    stop : set when the record is being stopped; patience is short from then on.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        work: str,
        python: str,
        stop: threading.Event,
        patience_s: float,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name, self.address, self.work, self.python = name, address, PurePosixPath(work), python
        self.stop, self.patience_s, self.gone = stop, patience_s, gone
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._connecting = threading.Lock()
        self._closed = False

    def run(self, command: str, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S, most: int = REPLY_MOST) -> str:
        """Run a shell command in the user's home; its standard output.

        Raises
        ------
        Refused : it exits with another code than 0, or prints more than `most` characters.
        Gone : no answer for `patience_s`, or the machine is known to be gone.
        """

        async def work(connection: asyncssh.SSHClientConnection) -> tuple[int | None, str, str]:
            process = await connection.create_process(f"cd && {command}", input=stdin, errors="replace")
            try:
                out, err = await asyncio.gather(
                    self._bounded(process.stdout, most), self._bounded(process.stderr, most)
                )
                await process.wait_closed()
            finally:
                process.close()
            return process.exit_status, out, err

        exit_status, out, err = self._tried(lambda connection: asyncio.wait_for(work(connection), timeout_s))
        if exit_status is None:
            raise Gone(f"{self.name}: the command ended without an exit code")
        if exit_status:
            said = [line for line in f"{out}\n{err}".splitlines() if line.strip()]
            raise Refused(f"{self.name}: {_plain(' / '.join(said[-5:])) or f'exit code {exit_status}'}")
        return out

    async def _bounded(self, stream: asyncssh.SSHReader[str], most: int) -> str:
        parts, size = [], 0
        while part := await stream.read(BLOCK_BYTES):
            size += len(part)
            if size > most:
                raise Refused(f"{self.name}: a command's reply has more than {most:,} characters")
            parts.append(part)
        return "".join(parts)

    def agent(
        self, action: str, folder: PurePosixPath, given: Any = None, check: Callable[[Any], T] = lambda answer: answer
    ) -> T:
        """Ask the agent there for `action` on a folder of the work folder; return its answer, as `check` gives it.

        Raises
        ------
        Refused : the answer is not JSON, too long, or `check` raises ValueError.
        """
        command = f"{quote(self.python)} {quote(str(self.work / AGENT.name))} {action} {quote(str(self.work / folder))}"
        most = LISTING_MOST if action in ("sizes", "hashes") else REPLY_MOST
        try:
            return check(json.loads(self.run(command, json.dumps(given), most=most)))
        except (ValueError, RecursionError) as e:
            raise Refused(f"{self.name}: a wrong answer to '{action}': {e}") from None

    @cached_property
    def root(self) -> PurePosixPath:
        """The work folder there, absolute."""
        said = self.run(f"mkdir -p {quote(str(self.work))} && cd {quote(str(self.work))} && pwd").strip()
        if not (said.startswith("/") and said.isprintable()):
            raise Refused(f"{self.name}: its work folder is not a path: {said!r:.200}")
        return PurePosixPath(said)

    def install(self) -> None:
        """Put the agent there."""
        self.put(AGENT, PurePosixPath(AGENT.name))

    def put(self, source: Path, target: PurePosixPath, executable: bool = False) -> None:
        """Copy a file into the work folder, whole or not at all; go on from what a lost connection left."""
        path, sha256 = self.work / target, sha256_file(source)
        # of this machine's own: the work folder may be on a network volume that others write to just now
        mine = hashlib.sha256(f"{self.address.host}:{self.address.port}".encode()).hexdigest()[:8]
        part = path.with_name(f".{path.name}.{sha256[:16]}-{mine}.part")

        async def begin(sftp: asyncssh.SFTPClient) -> int:
            await sftp.makedirs(str(path.parent), exist_ok=True)
            return (await sftp.getsize(str(part)) or 0) if await sftp.exists(str(part)) else 0

        async def work(connection: asyncssh.SSHClientConnection) -> None:
            sftp = await self._files(connection)
            have = await asyncio.wait_for(begin(sftp), READ_TIMEOUT_S)
            async with sftp.open(str(part), "ab") as f:
                with source.open("rb") as data:
                    data.seek(have)
                    while block := data.read(BLOCK_BYTES):
                        await asyncio.wait_for(f.write(block), WRITE_TIMEOUT_S)

        self._tried(work)
        if self.run(f"sha256sum {quote(str(part))}").split()[:1] != [sha256]:
            self.run(f"rm -f {quote(str(part))}")
            raise Gone(f"{self.name}: {target.name} arrived there damaged (its SHA-256 differs)")
        mode = "755" if executable else "644"
        self.run(
            f"chmod {mode} {quote(str(part))} && sync {quote(str(part))} && mv -f {quote(str(part))} {quote(str(path))}"
        )

    def read(self, source: PurePosixPath, offset: int) -> bytes:
        """Read at most BLOCK_BYTES of a file of the work folder from byte `offset` on.

        Nothing if it is missing or no regular file: the server there would wait for a pipe that nobody writes to.
        """

        async def work(connection: asyncssh.SSHClientConnection) -> bytes:
            sftp, path = await self._files(connection), str(self.work / source)
            try:
                mode = (await sftp.lstat(path)).permissions
                if mode is not None and not stat.S_ISREG(mode):
                    return b""
                async with sftp.open(path, "rb") as f:
                    data = await f.read(BLOCK_BYTES, offset)
                    return (data if isinstance(data, bytes) else data.encode())[:BLOCK_BYTES]
            except asyncssh.SFTPNoSuchFile:
                return b""

        return self._tried(lambda connection: asyncio.wait_for(work(connection), READ_TIMEOUT_S))

    def get(self, source: PurePosixPath, target: Path, sha256: str, size: int) -> None:
        """Fetch a file whole, with the hash and the bytes that it has there, or not at all.

        Raises
        ------
        OSError : it cannot be written here.
        Refused : it has another content there, or does not come in `time_for` its size.
        """
        part = target.with_name(f".{target.name}.{sha256[:16]}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):  # what an earlier process left may be damaged
            deadline = time.monotonic() + self.time_for(size)
            with part.open("ab") as f:
                while f.tell() < size and (block := self.read(source, f.tell())):
                    f.write(block[: size - f.tell()])
                    if time.monotonic() > deadline:
                        raise Refused(f"{self.name}: {source} comes too slowly, {f.tell():,} of {size:,} bytes so far")
                f.flush()
                os.fsync(f.fileno())
            if sha256_file(part) == sha256:
                os.replace(part, target)
                return
            part.unlink()
        raise Refused(f"{self.name}: {source} arrived here damaged (its SHA-256 differs)")

    def time_for(self, size: int) -> float:
        """Seconds that `size` bytes may take to come home."""
        if self.stop.is_set():
            return STOPPING_PATIENCE_S + size / SLOWEST_STOPPING
        return self.patience_s + size / SLOWEST

    def close(self) -> None:
        """Close the connection for good: who still works on it, in another thread, gets Gone."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection, self._sftp = self._connection, None, None
            loop().call_soon_threadsafe(connection.abort)

    def _tried(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]]) -> T:
        """Do `work` on a live connection; if that is lost, again on a new one."""
        began, said = time.monotonic(), False

        def enough(state: tenacity.RetryCallState) -> bool:
            patience = min(self.patience_s, STOPPING_PATIENCE_S) if self.stop.is_set() else self.patience_s
            return self._closed or time.monotonic() - began > patience or self.gone()

        def before_pause(state: tenacity.RetryCallState) -> None:
            nonlocal said
            if not said:
                error = state.outcome.exception() if state.outcome else None
                log.info("%s: does not answer (%s); trying again", self.name, _in_words(error))
                said = True

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TRANSIENT),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
            stop=enough,
            before_sleep=before_pause,
        )
        try:
            result: T = retrying(self._once, work)
            return result
        except tenacity.RetryError as e:
            gone = self._closed or self.gone()
            why = "it is gone" if gone else f"no answer for {time.monotonic() - began:.0f} s"
            kind = Kind.ENDED if gone else Kind.NO_ANSWER
            raise Gone(f"{self.name}: {why} ({_in_words(e.last_attempt.exception())})", kind) from None

    def _once(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]]) -> T:
        async def on_it() -> T:
            return await work(connection)

        try:
            connection = self._connected()
            return wait(on_it())
        except TRANSIENT:
            self._drop()
            raise
        except (BadInput, RunFailed):
            raise
        except asyncssh.SFTPError as e:
            raise Refused(f"{self.name}: {_plain(e.reason)} (is its disk full?)") from None
        except Exception as e:  # not all that a server can send is foreseen in asyncssh
            self._drop()
            raise Refused(f"{self.name}: {_in_words(e)}") from e

    def _connected(self) -> asyncssh.SSHClientConnection:
        with self._connecting:
            connection = self._connection
            if not self._closed and (connection is None or connection.is_closed()):
                connection, self._sftp = wait(self._connect()), None
                self._connection = connection
            if self._closed or connection is None:
                self._drop()
                raise Gone(f"{self.name}: its connection was closed")
            return connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        at = self.address
        pinned = await pinned_key(self.name, at, CONNECT_TIMEOUT_S)
        try:
            return await asyncssh.connect(
                at.host,
                at.port,
                username=at.user,
                client_keys=[str(at.key)],
                known_hosts=([pinned], [], []),
                agent_path=None,
                config=None,
                connect_timeout=CONNECT_TIMEOUT_S,
                login_timeout=CONNECT_TIMEOUT_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVES,
            )
        except asyncssh.HostKeyNotVerifiable:
            if at.rented:
                raise Gone(f"{self.name}: shows another host key: its container was started anew") from None
            raise BadInput(
                f"{self.name}: {at.host}:{at.port} shows another host key than the one pinned in {at.pins}; if that "
                "machine was set up anew, delete its line from that file; if not, another machine answers in its place"
            ) from None
        except asyncssh.PermissionDenied:
            said = f"{self.name}: {at.user}@{at.host}:{at.port} does not accept {at.key}.pub"
            raise Refused(said, Kind.KEY_REFUSED) from None

    async def _files(self, connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
        if self._sftp is None:
            self._sftp = await asyncio.wait_for(connection.start_sftp_client(), CONNECT_TIMEOUT_S)
        return self._sftp


def stage(machine: Machine, root: Path, files: Mapping[str, str], target: PurePosixPath) -> None:
    """Send `files` (SHA-256 by path relative to `root`) to folder `target` there, but for those already there."""
    there = machine.agent("hashes", target, list(files), lambda answer: checked_hashes(answer, files))
    missing = [name for name, sha256 in files.items() if there.get(name, ("", 0))[0] != sha256]
    for number, name in enumerate(missing, start=1):
        log.info("%s: sending %s (%d of %d)", machine.name, name, number, len(missing))
        machine.put(root / name, target / name, executable=name.endswith(".sh"))


def ensure_key(key: Path) -> str:
    """Return the public half of an SSH key in OpenSSH's form; make the pair if it is missing."""
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        pair = asyncssh.generate_private_key("ssh-ed25519", comment="pgolf")
        with suppress(FileExistsError), open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(pair.export_private_key())
        log.info("made an SSH key, %s", key)
    try:
        return asyncssh.read_private_key(key).export_public_key().decode().strip()
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as e:
        raise BadInput(f"{key}: not a private key that can be used without a passphrase: {e}") from None


def _in_words(error: BaseException | None) -> str:
    return _plain(f"{type(error).__name__}: {error}".rstrip(": ") if error else "no reason")


def _plain(said: str) -> str:
    """A machine's words, fit for a log."""
    return "".join(c if c.isprintable() else "�" for c in said[:1000])
