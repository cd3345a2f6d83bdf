"""The files that records and attempts keep, which a stranger's record or command may have written anew."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutate import as_toml, change_json, change_toml
from fuzz.reader import Files, Reader
from pgolf import ledger
from pgolf.evidence.manifest import check_files, read_manifest
from pgolf.evidence.plan import make_plan, read_plans
from pgolf.evidence.probes import CounterExample, Probed, ProbeResult, read_probes
from pgolf.pods.local import LocalPod
from pgolf.pods.remote import RemotePod
from pgolf.pods.slots import read_slot
from pgolf.record.results import read_result
from pgolf.untrusted import Untrusted, parse_json, parse_toml


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _one(name: str, file: str, content: Any, call: Callable[[Path], object], share: int, **others: bytes) -> Reader:
    """A reader of one JSON file."""

    def make(rng: Random) -> Files:
        return {**others, file: change_json(rng, content)}

    return Reader(name, ({**others, file: _json(content)},), make, call, share=share)


def _plan() -> Reader:
    plan = make_plan(
        "mine", "cpu_smoke", "smoke", [42, 314], {"dataset": "ab" * 32}, "2026-04-09T00:00:00+00:00", ["limits"]
    )
    content = plan.as_json() | {"sha256": plan.sha256}

    def make(rng: Random) -> Files:
        changed = change_json(rng, content)
        if rng.random() < 0.7:  # its hash is right, so that the rest is looked at
            try:
                said = json.loads(changed)
                said.pop("sha256", None)
                text = json.dumps(said, sort_keys=True, separators=(",", ":"))
                changed = _json(said | {"sha256": hashlib.sha256(text.encode()).hexdigest()})
            except (ValueError, AttributeError, TypeError, RecursionError):
                pass
        return {"plan.json": changed}

    def call(box: Path) -> object:
        return [(plan.sha256, plan.with_seeds([10**9])) for plan in read_plans(box)]

    return Reader("plan.json", ({"plan.json": _json(content)},), make, call, share=100)


def _manifest() -> Reader:
    held = b"a log\n"
    content = {
        "files": {"42/attempt-1/train.log": hashlib.sha256(held).hexdigest()},
        "pods": [{"pod": "x", "cost": 1.5}],
        "cost": 1.5,
        "machines": {"a": {"gpu": "none"}},
    }

    def call(box: Path) -> object:
        check_files(box, box / "42")
        return read_manifest(box)

    return _one("manifest.json", "manifest.json", content, call, 60, **{"42/attempt-1/train.log": held})


def _probes() -> Reader:
    example = CounterExample("the score of position 5 changes", 5, 6, "token 7", 1, 2.5, 2.6)
    results = (
        ProbeResult("causality", "sliding", False, True, "100 positions", 100, 4, (1, 2), example, ("slow",)),
        ProbeResult("normalised", "ttt", None, None, "no time"),
    )
    about = asdict(Probed(42, "ab" * 32, "cd" * 32, (), {"evaluator.py": "ef" * 32}, {"EVAL_ONLY": "1"}))
    del about["results"]
    lines = [about, *(result.as_json() for result in results)]

    def make(rng: Random) -> Files:
        texts = list(map(_json, lines))
        at = rng.randrange(len(lines))
        texts[at] = change_json(rng, lines[at])
        return {"probes.jsonl": b"\n".join(texts)}

    def call(box: Path) -> object:
        probed = read_probes(box / "probes.jsonl")
        return (
            probed.failures,
            probed.notes,
            probed.answer("causality"),
            [result.as_json() for result in probed.results],
        )

    return Reader("probes.jsonl", ({"probes.jsonl": b"\n".join(map(_json, lines))},), make, call, share=60)


def _pod_files() -> Reader:
    pod = {"pid": 1, "started": 1.7e9, "command": ["python", "x.py"], "place": None}
    ending = {"exit_code": 0, "signals": [], "ended": 1.7e9, "disk_free": 10**12}

    def make(rng: Random) -> Files:
        files = {"pod.json": _json(pod), "exit.json": _json(ending)}
        name = rng.choice(list(files))
        return {**files, name: change_json(rng, pod if name == "pod.json" else ending)}

    return Reader(
        "exit.json, pod.json",
        ({"pod.json": _json(pod), "exit.json": _json(ending)},),
        make,
        lambda box: LocalPod(box).status(),
        share=60,
    )


def _ledger() -> Reader:
    content = json.loads((ledger.FOLDER / "cpu_smoke-base.json").read_bytes())
    for seed in content["seeds"]:
        seed["curve"] = seed["curve"][:3]

    def call(box: Path) -> object:
        record = ledger.load(str(box / "entry.json"))
        return record.sample(), record.has_logs

    return _one("ledger entry", "entry.json", content, call, 40)


def _plain() -> Reader:
    """What all readers of JSON and TOML have in common."""
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": {"d": "é"}}, "e": "2026-04-09", "f": [{"g": 1}, {"g": 2}]}

    def make(rng: Random) -> Files:
        return {"x.json": change_json(rng, value), "x.toml": change_toml(rng, value)}

    def call(box: Path) -> object:
        found = []
        for name, parse in (("x.json", parse_json), ("x.toml", parse_toml)):
            with suppress(Untrusted):
                found.append(json.dumps(parse((box / name).read_bytes(), name), default=str).encode())
        return found

    return Reader(
        "any JSON or TOML", ({"x.json": _json(value), "x.toml": as_toml(value).encode()},), make, call, share=120
    )


def readers() -> list[Reader]:
    """Of this file."""
    elsewhere: Any = None  # no machine is asked
    slot = {"slot": "a1", "folder": "mine/42/attempt-1-ab12cd34"}
    facts = {"id": "abc", "name": "pgolf-x", "price": 2.5, "host": "1.2.3.4", "port": 22, "facts": {"gpus": []}}
    result = {"log": "train.log", "artifact": "final_model.int6.ptz", "refused": None}
    return [
        _plan(),
        _manifest(),
        _probes(),
        _pod_files(),
        _one("place.json", "place.json", slot, lambda box: RemotePod(box, elsewhere).remote, 30),
        _one("slot of a machine", "a1.json", facts, lambda box: read_slot(box / "a1.json"), 30),
        _one(
            "result.json", "result.json", result, read_result, 40, **{"train.log": b"x", "final_model.int6.ptz": b"y"}
        ),
        _ledger(),
        _plain(),
    ]
