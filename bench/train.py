"""Training speed beside the straightforward loop of bench/_plain_trainer.py, step for step in one run.

    python bench/train.py [--size small|full|all] [--dtype float32|bfloat16] [--device cpu|cuda] [--compile]
        [--no-kernels] [--steps N] [--profile] [--json]

Steps of the two alternate, so that a noisy machine disturbs both alike; each figure is the median step. Batches are of
16,384 tokens on a CPU, and on a GPU of the 98,304 that each of a record's eight has in a step. Where nothing is
compiled, one sequence warms either side up. Without --dtype it is float32 on a CPU and bfloat16 on a GPU, as in the
trainer. `--no-kernels` is CPU_KERNELS=0, as in a packed file. `--profile` says where the time of our steps goes. On two
cores a step of the full size takes both sides six minutes.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from _plain_trainer import PlainTrainer
from torch.profiler import ProfilerActivity

from pgolf.trainer.config import Config
from pgolf.trainer.loop import TrainerRun, Training
from pgolf.trainer.model import GPT

SIZES = {
    "small": Config(
        vocab_size=1024, num_layers=7, model_dim=256, num_heads=4, num_kv_heads=2, train_seq_len=512, eval_seq_len=512,
        loop_start=2, loop_end=4, parallel_residual_start=5,
    ),
    "full": Config(),
}  # fmt: skip


def ours(cfg: Config) -> Training:
    """A `Training` whose loader gives nothing: the batches come from here, the same for both sides."""
    torch.manual_seed(cfg.seed)
    run = TrainerRun(cfg)
    model = GPT(cfg, run.dtype).to(run.device)
    Training.fresh_loader = lambda self: None  # type: ignore[method-assign]
    training = Training(run, model)
    from pgolf.trainer.optim import EMA

    training.ema = EMA(training.banks, cfg.ema_decay)
    return training


class Fixed:
    """A loader that gives one batch over and over."""

    def __init__(self, batch: tuple[torch.Tensor, torch.Tensor]):
        self.batch = batch

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.batch


def measure(name: str, steps: int, looping: bool, args: argparse.Namespace) -> dict:
    tokens = 98304 if args.device == "cuda" else 16384
    cfg = replace(
        SIZES[name],
        train_batch_tokens=tokens,
        device=args.device,
        dtype=args.dtype or "auto",
        grad_accum_steps=1,
        compile="1" if args.compile else "0",
        cpu_kernels=not args.no_kernels,
    )
    training = ours(cfg)
    device = training.run.device
    rows = cfg.train_batch_tokens // cfg.train_seq_len
    batch = torch.randint(cfg.vocab_size, (2, rows, cfg.train_seq_len), device=device)
    plain = PlainTrainer(cfg, training.run.dtype, device, args.compile)
    training.raw.looping = plain.model.looping = looping

    peaks: dict[str, int] = {}
    gradients, gradients_s = training.forward_backward, 0.0

    def timed_gradients() -> torch.Tensor:
        nonlocal gradients_s
        started = time.perf_counter()
        loss = gradients()
        training.settle()
        gradients_s = time.perf_counter() - started
        return loss

    training.forward_backward = timed_gradients  # type: ignore[method-assign]

    def timed(side: str, f: Callable[[], object]) -> float:
        if training.run.cuda:
            torch.cuda.reset_peak_memory_stats()
        training.settle()
        started = time.perf_counter()
        f()
        training.settle()
        seconds = time.perf_counter() - started
        if training.run.cuda:
            peaks[side] = torch.cuda.max_memory_allocated() >> 20
        return seconds

    def both(batch: torch.Tensor) -> dict[str, float]:
        """Seconds of a step of either, and of ours without the gradients."""
        training.loader = Fixed((batch[0], batch[1]))
        reference = timed("reference", lambda: plain.step(*batch))
        ours = timed("ours", lambda: training.train_step(0.5))
        return {"reference": reference, "ours": ours, "optimizer": ours - gradients_s}

    both(batch if args.compile else batch[:, :1])
    times = [both(batch) for _ in range(steps)]
    median = {side: statistics.median(pair[side] for pair in times) for side in times[0]}
    if args.profile:
        profile(training, steps)
    if not training.run.cuda:
        peaks["ours"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {
        "config": f"{name}, {'loops' if looping else 'before loops'}, {str(training.run.dtype)[6:]}, {args.device}, "
        f"{torch.get_num_threads()} threads{', compiled' if args.compile else ''}",
        "reference_tok_s": round(tokens / median["reference"], 1),
        "tok_s": round(tokens / median["ours"], 1),
        "speedup": round(median["reference"] / median["ours"], 3),
        "optimizer_share": round(median["optimizer"] / median["ours"], 4),
        # a GPU's beside what both sides keep between steps; on a CPU of the process, and so of both sides
        "peak_mb": peaks["ours"],
        "reference_peak_mb": peaks.get("reference"),
        "steps": steps,
    }


def profile(training: Training, steps: int) -> None:
    """The operations that take most of the time, on standard error."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if training.run.cuda else [])]
    with torch.profiler.profile(activities=kinds) as seen:
        for _ in range(steps):
            training.train_step(0.5)
        training.settle()
    key = "self_cuda_time_total" if training.run.cuda else "self_cpu_time_total"
    print(seen.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=90), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*SIZES, "all"], default="all")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--steps", type=int, help="3; of the full size on a CPU 1")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--no-kernels", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the trainer's logs
        for name in SIZES if args.size == "all" else [args.size]:
            for looping in (False, True):
                steps = args.steps or (1 if name == "full" and args.device == "cpu" else 3)
                results.append(measure(name, steps, looping, args))
                r = results[-1]
                print(
                    f"{r['config']:50} reference {r['reference_tok_s']} tok/s, pgolf {r['tok_s']} tok/s: "
                    f"{r['speedup']:.2f}x, optimiser {r['optimizer_share']:.1%} of a step, {r['peak_mb']} MiB",
                    file=sys.stderr if args.json else sys.stdout,
                    flush=True,
                )
    if args.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
