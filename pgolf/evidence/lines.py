"""Lines of a log that nobody vouches for: any length, encoding, colour or launcher prefix, in bounded memory."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pgolf.untrusted import Untrusted, open_regular

MOST_BYTES = 1 << 30  # of a log; the largest public one has half a megabyte
MAX_LINE_CHARS = 1 << 16  # characters of a line that are looked at; a longer line is cut, not refused
SHOWN = 200  # characters of a log's own words that go into a report

ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# What launchers and terminals put before a line: [default0]: [rank0]: [modal] 1776142360.538 2026-04-09 04:38:18,092
PREFIX = re.compile(
    r"""(?:
        \[[A-Za-z0-9_ :,.+-]{1,64}\]:?
      | \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?(?:\ std(?:out|err)\ [FP])?:?
      | \d\d:\d\d:\d\d(?:[.,]\d+)?
      | \d{10}(?:\.\d+)?
      | (?:-[ ])?[\w.]{1,40}[ ]-[ ](?:DEBUG|INFO|WARNING)[ ]-
      | (?:DEBUG|INFO|WARNING)(?::[\w.]+)?:?
      | (?:rank|default|worker|node)[ _-]?\d+\s?[:|]
      | \([\w ]{0,40}pid=\d+[^()]{0,40}\)
    )(?:[ \t][|-](?=[ \t]))?(?:[ \t]|(?<=:)|$)""",
    re.VERBOSE,
)


class Lines:
    """Lines of a text that comes in pieces, cut anywhere; at most MAX_LINE_CHARS of it are kept."""

    def __init__(self) -> None:
        self.number, self.rest = 1, ""  # of the line that has not ended yet, and its beginning

    def feed(self, piece: str) -> Iterator[tuple[int, str]]:
        """(line number from 1, text) of each line that has ended; '\\r' redraws count as lines of the same number.

        Colours and NULs are removed, a line is cut after 64 Ki characters.
        """
        piece = piece.replace("\0", "")  # a log that was cut short while its process wrote on is filled up with them
        *ended, rest = piece.split("\n")
        for text in ended:
            text, self.rest = self.rest + text, ""
            yield from self._parts(text[:MAX_LINE_CHARS])
            self.number += 1
        self.rest = (self.rest + rest)[:MAX_LINE_CHARS]

    def finish(self) -> Iterator[tuple[int, str]]:
        """The last line, where no newline ends it."""
        text, self.rest = self.rest, ""
        if text:
            yield from self._parts(text)

    def _parts(self, text: str) -> Iterator[tuple[int, str]]:
        text = text.rstrip("\r")
        if "\x1b" in text:
            text = ESCAPE.sub("", text)
        for part in text.split("\r"):
            yield self.number, part


def read_lines(path: Path, inside: Path | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a file, as `Lines` gives them; undecodable bytes become '\\ufffd'.

    Raises
    ------
    OSError : it cannot be read on.
    Untrusted : it cannot be read, is no regular file or not `inside` that folder, or has over MOST_BYTES bytes.
    """
    with open_regular(path, inside) as f:
        encoding = "utf-16" if f.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        f.seek(0)
        size = os.fstat(f.fileno()).st_size
        lines, seen, text = Lines(), 0, io.TextIOWrapper(f, encoding, errors="replace", newline="\n")
        while size <= MOST_BYTES and (piece := text.read(MAX_LINE_CHARS)):
            yield from lines.feed(piece)
            seen += len(piece)
            size = max(size, seen)  # it may grow while it is read
        if size > MOST_BYTES:
            raise Untrusted(f"{path}: over {MOST_BYTES:,} bytes, and a log is smaller; cut out what is no log")
        yield from lines.finish()


def without_prefix(text: str) -> str:
    """The line as its process printed it: up to three launcher or terminal prefixes removed, indentation kept."""
    for _ in range(3):
        found = PREFIX.match(text)
        if not found:
            break
        text = text[found.end() :]
    return text


def printable(text: str, limit: int = SHOWN) -> str:
    """A log's words fit for a report: one line, no control or formatting characters, cut to `limit`."""
    text = text[: limit + 1].replace("\t", " ").strip()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
