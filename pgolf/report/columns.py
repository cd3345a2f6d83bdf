"""Rows in columns, at any width: nothing is cut. In a pipe a row is one line, however long."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

ENDLESS = 1_000_000  # columns of a pipe
GAP, INDENT = "  ", "    "  # between two columns; before all but the first line of a row that takes several
LEAST = 24  # characters that a column is folded to
NARROW = 16  # characters of a column that keeps its width where a row takes several lines


@dataclass(frozen=True)
class Columns:
    """A table whose cells are shown as they are, without markup.

    On a terminal the last column is folded between words where it does not fit; where that would leave it few
    characters, or break a word, a row takes several lines, each with as many cells as fit.

    Attributes
    ----------
    rows : the cells of each row, the most important first.
    title, headings : of the table, and one a column; left out in a pipe, but for the headings of one that is `headed`.
    numbers : columns of numbers, which end below one another.
    least : characters that the last column is folded to at least.
    keep : on a terminal, columns from this one on are left out, the last first, until a row fits one line.
    """

    rows: Sequence[Sequence[str | Text]]
    headings: Sequence[str] = ()
    numbers: Collection[int] = ()
    least: int = LEAST
    headed: bool = False
    title: str = ""
    keep: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.lines(options.max_width if console.is_terminal else None)

    def lines(self, width: int | None) -> Iterator[Text]:
        """The lines for a terminal of so many columns; None: for a pipe."""
        cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in self.rows]
        if self.headings and (width is not None or self.headed):
            cells.insert(0, [Text(heading, "bold") for heading in self.headings])
        if not cells:
            return
        if self.title and width is not None:
            yield Text(self.title, "bold")
        widths = [max(row[i].cell_len for row in cells if i < len(row)) for i in range(max(map(len, cells)))]
        if width is not None and self.keep is not None:
            while len(widths) > self.keep and sum(widths) + len(GAP) * (len(widths) - 1) > width:
                widths.pop()
            cells = [row[: len(widths)] for row in cells]
        for number, row in enumerate(cells):
            heads = number == 0 and len(cells) > len(self.rows)
            for line in self._row(row, widths, width, heads):
                line.rstrip()
                line.no_wrap, line.overflow = True, "ignore"
                yield line

    def _row(self, row: Sequence[Text], widths: Sequence[int], width: int | None, heads: bool) -> Iterator[Text]:
        if width is None:
            yield Text(GAP).join(self._padded(i, Text(GAP).join(cell.split()), widths) for i, cell in enumerate(row))
            return
        *first, last = widths
        room = width - sum(first) - len(GAP) * len(first)
        fits = room >= min(self.least, last)
        if fits and _longest_word(row[-1], width - len(INDENT)) <= room:
            yield from self._folded(row, [*first, min(last, room)])
        else:
            yield from self._filled(row, widths, width, heads)

    def _folded(self, row: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
        """The cells side by side, the last one folded into its column."""
        *first, last = row
        for i, part in enumerate(_wrapped(last, widths[len(first)])):
            beside = first if i == 0 else [Text()] * len(first)
            yield Text(GAP).join(self._padded(n, cell, widths) for n, cell in enumerate([*beside, part]))

    def _filled(self, row: Sequence[Text], widths: Sequence[int], width: int, heads: bool) -> Iterator[Text]:
        """The cells one after the other: as many columns as fit side by side, then what fits, narrow cells in columns
        of their own. All lines but the first are indented. All last cells begin a line where one of them has to, and
        a heading goes where its column's longest cell does."""
        ends = [end - len(GAP) for end in accumulate(w + len(GAP) for w in widths)]
        beside = sum(end <= width for end in ends)
        line = Text()
        for i, cell in enumerate(row):
            narrow = i < beside or widths[i] <= min(NARROW, width - len(INDENT))
            text = self._padded(i, cell, widths) if narrow else cell
            if not text:
                continue
            needed = widths[i] if heads or i == len(widths) - 1 else text.cell_len
            if line.plain and line.cell_len + len(GAP) + needed <= width:
                line = Text(GAP).join([line, text])
                continue
            if line.plain:
                yield line
            indent = INDENT if line.plain else ""
            *full, line = [text] if narrow else _wrapped(text, width - len(indent))
            yield from (Text.assemble(indent, part) for part in full)
            line = Text.assemble(indent, line)
        if line.plain.strip() or not line.plain:  # no line of empty cells
            yield line

    def _padded(self, i: int, cell: Text, widths: Sequence[int]) -> Text:
        space = " " * (widths[i] - cell.cell_len)
        return Text.assemble(space, cell) if i in self.numbers else Text.assemble(cell, space)


def between_words(text: Text, width: int) -> list[Text]:
    """The lines of a text, folded between words; a word that is wider is left whole, so that it can be copied."""
    lines: list[Text] = []
    for paragraph in text.split("\n", allow_blank=True):
        breaks: list[int] = []
        begin = 0
        for word in re.finditer(r"\S+", paragraph.plain):
            if begin < word.start() and cell_len(paragraph.plain[begin : word.end()]) > width:
                breaks += [word.start()]
                begin = word.start()
        lines += paragraph.divide(breaks)
    return _trimmed(lines)


def _longest_word(cell: Text, most: int) -> int:
    """Of the words that are no longer than `most`: others are broken anyway."""
    return max((size for word in cell.plain.split() if (size := cell_len(word)) <= most), default=0)


def _wrapped(cell: Text, width: int) -> list[Text]:
    return _trimmed(cell.wrap(Console(), width, overflow="fold"))


def _trimmed(lines: Iterable[Text]) -> list[Text]:
    parts = list(lines) or [Text()]
    for part in parts:
        part.rstrip()
    return parts
