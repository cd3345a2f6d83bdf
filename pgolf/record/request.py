"""The record that a user asks for, checked before anything is started or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgolf import presets, tracks
from pgolf.errors import BadInput
from pgolf.evidence.plan import check_seeds
from pgolf.knobs import RESERVED
from pgolf.tracks import Track
from pgolf.trainer.config import Knob


@dataclass(frozen=True)
class Request:
    """A record to make: the rules, the knobs, the seeds, named before the first run, and what it is to be called.

    Presets are read once, here: whoever needs knobs later takes these, so that what is recorded is what ran.
    """

    track: Track
    preset: str
    overrides: Mapping[str, str]  # knobs set on top of the preset, as text
    knobs: Mapping[str, Knob]  # those of the preset with the overrides on top
    baseline: Mapping[str, Knob] | None  # those that measure the standing record here; None: the track names no preset
    seeds: tuple[int, ...]
    name: str
    author: str
    github_id: str
    summary: str
    probe: bool = True  # whether the evaluation of the first finished seed is to be probed


def check_request(
    track: str,
    preset: str | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Knob] | None = None,
    *,
    name: str | None = None,
    author: str = "unknown",
    github_id: str = "",
    summary: str = "",
    probe: bool = True,
) -> Request:
    """The record that is asked for; what is None comes from the track, the name from the preset.

    Raises
    ------
    BadInput : unknown track, preset or knob, a value that does not parse, a knob that the record sets itself,
        repeated seeds, or fewer than the track asks for.
    """
    rules = tracks.load(track)
    preset = preset or rules.preset
    settings = {name: str(value) for name, value in (overrides or {}).items()}
    knobs = presets.load(preset, settings)
    if reserved := sorted(RESERVED & knobs.keys()):
        raise BadInput(f"{', '.join(reserved)}: a record sets this itself for each seed; leave it out of the preset")
    named = check_seeds(rules.seeds if seeds is None else seeds)
    if len(named) < rules.policy.min_seeds:
        raise BadInput(
            f"{len(named)} seeds ({', '.join(map(str, named))}) are too few: "
            f"track {rules.name} asks for at least {rules.policy.min_seeds}"
        )
    return Request(
        track=rules,
        preset=preset,
        overrides=settings,
        knobs=knobs,
        baseline=presets.load(rules.baseline_preset) if rules.baseline_preset else None,
        seeds=named,
        name=name or Path(preset).stem,
        author=author,
        github_id=github_id,
        summary=summary,
        probe=probe,
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """'42,314,999' as integers; BadInput names the part that is none."""
    try:
        return check_seeds([parse_seed(part) for part in text.split(",") if part.strip()])
    except ValueError as e:
        raise BadInput(f"--seeds {text}: {e}; give integers with commas between them, such as 42,314,999") from None


def parse_seed(text: str) -> int:
    """A seed as the trainer takes it: an integer in [0, 2^63)."""
    if not text.strip().isdecimal() or int(text) >= 1 << 63:
        raise ValueError(f"'{text.strip()}' is no seed")
    return int(text)


def parse_overrides(settings: Sequence[str]) -> dict[str, str]:
    """['TTT_EPOCHS=5', …] by knob name in lower case; BadInput for one without '=' or given twice."""
    overrides: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: write KNOB=VALUE, such as --set TTT_EPOCHS=5")
        if name.lower() in overrides:
            raise BadInput(f"--set {name} is given twice")
        overrides[name.lower()] = value
    return overrides
