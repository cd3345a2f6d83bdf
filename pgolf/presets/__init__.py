"""Presets: named sets of trainer knobs, one TOML file each; a preset may extend another.

extends = "pr1493"     # optional
published = { track = "10min_16mb", val_bpb = 1.07303 }   # optional: the score of the public record that it is
[knobs]
ttt_epochs = 4
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, did_you_mean
from pgolf.files import write_atomic
from pgolf.knobs import KNOBS
from pgolf.phrases import counted
from pgolf.trainer.config import KNOB_TYPES, Config, Knob, parse_knob
from pgolf.untrusted import GREATEST, Untrusted, read_toml

MOST_BYTES, MOST_EXTENDED, MOST_TEXT = 1 << 20, 16, 4096  # of a file, of presets in a row, characters of a value


@dataclass(frozen=True)
class Published:
    """The score in bpb that a preset's record was published with, and the track that it was for."""

    track: str
    val_bpb: float


def names() -> list[str]:
    """The presets that ship with pgolf."""
    return sorted(p.name.removesuffix(".toml") for p in files(__name__).iterdir() if p.name.endswith(".toml"))


def write(path: Path, knobs: Mapping[str, Knob]) -> Path:
    """Write knobs as a preset of their own, atomically; the file."""
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in knobs.items())  # TOML writes these as JSON does
    write_atomic(path, f"[knobs]\n{''.join(lines)}")
    return path


def load(name: str, overrides: dict[str, str] | None = None) -> dict[str, Knob]:
    """The knobs of preset `name` (or of a TOML file's path), those it extends below, `overrides` on top.

    Parameters
    ----------
    name : a name from `names()`, or the path of a preset file.
    overrides : knob name to text, as a user types it (`{"ttt_epochs": "5"}`).

    Raises
    ------
    BadInput : unknown preset or knob, a value that does not parse, or shapes that make no model.

    Examples
    --------
    >>> load("pr1812")["ttt_epochs"], load("pr1493")["ttt_epochs"]
    (4, 3)
    """
    knobs = _read(name, seen=())
    for key, text in (overrides or {}).items():
        knobs[key.lower()] = parse(key.lower(), text, where="--set")
    check_shapes(config_of(knobs), name)
    return knobs


def published(name: str) -> Published | None:
    """The published score of the record that a preset is, where its file gives one; not that of one it extends.

    Examples
    --------
    >>> published("pr1812").track, published("smoke")
    ('10min_16mb', None)
    """
    path, content = _content(name)
    return _published(path, content["published"]) if "published" in content else None


def differences(one: str, other: str) -> dict[str, tuple[Knob, Knob]]:
    """The knobs in which two presets differ, as a trainer would have them: name → value in `one`, value in `other`.

    Examples
    --------
    >>> differences("pr1493", "pr1812")["ttt_epochs"]
    (3, 4)
    """
    a, b = (vars(config_of(load(name) | {"run_id": "-"})) for name in (one, other))
    return {name: (a[name], b[name]) for name in KNOB_TYPES if a[name] != b[name]}


def check_shapes(cfg: Config, name: str) -> None:
    """BadInput for a model that cannot be built, which would show on the pod."""
    head = cfg.model_dim // max(1, cfg.num_heads)
    loops = 0 <= cfg.loop_start <= cfg.loop_end < cfg.num_layers
    for holds, problem in (
        (cfg.num_layers >= 2, f"num_layers {cfg.num_layers}: the U-Net has two halves, so at least 2"),
        (cfg.num_heads > 0 and cfg.model_dim % cfg.num_heads == 0, "num_heads has to divide model_dim"),
        (cfg.num_kv_heads > 0 and cfg.num_heads % cfg.num_kv_heads == 0, "num_kv_heads has to divide num_heads"),
        (4 <= cfg.rope_dims <= head and cfg.rope_dims % 2 == 0, f"rope_dims has to be even, from 4 to {head} (a head)"),
        (loops or not cfg.num_loops, f"loop_start to loop_end have to lie in 0 to {cfg.num_layers - 1}"),
        (
            cfg.attn_out_gate_enabled + cfg.sparse_attn_gate_enabled + cfg.gated_attn_enabled <= 1,
            "of the gates of attention (attn_out_gate, sparse_attn_gate, gated_attn) one can be enabled",
        ),
        (0 < cfg.gate_window <= cfg.model_dim, f"gate_window has to be from 1 to {cfg.model_dim}, the model's dim"),
        (
            cfg.parallel_start_layer < cfg.num_layers,
            f"parallel_start_layer has to be below {cfg.num_layers}",
        ),
        (cfg.parallel_final_lane in ("", "mean", "attn", "mlp"), "parallel_final_lane has to be mean, attn or mlp"),
        (cfg.attn_out_gate_src in ("proj", "q"), "attn_out_gate_src has to be proj or q"),
        (
            not (cfg.doc_attention_enabled and (cfg.stream_enabled or cfg.attn_window)),
            "doc_attention_enabled ends attention at documents: it goes with neither stream_enabled nor attn_window",
        ),
        (cfg.vocab_size > 0 and cfg.mlp_mult * cfg.model_dim >= 1, "vocab_size and mlp_mult have to be positive"),
    ):
        if not holds:
            raise BadInput(f"{name}: these knobs make no model: {problem}")


def check_ranks(cfg: Config, world: int, name: str) -> None:
    """BadInput, naming the preset, unless a step's batch can be shared out evenly over `world` ranks."""
    if cfg.grad_accum_steps < 0:
        raise BadInput(f"{name}: GRAD_ACCUM_STEPS {cfg.grad_accum_steps} is below 0; give the micro-batches of a step")
    if not cfg.grad_accum_steps and 8 % world:
        raise BadInput(
            f"{name}: {world} ranks do not divide 8, the micro-batches of a step; set GRAD_ACCUM_STEPS, or take 1, 2, "
            "4 or 8 ranks"
        )
    accumulated = cfg.grad_accum_steps or 8 // world
    smallest = world * accumulated * cfg.train_seq_len
    if smallest < 1 or cfg.train_batch_tokens < 1 or cfg.train_batch_tokens % smallest:
        raise BadInput(
            f"{name}: TRAIN_BATCH_TOKENS {cfg.train_batch_tokens} is no multiple of {counted(world, 'rank')} × "
            f"{accumulated} micro-batches × TRAIN_SEQ_LEN {cfg.train_seq_len}"
        )


def as_env(knobs: dict[str, Knob]) -> dict[str, str]:
    """The environment variables that hand `knobs` to a trainer."""
    return {k.upper(): str(int(v)) if isinstance(v, bool) else str(v) for k, v in knobs.items()}


def config_of(knobs: Mapping[str, Knob]) -> Config:
    """The trainer's configuration that these knobs make."""
    settings: dict[str, Any] = dict(knobs)  # of their fields' types: `load` has parsed them
    return Config(**settings)


def _content(name: str) -> tuple[Path, dict[str, Any]]:
    """A preset's file and what it has."""
    path = Path(name) if name.endswith(".toml") else Path(str(files(__name__) / f"{name}.toml"))
    if name.endswith(".toml") and not path.exists():
        raise BadInput(f"{path}: no such file; give a preset's file, or the name of one of: {', '.join(names())}")
    if not path.exists():
        raise BadInput(f"no preset '{name}'{did_you_mean(name, names())}; there are: {', '.join(names())}")
    try:
        content = read_toml(path, MOST_BYTES)
    except Untrusted as e:
        raise BadInput(f"{path}: not a preset: {e.without(path)}") from None
    if unknown := content.keys() - {"extends", "published", "knobs"}:
        raise BadInput(f"{path}: unknown entries {sorted(unknown)}; a preset has 'extends', 'published' and '[knobs]'")
    if not content.get("extends") and not content.get("knobs"):
        raise BadInput(f"{path}: neither 'extends' nor a knob in '[knobs]': it would be the trainer's defaults")
    return path, content


def _published(path: Path, content: object) -> Published:
    match content:
        case {"track": str(track), "val_bpb": float(score), **rest} if not rest and score > 0:
            return Published(track, score)
    raise BadInput(f"{path}: write 'published' as {{ track = \"10min_16mb\", val_bpb = 1.07303 }}")


def _read(name: str, seen: tuple[str, ...]) -> dict[str, Knob]:
    if len(seen) == MOST_EXTENDED:
        raise BadInput(f"preset {seen[0]}: over {MOST_EXTENDED} presets that extend one another")
    if name in seen:
        raise BadInput(f"preset {name} extends itself: {' → '.join((*seen, name))}")
    path, content = _content(name)
    extends = content.get("extends", "")
    if "published" in content:
        _published(path, content["published"])
    if not isinstance(extends, str) or not isinstance(content.get("knobs", {}), dict):
        raise BadInput(f"{path}: 'extends' is a preset's name, and [knobs] a table")
    if extends.endswith(".toml"):
        extends = str(path.parent / extends)  # a file is named relative to the one that extends it
    base = _read(extends, (*seen, name)) if extends else {}
    own = {k: parse(k, v, where=str(path)) for k, v in content.get("knobs", {}).items()}
    return base | own


def parse(key: str, given: object, where: str) -> Knob:
    """The value of a knob from its text, or from a value as TOML has it; BadInput says `where` it was given, and names
    near misses and the range."""
    if key not in KNOB_TYPES:
        raise BadInput(f"{where}: no knob '{key}'{did_you_mean(key, KNOB_TYPES)}")
    if not isinstance(given, str | int | float):
        raise BadInput(f"{where}: knob {key}: give a number or a text, not a table, a list or a date")
    if len(text := str(given)) > MOST_TEXT:
        raise BadInput(f"{where}: knob {key}: over {MOST_TEXT:,} characters")
    try:
        value = parse_knob(key, text)
    except ValueError as e:
        raise BadInput(f"{where}: {e}") from e
    if not isinstance(value, str) and (problem := KNOBS[key].problem(value)):
        raise BadInput(f"{where}: knob {key}: {text[:40]} {problem}")
    if not isinstance(value, str) and not -GREATEST <= value <= GREATEST:
        raise BadInput(f"{where}: knob {key}: {text[:40]} is not finite, or beyond what 64 bits hold")
    return value
