"""The candidates of a sweep: each is a few knobs that differ from the base, and needs only part of a run.

Knobs of evaluation need the base's artifact (EVAL_ONLY), those of quantisation its last checkpoint (RESUME_FROM_CKPT),
all others a training of their own.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pgolf.errors import BadInput
from pgolf.knobs import EVALUATION, KNOBS, QUANTISATION, RESERVED
from pgolf.presets import config_of, parse
from pgolf.stages import STAGES
from pgolf.trainer.config import Knob
from pgolf.untrusted import Untrusted, read_toml

MOST_BYTES, MOST_CANDIDATES = 1 << 20, 10_000  # of a space's file; each is a run
TURNED = {knob for stage in STAGES for knob, _ in stage.switches}  # knobs that turn a stage on or off
Needs = Literal["artifact", "checkpoint", "training"]


@dataclass(frozen=True)
class Candidate:
    """Knobs (name to text, sorted) that differ from the base's; the base itself has none."""

    settings: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The candidate in words."""
        return ",".join(f"{name.upper()}={text}" for name, text in self.settings) or "base"

    @property
    def key(self) -> str:
        """Its folder's name: equal for equal settings."""
        return hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:12] if self.settings else "base"

    @property
    def stages(self) -> str:
        """Its settings that turn a stage on or off, in words: runs with others take other times.

        Examples
        --------
        >>> Candidate((("ttt_enabled", "0"), ("ttt_epochs", "2"))).stages
        'ttt_enabled=0'
        """
        return ",".join(f"{name}={text}" for name, text in self.settings if name in TURNED)

    @property
    def needs(self) -> Needs:
        """How much of a run it takes, beside the base's."""
        names = {name for name, _ in self.settings}
        if names <= set(EVALUATION):
            return "artifact"
        return "checkpoint" if names <= {*EVALUATION, *QUANTISATION} else "training"


def candidate(settings: Mapping[str, Any], base: Mapping[str, Knob], where: str) -> Candidate:
    """The candidate that these settings (knob to value or text) make of the base's knobs.

    BadInput for unknown knobs, values that do not parse, and knobs that a run is given by whoever starts it.
    """
    defaults = config_of(dict(base))
    parsed = {name.lower(): parse(name.lower(), value, where) for name, value in settings.items()}
    if reserved := sorted(RESERVED & parsed.keys()):
        raise BadInput(f"{where}: {', '.join(reserved)} is not for a sweep to set")
    changed = {name: value for name, value in parsed.items() if value != getattr(defaults, name)}
    return Candidate(tuple(sorted((name, _text(value)) for name, value in changed.items())))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def space(
    base: Mapping[str, Knob],
    grid: Sequence[str] = (),
    listed: Sequence[str] = (),
    file: Path | None = None,
) -> tuple[Candidate, ...]:
    """All candidates that are asked for, the base first, each once, in order.

    Parameters
    ----------
    base : the knobs that all of them share.
    grid : 'KNOB=a,b,c'; every combination of all of them is a candidate.
    listed : 'KNOB=a OTHER=b'; each is a candidate.
    file : TOML with [grid] (knob to list) and [[candidates]] (a table each).

    Raises
    ------
    BadInput : see `candidate`; no candidate is asked for; the file is invalid.

    Examples
    --------
    >>> [c.label for c in space({}, ["TTT_EPOCHS=3,4"], ["TTT_LR=0.01 TTT_EPOCHS=5"])]
    ['base', 'TTT_EPOCHS=4', 'TTT_EPOCHS=5,TTT_LR=0.01']
    """
    found = list(_product(dict(_knob_values(text) for text in grid), base, "--grid"))
    for text in listed:
        pairs = [part.partition("=") for part in text.split()]
        if not pairs or not all(equals for _, equals, _ in pairs):
            raise BadInput(f"--candidate {text!r}: write KNOB=VALUE, and several with spaces between them")
        found.append(candidate({name: value for name, _, value in pairs}, base, "--candidate"))
    if file:
        content = _read(file)
        found += _product(content.get("grid", {}), base, str(file))
        found += [candidate(table, base, str(file)) for table in content.get("candidates", [])]
    if not found:
        raise BadInput("nothing to try: give --grid KNOB=a,b, --candidate KNOB=a, or --space FILE")
    return tuple(dict.fromkeys([Candidate(), *found]))


def _knob_values(text: str) -> tuple[str, list[str]]:
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise BadInput(f"--grid {text}: write KNOB=VALUE,VALUE,…")
    return name, values.split(",")


def _product(grid: Mapping[str, Iterable[Any]], base: Mapping[str, Knob], where: str) -> Iterable[Candidate]:
    if not grid:
        return
    lists = [list(values) for values in grid.values()]
    if math.prod(map(len, lists)) > MOST_CANDIDATES:
        raise BadInput(f"{where}: over {MOST_CANDIDATES:,} candidates; take values out of the grid")
    for values in itertools.product(*lists):
        yield candidate(dict(zip(grid, values, strict=True)), base, where)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = read_toml(file, MOST_BYTES)
        grid, tables = content.get("grid", {}), content.get("candidates", [])
        good = all(isinstance(v, list) for v in grid.values()) and all(isinstance(t, dict) for t in tables)
    except Untrusted as e:
        raise BadInput(f"--space {e}") from None
    except (AttributeError, TypeError) as e:
        raise BadInput(f"--space {file}: {e}") from None
    if not good or content.keys() - {"grid", "candidates"}:
        raise BadInput(f"--space {file}: a space has [grid], with a list of values for each knob, and [[candidates]]")
    return content


def singles(old: Mapping[str, Knob], new: Mapping[str, Knob]) -> tuple[Candidate, ...]:
    """The knobs in which two presets differ, one at a time, and all of them: candidates with `old` as their base.

    BadInput if they do not differ.
    """
    before, after = (config_of(dict(knobs)) for knobs in (old, new))
    names = [n for n in KNOBS if n not in RESERVED]
    changed = {n: getattr(after, n) for n in names if getattr(after, n) != getattr(before, n)}
    if not changed:
        raise BadInput("the two presets do not differ")
    one_each = [candidate({name: value}, old, "the new preset") for name, value in changed.items()]
    return tuple(dict.fromkeys([*one_each, candidate(changed, old, "the new preset")]))
