"""Dumps of hyperparameters as logs print them, each on one line → {knob: value}, {} where the line is none."""

import ast
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pgolf.evidence import dialect as say
from pgolf.untrusted import Untrusted, parse_json


def pairs(line: str, least: int = 1) -> dict[str, str]:
    """Of a line with nothing but at least so many knobs: 'tie_embeddings:True embed_lr:0.05'."""
    words = line.split()
    if line[0] == " " or len(words) < least or say.DESCRIBES_DATA.match(line) or not say.KNOB_TOKEN.fullmatch(words[0]):
        return {}
    knobs, group = {}, ""
    for word in words:
        token = say.KNOB_TOKEN.fullmatch(word)
        if not token:
            return {}
        group = f"{token[1]}." if token[1] else group if token[3] == "=" else ""  # lr:embed=0.03 matrix=0.02 seed:7
        knobs[(group + token[2]).lower()] = token[4]
    if knobs.keys() & {"params", "ws"} and "s" in knobs:  # params:73685840 L:10 … ws:8 s:42
        knobs |= {"seed": knobs.pop("s"), "world_size": knobs.get("ws", "?")}
    return {k: v for k, v in knobs.items() if k not in say.NO_KNOB}


def call(line: str) -> dict[str, str]:
    """Of an object as Python prints it: 'Namespace(seed=42, lr=0.1)'."""
    return {k: v.strip("'\"") for k, v in say.REPR_ITEM.findall(line)}


def mapping(text: str) -> dict[str, str]:
    """The scalars of a JSON object or a Python dict, one level of nesting unfolded; {} if it is neither."""
    try:
        value = parse_json(text, "", number=_number)
    except Untrusted:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return {}
    return dict(_scalars(value.items())) if isinstance(value, dict) else {}


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def flattened(line: str) -> str:
    """A JSON object of one line as 'name:value' words, the step first; '' where it is none."""
    facts = mapping(line.strip())
    step = facts.pop("step", None)
    words = [f"{name}:{value}" for name, value in facts.items() if value != "None"]
    return " ".join(words if step is None else [f"step:{step}", *words])


def _scalars(items: Iterable[tuple[Any, Any]], depth: int = 0) -> Iterator[tuple[str, str]]:
    for name, value in items:
        if isinstance(value, dict):
            if depth == 0:
                yield from _scalars(value.items(), 1)
        elif isinstance(name, str) and isinstance(value, str | int | float | bool | None):
            yield name, str(value)
        elif isinstance(name, str):
            yield name, json.dumps(value, default=str)[:1000]
