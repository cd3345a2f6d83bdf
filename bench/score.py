"""Speed of the evaluators beside the straightforward ones of bench/_plain_scoring.py, and whether they agree.

    python bench/score.py [--size small|smoke|all] [--dtype float32|bfloat16] [--modes fixed,stream] [--json]
    python bench/score.py --trained ARTIFACT… --data-dir DIR [--tokens N] [--set STREAM_WINDOW=192] [--json]

Both sides score the same tokens with the same weights, in turn; each figure is the least CPU time of one thread, so
that a noisy machine disturbs it little. bpb differences are at one byte a token: with real text they are smaller. In
bfloat16 the straightforward side runs under autocast, as the public trainer does, and the two round differently.
Phased adaptation of documents (no phases, no warm start, so that batches change nothing) has beside it the same
evaluator with one document at a time. A stream has our own sliding windows beside it, over the same window; at full
size one rank's share of sixteen, whose time is multiplied. The second command scores artifacts, one a seed, both ways:
bpb in a stream less bpb with sliding windows, and its 95 % interval (Student's t).
"""

import argparse
import copy
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path

import _plain_scoring as plain
import torch
from scipy.stats import t
from torch import Tensor

from pgolf import presets
from pgolf.artifact import EVALUATORS, eval_knobs, evaluate_artifact, in_folder, open_artifact
from pgolf.legality.streams import synthetic
from pgolf.stages import BY_MODE
from pgolf.trainer.config import BOS, Config
from pgolf.trainer.model import GPT
from pgolf.trainer.phased_ttt import phased
from pgolf.trainer.score import Scored, share, sliding, sliding_windows

# 'small' is the public trainer's measured configuration; chunks are shorter, so that a short stream has four
SIZES = {
    "small": Config(
        vocab_size=1024, num_layers=7, model_dim=256, num_heads=4, num_kv_heads=2, eval_seq_len=512,
        rope_train_seq_len=512, loop_start=2, loop_end=4, parallel_residual_start=5, ttt_chunk_tokens=1024,
    ),
    "smoke": presets.config_of(presets.load("smoke-base") | {"ttt_chunk_tokens": 4096}),
    "full": presets.config_of(presets.load("pr1493") | {"stream_piece": 65536}),
}  # fmt: skip
TOKENS = {
    "small": {"fixed": 4096, "sliding": 2048, "stream": 8192, "ttt": 4096, "phased": 2048},
    "smoke": {"fixed": 32768, "sliding": 16384, "stream": 32768, "ttt": 16384, "phased": 16384},
    "full": {"fixed": 4096, "sliding": 4096, "stream": 65536, "ttt": 4096, "phased": 2048},
}
SHARES = {"small": 1, "smoke": 1, "full": 16}  # of the windows beside a stream one rank's is scored: all take an hour
SHOWN = ("stream_window", "stream_piece", "stream_context")
DOCUMENT = 256  # tokens of the longest
PHASED = {
    "phased_ttt_num_phases": 0, "ttt_warm_start_a": False, "ttt_eval_seq_len": 128, "ttt_lora_rank": 8,
    "ttt_lora_alpha": 14.4, "ttt_batch_size": 16,
}  # fmt: skip


def one_by_one(model: GPT, tokens: Tensor) -> Iterator[Scored]:
    model.cfg = replace(model.cfg, ttt_batch_size=1)
    return phased(model, tokens)


PLAIN: dict[str, Callable] = {
    "fixed": plain.fixed,
    "sliding": plain.sliding,
    "stream": sliding,  # of its speed only: what is seen is not the same
    "ttt": plain.ttt,
    "phased": one_by_one,
}
SIDES = {mode: (evaluator, PLAIN[mode]) for mode, evaluator in EVALUATORS.items()}


def random_model(cfg: Config, dtype: torch.dtype) -> GPT:
    """A model with no parameter at zero, so that every branch counts."""
    torch.manual_seed(0)
    model = GPT(cfg, dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn(p.shape))
    model.looping = cfg.num_loops > 0
    return model


def losses(evaluator: Callable, model: GPT, tokens: Tensor) -> Tensor:
    scored = evaluator(model, tokens)
    if isinstance(scored, Tensor):
        return scored
    return torch.cat([part for _, part, _ in sorted(scored, key=itemgetter(0))])


def stream(mode: str, tokens: int, cfg: Config) -> Tensor:
    """Text without sense; of documents for an evaluator that scores them one by one."""
    text = synthetic(0, tokens + 1, cfg.vocab_size)
    if BY_MODE[mode].by_document:
        lengths = torch.randint(2, DOCUMENT, (tokens,), generator=torch.Generator().manual_seed(0))
        text[lengths.cumsum(0).clamp(max=tokens)] = BOS
    return text


def measure(size: str, dtype: torch.dtype, repeats: int, modes: list[str]) -> dict:
    cfg = replace(SIZES[size], **PHASED, stream_enabled=True)
    model = random_model(cfg, dtype)
    result: dict = {"size": size, "dtype": str(dtype).removeprefix("torch."), "max_abs_bpb_diff": 0.0}
    for mode in modes:
        sides, shares = SIDES[mode], SHARES[size] if mode == "stream" else 1
        if shares > 1:
            sides = sides[0], partial(sides[1], rank=1, world=shares)
        model.cfg = replace(cfg, stream_enabled=mode == "stream")
        tokens = stream(mode, TOKENS[size][mode], cfg)
        seconds, scores = [math.inf, math.inf], [torch.empty(0)] * 2
        for _ in range(repeats):
            for side, evaluator in enumerate(sides):
                fresh = copy.deepcopy(model)
                started = time.process_time()
                with torch.autocast("cpu", torch.bfloat16, enabled=side == 1 and dtype == torch.bfloat16):
                    scores[side] = losses(evaluator, fresh, tokens)
                seconds[side] = min(seconds[side], time.process_time() - started)
        if shares > 1:
            windows = len(sliding_windows(cfg, len(tokens) - 1))
            seconds[1] *= windows / len(share(windows, 1, shares))
        ours, theirs = (s.double() for s in scores)
        result |= {
            f"{mode}_speedup": round(seconds[1] / seconds[0], 3),
            f"{mode}_tokens_per_s": round(len(ours) / seconds[0], 1),
            f"{mode}_plain_tokens_per_s": round(len(ours) / seconds[1], 1),
        }
        if mode != "stream":
            difference = float((ours.mean() - theirs.mean()).abs() / math.log(2))
            result["max_abs_bpb_diff"] = max(result["max_abs_bpb_diff"], difference)
            result[f"{mode}_max_abs_nats_diff"] = float((ours - theirs).abs().max())
    return result


def stream_beside_sliding(paths: list[Path], data_dir: Path, tokens: int | None, settings: dict[str, str]) -> dict:
    """bpb of artifacts, one a seed, in a stream less that of sliding windows, and how many times faster it was."""
    differences, speedups, knobs = [], [], eval_knobs(None, settings)
    for path in paths:
        opened = in_folder(open_artifact(path, knobs), data_dir)
        scored = {mode: evaluate_artifact(opened, mode, limit=tokens) for mode in ("sliding", "stream")}
        differences.append(scored["stream"].val_bpb - scored["sliding"].val_bpb)
        speedups.append(scored["sliding"].seconds / scored["stream"].seconds)
    n, mean = len(differences), statistics.fmean(differences)
    half = float(t.ppf(0.975, n - 1)) * statistics.stdev(differences) / n**0.5 if n > 1 else None
    return {
        "artifacts": n,
        "positions": scored["stream"].positions,
        "stream_bpb_minus_sliding": mean,
        "ci95": half and [mean - half, mean + half],
        "each": differences,
        "stream_speedup": statistics.median(speedups),
        "knobs": {k: getattr(opened.cfg, k) for k in ("eval_seq_len", "eval_stride", *SHOWN)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=[*SIZES, "all"], default="small")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--modes", help="some of fixed,sliding,stream,ttt,phased")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trained", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", dest="settings")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    sizes = SIZES if args.size == "all" else [args.size]
    if args.trained:
        settings = {name.lower(): value for name, value in (s.split("=", 1) for s in args.settings)}
        results = [stream_beside_sliding(args.trained, args.data_dir, args.tokens, settings)]
    else:
        modes = args.modes.split(",") if args.modes else [*SIDES]
        results = [measure(size, getattr(torch, args.dtype), args.repeats, modes) for size in sizes]
    if args.json:
        print(json.dumps(results[0] if len(results) == 1 else results))
        return
    for result in results:
        for name, value in result.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
