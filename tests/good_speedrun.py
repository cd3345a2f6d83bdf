"""A good speedrun folder, made from scratch: logs of the baseline and of the new program, as public ones look."""

import math
import random
import statistics
from dataclasses import dataclass, field
from pathlib import Path

BASELINE = (3.2781, 3.2779, 3.2795, 3.2768, 3.2790, 3.2773)
NEW = (3.2785, 3.2772, 3.2791, 3.2766, 3.2783, 3.2778)
SOURCE = 'print0(f"step:{step}/{steps} val_loss:{val_loss:.4f} train_time:{ms:.0f}ms", console=True)\n'
RULE = "=" * 100 + "\n"
GPU = "|   {}  {}          On  |   00000000:{}0:00.0 Off |                    0 |\n"


@dataclass
class Machine:
    gpu: str = "NVIDIA H100 80GB HBM3"
    count: int = 8
    torch: str = "2.10.0+cu128"

    def __str__(self) -> str:
        gpus = "".join(GPU.format(i, self.gpu, i) for i in range(self.count))
        return f"Running PyTorch {self.torch} compiled for CUDA 12.8\n{gpus}"


MACHINE = Machine()


def log(
    loss: float | str,
    seconds: float,
    seed: object = None,
    steps: int = 1390,
    planned: int | None = None,
    machine: object = MACHINE,
    source: str = SOURCE,
) -> str:
    """The log of a run that ends so: its curve by one random stream, its clock by another. `seed` draws both."""
    noise = random.Random(str(seed if seed is not None else (loss, seconds)))
    planned = planned or steps
    lines = [f"step:0/{planned} val_loss:10.8258 train_time:0ms step_avg:0.04ms"]
    for step in (*range(250, steps, 250), steps):
        share = step / steps
        shown = loss if step == steps else 3.2 + 1.2 * (1 - share) ** 2 + noise.gauss(0.08, 0.002)
        printed = f"{shown:.4f}" if isinstance(shown, float) else shown
        ms = 1000 * seconds * share + (0 if step == steps else noise.uniform(-90, 0))
        lines.append(f"step:{step - 1}/{planned} train_time:{ms - 57:.0f}ms step_avg:{ms / step:.2f}ms")
        lines.append(f"step:{step}/{planned} val_loss:{printed} train_time:{ms:.0f}ms step_avg:{ms / step:.2f}ms")
    end = "peak memory allocated: 30220 MiB reserved: 38672 MiB\n"
    return source + RULE + str(machine) + RULE + "\n".join(lines) + "\n" + end


def times(losses: tuple[float, ...], around: float) -> list[float]:
    return [round(around + 0.04 * (i % 5) - 0.03 * (i % 3), 3) for i in range(len(losses))]


@dataclass
class Folder:
    """A speedrun's folder that a test may spoil: `variants` are losses by sub-folder, `seconds` times by sub-folder."""

    path: Path
    variants: dict[str, tuple[float, ...]] = field(default_factory=lambda: {"baseline": BASELINE, "this_pr": NEW})
    around: dict[str, float] = field(default_factory=lambda: {"baseline": 80.7, "this_pr": 79.6})

    @property
    def seconds(self) -> dict[str, list[float]]:
        return {name: times(losses, self.around.get(name, 79.6)) for name, losses in self.variants.items()}

    def write(self, **how: object) -> Path:
        for name, losses in self.variants.items():
            for number, (loss, took) in enumerate(zip(losses, self.seconds[name], strict=True)):
                self.run(name, number, loss, took, **how)
        return self.path

    def name(self, variant: str, number: int) -> Path:
        return self.path / variant / f"{variant or 'run'}-{number:02d}.txt"

    def run(self, variant: str, number: int, loss: float | str, seconds: float, **how: object) -> Path:
        path = self.name(variant, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log(loss, seconds, how.pop("seed", (variant, number)), **how))
        return path

    def readme(self, text: str) -> None:
        (self.path / "README.md").write_text(text)


def p_below(losses: tuple[float, ...], target: float = 3.28) -> float:
    """The one-sided p of Student's test, by numerical integration of the density."""
    n = len(losses)
    t = (target - statistics.mean(losses)) / (statistics.stdev(losses) / math.sqrt(n))
    nu = n - 1
    scale = math.exp(math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2)) / math.sqrt(nu * math.pi)
    step = t / 20_000
    inside = sum((1 + ((i + 0.5) * step) ** 2 / nu) ** (-(nu + 1) / 2) for i in range(20_000)) * step * scale
    return 0.5 - inside
