"""A speedrun's track as the TOML file that it is read from."""

import json

from pgolf.tracks import Track, load, names


def is_own(track: Track) -> bool:
    """Whether it does not ship with pgolf, so that others need its file."""
    return track.name not in names() or load(track.name) != track


def as_toml(track: Track) -> str:
    """The text of a file that `load` reads as this track, which has a target."""
    target = track.target
    assert target
    lines = [
        f"{name} = {json.dumps(text, ensure_ascii=False)}"
        for name, text in (("title", track.title), ("hardware", track.hardware))
    ]
    lines += [f"known_as = {json.dumps(track.known_as, ensure_ascii=False)}"] if track.known_as else []
    lines += ["", "[target]", f"loss = {target.loss!r}", f'least = "{target.least}"', f"alpha = {target.alpha!r}"]
    lines += [f"gain_alpha = {target.gain_alpha!r}", f"min_runs = {target.min_runs}"]
    lines += ["", "[run]", f"nproc = {track.nproc}", f"runs = {target.runs}", f"most_seconds = {target.most_seconds!r}"]
    return "\n".join(lines) + "\n"
