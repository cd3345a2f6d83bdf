"""plan.json: which seeds will run, on what, named and hashed before the first of them starts.

Seeds named beforehand are what makes a p-value mean something. A plan is never rewritten; seeds added after
results have been seen make a further plan (`plan-2.json`, …) that says so and names the one it extends.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pgolf.errors import BadInput
from pgolf.files import write_json
from pgolf.untrusted import Untrusted, first_of, read_json

MOST_BYTES, MOST_PLANS = 1 << 24, 1000  # of a plan's file, and in a record's folder
Rule = Literal["limits", "loss"]  # by which a running seed is given up; see early_stop.py
Kind = Literal["record", "sweep", "ablation"]


@dataclass(frozen=True)
class Plan:
    """The work that a record run is going to do.

    Attributes
    ----------
    record_id, track, preset : what runs.
    seeds : all seeds of the record, in order; the added ones last. Of a speedrun those that its programs read, one a
        run of each variant; mostly there are none.
    inputs : name to SHA-256 of everything the result depends on (packed code, data, tokenizer, preset).
    created : ISO 8601 time in UTC.
    extends : SHA-256 of the plan that this one adds seeds to.
    added_seeds : the seeds added after results had been seen.
    early_stop : the rules by which a running seed is given up.
    order : of a speedrun the variant of each run, in the order in which they run; empty where there are seeds.
    kind : what is made of it: a sweep has runs of its own, and takes no record's place.
    """

    record_id: str
    track: str
    preset: str
    seeds: tuple[int, ...]
    inputs: Mapping[str, str]
    created: str
    extends: str | None = None
    added_seeds: tuple[int, ...] = ()
    early_stop: tuple[Rule, ...] = ()
    order: tuple[str, ...] = ()
    kind: Kind = "record"

    @property
    def sha256(self) -> str:
        """Hash of all that the plan says."""
        content = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The content of its file without the hash. Rules, an order and a kind that are the default are left out, as in
        old plans."""
        default = {"early_stop": (), "order": (), "kind": "record"}
        return {k: v for k, v in asdict(self).items() if k not in default or v != default[k]}

    def with_seeds(self, added: Sequence[int], created: str | None = None) -> "Plan":
        """A further plan with seeds added after results had been seen; BadInput if one is planned already."""
        if repeated := set(self.seeds) & set(added):
            raise BadInput(f"seeds {sorted(repeated)} are in the plan of {self.record_id} already")
        seeds = check_seeds([*self.seeds, *added])
        return replace(
            self,
            seeds=seeds,
            created=created or _now(),
            extends=self.sha256,
            added_seeds=(*self.added_seeds, *added),
        )


@dataclass(frozen=True)
class Attempt:
    """One start of one seed. Every attempt is kept and counted, also a failed or stopped one.

    `outcome` is 'finished', 'failed' (its own error), 'stopped' (by someone), 'lost' (its machine went away) or
    'ended early' (by a rule of the plan);
    `folder` is relative to the record's; times are ISO 8601 in UTC.
    """

    seed: int
    number: int
    outcome: Literal["finished", "failed", "stopped", "lost", "ended early"]
    folder: str
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    reason: str | None = None


def make_plan(
    record_id: str,
    track: str,
    preset: str,
    seeds: Sequence[int],
    inputs: Mapping[str, str],
    created: str | None = None,
    early_stop: Sequence[Rule] = (),
    kind: Kind = "record",
) -> Plan:
    """A first plan; `created` is now unless given. BadInput for no seeds or repeated ones."""
    facts = record_id, track, preset, check_seeds(seeds), dict(inputs), created or _now()
    return Plan(*facts, early_stop=tuple(early_stop), kind=kind)


def make_plan_of_runs(
    record_id: str,
    track: str,
    name: str,
    order: Sequence[str],
    seeds: Sequence[int],
    inputs: Mapping[str, str],
    created: str | None = None,
) -> Plan:
    """The plan of a speedrun: the variant of each run in its order; `seeds` are empty where no program reads one."""
    return Plan(record_id, track, name, tuple(seeds), dict(inputs), created or _now(), order=tuple(order))


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds, if there are any and each is there once; BadInput otherwise."""
    if not seeds:
        raise BadInput("no seeds given; name at least one")
    if repeated := sorted({s for s in seeds if list(seeds).count(s) > 1}):
        raise BadInput(f"seeds {repeated} are given more than once; every seed must be another run")
    return tuple(seeds)


def check_plan(folder: Path, plan: Plan) -> Path | None:
    """The file of a record's folder that has this plan already; None: there is none yet. Nothing is written.

    Raises
    ------
    BadInput : another plan is there (other seeds, runs or inputs), or the plan extends one that is not there.
    """
    present = read_plans(folder)
    for old in present:
        if replace(old, created=plan.created) == plan:
            return _path(folder, present.index(old))
    if present and plan.extends != present[-1].sha256:
        raise BadInput(_difference(folder, present[-1], plan))
    if not present and plan.extends:
        raise BadInput(f"{folder}: this plan adds seeds to one that is not there")
    return None


def write_plan(folder: Path, plan: Plan) -> Path:
    """Put a plan into a record's folder; a plan that is there already is kept as it is. BadInput as `check_plan`."""
    if kept := check_plan(folder, plan):
        return kept
    path = _path(folder, len(read_plans(folder)))
    write_json(path, plan.as_json() | {"sha256": plan.sha256})
    return path


def _path(folder: Path, index: int) -> Path:
    return folder / ("plan.json" if index == 0 else f"plan-{index + 1}.json")


def _difference(folder: Path, old: Plan, new: Plan) -> str:
    if old.kind != new.kind:
        return f"{folder} is of another kind, {old.kind}, where this is of kind {new.kind}; give this one another --id"
    names = [k for k in ("track", "preset", "seeds", "early_stop", "order") if getattr(old, k) != getattr(new, k)]
    names += [k for k in sorted({*old.inputs, *new.inputs}) if old.inputs.get(k) != new.inputs.get(k)]
    advice = (
        "a plan is never rewritten: finish that record as planned, or give this one another --id (record_id in Prefect)"
    )
    if old.order or new.order:
        advice = (
            "a plan is made before the first run and does not change: finish that record as planned. A new record has "
            "a plan and runs of its own, and has to say that this one was made before it"
        )
    return f"{folder} holds a plan that differs from this one in {', '.join(names) or 'content'}; {advice}"


def read_plans(folder: Path) -> list[Plan]:
    """The plans in a record's folder, in order; the last one is in force. Empty if there is none.

    Raises
    ------
    BadInput : a file that is no plan, whose hash does not match its content, or that extends another plan.
    """
    plans: list[Plan] = []
    while os.path.lexists(path := _path(folder, len(plans))):
        plan = _read(path)
        if len(plans) == MOST_PLANS:
            raise BadInput(f"{path}: over {MOST_PLANS:,} plans; a record has a few")
        if plan.extends != (plans[-1].sha256 if plans else None):
            raise BadInput(f"{path}: does not extend the plan before it")
        plans.append(plan)
    return plans


def _read(path: Path) -> Plan:
    try:
        content = read_json(path, MOST_BYTES, path.parent)
        claimed = content.pop("sha256")
        plan = TypeAdapter(Plan).validate_python(content)
    except Untrusted as e:
        raise BadInput(f"{path}: not a plan: {e.without(path)}") from None
    except ValidationError as e:
        raise Untrusted(f"{path}: not a plan: {first_of(e.errors())}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as e:
        raise BadInput(f"{path}: not a plan: {e}") from e
    if plan.sha256 != claimed:
        raise BadInput(f"{path}: its hash does not match its content: it was changed after it was written")
    return plan


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
