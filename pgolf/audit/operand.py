"""One side of `pgolf compare` as a user names it: folders, ledger entries, or numbers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pgolf import ledger, tracks
from pgolf.audit.belonging import DEFAULT_TRACK, speedrun_track, track_of
from pgolf.audit.checks import Review
from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.entry import read_entry
from pgolf.evidence.plan import read_plans
from pgolf.evidence.record_folder import names_apart
from pgolf.ledger.choosing import standing_record
from pgolf.stats.sample import Sample, parse_numbers, pool
from pgolf.tracks import Track

SIDES = "give a record folder, an entry of `pgolf ledger list`, 1.0793,1.0802,1.0800 or mean=1.0810,std=0.0002,n=3"


def read_sides(new: str, old: str, bytes_per_token: float | None = None) -> tuple[Sample, Sample]:
    """The final scores that two texts name. Folders of one name are told apart by what differs in their paths.

    Parameters
    ----------
    new, old : each a record folder, a ledger entry, several of them with commas between (independent reproductions,
        pooled), `1.0793,1.0802,1.0800`, or `mean=1.0810,std=0.0002,n=3`.
    bytes_per_token : for plain numbers.

    Raises
    ------
    BadInput : one is none of these, or a folder whose logs have no final score.
    """
    folders = [path for text in (new, old) for part in (text, *_parts(text)) if part and (path := Path(part)).is_dir()]
    names = dict(zip(folders, names_apart(folders), strict=True))
    return (
        _read_side(new, "new numbers", names, bytes_per_token),
        _read_side(old, "previous numbers", names, bytes_per_token),
    )


def _read_side(text: str, label: str, names: Mapping[Path, str], bytes_per_token: float | None) -> Sample:
    """The scores of one side; `label` is what to call plain numbers, `names` what to call folders."""
    if not text.strip():
        raise BadInput(f"an empty side of the comparison; {SIDES}")
    if Path(text).is_dir():
        return replace(_of_folder(Path(text)), label=names[Path(text)])
    parts = _parts(text)
    if "=" in text or all(_is_number(p) for p in parts):
        return parse_numbers(text, label, bytes_per_token)
    if len(parts) > 1:
        return pool([_read_side(p, label, names, bytes_per_token) for p in parts])
    if text.endswith(".json") or text in ledger.names():
        return ledger.load(text).sample()
    near = did_you_mean(text, ledger.names())
    raise BadInput(f"'{text}' is no folder and no ledger entry{near}; {SIDES}")


def standing_beside(text: str) -> str:
    """The name of the record that stands for the track of what `text` names: of a folder its track, of a ledger entry
    the entry's, of numbers the main one. BadInput if there is none, or where `text` names several of other tracks."""
    named = [text] if Path(text).is_dir() else _parts(text)
    known = {track.name: track for track in map(_track_beside, named)}
    if len(known) > 1:
        raise BadInput(f"{text}: of several tracks ({', '.join(known)}): name the previous record, too")
    track = next(iter(known.values()))
    standing = None if track.target else standing_record(track)
    if standing is None:
        raise BadInput(f"no record of the ledger stands for track {track.name}: name the previous record, too")
    return track.standing or standing.name


def _track_beside(text: str) -> Track:
    if text and Path(text).is_dir():
        return speedrun_track(Path(text)) or track_of(read_entry(Path(text)))
    of = ledger.load(text).track if text.endswith(".json") or text in ledger.names() else DEFAULT_TRACK
    known = tracks.recognised(of)
    return tracks.load(known) if known else tracks.unknown(of)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _of_folder(folder: Path) -> Sample:
    """Its seeds by its logs; seeds that are copies, or were added to the plan later, are marked as such."""
    review = Review(read_entry(folder), tracks.load(DEFAULT_TRACK))
    sample = review.sample()
    if sample is None:
        raise BadInput(f"{folder}: not every seed's log has a final score; `pgolf audit {folder}` says which")
    plans = read_plans(folder)
    added = plans[-1].added_seeds if plans else ()
    return replace(sample, added_seeds=added)
