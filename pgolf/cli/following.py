"""Follow a record that another process makes: its log line by line, its board on a terminal, at last its outcome."""

import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from pgolf.cli.output import stderr, tell
from pgolf.errors import RunFailed
from pgolf.evidence.lines import printable
from pgolf.record.board import draw
from pgolf.record.disk import full_disk
from pgolf.record.ending import is_busy, runs_alive
from pgolf.record.live import PROBES, read_live
from pgolf.record.orchestrator import FILE, LOG, STARTING, Orchestrator, moved_to, read_orchestrator
from pgolf.record.outcome import End, read_end
from pgolf.record.rows import said_left
from pgolf.record.stand import stand_of

POLL_S = 0.25
LOCK_S = 2.0  # between looks whether anybody is at it, where its process is not on this machine
LAST_LINES = 10  # of the log, that one who comes later sees
READ_MOST = 1 << 20  # bytes of the log at once
LINE = re.compile(r"(\d\d:\d\d:\d\d)(  )? (.*)")  # what is indented is shown by the board


class LogTail:
    """The lines of a record's log as they come. The file may be moved, and taken over by another process."""

    def __init__(self, folder: Path, whole: bool) -> None:
        self.path, self.rest = folder / LOG, b""
        self.file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW) if self.path.is_file() else None
        if self.file is not None and not whole:
            os.lseek(self.file, max(0, os.fstat(self.file).st_size - 4096), os.SEEK_SET)
            lines = os.read(self.file, 4096).split(b"\n")
            self.rest = b"\n".join(lines[-LAST_LINES - 1 :])

    def lines(self) -> Iterator[str]:
        """The lines that are new."""
        if self.file is None:
            return
        *lines, self.rest = (self.rest + os.read(self.file, READ_MOST)).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            yield "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

    def move(self, folder: Path) -> None:
        """Go on with the log of another folder, unless it is the same file."""
        path = folder / LOG
        if self.file is not None and path.is_file() and os.path.samestat(os.fstat(self.file), path.stat()):
            self.path = path
            return
        self.close()
        self.__init__(folder, whole=False)  # type: ignore[misc]

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            os.close(self.file)
            self.file = None


def follow(folder: Path, whole: bool = False) -> End:
    """Show how a record goes until it has ended; return how it has. `whole`: from the first line of its log on.

    Raises
    ------
    RunFailed : the process that made it is gone without a word.
    BadInput : it has ended, and an earlier version left no account of how.
    """
    view = View(folder)
    tail = LogTail(folder, whole)
    looked = 0.0
    with view:
        try:
            while True:
                if target := moved_to(view.folder):
                    _print(tail, view.live is not None)
                    tail.move(target)
                    view.folder = target
                who, end = read_orchestrator(view.folder), read_end(view.folder)
                # with an id, only the lock says that somebody is at it: a file may name any process that lives
                gone = end is None and not (who and who.process.lives and view.folder.parent.name == STARTING)
                if gone and time.monotonic() - looked > LOCK_S:
                    looked = time.monotonic()
                    gone = not is_busy(view.folder) and moved_to(view.folder) is None
                    end = read_end(view.folder)
                else:
                    gone = False
                _print(tail, view.live is not None)
                if end or gone:
                    break
                time.sleep(POLL_S)
        finally:
            tail.close()
    if end:
        return end
    stand = stand_of(view.folder, ())  # what runs here is counted below
    if stand.state == "finished":
        raise RunFailed(
            f"{view.folder.name}: finished by an earlier pgolf, which left no verdict to show; {stand.said}"
        )
    runs = len(runs_alive(view.folder))
    left = f"{runs} of its runs go on here; " if runs else f"{stand.said}; " if stand.state == "left" else ""
    full = full_disk(view.folder)  # then it could not say why it ended
    why = f"{full}; free some. " if full else ""
    raise RunFailed(
        f"{why}{view.folder.name}: {_maker(who)}, and nobody is at it; {left}go on with the same "
        f"command, or end it: {stop_command(view.folder)}"
    )


def _maker(who: Orchestrator | None) -> str:
    """The process that made a record, in words; its folder may name one of somebody else's."""
    if who is None or not who.process.lives:
        return "the process that made it is gone"
    words = printable(" ".join(who.process.command), 80)
    return f"process {who.process.pid} ({words}), which its {FILE} names, is not at it"


class View:
    """The board of a record, drawn from its file, where standard error is a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: Live | None = None

    def __enter__(self) -> "View":
        if stderr.is_terminal:
            self.live = Live(console=stderr, get_renderable=self.draw, refresh_per_second=2, transient=False)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            with suppress(OSError):  # the terminal was closed
                self.live.stop()

    def draw(self) -> RenderableType:
        """What its file says just now."""
        live = read_live(self.folder)
        if live is None or not live.rows:
            return Text("")
        words = ["the first artifact is probed", *([said] if (said := said_left(live.left)) else [])]
        return draw(live.rows, [*([": ".join(words)] if live.doing == PROBES else []), *live.notes])


def _print(tail: LogTail, board: bool) -> None:
    """Print the new lines of a log; where the board is shown, it tells where runs stand."""
    for line in tail.lines():
        found = LINE.fullmatch(line)
        if found is None:
            tell(line)
        elif not (board and found[2]):
            tell(Text.assemble((found[1], "log.time" if board else ""), f" {found[3]}"))


def watch_command(folder: Path) -> str:
    """The command that shows a record again."""
    return _command("watch", folder)


def stop_command(folder: Path) -> str:
    """The command that ends a record."""
    return _command("stop", folder)


def _command(what: str, folder: Path) -> str:
    runs_dir = folder.parent.parent if folder.parent.name == ".starting" else folder.parent
    where = "" if runs_dir == Path("runs").resolve() else f" --runs-dir {shlex.quote(str(runs_dir))}"
    return f"pgolf {what} {shlex.quote(folder.name)}{where}"


@contextmanager
def leaving(folder: Path) -> Iterator[None]:
    """Say how to come back where somebody leaves by Ctrl-C, or the terminal is closed."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        target = moved_to(folder) or folder
        with suppress(OSError):
            stderr.print(f"left: {target.name} goes on without this terminal", soft_wrap=True, markup=False)
            stderr.print(f"  back to it:  {watch_command(target)}", soft_wrap=True, markup=False)
            stderr.print(f"  end it:      {stop_command(target)}", soft_wrap=True, markup=False)
        raise
