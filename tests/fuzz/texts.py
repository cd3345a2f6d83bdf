"""What a record's folder tells: logs, events, claims, a README, the dataset's manifest; and folders full of traps."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import good_entry

from fuzz.mutate import MOST_BYTES, TEXTS, change_bytes, change_json, change_lines
from fuzz.reader import Fifo, Files, Folder, Link, Reader, Sparse
from pgolf.audit.audit import audit
from pgolf.evidence.claims import read_claims
from pgolf.evidence.events import read_events
from pgolf.evidence.logs import read_seeds
from pgolf.program.find import read_program

SHARED = Path(__file__).parents[3] / "shared"
LINES = [
    b"seed: 42", b"step:100/200 train_loss:", b"100/200 val_loss: 2.5 val_bpb:", b"val_bpb:", b"val_loss:",
    b"train_time:", b"eval_time:", b"Code size:", b"Total submission size:", b"Serialized model int8+zlib:",
    b"final_int8_zlib_roundtrip val_bpb:", b"world_size:", b"model_params:", b"Hyperparameters:",
    b"Traceback (most recent call last):", b"Namespace(seed=", b'{"seed": ',
    b"stopping_early: wallclock_cap train_time:", b"quantized_ttt val_loss:", b"[rank0]:",
    b"2026-04-09 04:38:18,092 ", b"==== ", b"def main():", b"GPTQ:collected 67 Hessians in ", b"ttt:start chunks=",
    b"Running Python 3.12", b"NVIDIA H100 80GB HBM3",
]  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"t": 0.1, "event": "start", "config": {"seed": 42, "lr": 0.02}, "world_size": 1, "torch": "2.9", "device": "cpu"},
    {"t": 0.2, "event": "data", "train_shards": 2, "val_tokens": 100, "val_bytes": 300, "scored_sha256": "ab" * 32},
    {"t": 0.3, "event": "model", "parameters": 1000, "weights_fingerprint": "0" * 16},
    {"t": 0.4, "event": "train", "step": 1, "iterations": 2, "train_loss": 9.1, "train_ms": 100.0, "tok_s": 5},
    {"t": 0.5, "event": "val", "step": 2, "iterations": 2, "val_loss": 3.0, "val_bpb": 1.2},
    {"t": 0.6, "event": "stop", "reason": "iterations", "step": 2, "iterations": 2, "train_ms": 200.0},
    {"t": 0.7, "event": "stage", "stage": "quantized", "val_loss": 3.1, "val_bpb": 1.25, "eval_ms": 90.0},
    {"t": 0.8, "event": "artifact", "model_bytes": 900, "code_bytes": 100, "total_bytes": 1000, "sha256": "cd" * 32},
    {"t": 0.9, "event": "error", "message": "none"}, {"t": 1.0, "event": "end"},
]  # fmt: skip
LOG = good_entry.log_text(42).encode()
SMALL = "\n".join(line for line in LOG.decode().splitlines() if "train_loss" not in line or line[:2] in ("1/", "50"))


def _jsonl(values: list[Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def _seed_logs() -> list[bytes]:
    """Our own logs, of several dialects; parts of public ones, where they are at hand."""
    recorded = [p.read_bytes() for p in sorted(Path(__file__).parents[1].glob("recorded/*/42.log"))]
    public = [p.read_bytes() for p in sorted(SHARED.glob("public-records/*/*.log"))[:12]]
    return [LOG, SMALL.encode(), *(text[:3000] + b"\n" + text[-3000:] for text in [*recorded, *public])]


def _log() -> Reader:
    seeds = _seed_logs()

    def make(rng: Random) -> Files:
        text = rng.choice(seeds)
        new = change_lines(rng, text, LINES) if rng.random() < 0.7 else change_bytes(rng, text, seeds, LINES)
        if rng.random() < 0.01:
            new = new.decode("utf-8", "replace").encode("utf-16")
        return {"train_seed42.log": new}

    return Reader("log", tuple({"train_seed42.log": s} for s in seeds), make, _read_log, share=80)


def _read_log(box: Path) -> object:
    return read_seeds(box / "train_seed42.log", box)


def _events() -> Reader:
    def make(rng: Random) -> Files:
        values = [dict(event) for event in EVENTS]
        lines = [json.dumps(value).encode() for value in values]
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(lines))
            lines[at] = change_json(rng, values[at % len(values)])
        text = b"\n".join(lines)
        return {"events.jsonl": (change_bytes(rng, text) if rng.random() < 0.3 else text)[:MOST_BYTES]}

    return Reader(
        "events",
        ({"events.jsonl": _jsonl(EVENTS)},),
        make,
        lambda box: read_events(box / "events.jsonl", box),
        share=150,
    )


def _claims() -> Reader:
    seeds = [good_entry.submission()]
    seeds += [json.loads(p.read_bytes()) for p in sorted(SHARED.glob("public-records/*/submission.json"))[:20]]
    texts = [json.dumps(seed).encode() for seed in seeds]

    def make(rng: Random) -> Files:
        return {"submission.json": change_json(rng, rng.choice(seeds), texts)}

    def call(box: Path) -> object:
        return json.dumps(read_claims(box).as_json(), allow_nan=False)

    return Reader("submission.json", tuple({"submission.json": t} for t in texts), make, call, share=120)


def _folder_of(**others: bytes) -> dict[str, bytes]:
    """A small record folder."""
    return {
        "train_seed42.log": SMALL.encode(),
        "submission.json": json.dumps(good_entry.submission()).encode(),
        "README.md": good_entry.README.encode(),
        "train_gpt.py": good_entry.CODE.encode(),
        "dataset.json": json.dumps(good_entry.DATASET).encode(),
    } | {name.replace("_json", ".json").replace("_md", ".md"): content for name, content in others.items()}


def _audited(box: Path) -> object:
    return json.dumps(audit(box, against="pr1493").as_json(), allow_nan=False)


def _readme() -> Reader:
    words = [
        b"nats",
        b"bpb",
        b"**1.0790**",
        b"| seed |",
        b"mean",
        b"std",
        b"p = ",
        b"t = ",
        b"`TTT_EPOCHS`",
        b"0.005 nats",
    ]
    text = good_entry.README.encode()

    def make(rng: Random) -> Files:
        if rng.random() < 0.3:
            return _folder_of(submission_json=change_json(rng, good_entry.submission()))
        new = change_lines(rng, text, words) if rng.random() < 0.5 else change_bytes(rng, text, words=words)
        return _folder_of(README_md=new)

    return Reader("README and claims", (_folder_of(),), make, _audited, share=10)


def _dataset() -> Reader:
    manifest = {**good_entry.DATASET, "name": "fineweb", "vocab_size": 8192, "files": {"a.bin": "ab" * 32}}

    def make(rng: Random) -> Files:
        return _folder_of(dataset_json=change_json(rng, manifest))

    return Reader("dataset.json", (_folder_of(),), make, _audited, share=10)


TRAPS: tuple[Callable[[Random], Any], ...] = (
    lambda rng: Fifo(),
    lambda rng: Folder(),
    lambda rng: Sparse(rng.choice((1 << 20, 1 << 26, 1 << 33, 200 << 30))),
    lambda rng: Link(
        rng.choice(("/etc/passwd", "/dev/zero", "/proc/self/environ", "..", ".", "README.md", "/", "x" * 200))
    ),
    lambda rng: Link(rng.choice(("train_seed42.log", "../../../etc/passwd", "/dev/stdin", "/sys", "loop", "missing"))),
    lambda rng: b"",
    lambda rng: rng.randbytes(rng.choice((1, 100, 10_000))),
    lambda rng: rng.choice(TEXTS).encode("utf-8", "surrogatepass"),
)
NAMES = [
    "README.md", "README", "submission.json", "train_gpt.py", "train_seed42.log", "train_seed314.log",
    "events.jsonl", "train_seed42.events.jsonl", "dataset.json", "manifest.json", "plan.json", "program.toml",
    "requirements.txt", "logs", "logs/42.txt", "submission_b.json", "final_model.int6.ptz", "train_gpt_x.py",
    "\x1b[31mred.log", "a\nb.log", "x" * 250 + ".log", "seed_" + "9" * 60 + ".log", "loop", "probes.jsonl",
    "setup.sh", "train_seed²42.log", "dataset.json ", "lib/helper.py",
]  # fmt: skip


def _with_traps(rng: Random) -> Files:
    files: dict[str, Any] = dict(_folder_of())
    for _ in range(rng.choice((1, 1, 2, 4))):
        name = rng.choice(NAMES)
        for one in [held for held in files if held.startswith(f"{name}/") or name.startswith(f"{held}/")]:
            del files[one]
        files[name] = rng.choice(TRAPS)(rng)
    return files


def _folder() -> Reader:
    return Reader("folder, audited", (_folder_of(),), _with_traps, _audited, share=8)


def _program_folder() -> Reader:
    script = (
        b'import os\nSEED = int(os.environ.get("SEED", 1))\nDATA = os.environ["DATA_PATH"]\nprint(f"val_bpb:{SEED}")\n'
    )

    def make(rng: Random) -> Files:
        return (
            {"train_gpt.py": script, **_with_traps(rng)}
            if rng.random() < 0.5
            else {**_with_traps(rng), "train_gpt.py": script}
        )

    def call(box: Path) -> object:
        return read_program(box)

    return Reader(
        "folder, as a program", ({**_folder_of(), "train_gpt.py": script},), make, call, share=8, most_mib=600
    )


def readers() -> list[Reader]:
    """Of this file."""
    return [_log(), _events(), _claims(), _readme(), _dataset(), _folder(), _program_folder()]
