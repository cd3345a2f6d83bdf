"""Documents of a corpus, in order, and cut into pieces that several processes can read by themselves.

A corpus is a list of files: *.jsonl (an object a line, its text in one field), *.parquet (its text in one column)
or *.txt (a document each). The pieces depend on the files alone, so a result that is made piece by piece does not
depend on which process made which piece.
"""

import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput

MOST_LINE_BYTES = 1 << 28  # of a document
PIECE_BYTES = 1 << 22  # seconds of work for one process, and what it holds in memory a few times over
KINDS = (".jsonl", ".parquet", ".txt")


@dataclass(frozen=True)
class Piece:
    """Part of a corpus: the lines that begin in bytes [start, end) of a *.jsonl, row group `start` of a *.parquet, or
    whole *.txt files."""

    paths: tuple[Path, ...]
    start: int = 0
    end: int = 0


def find_files(patterns: Sequence[str]) -> list[Path]:
    """The files that names and glob patterns stand for: patterns in their order, the matches of one by name.

    Raises
    ------
    BadInput : nothing matches, a file is of no known kind, or it is named twice.
    """
    files: list[Path] = []
    for pattern in patterns:
        found = [Path(pattern)] if Path(pattern).is_file() else sorted(map(Path, glob.glob(pattern, recursive=True)))
        if not found:
            raise BadInput(f"--docs {pattern}: no such file")
        files += found
    for path in files:
        if path.suffix not in KINDS or not path.is_file():
            raise BadInput(f"--docs {path}: documents come in {', '.join(KINDS)} files")
    if repeated := {p for p in files if files.count(p) > 1}:
        raise BadInput(f"--docs: {min(repeated)} is named more than once")
    return files


def cut(files: Sequence[Path]) -> list[Piece]:
    """The pieces of a corpus, in order. BadInput for a *.parquet file that is not parquet."""
    pieces: list[Piece] = []
    texts: list[Path] = []  # neighbours that share a piece
    size = 0
    for path in files:
        if path.suffix == ".txt":
            if texts and size + path.stat().st_size > PIECE_BYTES:
                pieces.append(Piece(tuple(texts)))
                texts, size = [], 0
            texts.append(path)
            size += path.stat().st_size
            continue
        if texts:
            pieces.append(Piece(tuple(texts)))
            texts, size = [], 0
        if path.suffix == ".parquet":
            pieces += [Piece((path,), group) for group in range(_parquet(path).num_row_groups)]
        else:
            end = path.stat().st_size
            pieces += [Piece((path,), at, min(at + PIECE_BYTES, end)) for at in range(0, end, PIECE_BYTES)]
    return [*pieces, Piece(tuple(texts))] if texts else pieces


def read(piece: Piece, field: str) -> Iterator[str]:
    """The documents of a piece, in order. `field` names the field of a line's object, or the column.

    Raises
    ------
    BadInput : a line that is not such an object, a file without that column, text that is not valid Unicode.
    """
    first = piece.paths[0]
    if first.suffix == ".txt":
        for path in piece.paths:
            try:
                yield path.read_bytes().decode()
            except UnicodeDecodeError as e:
                raise BadInput(f"{path}: byte {e.start} is not UTF-8") from None
    elif first.suffix == ".parquet":
        yield from _read_rows(first, piece.start, field)
    else:
        yield from _read_lines(first, piece.start, piece.end, field)


def _read_lines(path: Path, start: int, end: int, field: str) -> Iterator[str]:
    with path.open("rb") as f:
        if start:
            f.seek(start - 1)
            f.readline()  # a line that began before `start` belongs to the piece before
        while (at := f.tell()) < end:
            line = f.readline(MOST_LINE_BYTES + 1)
            if len(line) > MOST_LINE_BYTES:
                raise BadInput(f"{path}: the line at byte {at} is over {MOST_LINE_BYTES >> 20} MiB: no document")
            if line.isspace():
                continue
            try:
                text = json.loads(line)[field]
                text.encode()
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
                where = f"{path}: the line at byte {at}"
                raise BadInput(
                    f'{where} is not a JSON object with text in "{field}" ({type(e).__name__}: {e})'
                ) from None
            yield text


def _read_rows(path: Path, group: int, field: str) -> Iterator[str]:
    file = _parquet(path)
    if field not in file.schema_arrow.names:
        raise BadInput(f"{path}: no column '{field}'; it has {', '.join(file.schema_arrow.names)}")
    for row, text in enumerate(file.read_row_group(group, columns=[field]).column(0).to_pylist()):
        if not isinstance(text, str):
            raise BadInput(f"{path}: row {row} of group {group} has no text in column '{field}'")
        yield text


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as e:
        raise BadInput(f"{path}: not a parquet file: {e}") from None
