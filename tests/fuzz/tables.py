"""Files of TOML: a track, a preset, pods.toml, program.toml, a sweep's space."""

import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutate import as_toml, change_toml
from fuzz.reader import Files, Reader
from pgolf import presets, tracks
from pgolf.pods.settings import read_settings as read_pods
from pgolf.program.settings import read_settings as read_program_settings
from pgolf.sweep.candidates import space

PODS: dict[str, Any] = {
    "ssh": {
        "user": "me",
        "key": "id_ed25519",
        "patience_s": 60.0,
        "checks": {"min_free_gb": 1.0, "cuda": False, "max_setup_s": 60},
        "machines": [{"name": "a", "host": "10.0.0.1", "port": 22, "gpus": 8, "gpu": "H100", "price_per_hour": 20.0}],
    },
    "runpod": {
        "owner": "me-1",
        "capacity_patience_s": 60.0,
        "rent": {
            "gpu_types": ["NVIDIA L4"],
            "gpu_count": 1,
            "cloud": "SECURE",
            "spot": True,
            "max_price_per_hour": 1.5,
        },
        "nets": {"first_lease_s": 600, "lease_s": 600, "lifetime_s": 7200, "heartbeat_s": 10.0, "tick_s": 5},
    },
}
PROGRAM: dict[str, Any] = {
    "name": "mine",
    "script": "train_gpt.py",
    "command": ["python", "{script}"],
    "seed": "RANDOM_SEED",
    "data": {"DATA_PATH": "{shards}", "TOKENIZER": "{tokenizer}"},
    "log": "logs/{run_id}.txt",
    "artifact": ["*.ptz"],
    "files": ["*.py", "lib"],
    "requires": {"packages": ["einops>=0.8"], "commands": ["gcc"], "modules": ["einops"], "cuda": True},
    "setup": "setup.sh",
    "trial": {"ITERATIONS": 5},
    "eval_only": {"EVAL_ONLY": "1", "MODEL": "{artifact}"},
    "eval_seconds": 300.0,
}
SPACE = {"grid": {"matrix_lr": [0.02, 0.03], "ttt_epochs": [2, 3]}, "candidates": [{"matrix_lr": 0.05}]}


def _toml(name: str, file: str, seeds: list[dict[str, Any]], call: Callable[[Path], object], share: int) -> Reader:
    texts = [as_toml(seed).encode() for seed in seeds]

    def make(rng: Random) -> Files:
        return {file: change_toml(rng, rng.choice(seeds), texts)}

    return Reader(name, tuple({file: text} for text in texts), make, call, share=share)


def _shipped(package: str) -> list[dict[str, Any]]:
    return [tomllib.loads(p.read_text()) for p in files(package).iterdir() if p.name.endswith(".toml")]


def readers() -> list[Reader]:
    """Of this file."""
    base = presets.load("smoke")
    return [
        _toml("track", "track.toml", _shipped("pgolf.tracks"), lambda box: tracks.load(str(box / "track.toml")), 60),
        _toml(
            "preset", "preset.toml", _shipped("pgolf.presets"), lambda box: presets.load(str(box / "preset.toml")), 60
        ),
        _toml("pods.toml", "pods.toml", [PODS], lambda box: read_pods(box / "pods.toml"), 60),
        _toml("program.toml", "program.toml", [PROGRAM], read_program_settings, 60),
        _toml("sweep's space", "space.toml", [SPACE], lambda box: space(base, file=box / "space.toml"), 20),
    ]
