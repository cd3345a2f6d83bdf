"""Tables of Markdown, within bounds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TABLES, MOST_ROWS, MOST_COLUMNS = 50, 1_000, 40
RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")


@dataclass(frozen=True)
class Table:
    """A table: `first` is the line of its head, counted from 1; every row has as many cells as the head."""

    first: int
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(lines: Sequence[str]) -> Iterator[Table]:
    """The tables in the lines of a text, as far as their rows are whole."""
    number, left = 1, MOST_TABLES
    while number < len(lines) and left:
        head = _cells(lines[number - 1])
        if len(head) < 2 or "|" not in lines[number] or not RULE.fullmatch(lines[number]):
            number += 1
            continue
        rows: list[tuple[str, ...]] = []
        while len(rows) < MOST_ROWS and number + 1 + len(rows) < len(lines):
            row = _cells(lines[number + 1 + len(rows)])
            if len(row) != len(head):
                break
            rows.append(row)
        if rows and len(head) <= MOST_COLUMNS:
            yield Table(number, head, tuple(rows))
            left -= 1
        number += 2 + len(rows)


def _cells(line: str) -> tuple[str, ...]:
    """The cells of a row; () of a line that is none."""
    if "|" not in line:
        return ()
    return tuple(cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))
