"""`pgolf fit`: find the clip widths with which a finished run's model fills the cap at the least loss."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.event_schema import Start, Stop, read_event_lines
from pgolf.files import write_atomic
from pgolf.presets import config_of, parse
from pgolf.trainer.codec import Tensors, check_codec, encode
from pgolf.trainer.config import KNOB_TYPES, MODEL_KNOBS, Config
from pgolf.trainer.data import DataError, Loader
from pgolf.trainer.fit_to_cap import NARROWEST, fit_to_cap, mean_loss, widths_of
from pgolf.trainer.mixed_bits import Probe
from pgolf.trainer.model import GPT
from pgolf.trainer.quantize import Hessians, quantise
from pgolf.untrusted import Untrusted


@dataclass(frozen=True)
class Fit:
    """Clip widths, bytes of the model's file and loss in nats: as the run had them, and as found."""

    cap: int
    code_bytes: int
    loss_tokens: int
    unseen: bool  # whether the run had not trained on the text of the losses
    widths_before: dict[str, float]
    model_bytes_before: int
    loss_before: float
    widths: dict[str, float]
    model_bytes: int
    loss: float

    @property
    def total_bytes(self) -> int:
        return self.code_bytes + self.model_bytes

    @property
    def at_the_narrowest(self) -> bool:
        """Whether the widths could not be made any narrower, so that the cap is not filled."""
        return max(self.widths.values()) <= NARROWEST

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"total_bytes": self.total_bytes}


def fit(
    run: Path,
    cap: int,
    code_bytes: int | None = None,
    overrides: Mapping[str, str] | None = None,
    loss_tokens: int = 32768,
    output: Path | None = None,
    log: Callable[[str], object] = print,
) -> Fit:
    """Search the clip widths of the model in the folder `run` and pack it.

    Hessians are taken on the text that the run calibrated on, losses on text after the last that it trained on. If
    the run trained on all its text, it has seen that of the losses, and `Fit.unseen` is False.

    Parameters
    ----------
    run : a working folder of the trainer, with final_model.pt and events.jsonl.
    cap : bytes that code and model may have together.
    code_bytes : bytes of the code; default: the number that the run logged.
    overrides : knobs that differ from the run's, name to text: `data_dir`, `compressor`, `size_margin`,
        `gptq_calibration_batches`, …; knobs of the model are refused.
    loss_tokens : tokens of unseen text for each loss, at least.
    output : where to write the artifact, if anywhere.

    Raises
    ------
    BadInput : a folder that is no finished run, or whose data is not there; more text than there is; an output that
        cannot be written; knobs with which nothing is quantised.
    RunFailed : no clip widths make it fit, or the disk is full.
    """
    if output:
        _check_output(output)
    cfg, steps, world, logged_code = _facts(run, overrides or {})
    code = logged_code if code_bytes is None else code_bytes
    cfg = replace(cfg, size_cap=cap)
    config = {k: v for k, v in asdict(cfg).items() if k in MODEL_KNOBS and v}

    def pack(tensors: Tensors) -> bytes:
        return encode(tensors, config, cfg.compressor, cfg.brotli_lgwin)

    model = _model(run, cfg)
    try:
        check_codec(cfg.compressor)
        calibration, loader = _loader(cfg, world), _loader(cfg, world)
        text, unseen = _text_after(loader, steps * (cfg.grad_accum_steps or 8 // world), loss_tokens)
    except DataError as e:
        raise BadInput(f"{e}; --set data_dir=… says where the data is") from None
    hessians = _hessians(model, calibration, -(-cfg.gptq_calibration_batches // world))
    if not any(p.numel() > cfg.passthrough_numel for name, p in model.named_parameters() if name in hessians):
        raise BadInput("nothing of this model is quantised: see GPTQ_CALIBRATION_BATCHES and PASSTHROUGH_NUMEL")
    before = quantise(model, hessians, cfg, 0, 1, log)
    found, tensors, blob = fit_to_cap(cfg, model, hessians, text, pack, code, log)
    if code + len(blob) > cap:
        raise RunFailed(f"no clip widths make it fit: code and model have {code + len(blob):,} bytes, the cap {cap:,}")
    if output:
        try:
            write_atomic(output, blob)
        except OSError as e:
            raise RunFailed(f"{output}: {e.strerror}") from None
    return Fit(
        cap=cap,
        code_bytes=code,
        loss_tokens=text[0].numel(),
        unseen=unseen,
        widths_before=widths_of(cfg),
        model_bytes_before=len(pack(before)),
        loss_before=float(mean_loss(model, before, *text)),  # the last use of the model's own weights is over
        widths=widths_of(found),
        model_bytes=len(blob),
        loss=float(mean_loss(model, tensors, *text)),
    )


def _check_output(output: Path) -> None:
    """Raise BadInput before the search if `output` cannot be written."""
    folder = next(p for p in output.absolute().parents if p.exists())
    if output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BadInput(f"{output}: no file can be written there")


def _text_after(loader: Loader, batches: int, tokens: int) -> tuple[tuple[Tensor, Tensor], bool]:
    """Inputs and targets `[B, T]`, at least `tokens` of each, that follow the first `batches`; and whether the loader
    gives them before it begins anew. BadInput if the text has fewer tokens."""
    held = sum(map(len, loader.starts))
    wanted = math.ceil(tokens / (loader.sequences * loader.length))
    if wanted * loader.sequences > held:
        raise BadInput(f"{tokens:,} tokens for each loss: the run's training text has {held * loader.length:,}")
    loader.skip(batches)
    pairs = [loader.next() for _ in range(wanted)]
    text = torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])
    return text, (batches + wanted) * loader.sequences <= held


def _facts(run: Path, overrides: Mapping[str, str]) -> tuple[Config, int, int, int]:
    """Knobs, steps trained, ranks and bytes of code of a finished run."""
    start, stop = None, None
    try:
        for _, event in read_event_lines(run / "events.jsonl"):
            start = event if isinstance(event, Start) else start
            stop = event if isinstance(event, Stop) else stop
    except Untrusted as e:
        raise BadInput(f"{e}; name a folder that the trainer worked in") from None
    if start is None or stop is None:
        raise BadInput(f"{run / 'events.jsonl'}: not of a run that trained to its end: no start or no stop event")
    steps, world, code = stop.step, start.world_size, start.code_bytes
    if start.config is None or steps is None or world is None or code is None:
        raise BadInput(f"{run / 'events.jsonl'}: not of a run that trained to its end: it lacks a fact")
    knobs = {k: v for k, v in start.config.items() if k in KNOB_TYPES}
    if wrong := overrides.keys() & set(MODEL_KNOBS):
        raise BadInput(f"--set {min(wrong)}: the model is the run's own and cannot be set")
    own = {name: parse(name, text, where="--set") for name, text in overrides.items()}
    if "data_dir" in own:
        knobs |= {"datasets_dir": "", "tokenizer_path": ""}
    else:
        knobs["datasets_dir"] = str(run / knobs["datasets_dir"])  # the run's folder was its working folder
    return config_of(knobs | own), steps, world, code


def _model(run: Path, cfg: Config) -> GPT:
    """The run's averaged weights, before quantisation."""
    model = GPT(cfg)
    try:
        model.load_state_dict(torch.load(run / "final_model.pt", map_location="cpu", weights_only=True))
    except OSError as e:
        raise BadInput(f"{run / 'final_model.pt'}: {e.strerror}") from None
    except Exception as e:  # torch.load and load_state_dict raise whatever they meet
        raise BadInput(f"{run / 'final_model.pt'}: does not fit the knobs of this run: {e}") from None
    model.looping = cfg.num_loops > 0
    return model


def _loader(cfg: Config, world: int) -> Loader:
    """The batches of the run's rank 0, from the first."""
    accum = cfg.grad_accum_steps or 8 // world
    sequences = cfg.train_batch_tokens // (world * accum * cfg.train_seq_len)
    return Loader(cfg, 0, world, sequences, torch.device("cpu"))


@torch.no_grad()
def _hessians(model: GPT, loader: Loader, batches: int) -> dict[str, Tensor]:
    """The Hessians of the run's calibration text; with MIXED_BITS also the rows' sensitivities."""
    hessians, probe = Hessians(model), Probe(model) if model.cfg.mixed_bits_enabled else None
    for _ in range(batches):
        (probe or model)(loader.next()[0])
    full = hessians.finish(1)
    return full | (probe.finish(full, model.cfg.gptq_damp, 1) if probe else {})
