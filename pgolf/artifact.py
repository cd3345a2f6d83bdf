"""Scoring an artifact again: `pgolf eval`, and what the probes of legality run.

The model's own knobs come from the artifact, those of evaluation from whoever asks.
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgolf import presets
from pgolf.data.dataset import bytes_counter, check_starts, needs_documents
from pgolf.data.opening import check_validation, count_bytes, open_tokens
from pgolf.data.present import find_dataset
from pgolf.errors import BadInput, RunFailed, did_you_mean
from pgolf.files import sha256_file
from pgolf.knobs import EVALUATION, KNOBS, PLACES
from pgolf.pace import projected_end
from pgolf.stages import BY_MODE
from pgolf.trainer.caseops import SideCar
from pgolf.trainer.codec import MAX_RAW, ArtifactError, Shapes, decode, facts_of
from pgolf.trainer.config import BOS, KNOB_TYPES, MODEL_KNOBS, Config, Knob, parse_knob
from pgolf.trainer.data import DataError, load_validation, shards, tokens_sha256
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import restore
from pgolf.trainer.score import Scored, evaluate
from pgolf.trainer.token_bytes import TokenBytes
from pgolf.untrusted import Untrusted, read_bytes

MOST_BYTES = MAX_RAW  # of a file: eight times the contest's cap
FACTOR = "lqer."  # how names of tensors begin that hold a factor of an LQER repair
MOST_NUMBERS = 64  # for each byte of the file: as many were never seen in a model that has been trained for a step
EVALUATORS: dict[str, Callable[..., Iterator[Scored]]] = {
    mode: resolve_name(stage.function) for mode, stage in BY_MODE.items()
}


@dataclass(frozen=True)
class Artifact:
    """An artifact that has been read and holds together: `fresh()` gives its model."""

    path: Path
    sha256: str
    cfg: Config
    model: GPT
    codec: str
    has_factors: bool  # of LQER

    def fresh(self, mode: str = "fixed") -> GPT:
        """The model as the artifact has it, for an evaluator to change, with the knobs that switch the evaluator on."""
        model = copy.deepcopy(self.model)
        model.cfg = replace(model.cfg, **dict(BY_MODE[mode].switches))  # type: ignore[arg-type]  # they are bools
        return model


def open_artifact(path: Path, knobs: Mapping[str, Knob] | None = None) -> Artifact:
    """Read an artifact, a stranger's too: its knobs, shapes and counts are compared with their ranges, with one another
    and with the file's size before anything is made of them.

    `knobs` are those of evaluation and of places; the artifact's own are left out of them. EVAL_SEQ_LEN is the length
    that the model was trained at, where `knobs` do not say.

    Raises
    ------
    Untrusted : no such file, not an artifact of ours, a damaged one, or knobs that do not go with it.
    """
    blob = read_bytes(path, MOST_BYTES)
    try:
        codec, config, shapes = facts_of(blob)
        cfg = _configured(config, knobs or {})
        device, dtype = _place(cfg)
        _check_windows(cfg)
        _check_size(cfg, shapes, len(blob))
        tensors, _ = decode(blob)
        model = GPT(cfg, dtype)
        restore(model, tensors)
        model.looping = cfg.num_loops > 0
        with torch.no_grad():
            model(torch.zeros(1, 2, dtype=torch.int64))  # heads, rotary dimensions and loops go together
    except (DataError, ValueError, BadInput) as e:
        raise Untrusted(f"{path}: {e}") from None
    except (RuntimeError, ArithmeticError, LookupError, TypeError, MemoryError) as e:
        raise Untrusted(f"{path}: its config and its tensors make no model: {e}") from None
    has_factors = any(name.startswith(FACTOR) for name, _, _ in shapes)
    return Artifact(path, hashlib.sha256(blob).hexdigest(), cfg, model.to(device), codec, has_factors)


def _configured(config: dict[str, Any], knobs: Mapping[str, Knob]) -> Config:
    """The configuration of an artifact's own knobs, which are in range and make a model, and of those asked for."""
    if unknown := config.keys() - set(MODEL_KNOBS):
        raise ArtifactError(f"its config has other knobs: {sorted(unknown)}")
    own = {name: presets.parse(name, config.get(name, KNOB_TYPES[name]()), "its config") for name in MODEL_KNOBS}
    asked = {k: v for k, v in knobs.items() if k in (*EVALUATION, *PLACES)}
    window = int(asked.get("eval_seq_len", own["rope_train_seq_len"]))
    defaults = {"eval_seq_len": window, "ttt_eval_seq_len": window, "eval_stride": min(Config.eval_stride, window)}
    defaults["cpu_kernels"] = False  # as in packed files, whose scores have to be found again to the last digit
    cfg = presets.config_of(defaults | asked | own)
    # a packed file without gates has no knobs of theirs
    presets.check_shapes(
        replace(cfg, gate_window=cfg.gate_window or 1, attn_out_gate_src=cfg.attn_out_gate_src or "proj"), "its config"
    )
    return cfg


def _check_windows(cfg: Config) -> None:
    for name in EVALUATION:
        value = getattr(cfg, name)
        if not isinstance(value, str) and (problem := KNOBS[name].problem(value)):
            raise ValueError(f"{name.upper()} {value} {problem}")
    if not 1 <= cfg.eval_stride <= cfg.eval_seq_len:
        raise ValueError(f"EVAL_STRIDE {cfg.eval_stride} is not from 1 to EVAL_SEQ_LEN, {cfg.eval_seq_len}")


def _check_size(cfg: Config, shapes: Shapes, size: int) -> None:
    """A header may promise, and a config ask for, a model of any size; it is made only if both mean the same one, and
    the file has the bytes for it."""
    sizes = {name: math.prod(shape) for name, _, shape in shapes}
    if sum(sizes.values()) > MOST_NUMBERS * size:
        raise ValueError(
            f"{size:,} bytes that promise {sum(sizes.values()):,} numbers, which no trained model comes to"
        )
    held = sum(n for name, n in sizes.items() if not name.startswith(FACTOR))  # factors repair numbers, and are none
    with torch.device("meta"):
        wanted = sum(p.numel() for p in GPT(cfg).parameters())
    if wanted != held:
        raise ValueError(f"its config is of {wanted} numbers, it holds {held}")


def eval_knobs(preset: str | None, settings: Mapping[str, str], device: str = "auto") -> dict[str, Knob]:
    """The knobs of evaluation of a preset (None: the trainer's defaults), `settings` and `device` on top.

    BadInput for a setting that is no such knob: an artifact's model cannot be set.
    """
    allowed = (*EVALUATION, *PLACES)
    for name in settings:
        if name not in allowed:
            why = (
                "is the artifact's own"
                if name in MODEL_KNOBS
                else f"does not belong to evaluation{did_you_mean(name, allowed)}"
            )
            raise BadInput(f"--set {name}: this knob {why}")
    knobs = presets.load(preset) if preset else {}
    try:
        knobs |= {name: parse_knob(name, text) for name, text in settings.items()}
    except ValueError as e:
        raise BadInput(f"--set: {e}") from None
    return {k: v for k, v in knobs.items() if k in allowed} | ({} if device == "auto" else {"device": device})


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Arithmetic as in the trainer, which counts denormal numbers as zero; the process is left as it was found."""
    smallest = float("5e-324")
    before = smallest * 1.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _place(cfg: Config) -> tuple[torch.device, torch.dtype]:
    """Device and dtype as the trainer has them, so that the numbers are the same."""
    cuda = torch.cuda.is_available()
    if cfg.device not in ("auto", "cpu", "cuda") or (cfg.device == "cuda" and not cuda):
        raise BadInput(f"device '{cfg.device}': there is cpu{' and cuda' if cuda else ' here, and no CUDA device'}")
    device = torch.device("cuda" if cuda and cfg.device != "cpu" else "cpu")
    name = cfg.dtype if cfg.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    if name not in ("float32", "bfloat16"):
        raise BadInput(f"dtype '{name}': there are float32 and bfloat16")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    elif cfg.cpu_threads:
        torch.set_num_threads(cfg.cpu_threads)
    return device, getattr(torch, name)


def load_tokens(cfg: Config, split: str = "val", limit: int | None = None) -> Tensor:
    """Tokens of a split, int64 `[n + 1]`: the validation tokens as the trainer has them, or up to `limit` positions; of
    the validation split no more than the trainer scores.

    BadInput for a split that is not there or cannot be read.
    """
    try:
        if split == "val" and (limit is None or limit >= whole_positions(cfg)):
            check_validation(cfg)
            return load_validation(cfg)
        parts, have = [], 0
        for path in shards(cfg, split):
            parts.append(open_tokens(path)[: None if limit is None else limit + 1 - have])
            have += len(parts[-1])
            if limit is not None and have > limit:
                break
        tokens = torch.from_numpy(np.concatenate(parts).astype(np.int64))
    except DataError as e:
        raise BadInput(str(e)) from None
    if len(tokens) < 2 or int(tokens.max()) >= cfg.vocab_size:
        raise BadInput(f"{cfg.datasets_dir}: split '{split}' has {len(tokens)} tokens, up to {int(tokens.max())}")
    return tokens


def whole_positions(cfg: Config) -> int:
    """The positions of the validation split that the trainer scores: whole sequences, if it has one."""
    positions = sum(len(open_tokens(path)) for path in shards(cfg, "val")) - 1
    return positions // cfg.eval_seq_len * cfg.eval_seq_len or positions


def check_mode(cfg: Config, mode: str, split: str = "val") -> None:
    """BadInput if an evaluator, or the artifact's model, needs to see where documents begin, and the split's shards do
    not show it: as one document the text would have another score."""
    knob = needs_documents(replace(cfg, phased_ttt_enabled=False))
    what = f"--mode {mode}" if BY_MODE[mode].by_document else f"the artifact's {knob.upper()}" if knob else None
    try:
        if what:
            check_starts(cfg, split, what)
    except DataError as e:
        raise BadInput(str(e)) from None


def in_folder(artifact: Artifact, data_dir: Path) -> Artifact:
    """The artifact with its dataset in `data_dir`, or in the one folder of that which has its vocabulary.

    BadInput if there is none, or several. DATASETS_DIR and TOKENIZER_PATH, where they are set, are kept.
    """
    cfg = artifact.cfg
    own = Config(data_dir=cfg.data_dir, vocab_size=cfg.vocab_size)
    if (cfg.datasets_dir, cfg.tokenizer_path) != (own.datasets_dir, own.tokenizer_path):
        return artifact
    placed = replace(cfg, data_dir=str(find_dataset(data_dir, cfg.vocab_size)), datasets_dir="", tokenizer_path="")
    return replace(artifact, cfg=placed)


def token_bytes(cfg: Config, split: str = "val") -> TokenBytes:
    """The counter of the bytes of a split's tokens; BadInput if it cannot be used."""
    try:
        counter = bytes_counter(cfg)
        if isinstance(counter, SideCar) and split != "val":
            raise DataError(f"{cfg.datasets_dir}: only its validation split has byte side-cars, '{split}' has no bytes")
        return counter
    except DataError as e:
        raise BadInput(str(e)) from None


@dataclass(frozen=True)
class Evaluation:
    """A score, and of what."""

    artifact: str
    artifact_sha256: str
    mode: str
    split: str
    val_loss: float  # nats per token
    val_bpb: float  # bits per byte
    seconds: float
    positions: int
    documents: int  # that begin in the scored text, with BOS; 0: it does not show where documents begin
    bytes: int
    scored_sha256: str
    tokenizer_sha256: str
    device: str
    dtype: str
    threads: int
    knobs: dict[str, Knob]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class TimeLimit:
    """Stops a run that will not be done in time. `limit`: seconds, or None."""

    def __init__(self, limit: float | None, progress: Callable[[int, int], None]):
        self.limit, self.progress, self.started = limit, progress, time.monotonic()
        self.first: tuple[float, int] | None = None  # when the first piece was done, and how many positions that were

    def __call__(self, done: int, total: int) -> None:
        """Hear of `done` of `total` positions. RunFailed says by how much the limit would be missed.

        The first piece is no measure: caches are cold. The later it is, the less an estimate may be over the limit.
        """
        spent = time.monotonic() - self.started
        self.progress(done, total)
        if self.first is None:
            self.first = spent, done
        elif self.limit is not None and spent > 0.05 * self.limit:
            expected = projected_end(self.first, (spent, done), total)
            if expected is not None and expected - self.limit > 0.25 * max(0.0, self.limit - spent):
                raise RunFailed(
                    f"stopped after {spent:.1f} s at {done} of {total} positions: all would take about "
                    f"{expected:.0f} s, {expected - self.limit:.0f} s over the budget of {self.limit:g} s"
                )


@denormals_flushed()
def evaluate_artifact(
    artifact: Artifact,
    mode: str,
    split: str = "val",
    limit: int | None = None,
    max_seconds: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score a split with one of `EVALUATORS`.

    Parameters
    ----------
    limit : score only this many positions, for a quick look.
    max_seconds : stop as soon as it is plain that the run will take longer.
    progress : hears how many positions are done, and of how many.

    Raises
    ------
    BadInput : unknown mode; data or tokenizer that cannot be used.
    RunFailed : the budget is about to be missed, or the loss is not finite.
    """
    if mode not in EVALUATORS:
        raise BadInput(f"no mode '{mode}'{did_you_mean(mode, EVALUATORS)}; there are: {', '.join(EVALUATORS)}")
    cfg = artifact.cfg
    check_mode(cfg, mode, split)
    tokens, counter = load_tokens(cfg, split, limit), token_bytes(cfg, split)
    try:
        n_bytes = count_bytes(counter, tokens)
    except DataError as e:
        raise BadInput(f"{cfg.datasets_dir}: {e}") from None
    scored = EVALUATORS[mode](artifact.fresh(mode), tokens)
    try:
        loss, bpb, seconds = evaluate(scored, tokens, counter, 1, TimeLimit(max_seconds, progress))
    except RuntimeError as e:
        raise RunFailed(f"{artifact.path}: {e}") from e
    return Evaluation(
        artifact=str(artifact.path),
        artifact_sha256=artifact.sha256,
        mode=mode,
        split=split,
        val_loss=loss,
        val_bpb=bpb,
        seconds=seconds,
        positions=len(tokens) - 1,
        documents=int((tokens == BOS).sum()),
        bytes=n_bytes,
        scored_sha256=tokens_sha256(tokens),
        tokenizer_sha256=sha256_file(Path(cfg.tokenizer_path)),
        device=str(artifact.model.tok_emb.weight.device),
        dtype=str(artifact.model.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        knobs={k: getattr(cfg, k) for k in EVALUATION},
    )
