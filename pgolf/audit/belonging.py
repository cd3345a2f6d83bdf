"""What a record's folder belongs to: its track, and its day."""

import re
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

from pgolf import tracks
from pgolf.errors import BadInput
from pgolf.evidence.entry import Entry
from pgolf.evidence.plan import read_plans
from pgolf.tracks import Track

DEFAULT_TRACK = "10min_16mb"
NO_RECORD = "non_record_16mb"
DAY = re.compile(r"(?<!\d)(20\d\d)[-_](\d\d)[-_](\d\d)(?!\d)")
SHORT_DAY = re.compile(r"(?<!\d)(20\d\d)[-_]?(\d\d)[-_]?(\d\d)(?!\d)")
NEAREST = 4  # folders of a record's path, itself among them, that may name its track


def track_of(entry: Entry) -> Track:
    """The track that an entry is of: none for records, if anything says that it is no record; else the one that
    submission.json names, in whatever spelling; else that of the folder that it lies in; else the main one. Of a track
    that pgolf does not know, only the name."""
    said = entry.claims.track
    lies_in = next((found for name in _folder_names(entry.path) if (found := tracks.recognised(name))), None)
    named = tracks.recognised(said) if said else None
    if NO_RECORD in (named, lies_in) or entry.claims.no_record:
        return tracks.load(NO_RECORD)
    if said and not named and not lies_in:
        return tracks.unknown(said)
    return tracks.load(named or lies_in or DEFAULT_TRACK)


def with_planned_text(track: Track, folder: Path) -> Track:
    """A track without records beside the validation text of the track that the folder's plan is of: its seeds were
    scored on that."""
    if track.name != NO_RECORD:
        return track
    with suppress(BadInput):
        plans = read_plans(folder)
        if plans and plans[-1].track in tracks.names():
            of = tracks.load(plans[-1].track)
            return replace(
                track, corpus=of.corpus, val_bytes=of.val_bytes, val_spaces=of.val_spaces, validation=of.validation
            )
    return track


def _folder_names(path: Path) -> list[str]:
    """The words of a path that name a track: of the record's own folder, `track_10min_16mb__2026-04-25_Name` or
    `2026-04-25_Name_NonRecord`, and of those that it lies in, `track_10min_16mb`."""
    own, *above = _nearest(path)
    no_record = [found[0] for found in [re.search(r"non[-_ ]?records?(?![a-z])", own)] if found]
    return [*no_record, *(p.partition("__")[0] for p in (own, *above) if p.startswith("track_"))]


def _nearest(path: Path) -> list[str]:
    return [p.lower() for p in reversed(path.resolve().parts[-NEAREST:])]


def speedrun_track(path: Path) -> Track | None:
    """The track with a target loss in whose folder a record lies: `track_1_short/2026-07-17_Name`; None elsewhere."""
    found = (tracks.recognised(name) for name in _nearest(path))
    return next((track for name in found if name and (track := tracks.load(name)).target), None)


def day_of(entry: Entry) -> date | None:
    """The day of a record: the first date in its folder's name, else that of submission.json; None without both."""
    return _day_in(DAY, entry.path.resolve().name) or _day_in(DAY, entry.claims.date or "")


def speedrun_day(path: Path) -> date | None:
    """The day that the name of a speedrun's folder gives, 2026-07-17_Name or 20260610_name, or that of the folder that
    it lies in, where it is a variant's."""
    own, *above = reversed(path.resolve().parts)
    return next((day for name in (own, *above[:1]) if (day := _day_in(SHORT_DAY, name))), None)


def _day_in(pattern: re.Pattern[str], text: str) -> date | None:
    if found := pattern.search(text):
        with suppress(ValueError):  # 2026-02-30
            return date(*map(int, found.groups()))
    return None
