"""What submission.json says of single seeds, in whichever of its many shapes.

A seed is a key (`"42": {…}`, `"seed_42": {…}`, `"val_bpb_seed42": 1.08`), an entry of an object in a list
(`{"seed": 42, …}`), or a place in a list beside the list of seeds. What else is said there of ablations, baselines,
sweeps and other people's runs is not theirs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

DEEPEST = 6  # nested objects that are looked into
MOST_SEEDS = 50
MOST_KEYS = 2000  # of one object that are looked at

SEED_KEY = re.compile(r"(?:seeds?[_ -]?)?(\d{1,9})")
SEED_FIRST = re.compile(r"seed_?(\d{1,9})(?:_(\w+))?")
SEED_LAST = re.compile(r"(\w+?)_?seed_?(\d{1,9})")
NOT_A_SEEDS_KEY = {
    "mean",
    "std",
    "stdev",
    "min",
    "max",
    "n",
    "avg",
    "average",
    "median",
    "best",
    "count",
    "note",
    "notes",
}
NOT_THEIRS = re.compile(
    r"ablat|baseline|base_|_base|control|sweep|prev|old_|pre_?fix|before|supplement|_alt|reference|compar|estimat|project"
    r"|pareto|sota|leaderb|target|fail|smoke|delta|gain|diagnos|hardware|hyper|config|env|attempt|discard|invalid"
)
OF_SEEDS = re.compile(
    r"_?(?:(?:per|by|each|all|for|final)_)*seeds?(?:_(?:results?|scores?|values?|metrics|runs?|data))?_?"
)
MAPS = {"results", "result", "runs", "per_run", "scores", "metrics", "logs"}  # names that may hold a map of seeds
METRIC = re.compile(r"bpb|loss|bytes|size|steps|time|seconds|_ms$|_s$")

SCORES = ("val_bpb_exact", "final_val_bpb", "val_bpb", "final_bpb", "bpb", "val_bits_per_byte", "score")
NO_SCORE = re.compile(r"delta|gain|std|control|base|improve|diff|only|nn_|margin")
EARLIER = re.compile(r"pre|ema|roundtrip|round_trip|raw|fp\d|bf16|swa|quant(?!.*(?:ttt|slid))")
ADAPTED, SLIDING = re.compile(r"ttt|adapt|phased|slot"), re.compile(r"slid|stride")


@dataclass
class SaidOfSeeds:
    """For each seed the values by their names, lower-cased, with the key that they were found under."""

    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    maps: list[tuple[str, dict[int, Any]]] = field(default_factory=list)  # which may be of seeds, if those are known

    def add(self, seed: int, key: str, name: str, value: Any) -> None:
        if seed not in self.values and len(self.values) >= MOST_SEEDS:
            return
        said = self.values.setdefault(seed, {})
        self.keys.setdefault(seed, key)
        if isinstance(value, dict):
            for inner, v in islice(_flat(value), MOST_KEYS):
                said.setdefault(inner, v)
        else:
            said.setdefault(name or "val_bpb", value)


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a seed, those of an object in it named after both: `{"ttt": {"val_bpb": …}}` has a ttt_val_bpb."""
    for key, v in islice(value.items(), MOST_KEYS):
        if isinstance(v, dict):
            outer = "" if _spelled(key) in MAPS else f"{_spelled(key)}_"
            yield from ((outer + _spelled(k), inner) for k, inner in islice(v.items(), MOST_KEYS))
        else:
            yield _spelled(key), v


def said_of_seeds(content: Mapping[str, Any], listed: list[int]) -> SaidOfSeeds:
    """All that a submission says of single seeds; `listed` are the seeds that it lists, in their order."""
    said = SaidOfSeeds()
    _walk(content, listed, said, 0)
    known = set(listed) | said.values.keys()
    for name, values in said.maps:
        if values.keys() <= known:
            for seed, value in values.items():
                said.add(seed, str(seed), name, value)
    return said


def _walk(content: Mapping[str, Any], listed: list[int], said: SaidOfSeeds, depth: int) -> None:
    for key, value in islice(content.items(), MOST_KEYS):
        name = _spelled(key)
        if NOT_THEIRS.search(name):
            continue
        if (seed_metric := _seed_in(name)) and isinstance(value, dict) != bool(seed_metric[1]):
            said.add(seed_metric[0], key, seed_metric[1], value)
        elif isinstance(value, dict):
            _object(key, name, value, listed, said, depth)
        elif isinstance(value, list):
            _list(name, value, listed, said)


def _seed_in(name: str) -> tuple[int, str] | None:
    """The seed that a key names, and the value of it, if it names one: seed_42, seed_42_val_bpb, val_bpb_seed42."""
    if found := SEED_FIRST.fullmatch(name):
        return int(found[1]), found[2] or ""
    found = SEED_LAST.fullmatch(name)
    return (int(found[2]), found[1]) if found else None


def _object(key: str, name: str, value: dict[str, Any], listed: list[int], said: SaidOfSeeds, depth: int) -> None:
    seeds = _map_of_seeds(value)
    if seeds is None:
        if depth < DEEPEST:
            _walk(value, listed, said, depth + 1)
        return
    metric = OF_SEEDS.sub("", name)
    if "seed" in name or name in MAPS or any("seed" in str(k).lower() for k in value):
        for inner, v in value.items():
            if found := SEED_KEY.fullmatch(_spelled(inner)):
                said.add(int(found[1]), inner, "" if name in MAPS else metric, v)
    elif METRIC.search(name):
        said.maps.append((metric, seeds))


def _map_of_seeds(value: dict[str, Any]) -> dict[int, Any] | None:
    """Values by seed, if the keys are seeds and summaries over them."""
    seeds = {}
    for key, v in islice(value.items(), MOST_KEYS):
        name = _spelled(key)
        if found := SEED_KEY.fullmatch(name):
            seeds[int(found[1])] = v
        elif not any(word in NOT_A_SEEDS_KEY for word in name.split("_")):
            return None
    return seeds or None


def _list(name: str, value: list[Any], listed: list[int], said: SaidOfSeeds) -> None:
    seeds = [str(v.get("seed", v.get("Seed", ""))) for v in value[:MOST_SEEDS] if isinstance(v, dict)]
    if len(set(seeds)) == len(seeds):  # else they are arms of an experiment
        for text, v in zip(seeds, (v for v in value[:MOST_SEEDS] if isinstance(v, dict)), strict=True):
            if found := SEED_KEY.fullmatch(_spelled(text)):
                said.add(int(found[1]), "seed", "", v)
    numbers = [v for v in value[: MOST_SEEDS + 1] if isinstance(v, Decimal)]
    metric = OF_SEEDS.sub("", name)
    if listed and len(numbers) == len(value) == len(listed) and metric != name and METRIC.search(metric):
        for seed, number in zip(listed, numbers, strict=True):
            said.add(seed, name, metric, number)


def score_name(said: Mapping[int, Mapping[str, Any]], headline: float | None, unit: float) -> str | None:
    """The name of the value that is each seed's claimed score: the plain one, else the one whose mean over the seeds is
    the headline to its `unit`, else that of the last evaluation."""
    named = [name for name in SCORES if any(_number(v.get(name)) for v in said.values())]
    if named:
        return named[0]
    names = list(dict.fromkeys(n for v in said.values() for n in v if is_score(n)))
    names = [n for n in names if all(_number(v.get(n)) for v in said.values())]
    for name in names:
        mean = sum((x for v in said.values() if (x := _number(v[name]))), Decimal()) / len(said)
        if headline is not None and abs(float(mean) - headline) <= unit:
            return name
    late = [n for n in names if not EARLIER.search(n)]
    for pattern in (ADAPTED, SLIDING):
        if fits := [n for n in late if pattern.search(n)]:
            return fits[-1] if len(fits) == 1 else None
    return None


def is_score(name: str) -> bool:
    """Whether a value of this name is a score of the model, at whichever stage."""
    return "bpb" in name and not NO_SCORE.search(name)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,3}\.\d{1,20}\s*", value):
        value = Decimal(value.strip())
    return value if isinstance(value, Decimal) and value.is_finite() and 0 < value < 100 else None


def _spelled(key: object) -> str:
    """A key in one spelling: lower case, words joined by underscores."""
    return re.sub(r"[\s.-]+", "_", str(key)[:200].strip().lower())


def objects(content: Mapping[str, Any], name: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, object) of the object and of those in it, but not of single seeds."""
    yield name, content
    for key, value in islice(content.items(), MOST_KEYS):
        if isinstance(value, dict) and depth < DEEPEST and "seed" not in str(key).lower():
            yield from objects(value, _spelled(key), depth + 1)
