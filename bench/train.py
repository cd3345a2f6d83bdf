"""Training speed beside the straightforward loop of bench/_plain_trainer.py, step for step in one run.

    python bench/train.py [--size small|full|all] [--dtype float32|bfloat16] [--device cpu|cuda] [--compile] [--json]

Steps of the two alternate, so that a noisy machine disturbs both alike; each figure is the median step.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace

import torch
from _plain_trainer import PlainTrainer

from pgolf.trainer.config import Config
from pgolf.trainer.loop import Run, Training
from pgolf.trainer.model import GPT

SIZES = {
    "small": Config(
        vocab_size=1024, num_layers=7, model_dim=256, num_heads=4, num_kv_heads=2, train_seq_len=512, eval_seq_len=512,
        train_batch_tokens=16384, loop_start=2, loop_end=4, parallel_residual_start=5,
    ),
    "full": Config(train_batch_tokens=16384),
}  # fmt: skip


def ours(cfg: Config) -> Training:
    """A `Training` whose loader gives nothing: the batches come from here, the same for both sides."""
    torch.manual_seed(cfg.seed)
    run = Run(cfg)
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
    cfg = replace(
        SIZES[name], device=args.device, dtype=args.dtype, grad_accum_steps=1, compile="1" if args.compile else "0"
    )
    training = ours(cfg)
    device = training.run.device
    rows = cfg.train_batch_tokens // cfg.train_seq_len
    batch = tuple(torch.randint(cfg.vocab_size, (rows, cfg.train_seq_len), device=device) for _ in range(2))
    training.loader = Fixed(batch)
    plain = PlainTrainer(cfg, training.run.dtype, device)
    training.raw.looping = plain.model.looping = looping

    def timed(f) -> float:
        training.settle()
        started = time.perf_counter()
        f()
        training.settle()
        return time.perf_counter() - started

    times: dict[str, list[float]] = {"reference": [], "ours": [], "ours_grad": []}
    for i in range(steps + 1):
        pair = {"reference": timed(lambda: plain.step(*batch)), "ours": timed(lambda: training.train_step(0.5))}
        if i:  # the first step of each allocates and compiles
            for side, seconds in pair.items():
                times[side].append(seconds)
            times["ours_grad"].append(timed(training.forward_backward))
    median = {k: statistics.median(v) for k, v in times.items()}
    tokens = cfg.train_batch_tokens
    if training.run.cuda:
        peak = torch.cuda.max_memory_allocated() >> 20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {
        "config": f"{name}, {'loops' if looping else 'before loops'}, {str(training.run.dtype)[6:]}, {args.device}, "
        f"{torch.get_num_threads()} threads{', compiled' if args.compile else ''}",
        "reference_tok_s": round(tokens / median["reference"], 1),
        "tok_s": round(tokens / median["ours"], 1),
        "speedup": round(median["reference"] / median["ours"], 3),
        "optimizer_share": round(max(0.0, 1 - median["ours_grad"] / median["ours"]), 4),
        "peak_mb": peak,  # of both sides together
        "steps": steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*SIZES, "all"], default="all")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the trainer's logs
        for name in SIZES if args.size == "all" else [args.size]:
            for looping in (False, True):
                results.append(measure(name, args.steps, looping, args))
                if not args.json:
                    r = results[-1]
                    print(
                        f"{r['config']:50} reference {r['reference_tok_s']} tok/s, pgolf {r['tok_s']} tok/s: "
                        f"{r['speedup']:.2f}x, optimiser {r['optimizer_share']:.1%} of a step",
                        flush=True,
                    )
    if args.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
