"""The pipeline: train → EMA → GPTQ → artifact → score it. `python -m pgolf.trainer`, alone or under torchrun."""

import hashlib
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pgolf.trainer.codec import ArtifactError, check_codec, decode, encode
from pgolf.trainer.config import KNOB_TYPES, MODEL_KNOBS, Config, config_from_env
from pgolf.trainer.data import DataError, load_validation, shards, tokens_sha256
from pgolf.trainer.loop import TrainerRun, Training, TrainingFailed, code_bytes, log_hyperparameters, write_atomic
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import Hessians, grid, quantise, restore
from pgolf.trainer.score import Scored, evaluate, fixed
from pgolf.trainer.stages import stages
from pgolf.trainer.token_bytes import TokenBytes

ARTIFACT = Path("final_model.int6.ptz")


class Scorer:
    """The validation split and how to score a model on it."""

    def __init__(self, run: TrainerRun):
        self.run, cfg = run, run.cfg
        self.tokens, self.counter = load_validation(cfg), TokenBytes(cfg)
        if cfg.caseops_enabled:
            from pgolf.trainer.caseops import SideCar

            self.counter = SideCar(cfg)
        n_bytes, _ = self.counter.check(self.tokens) if run.rank == 0 else (0, 0)
        digest = tokens_sha256(self.tokens)
        run.log(f"val_tokens: {len(self.tokens) - 1}")
        run.log(f"val_bytes: {n_bytes} scored_sha256: {digest}")
        self.facts = {
            "val_tokens": len(self.tokens) - 1,
            "val_bytes": n_bytes,
            "scored_sha256": digest,
            "tokenizer_sha256": hashlib.sha256(Path(cfg.tokenizer_path).read_bytes()).hexdigest(),
        }

    def score(self, stage: str, evaluator: Callable[..., Iterator[Scored]], model: GPT) -> tuple[float, float, float]:
        run = self.run
        scored = evaluator(model, self.tokens, False, run.rank, run.world)
        return evaluate(scored, self.tokens, self.counter, run.world, partial(run.progress, stage))

    def stage(self, stage: str, evaluator: Callable[..., Iterator[Scored]], model: GPT) -> float:
        """Score and log a stage that counts; its seconds."""
        loss, bpb, seconds = self.score(stage, evaluator, model)
        ms = round(1000 * seconds)
        self.run.log(f"{stage} val_loss:{loss:.8f} val_bpb:{bpb:.8f} eval_time:{ms}ms")
        self.run.event("stage", stage=stage, val_loss=loss, val_bpb=bpb, eval_ms=ms)
        return seconds


def build_model(run: TrainerRun) -> GPT:
    """The initial model: the same weights on every rank for the same seed."""
    torch.manual_seed(run.cfg.seed)
    model = GPT(run.cfg, run.dtype).to(run.device)
    digest = hashlib.sha256()
    for p in model.parameters():
        digest.update(p.detach().float().cpu().numpy().tobytes())
    n = sum(p.numel() for p in model.parameters())
    run.log(f"model_params:{n}")
    run.log(f"weights_fingerprint: {digest.hexdigest()[:16]}")
    run.event("model", parameters=n, weights_fingerprint=digest.hexdigest()[:16])
    return model


def calibrate(run: TrainerRun, training: Training) -> dict[str, Tensor]:
    """Hessians over GPTQ_CALIBRATION_BATCHES micro-batches of training data, shared out over the ranks. Reading
    training data counts: no batch is begun that would end past MAX_WALLCLOCK_SECONDS."""
    cfg, model = run.cfg, training.raw
    run.log("GPTQ:collecting Hessians from calibration data...")
    started = time.perf_counter()
    loader, hessians = training.fresh_loader(), Hessians(model)
    probe: Any = model
    if cfg.mixed_bits_enabled:
        from pgolf.trainer.mixed_bits import Probe

        probe = Probe(model)
    batches = -(-cfg.gptq_calibration_batches // run.world)  # equal on all ranks, since they agree before each
    left = cfg.max_wallclock_seconds - training.before if cfg.max_wallclock_seconds > 0 else math.inf
    for done in range(batches):
        spent = time.perf_counter() - started
        if run.agree(float(done > 0 and spent * (1 + 1.5 / done) > left)):
            run.log(f"GPTQ:the clock stops calibration after {done} of {batches} batches")
            break
        with torch.no_grad():
            probe(loader.next()[0])
        run.progress("calibration", done + 1, batches)
    full = hessians.finish(run.world)
    if cfg.mixed_bits_enabled:
        full |= probe.finish(full, cfg.gptq_damp, run.world)
    training.settle()
    seconds = time.perf_counter() - started
    training.before += seconds
    run.log(f"GPTQ:collected {len(full)} Hessians in {seconds:.1f}s")
    run.event("calibration", hessians=len(full), seconds=round(seconds, 3))
    return full


def write_artifact(run: TrainerRun, training: Training, hessians: dict[str, Tensor]) -> None:
    """Quantise, encode, log the sizes; rank 0 writes."""
    cfg = run.cfg
    config = {k: v for k, v in asdict(cfg).items() if k in MODEL_KNOBS and v}
    pack = partial(encode, config=config, codec=cfg.compressor, lgwin=cfg.brotli_lgwin)
    if cfg.fit_to_cap:
        from pgolf.trainer.fit_to_cap import fit_to_cap

        left = cfg.max_wallclock_seconds - training.before if cfg.max_wallclock_seconds > 0 else math.inf
        # what comes after the text that was trained on, as sequences
        unseen = tuple(t.reshape(-1, cfg.train_seq_len) for t in training.loader.next()[:2])
        found, tensors, blob = fit_to_cap(
            cfg,
            training.raw,
            hessians,
            unseen,  # type: ignore[arg-type]  # a pair
            pack,
            code_bytes(),
            run.log,
            run,
            left,
        )
        run.event("fit", **{k: getattr(found, k) for k in ("embed_clip_sigmas", "attn_clip_sigmas", "mlp_clip_sigmas")})
    else:
        tensors = quantise(training.raw, hessians, cfg, run.rank, run.world, run.log)
        blob = pack(tensors) if run.rank == 0 else b""
    run.log("Quantized weights:")
    labels: dict[str, list[str]] = {}
    for role, held in sorted(tensors.items()):
        label = f"gptq (int{grid(role, cfg)[0]})" if isinstance(held, tuple) else "passthrough (float16)"
        labels.setdefault("lqer" if role.startswith("lqer") else label, []).append(role)
    for label, wanted in labels.items():
        run.log(f"  {label}: {', '.join(wanted)}")
    if run.rank == 0:
        write_atomic(ARTIFACT, lambda f: f.write(blob))
        name, code = f"quantized+{cfg.compressor}", code_bytes()
        run.log(f"Serialized model {name}: {len(blob)} bytes")
        run.log(f"Total submission size {name}: {len(blob) + code} bytes")
        run.event(
            "artifact",
            model_bytes=len(blob),
            code_bytes=code,
            total_bytes=len(blob) + code,
            compressor=cfg.compressor,
            sha256=hashlib.sha256(blob).hexdigest(),
        )
    if run.world > 1:
        dist.barrier(group=run.control)


def load_artifact(run: TrainerRun, path: Path) -> GPT:
    """The model that an artifact holds, loops on, as evaluation sees it."""
    tensors, _ = decode(path.read_bytes())
    model = GPT(run.cfg, run.dtype)
    restore(model, tensors)
    model.looping = run.cfg.num_loops > 0
    return model.to(run.device)


def train_model(run: TrainerRun, scorer: Scorer) -> None:
    """Train, average, score before quantisation, quantise, write the artifact."""
    training = Training(run, build_model(run))
    if run.cfg.max_wallclock_seconds > 0:
        run.log(f"gptq:reserving {run.cfg.gptq_reserve_seconds:.0f}s, effective={1000 * training.cap:.0f}ms")
    training.train(lambda: scorer.score("val", fixed, training.model)[:2])
    if run.cuda:
        used, kept = torch.cuda.max_memory_allocated() >> 20, torch.cuda.max_memory_reserved() >> 20
        run.log(f"peak memory allocated: {used} MiB reserved: {kept} MiB")
    run.log("ema:applying EMA weights")
    training.ema.apply()  # type: ignore[union-attr]  # `train` has made it
    hessians = calibrate(run, training)
    scorer.stage("pre-quantization post-ema", fixed, training.model)
    if run.rank == 0:
        write_atomic(Path("final_model.pt"), lambda f: torch.save(training.raw.state_dict(), f))
        run.log(f"Serialized model: {Path('final_model.pt').stat().st_size} bytes")
    run.log(f"Code size: {code_bytes()} bytes")
    write_artifact(run, training, hessians)


def score_artifact(run: TrainerRun, scorer: Scorer, path: Path) -> None:
    """Every stage that is scored from the artifact."""
    load = partial(load_artifact, run, path)
    model = run.compiled(load())
    for entry in stages(run.cfg, run.log, scorer.counter.count, load):
        seconds = scorer.stage(*entry, model)
    if run.cfg.phased_ttt_enabled and run.cfg.ttt_enabled:
        run.log(f"total_eval_time:{seconds:.1f}s")


def pipeline(run: TrainerRun) -> None:
    cfg = run.cfg
    log_hyperparameters(run)
    run.event(
        "start",
        config=asdict(cfg),
        world_size=run.world,
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if run.cuda else "cpu",
        threads=torch.get_num_threads(),
        code_bytes=code_bytes(),
    )
    run.log(f"torch: {torch.__version__} device: {run.device} dtype: {run.dtype} threads: {torch.get_num_threads()}")
    n_shards = 0 if cfg.eval_only else len(shards(cfg, "train"))
    run.log(f"train_shards: {n_shards}")
    check_codec(cfg.compressor)  # now, and not after training
    scorer = Scorer(run)
    run.event("data", train_shards=n_shards, **scorer.facts)
    if not cfg.eval_only:
        train_model(run, scorer)
    score_artifact(run, scorer, Path(cfg.eval_only or ARTIFACT))
    run.event("end")


def from_artifact(cfg: Config) -> Config:
    """EVAL_ONLY: the model's own knobs come from the artifact; a mechanism that it does not know of is off."""
    path = Path(cfg.eval_only)
    if not path.is_file():
        raise DataError(f"EVAL_ONLY: no file {path}")
    _, config = decode(path.read_bytes())
    if unknown := config.keys() - set(MODEL_KNOBS):
        raise ArtifactError(f"{path}: its config has other knobs: {sorted(unknown)}")
    try:
        own = {k.upper(): str(config.get(k, KNOB_TYPES[k]())) for k in MODEL_KNOBS}
        return config_from_env(os.environ | own)
    except ValueError as e:
        raise ArtifactError(f"{path}: {e}") from None


def main() -> int:
    """Exit code: 0 done, 1 the run failed, 2 bad input. The reason is in the log."""
    run = None

    def terminate(signum: int, frame: object) -> None:
        # no exception: one that comes while another is being handled would take the reason with it
        os._exit(fail(run, f"ended by signal {signum}", 1))

    signal.signal(signal.SIGTERM, terminate)
    try:
        cfg = config_from_env()
    except ValueError as e:
        return fail(None, f"bad input: {e}", 2)
    try:
        if cfg.eval_only:
            cfg = from_artifact(cfg)
        run = TrainerRun(cfg)
        pipeline(run)
        return 0
    except DataError as e:
        return fail(run, f"bad input: {e}", 2)
    except Exception as e:
        if isinstance(e.__context__, OSError):
            e = e.__context__  # of a full disk torch says only that a position is unexpected
        if not isinstance(e, (TrainingFailed, OSError)):
            traceback.print_exc()
        return fail(run, f"{type(e).__name__}: {e}", 1)


def fail(run: TrainerRun | None, reason: str, code: int) -> int:
    """Say why, once, in the log where there is one and can be written, and on stderr."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"error: {reason}", file=sys.stderr, flush=True)
    try:
        if run:
            run.log(f"error: {reason}")
            run.event("error", message=reason)
    except OSError:
        pass
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # no destructors: a peer that died must not keep this rank waiting in its process group
    os._exit(code)
