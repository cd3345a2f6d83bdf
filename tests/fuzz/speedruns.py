"""A speedrun's folder: logs without seeds, in several variants, and the README that states their results."""

import json
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutate import change_bytes, change_lines
from fuzz.reader import Fifo, Files, Link, Reader, Sparse
from pgolf.audit.target import audit_target
from pgolf.evidence.statements import read_stated
from pgolf.evidence.variants import read_variants, result_of
from pgolf.tracks import load

HEAD = (
    b'print0(f"step:{step}/{steps} val_loss:{val_loss:.4f} train_time:{ms:.0f}ms")\n'
    + b"=" * 100
    + b"\nRunning PyTorch 2.10.0+cu128 compiled for CUDA 12.8 on NVIDIA H100 80GB HBM3 with world_size 8\n"
    + b"=" * 100
    + b"\n"
)
LINES = [
    b"step:0/1390 val_loss:10.8258 train_time:0ms step_avg:nanms", b"step:1390/1390 val_loss:", b"s:128 tel:",
    b"step:11/1390 train_time:135ms step_avg:nanms", b"val loss 3.27", b"s:0 trl:11.0 lr:0.1", b"=" * 100,
    b"step 250/19560 | loss 6.1 (-1.20z)| norm 0.9 | 180.38 ms |", b"peak memory allocated: 30220 MiB",
    b"import torch", b"Running PyTorch 2.10.0", b"step 1390: train loss 3.1, val loss 3.2", b"train_time:503.3s",
    b"|   0  NVIDIA H100 80GB HBM3          On  | 00000000:61:00.0 Off |",
]  # fmt: skip
README = b"""# New record

| run | val_loss | train time (s) |
|---|---|---|
| 1 | 3.2772 | 79.74 |
| mean | 3.2780 | 79.698 |

## Baseline
| | Runs | Time \xce\xbc | Loss \xcf\x83 | Loss p |
|---|---|---|---|---|
| this PR | 13 | 79.6849 | 0.0014 | 6.7e-4 |

accs = [3.2772, 3.2788,
        3.2790]  # three
times_ms = [79740, 79656]
# p=0.0059
# acc: (tensor(0.0016), tensor(3.2787))
mean time 79.7s, std 0.2, p-value = 1e-12
"""
WORDS = [b"losses = [", b"]", b"3.2772, ", b"| ", b"|---", b"mean ", b"std ", b"p=", b"tensor(", b"## this_pr", b"```"]
WORDS += [b"e-99", b"\xce\xbc", b"times", b"**baseline**", b"\xc2\xb1"]


def _log(seed: int) -> bytes:
    noise = Random(seed)
    lines = ["step:0/500 val_loss:10.8258 train_time:0ms step_avg:nanms"]
    for step in range(100, 501, 100):
        clock = step * 57 + noise.randrange(99)
        lines.append(f"step:{step}/500 train_loss:{3.3 + noise.random() / 100:.4f} train_time:{clock - 1}ms")
        loss = 3.275 + 0.5 * (500 - step) / 500 + noise.random() / 200
        lines.append(f"step:{step}/500 val_loss:{loss:.4f} train_time:{clock}ms step_avg:57.31ms")
    return HEAD + "\n".join(lines).encode() + b"\npeak memory allocated: 30220 MiB reserved: 38672 MiB\n"


LOGS = [_log(seed) for seed in range(4)]


def _folder_of(**others: bytes) -> dict[str, Any]:
    names = ("baseline/a.txt", "baseline/b.txt", "this_pr/c.txt", "this_pr/d.txt")
    return dict(zip(names, LOGS, strict=True)) | {"README.md": README} | others


def _call(box: Path) -> object:
    found = read_variants(box)
    return [[(found.name_of(run), result_of(run)) for run in variant.runs] for variant in found.variants]


def _audited(box: Path) -> object:
    return json.dumps(audit_target(box, load("nanogpt_short")).as_json(), allow_nan=False)


def _changed(rng: Random) -> bytes:
    text = rng.choice(LOGS)
    return change_lines(rng, text, LINES) if rng.random() < 0.7 else change_bytes(rng, text, LOGS, LINES)


def _damaged(rng: Random) -> Files:
    files = _folder_of()
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(
            (*files, "e.txt", "this_pr/run_1/log.txt", "main/x.log", "2\x1b[31m.txt", "notes.md", "x" * 240 + ".log")
        )
        trap = rng.choice(
            (Fifo(), Link("/dev/zero"), Link("a.txt"), Link(".."), Sparse(1 << 33), b"", rng.choice(LOGS))
        )
        files[name] = trap if rng.random() < 0.2 else _changed(rng)
    return files


def _folder(name: str, call: Any, share: int) -> Reader:
    return Reader(name, (_folder_of(),), _damaged, call, share=share)


def _stated() -> Reader:
    def make(rng: Random) -> Files:
        new = change_lines(rng, README, WORDS) if rng.random() < 0.5 else change_bytes(rng, README, words=WORDS)
        return {"README.md": new}

    def call(box: Path) -> object:
        text = (box / "README.md").read_bytes().decode("utf-8", "replace")
        return read_stated(text, "README.md", {"baseline": True, "this_pr": False})

    return Reader("speedrun's README", ({"README.md": README},), make, call, share=60)


def readers() -> list[Reader]:
    """Of this file."""
    return [_folder("speedrun's folder", _call, 40), _folder("speedrun, audited", _audited, 10), _stated()]
