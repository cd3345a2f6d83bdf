"""What the chat is told of a record: each thing once, also by the process that takes up a killed one's work.

What was told is marked in the record's folder, before it is sent. Lines that come within half a minute go out together:
somebody reads them on a phone.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.files import write_json
from pgolf.notify import address, flush, notify
from pgolf.untrusted import read_json

log = logging.getLogger(__name__)
TOLD = "told.json"  # in a record's folder
MOST_BYTES = 1 << 20  # of that file
QUIET_S = 30.0  # between two messages, unless the later one cannot wait
LINE_CHARS, MOST_LINES = 300, 12  # of a message
When = Literal["now", "soon", "later"]
ENDED = "ended"  # the mark of a record that has failed or was stopped; it goes when the record goes on


class News:
    """The news of the record in a folder, whose name is said first. Where there is no webhook no mark is kept.

    `also` is called with a line as soon as it is known, whether there is a webhook or not.

    Called by several threads. Nothing is raised and nobody waits: no record fails because it cannot be told of.
    """

    def __init__(
        self, folder: Path, also: Callable[[str], None] = lambda lines: None, quiet_s: float = QUIET_S
    ) -> None:
        self.folder, self.also, self.quiet_s = folder, also, quiet_s
        self.on = bool(address())
        self.waiting: dict[str, str] = {}  # lines by their marks
        self.sent = -quiet_s  # when the last message was
        self.timer: threading.Timer | None = None
        self.lock = threading.RLock()
        self.told = _read(folder / TOLD) if self.on else {}

    def begin(self, line: str) -> None:
        """Tell that the record has started; that it goes on, if the last thing told was that it had ended."""
        with self.lock:
            if "started" not in self.told:
                self.tell("started", line, when="now")
            elif self.told.pop(ENDED, False):
                self.tell("", "goes on", when="now")

    def ended(self, line: str) -> None:
        """Tell that the record has failed, or was stopped."""
        self.tell(ENDED, line, when="now")

    def close(self) -> None:
        """Send what waits, and wait until that is gone, no longer than a request may take."""
        self.send()
        flush()

    def verdict(self, line: str) -> None:
        """Tell the verdict; another one is told, too, the same only once."""
        self.tell(f"verdict {hashlib.sha256(line.encode()).hexdigest()[:16]}", line, when="now")

    def tell(self, mark: str, line: str, when: When = "soon") -> None:
        """Tell something once; under the mark '' each time.

        `now`: at once, with all that waits. `soon`: when it is time for a message again. `later`: with the next one.
        """
        with self.lock:
            if mark and (mark in self.told or mark in self.waiting):
                return
            self.waiting[mark] = line
            self.also(line)
            due = self.sent + self.quiet_s - time.monotonic()
            if when == "now" or (when == "soon" and due <= 0):
                self.send()
            elif when == "soon" and self.timer is None:
                self.timer = threading.Timer(due, self.send)
                self.timer.daemon = True
                self.timer.start()

    def pass_over(self, *marks: str) -> None:
        """Take things as told that are told no more: later news say more."""
        with self.lock:
            self.told |= dict.fromkeys(marks, True)

    def send(self) -> None:
        """Send all that waits in one message."""
        with self.lock:
            if self.timer:
                self.timer.cancel()
                self.timer = None
            if not self.waiting:
                return
            lines, self.waiting = self.waiting, {}
            self.told |= {mark: True for mark in lines if mark}
            self.sent = time.monotonic()
            if not self.on:
                return
            try:
                write_json(self.folder / TOLD, sorted(self.told))
            except OSError as e:
                log.warning("%s: cannot be written, so the next process may tell things again: %s", TOLD, e.strerror)
            notify(message(self.folder.name, lines))


def message(name: str, lines: Mapping[str, str]) -> str:
    """The text that is sent: the record's name, and a line or a few."""
    texts = ["\n".join(printable(part, LINE_CHARS) for part in line.split("\n")) for line in lines.values()]
    more = [f"and {len(texts) - MOST_LINES} more"] if len(texts) > MOST_LINES else []
    texts = [*texts[:MOST_LINES], *more]
    return f"{name}: {texts[0]}" if len(texts) == 1 else "\n".join([f"{name}:", *texts])


def _read(path: Path) -> dict[str, bool]:
    """The marks that an earlier process left; none where the file is missing or is not what we write."""
    try:
        marks = read_json(path, MOST_BYTES)
    except BadInput:
        return {}
    return {mark: True for mark in marks if isinstance(mark, str)} if isinstance(marks, list) else {}
