"""How many validation documents are in the training text, exactly or nearly.

**Exactly**: all tokens are those of a training document. **Nearly**: at least NEAR of the windows that stand for the
document (`pgolf.data.windows`) are somewhere in the training text; of a short document, all its letters are those of a
training document. So a document counts although it was cut, joined, split, spaced or capitalised differently, or edited
here and there; a short one only if case, spaces and punctuation alone differ.

Documents of one corpus resemble each other by nature: sites have templates. So the same is counted for training
documents, the first of every shard, against the rest of the training text, and that share is what an honest split has
(`pgolf.tracks.too_many_near`).
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np

from pgolf.cores import usable_cores
from pgolf.data.documents import documents, find_shared
from pgolf.data.windows import Index, Letters, blocks, count, sample
from pgolf.errors import BadInput
from pgolf.files import cache_folder, write_atomic, write_json
from pgolf.untrusted import Untrusted, read_json

FORMAT = 1  # raise it when the same files would give other figures
NEAR = 1 / 3  # of a document's windows
MOST_DOCUMENTS = 1 << 20  # of the validation split; the public one has 50,000
COMPARED = 10_000  # training documents, about
KEPT_FROM = 20_000_000  # training tokens: what takes seconds is not kept
SEARCHING = "looking for validation text in training text"

Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True)
class Overlap:
    """Numbers of documents."""

    documents: int  # of the validation split
    exact: int  # of those, that are training documents token for token
    near: int  # of those, that are in the training text exactly or nearly
    compared: int  # training documents
    compared_near: int  # of those, that are in the rest of the training text nearly


def overlap(
    val: Sequence[np.ndarray],
    train: Sequence[np.ndarray],
    letters: Letters,
    files: Sequence[tuple[str, str]],
    progress: Progress = lambda what, done, total: None,
) -> Overlap:
    """Compare the validation split with the training split.

    Parameters
    ----------
    val, train : tokens of their shards in order, uint16 `[tokens]` each.
    files : (name, SHA-256) of each file that the result depends on. By these a result that took long is kept in the
        user's cache folder, and so is what was done of one that was stopped.

    Raises
    ------
    BadInput : more than MOST_DOCUMENTS validation documents.
    """
    if (found := sum(int(np.count_nonzero(tokens == letters.bos)) for tokens in val)) > MOST_DOCUMENTS:
        raise BadInput(
            f"{found:,} validation documents; over {MOST_DOCUMENTS:,} are not compared: make the split smaller"
        )
    key = hashlib.sha256(json.dumps([FORMAT, letters.bos, *files]).encode()).hexdigest()
    kept = cache_folder() / "overlap" / key if sum(map(len, train)) >= KEPT_FROM else None
    if kept and (before := _read(kept.with_suffix(".json"))):
        return before
    progress("comparing document by document", 0, 1)
    exact = find_shared(val, train, letters.bos)
    samples = _Samples(letters)
    for document in documents(val, letters.bos):
        samples.add(document, own=False)
    for shard in train:
        for document in _first_documents(shard, letters, -(-COMPARED // len(train))):
            samples.add(document, own=True)
    index = samples.index()
    near = samples.near(index, _count_all(index, train, letters, kept, progress))
    here, there = near[: len(exact)] | exact, near[len(exact) :]
    result = Overlap(len(here), int(exact.sum()), int(here.sum()), len(there), int(there.sum()))
    if kept:
        with suppress(OSError):  # a full disk, or a home that cannot be written to
            write_json(kept.with_suffix(".json"), asdict(result))
            shutil.rmtree(kept, ignore_errors=True)
    return result


class _Samples:
    """The windows that stand for documents, validation documents first."""

    def __init__(self, letters: Letters) -> None:
        self.letters = letters
        self.hashes: list[np.ndarray] = []
        self.times: list[np.ndarray] = []  # how often a window is in its own document, where that is counted, too

    def add(self, document: np.ndarray, own: bool) -> None:
        hashes, times = sample(document, self.letters)
        self.hashes.append(hashes)
        self.times.append(times if own else np.zeros_like(times))

    def index(self) -> Index:
        return Index.of(np.concatenate([*self.hashes, np.zeros(0, np.uint64)]))

    def near(self, index: Index, counted: np.ndarray) -> np.ndarray:
        """Which documents are nearly in the text where the index's windows were counted so often: bool `[documents]`.

        A document that no window stands for is not.
        """
        shares = [
            np.mean(counted[np.searchsorted(index.keys, hashes)] > times) if len(hashes) else 0.0
            for hashes, times in zip(self.hashes, self.times, strict=True)
        ]
        return np.array(shares) >= NEAR


def _first_documents(tokens: np.ndarray, letters: Letters, most: int) -> Iterator[np.ndarray]:
    """The first documents of a shard that begin in it."""
    starts: list[int] = []
    for start, end in blocks(tokens, letters):
        starts += (np.flatnonzero(tokens[start:end] == letters.bos) + start).tolist()
        if len(starts) > most:
            break
    for start, end in pairwise([*starts, len(tokens)][: most + 1]):
        yield np.asarray(tokens[start:end])


def _count_all(
    index: Index, train: Sequence[np.ndarray], letters: Letters, kept: Path | None, progress: Progress
) -> np.ndarray:
    """How often each window is in the training text, int64 `[windows]`.

    Threads do it, one a core: NumPy lets others run, and all share the index.
    """
    counted = np.zeros(len(index.keys), np.int64)
    done, total = 0, sum(map(len, train))
    progress(SEARCHING, done, total)
    with ThreadPoolExecutor(usable_cores()) as pool:
        jobs = {
            pool.submit(_count_kept, index, shard, letters, kept and kept / f"{i:06}.npz"): len(shard)
            for i, shard in enumerate(train)
        }
        try:
            for job in as_completed(jobs):
                places, times = job.result()
                counted[places] += times
                done += jobs[job]
                progress(SEARCHING, done, total)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return counted


def _count_kept(index: Index, shard: np.ndarray, letters: Letters, path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(places of the windows that a shard has, how often it has each), kept in `path`."""
    if path and path.exists():
        with suppress(OSError, ValueError, LookupError), np.load(path, allow_pickle=False) as content:
            return content["places"], content["times"]
    counted = count(index, shard, letters)
    places = np.flatnonzero(counted)
    if path:
        content = BytesIO()
        np.savez(content, places=places, times=counted[places])
        with suppress(OSError):
            write_atomic(path, content.getvalue())
    return places, counted[places]


def _read(path: Path) -> Overlap | None:
    try:
        content = read_json(path, 1 << 12)
        return Overlap(**{field.name: int(content[field.name]) for field in fields(Overlap)})
    except (OSError, Untrusted, LookupError, TypeError, ValueError):
        return None
