"""Folders of a speedrun whose figures are known: logs as such trainers print them."""

import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = (
    'print0(f"step:{step}/{steps} val_loss:{val_loss:.4f} train_time:{ms:.0f}ms", console=True)\n'
    + "=" * 100
    + "\nRunning Python 3.12.7\nRunning PyTorch 2.10.0+cu128\n"
    + "".join(f"|   {n}  NVIDIA H100 80GB HBM3          On  |   00000000:{n}9:00.0 Off |      0 |\n" for n in range(8))
    + "=" * 100
    + "\n"
)
BASELINE = ((3.2781, 80.694), (3.2797, 80.720), (3.2772, 80.659), (3.2786, 80.818), (3.2779, 80.747))
NEW = ((3.2775, 79.532), (3.2779, 79.682), (3.2793, 80.231), (3.2791, 79.536), (3.2769, 79.641))

Runs = Sequence[tuple[float, float]]


def log_text(loss: float, seconds: float, steps: int = 1400, seed: int = 0) -> str:
    """The log of a run that ends with this loss and clock; `seed` makes another curve."""
    noise = random.Random(f"{loss} {seconds} {seed}")
    lines = [f"step:0/{steps} val_loss:10.8258 train_time:0ms step_avg:0.04ms"]
    for step in range(200, steps, 200):
        at = 1000 * seconds * step / steps + noise.random()
        lines.append(f"step:{step}/{steps} train_time:{at - 9:.0f}ms step_avg:{at / step:.2f}ms")
        middle = 3.2 + 6 / step**0.3 + noise.gauss(0, 0.003)
        lines.append(f"step:{step}/{steps} val_loss:{middle:.4f} train_time:{at:.0f}ms step_avg:{at / step:.2f}ms")
    lines.append(f"step:{steps}/{steps} val_loss:{loss:.4f} train_time:{1000 * seconds:.0f}ms step_avg:57.40ms")
    return HEAD + "\n".join(lines) + "\npeak memory allocated: 30220 MiB reserved: 38672 MiB\n"


def write_speedrun(folder: Path, variants: Mapping[str, Runs] | None = None, steps: int = 1400) -> Path:
    """A folder with a log of each run: (last loss, seconds) by variant, '' for the folder itself."""
    for name, runs in (variants or {"baseline": BASELINE, "this_pr": NEW}).items():
        for number, (loss, seconds) in enumerate(runs):
            log = folder / name / f"{uuid.UUID(int=random.Random(f'{name} {number}').getrandbits(128))}.txt"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(log_text(loss, seconds, steps, number))
    return folder
