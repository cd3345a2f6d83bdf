"""The record to beat as a user names it: a ledger entry, a record folder, or only its numbers."""

import re
from pathlib import Path

from pgolf import ledger
from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.entry import read_entry
from pgolf.evidence.lines import printable
from pgolf.ledger import SeedScore, StandingRecord, from_runs
from pgolf.stats.sample import parse_numbers
from pgolf.tracks import Track

NUMBERS = re.compile(r"[\d.,\seE+-]*\d[\d.,\seE+-]*|.*=.*", re.S)
LABEL = "the given numbers"


def standing_of(text: str, track: Track) -> StandingRecord:
    """The standing record that `text` names.

    Parameters
    ----------
    text : a ledger entry's name, a ledger entry's file (.json), a record folder, final scores in bpb
        (`1.0810,1.0803,1.0812`), or a published summary (`mean=1.0810,std=0.0002,n=3`).
    track : the track that scores without a folder are taken to be of.

    Returns
    -------
    StandingRecord : of numbers alone it has no losses, stages, knobs or curves, and its bytes per token are unknown.

    Raises
    ------
    BadInput : no such entry, file or folder, a folder whose logs have no final score, or numbers that are no scores.
    """
    if Path(text).is_dir():
        return from_folder(Path(text), track.name)
    if text.endswith(".json") or text in ledger.names():
        return ledger.load(text)
    if NUMBERS.fullmatch(text):
        return _of_numbers(text, track)
    raise BadInput(
        f"no ledger entry and no folder '{text}'{did_you_mean(text, ledger.names())}; give an entry of `pgolf ledger "
        "list`, its .json file, a record folder, scores (1.0793,1.0802,1.08) or a summary (mean=1.081,std=0.0002,n=3)"
    )


def from_folder(folder: Path, track: str) -> StandingRecord:
    """A record folder as standing record, from the runs of its logs that have a final score; `track` is its track if it
    names none. BadInput if no log has one."""
    entry = read_entry(folder)
    return from_runs(
        [r for r in entry.runs if r.final],
        name=printable(folder.resolve().name),
        track=entry.claims.track or track,
        title=entry.claims.name or "",
        date=entry.claims.date or "",
        author=entry.claims.author or "",
        source=str(folder),
    )


def _of_numbers(text: str, track: Track) -> StandingRecord:
    sample = parse_numbers(text, LABEL)
    return StandingRecord(
        name=LABEL,
        track=track.name,
        title=printable(text, 200),
        date="",
        author="",
        source="",
        seeds=tuple(SeedScore(seed=None, val_bpb=value, val_loss=None) for value in sample.values),
        decimals=sample.decimals,
        bytes_per_token=None,
        val_bytes=None,
        summary=None if sample.values else text,
    )
