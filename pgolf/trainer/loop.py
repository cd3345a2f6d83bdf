"""The training run: who logs, whose clock counts, what a step is, when to stop, and how to go on after a kill."""

import json
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError, Loader
from pgolf.trainer.head import training_loss
from pgolf.trainer.model import GPT
from pgolf.trainer.optim import EMA, Banks, Optimizer, lr_multiplier, muon_momentum
from pgolf.trainer.score import rows_that_fit


class TrainingFailed(Exception):
    """The run cannot go on; the message is the reason."""


class TrainerRun:
    """This process's place among the ranks, its device and dtype, and (on rank 0) the log."""

    def __init__(self, cfg: Config):
        self.cfg, self.started = cfg, time.monotonic()
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        local = int(os.environ.get("LOCAL_RANK", 0))
        kind = cfg.device if cfg.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(f"cuda:{local}" if kind == "cuda" else kind)
        self.cuda = kind == "cuda"
        if self.cuda:
            torch.cuda.set_device(self.device)
            torch.set_float32_matmul_precision("high")
        else:
            here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
            given = int(os.environ.get("OMP_NUM_THREADS", 0))
            torch.set_flush_denormal(True)  # gradients through zero-initialised matrices are full of them
            torch.set_num_threads(cfg.cpu_threads or given or max(1, (os.cpu_count() or 1) // here))
        dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        dtypes["auto"] = dtypes["bfloat16" if self.cuda else "float32"]
        if cfg.dtype not in dtypes:
            raise DataError(f"DTYPE {cfg.dtype} is none of {', '.join(dtypes)}")
        self.dtype = dtypes[cfg.dtype]
        self.control = None
        if self.world > 1:
            dist.init_process_group("nccl" if self.cuda else "gloo", timeout=timedelta(minutes=10))
            self.control = dist.new_group(backend="gloo")  # agreements that don't wait for the GPU
        self.files = []
        if self.rank == 0:
            Path("logs").mkdir(exist_ok=True)
            mode = "wa"[bool(cfg.resume_from_ckpt)]  # a resumed run appends to its log
            self.files = [open(p, mode, 1) for p in (f"logs/{cfg.run_id}.txt", "events.jsonl")]  # noqa: SIM115
        self.last_progress = 0.0

    def log(self, text: str) -> None:
        if self.files:
            print(text, flush=True)
            print(text, file=self.files[0])

    def event(self, name: str, **facts: Any) -> None:
        if self.files:
            at = round(time.monotonic() - self.started, 3)
            print(json.dumps({"t": at, "event": name, **facts}), file=self.files[1])

    def progress(self, stage: str, done: int, total: int) -> None:
        """A `progress` event, at most one a second."""
        if time.monotonic() - self.last_progress > 1:
            self.last_progress = time.monotonic()
            self.event("progress", stage=stage, done=done, total=total)

    def agree(self, value: float) -> float:
        """Rank 0's value, on every rank."""
        if self.control is None:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(shared, 0, group=self.control)
        return shared.item()

    def compiled(self, model: GPT) -> GPT:
        """The model through torch.compile where that is wanted and can work; says so where it can't."""
        wanted = self.cfg.compile == "1" or (self.cfg.compile == "auto" and self.cuda)
        if not wanted:
            return model
        if not any(shutil.which(c) for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c):
            missing = "C++ compiler"
        elif not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
            missing = "Python.h"
        else:
            torch._dynamo.config.cache_size_limit = 64
            return torch.compile(model, dynamic=False)  # type: ignore[return-value]  # it acts as the model
        self.log(f"compile: no {missing} found, running eagerly")
        return model


class Training:
    """Model, optimiser, EMA, loader and clock of one run. `train()` runs it to its end."""

    def __init__(self, run: TrainerRun, model: GPT):
        cfg = self.cfg = run.cfg
        self.run, self.raw = run, model
        self.banks = Banks(model)
        self.model = run.compiled(model)
        self.loss = torch.compile(training_loss) if run.cuda and self.model is not model else training_loss
        self.optimizer = Optimizer(self.banks, cfg, run.dtype, run.rank, run.world)
        if not cfg.grad_accum_steps and 8 % run.world:
            raise DataError(f"world size {run.world} does not divide 8: set GRAD_ACCUM_STEPS")
        self.accum = cfg.grad_accum_steps or 8 // run.world
        per_step = run.world * self.accum * cfg.train_seq_len
        if cfg.train_batch_tokens % per_step:
            raise DataError(
                f"TRAIN_BATCH_TOKENS {cfg.train_batch_tokens} is no multiple of {run.world} ranks × {self.accum} "
                f"micro-batches × TRAIN_SEQ_LEN {cfg.train_seq_len}"
            )
        self.sequences = cfg.train_batch_tokens // per_step
        self.loader = self.training_loader()
        self.ema: EMA | None = None
        self.step, self.before = 0, 0.0
        self.since: float | None = None  # None: the clock stands still
        self.cap = max(0.0, cfg.max_wallclock_seconds - cfg.gptq_reserve_seconds)
        if cfg.max_wallclock_seconds > 0 and not self.cap:
            raise DataError("GPTQ_RESERVE_SECONDS leaves nothing of MAX_WALLCLOCK_SECONDS")
        self.pending: tuple[Tensor, torch.cuda.Event | None, int] | None = None  # norm, event, step of the step before

    def fresh_loader(self) -> Loader:
        return Loader(self.cfg, self.run.rank, self.run.world, self.sequences, self.run.device)

    def training_loader(self) -> Loader:
        """What training reads; calibration reads shuffled sequences always."""
        if self.cfg.doc_attention_enabled:
            from pgolf.trainer.doc_attention import RowLoader

            row = self.sequences * self.cfg.train_seq_len
            return RowLoader(self.cfg, self.run.rank, self.run.world, row, self.run.device)
        return self.fresh_loader()

    # --- the clock: training only, validation and checkpoints not counted
    def elapsed(self) -> float:
        return self.before + (0.0 if self.since is None else time.perf_counter() - self.since)

    def pause(self) -> None:
        self.settle()
        self.before, self.since = self.elapsed(), None

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        yield
        self.since = time.perf_counter()

    def settle(self) -> None:
        """Wait for the device; what it still owed must be finite before anything is validated, saved or scored."""
        if self.run.cuda:
            torch.cuda.synchronize()
        self.look_at_pending()

    # --- one step
    def forward_backward(self) -> Tensor:
        """Mean loss of this rank's micro-batches; gradients are left in the banks."""
        self.banks.zero_grad()
        fit = max(1, rows_that_fit(self.cfg, self.run.device, training=True) // self.cfg.train_seq_len)
        if self.cfg.cpu_kernels:
            from pgolf.trainer.cpu_kernels import tokens_at_once

            fit = max(1, tokens_at_once(self.cfg, self.run.dtype) // self.cfg.train_seq_len)
        fit = self.sequences if self.run.cuda else fit
        total = torch.zeros((), device=self.run.device)
        for _ in range(self.accum):
            x, y, *bounds = self.loader.next()
            for rows in range(0, len(x), fit):
                part = x[rows : rows + fit]
                loss = self.loss(self.raw, self.model(part, 0, *bounds), y[rows : rows + fit])
                loss = loss * (len(part) / (len(x) * self.accum))
                loss.backward()
                total += loss.detach()
        return total

    def clipped_grads(self) -> Tensor:
        """Average the gradients over ranks and clip them; their norm, equal on all ranks."""
        banks, limit, world = self.banks, self.cfg.grad_clip_norm, self.run.world
        if self.cfg.clip_before_average_enabled:
            from pgolf.trainer.clip_before_average import clip_then_average

            return clip_then_average(banks, limit, world)
        banks.average_grads(world)
        return banks.clip_grads(limit)

    def train_step(self, frac: float) -> Tensor:
        cfg = self.cfg
        loss = self.forward_backward()
        norm = self.clipped_grads()
        self.optimizer.step(lr_multiplier(cfg, frac), muon_momentum(cfg, self.step, frac))
        if self.ema:
            self.ema.update()
        self.step += 1
        self.check_finite(norm)
        return loss

    def check_finite(self, norm: Tensor) -> None:
        """Stop where the gradient norm (equal on all ranks, NaN if any loss was) is not finite. A GPU's norm is looked
        at one step late, while the next step runs."""
        copied = None
        if self.run.cuda:
            self.look_at_pending()
            copied = torch.cuda.Event()
            norm = torch.empty((), pin_memory=True).copy_(norm, non_blocking=True)
            copied.record()
        self.pending = (norm, copied, self.step)
        if not self.run.cuda:
            self.look_at_pending()

    def look_at_pending(self) -> None:
        if self.pending:
            norm, copied, step = self.pending
            self.pending = None
            if copied:
                copied.synchronize()
            if not norm.isfinite():
                raise TrainingFailed(f"loss or gradient is not finite at step {step}")

    # --- the whole
    def warm_up(self) -> None:
        """Fill the compile caches without and with loops, then put everything back, bit for bit."""
        cfg, run = self.cfg, self.run
        weights = {k: b.detach().clone() for k, b in self.banks.items()}
        for prefix, looping in (("", False), ("loop_", True)):
            if looping and not cfg.num_loops:
                continue
            self.raw.looping = looping
            if looping:
                left, right = self.raw.virtual_order(True)
                run.log(f"loop_warmup:enabled encoder:{left} decoder:{right}")
            for i in range(1, cfg.warmup_steps + 1):
                self.train_step(0.0)
                if i <= 6 or i == 10 or i == cfg.warmup_steps:
                    run.log(f"{prefix}warmup_step: {i}/{cfg.warmup_steps}")
        with torch.no_grad():
            for k, bank in self.banks.items():
                bank.copy_(weights[k])
        self.raw.looping, self.step, self.pending = False, 0, None
        self.optimizer = Optimizer(self.banks, cfg, run.dtype, run.rank, run.world)
        self.loader = self.training_loader()

    def train(self, validate: Callable[[], tuple[float, float]]) -> None:
        """Train to ITERATIONS or the cap. `validate()` gives (val_loss, val_bpb) and is off the clock."""
        cfg, run = self.cfg, self.run
        if cfg.warmup_steps and not cfg.resume_from_ckpt:
            self.warm_up()
        self.ema = EMA(self.banks, cfg.ema_decay)
        if cfg.resume_from_ckpt:
            self.load_checkpoint(Path(cfg.resume_from_ckpt))
        self.settle()
        self.since = time.perf_counter()
        while True:
            now = run.agree(self.elapsed())
            capped = bool(self.cap) and now >= self.cap
            last = capped or self.step >= cfg.iterations
            if cfg.val_loss_every and (last or self.step % cfg.val_loss_every == 0):
                with self.paused():
                    loss, bpb = validate()
                    run.log(f"{self.step}/{cfg.iterations} val_loss: {loss:.4f} val_bpb: {bpb:.4f}")
                    run.event("val", step=self.step, iterations=cfg.iterations, val_loss=loss, val_bpb=bpb)
            if last:
                return self.stop("wallclock_cap" if capped else "iterations")
            frac = now / self.cap if self.cap else self.step / cfg.iterations
            self.maybe_loop(frac)
            loss = self.train_step(frac)  # type: ignore[assignment]  # a name of its own takes bytes, packed
            if self.step <= 5 or self.step % cfg.train_log_every == 0 or self.step == cfg.iterations:
                self.log_step(loss)  # type: ignore[arg-type]
            run.progress("train", self.step, cfg.iterations)
            if cfg.checkpoint_every and self.step % cfg.checkpoint_every == 0:
                with self.paused():
                    self.save_checkpoint()

    def maybe_loop(self, frac: float) -> None:
        if self.cfg.attn_window > 0:
            from pgolf.trainer.attn_window import set_windows

            set_windows(self.raw, frac)
        if self.cfg.num_loops and not self.raw.looping and frac >= self.cfg.enable_looping_at:
            self.raw.looping = True
            left, right = self.raw.virtual_order(True)
            self.run.log(f"layer_loop:enabled step:{self.step} frac:{frac:.3f} encoder:{left} decoder:{right}")
            self.run.event("loop", step=self.step, frac=frac, encoder=left, decoder=right)

    def log_step(self, loss: Tensor) -> None:
        """The mean loss over ranks of the step just done, and the speed so far."""
        if self.run.world > 1:
            dist.all_reduce(loss)
            loss = loss / self.run.world
        value, seconds, cfg = loss.item(), self.elapsed(), self.cfg
        speed = int(self.step * cfg.train_batch_tokens / seconds)
        self.run.log(
            f"{self.step}/{cfg.iterations} train_loss: {value:.4f} train_time: {seconds / 60:.1f}m tok/s: {speed}"
        )
        self.run.event(
            "train",
            step=self.step,
            iterations=cfg.iterations,
            train_loss=value,
            train_ms=round(1000 * seconds),
            tok_s=speed,
        )

    def stop(self, reason: str) -> None:
        self.pause()
        ms, run, cfg = round(1000 * self.before), self.run, self.cfg
        word = "stopping_early" if reason == "wallclock_cap" else "training_done"
        run.log(f"{word}: {reason} train_time: {ms}ms step: {self.step}/{cfg.iterations}")
        run.event("stop", reason=reason, step=self.step, iterations=cfg.iterations, train_ms=ms)
        if cfg.checkpoint_every:
            self.save_checkpoint()

    # --- checkpoints
    def identity(self) -> list[Any]:
        """What a checkpoint and the run that goes on from it must share: the model, and which batches come when."""
        cfg, shapes = self.cfg, [list(b.shape) for b in self.banks.values()]
        return [shapes, cfg.seed, cfg.data_seed, cfg.train_seq_len, self.run.world, self.accum, self.sequences]

    def save_checkpoint(self) -> None:
        """checkpoint.pt, replaced atomically by rank 0."""
        state = {
            "identity": self.identity(),
            "weights": {k: b.detach() for k, b in self.banks.items()},
            "ema": self.ema.average,  # type: ignore[union-attr]  # `train` has made it
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.elapsed(),
            "looping": self.raw.looping,
        }
        if self.run.rank == 0:
            write_atomic(Path("checkpoint.pt"), lambda f: torch.save(state, f))

    def load_checkpoint(self, path: Path) -> None:
        """Go on from a checkpoint of the same model, seed and batch: weights, momenta, average, clock, data order."""
        try:
            state = torch.load(path, map_location=self.run.device, weights_only=True)
            same = state["identity"] == self.identity()
        except Exception as e:  # torch has a dozen ways to say that a file is not its own
            raise DataError(f"{path} is no checkpoint: {type(e).__name__}") from None
        if not same:
            raise DataError(f"{path} is of another model, seed, batch or number of ranks")
        with torch.no_grad():
            for k, bank in self.banks.items():
                bank.copy_(state["weights"][k])
                self.ema.average[k].copy_(state["ema"][k])  # type: ignore[union-attr]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.before, self.raw.looping = state["step"], state["seconds"], state["looping"]
        self.loader.skip(self.step * self.accum)
        self.run.log(f"resumed: {path} step: {self.step}/{self.cfg.iterations}")


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """A file through a temporary one, so that a kill or a full disk leaves the old one good."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as f:
            write(f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def code_bytes() -> int:
    """Bytes of the code that runs: the packed file, or all modules of the unpacked trainer."""
    main = Path(sys.modules["__main__"].__file__)  # type: ignore[arg-type]  # a trainer is a file
    return (
        sum(p.stat().st_size for p in main.parent.glob("*.py")) if main.name == "__main__.py" else main.stat().st_size
    )


def log_hyperparameters(run: TrainerRun) -> None:
    run.log("Hyperparameters:")
    facts = asdict(run.cfg) | {"world_size": run.world, "rank": run.rank, "distributed": run.world > 1}
    for name, value in sorted(facts.items()):
        run.log(f"  {name}: {value}")
