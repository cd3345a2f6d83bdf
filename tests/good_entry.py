"""A good record folder, made from scratch: three logs, submission.json, README.md and train_gpt.py that all agree."""

import json
from dataclasses import dataclass, field
from pathlib import Path

CODE = "print('train')\n" * 1000
SEEDS = (42, 314, 999)
BPB = {42: 1.07902311, 314: 1.07918542, 999: 1.07894120}
NATS_A_BIT = 2.58310276  # ln 2 · bytes per token
DATASET = {"val_documents": 50_000, "val_documents_in_train": 0}
FIRST = {42: (12.36, 11.13, 9.41, 8.32), 314: (12.39, 11.18, 9.47, 8.36), 999: (12.33, 11.15, 9.48, 8.39)}

LOG = """W0409 04:38:18.092000 206 torch/distributed/run.py:803] Setting OMP_NUM_THREADS environment variable
Hyperparameters:
  ema_decay: 0.9965
  logfile: logs/{seed}.txt
  matrix_lr: 0.022
  run_id: {seed}
  seed: {seed}
  sliding_window_enabled: True
  ttt_enabled: True
  ttt_epochs: 3
  world_size: 8
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:04:00.0 Off |                    0 |
train_shards: 128
val_tokens: 40540160
model_params:35944536
0/20000 val_loss: 9.0090 val_bpb: 3.4877
1/20000 train_loss: 9.0111 train_time: 0.0m tok/s: 8348323
2/20000 train_loss: {losses[0]:.4f} train_time: 0.0m tok/s: 7501070
3/20000 train_loss: {losses[1]:.4f} train_time: 0.0m tok/s: 7450650
4/20000 train_loss: {losses[2]:.4f} train_time: 0.0m tok/s: 7463659
5/20000 train_loss: {losses[3]:.4f} train_time: 0.0m tok/s: 7497425
500/20000 train_loss: 3.33{two} train_time: 0.9m tok/s: 7691255
4550/20000 val_loss: 2.8119 val_bpb: 1.0886
stopping_early: wallclock_cap train_time: 5870{two}ms step: 45{two}/20000
pre-quantization post-ema val_loss:{pre[1]:.8f} val_bpb:{pre[0]:.8f} eval_time:7440ms
Serialized model: 135431033 bytes
Code size: {code} bytes
GPTQ:collecting Hessians from calibration data...
GPTQ:collected 67 Hessians in 12.7s
Serialized model quantized+brotli: {model} bytes
Total submission size quantized+brotli: {total} bytes
quantized val_loss:{quantized[1]:.8f} val_bpb:{quantized[0]:.8f} eval_time:25515ms
quantized_sliding_window val_loss:{sliding[1]:.8f} val_bpb:{sliding[0]:.8f} eval_time:120961ms
ttt:start chunks=1238 ttt_lr=0.005 ttt_epochs=3
quantized_ttt val_loss:{final[1]:.8f} val_bpb:{final[0]:.8f} eval_time:366525ms
"""

README = """# A record

| seed | val_bpb | sliding | artifact |
|---|---|---|---|
| 42 | **1.07902311** | 1.08109311 | 15,990,142 |
| 314 | 1.07918542 | 1.08125542 | 15,990,214 |
| 999 | 1.07894120 | 1.08101120 | 15,990,199 |

The gain is 0.00260 bpb (0.00672 nats per token); the sliding-window score before adaptation is 1.08112.
`TTT_EPOCHS` 4 → 3 and `matrix_lr`.
"""


def pair(bpb: float) -> tuple[float, float]:
    return bpb, bpb * NATS_A_BIT


def log_text(seed: int, bpb: float | None = None, losses: tuple[float, ...] | None = None) -> str:
    bpb = BPB[seed] if bpb is None else bpb
    two = seed % 100
    model = 15_975_100 + two
    return LOG.format(
        seed=seed,
        two=f"{two:02d}",
        losses=losses or FIRST[seed],
        code=len(CODE),
        model=model,
        total=model + len(CODE),
        pre=pair(bpb + 0.0066),
        quantized=pair(bpb + 0.0189),
        sliding=pair(bpb + 0.00207),
        final=pair(bpb),
    )


def submission() -> dict:
    return {
        "author": "someone",
        "github_id": "someone",
        "name": "A record",
        "date": "2026-04-25",
        "track": "10min_16mb",
        "val_bpb": 1.07904991,
        "val_bpb_std": 0.00012430,
        "seeds": list(SEEDS),
        "seed_results": {
            str(s): {
                "val_bpb": BPB[s],
                "val_loss": round(BPB[s] * NATS_A_BIT, 8),
                "artifact_bytes": 15_975_100 + s % 100 + len(CODE),
                "steps": 4500 + s % 100,
                "train_time_ms": 587000 + s % 100,
            }
            for s in SEEDS
        },
        "bytes_total": 15_975_199 + len(CODE),
        "bytes_code": len(CODE),
        "hardware": "8xH100 80GB SXM",
    }


@dataclass
class Folder:
    """A record folder that a test may spoil."""

    path: Path
    claims: dict = field(default_factory=submission)

    def write(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        for seed in SEEDS:
            self.log(seed).write_text(log_text(seed))
        (self.path / "README.md").write_text(README)
        (self.path / "train_gpt.py").write_text(CODE)
        (self.path / "dataset.json").write_text(json.dumps(DATASET, indent=2))
        self.claim()
        return self.path

    def log(self, seed: int) -> Path:
        return self.path / f"train_seed{seed}.log"

    def edit(self, file: str, old: str, new: str, count: int = 1) -> None:
        path = self.path / file
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, count))

    def edit_logs(self, old: str, new: str) -> None:
        for seed in SEEDS:
            self.edit(f"train_seed{seed}.log", old, new)

    def claim(self, **claims) -> None:
        """Write submission.json with these claims changed; None takes a claim out."""
        self.claims = {k: v for k, v in (self.claims | claims).items() if v is not None}
        (self.path / "submission.json").write_text(json.dumps(self.claims, indent=2))


def with_status(result, status):
    return {c.id for c in result.checks if c.status == status}
