"""All six probes of an artifact: what `pgolf probe ARTIFACT` and the record flow run."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pgolf.artifact import (
    EVAL_KNOBS,
    EVALUATORS,
    Artifact,
    denormals_flushed,
    evaluate_artifact,
    in_folder,
    load_tokens,
    open_artifact,
    token_bytes,
)
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput
from pgolf.legality.probes import Progress, Subject, byte_exact, probe
from pgolf.legality.results import ProbeResult
from pgolf.legality.sealed import result, run_sealed
from pgolf.legality.watch import Evaluator
from pgolf.pack import pack, unpack
from pgolf.presets import as_env
from pgolf.trainer.caseops import SideCar, side_cars
from pgolf.trainer.config import Knob

STAGES = {"quantized": "fixed", "quantized_sliding_window": "sliding", "quantized_ttt": "ttt"}
CHUNKS = 4  # whole chunks of adaptation in a stream, so that there are as many borders


@denormals_flushed()
def probe_artifact(
    artifact: Path,
    train_gpt: Path | None,
    data_dir: Path,
    knobs: dict[str, Knob] | None = None,
    *,
    modes: Sequence[str] = tuple(EVALUATORS),
    positions: int = 10,
    seeds: Sequence[int] = (0,),
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> list[ProbeResult]:
    """Probe every evaluator of an artifact, the byte count, and the packed file that scores it, sealed.

    Parameters
    ----------
    train_gpt : the packed trainer; None: packed here, now.
    data_dir : the dataset; streams are cut from its validation split.
    knobs : the record's. Chunks of adaptation are made shorter, and notes say so: short streams have to have borders.
    positions, seeds : as of `probes.probe`, for each evaluator.
    device : a GPU seldom repeats adaptation bit for bit, without which nothing is shown.

    Raises
    ------
    BadInput : an artifact, a packed file or a dataset that cannot be used.
    RunFailed : an evaluator raises.
    """
    knobs = dict(knobs or {})
    whole = in_folder(open_artifact(artifact, knobs | {"device": device}), data_dir)
    window, chunk = whole.cfg.eval_seq_len, whole.cfg.ttt_chunk_tokens
    opened = replace(whole, cfg=replace(whole.cfg, ttt_chunk_tokens=min(chunk, 2 * window)))
    opened.model.cfg = opened.cfg
    text = load_tokens(opened.cfg)
    length = min(len(text) - 1, CHUNKS * opened.cfg.ttt_chunk_tokens + window // 2 + 11)
    notes = [
        f"{name.upper()} {getattr(opened.cfg, name)}" for name in EVAL_KNOBS if name in ("eval_seq_len", "eval_stride")
    ]
    if opened.cfg.ttt_chunk_tokens != chunk:
        notes.append(f"TTT_CHUNK_TOKENS {opened.cfg.ttt_chunk_tokens} where the record has {chunk}")
    results = []
    for mode in modes:
        *found, _ = probe(_subject(opened, mode, text, length), positions=positions, seeds=seeds, progress=progress)
        results += [replace(r, notes=(*r.notes, *notes)) for r in found]
    results.append(byte_exact(_subject(opened, modes[0], text, length)))
    progress("sealed", 0, 1)
    results.append(_sealed(opened, train_gpt, text[: length + 1], knobs))
    return results


def _subject(opened: Artifact, mode: str, text: Tensor, length: int) -> Subject:
    def stream(seed: int) -> Tensor:
        first = seed * 7919 * length % max(1, len(text) - length)
        return text[first : first + length + 1]

    def make() -> Evaluator:
        return partial(EVALUATORS[mode], opened.fresh())

    cfg = opened.cfg
    counter = token_bytes(cfg)
    # side-cars are of the validation split alone, and of text that its tokens no longer show
    counts = None if isinstance(counter, SideCar) else counter.count
    name = f"{mode} of {opened.path.name}"
    return Subject(name, make, stream, cfg.vocab_size, text, Path(cfg.tokenizer_path), counts)


def _sealed(opened: Artifact, train_gpt: Path | None, tokens: Tensor, knobs: dict[str, Knob]) -> ProbeResult:
    """Run the packed file on `tokens` and nothing else; its scores must be those of the evaluators that were probed."""
    code = pack(knobs).code if train_gpt is None else _read(train_gpt)
    name = f"{train_gpt.name if train_gpt else 'the packed trainer'} with {opened.path.name}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cfg = replace(opened.cfg, data_dir=str(folder / "data"), datasets_dir="", tokenizer_path="")
        (folder / "train_gpt.py").write_bytes(code)
        (folder / opened.path.name).write_bytes(opened.path.read_bytes())
        write_shard(Path(cfg.datasets_dir) / "fineweb_val_000000.bin", tokens.numpy())
        counter = token_bytes(opened.cfg)
        if isinstance(counter, SideCar):
            write_shard(side_cars(cfg)[0], counter.sizes[: len(tokens)].numpy())
        Path(cfg.tokenizer_path).parent.mkdir(parents=True)
        Path(cfg.tokenizer_path).write_bytes(Path(opened.cfg.tokenizer_path).read_bytes())
        given = {k: getattr(cfg, k) for k in (*EVAL_KNOBS, "data_dir", "dtype")}
        given |= {"eval_only": opened.path.name, "run_id": "sealed", "compile": "0", "ttt_enabled": True}
        given |= {"device": opened.model.tok_emb.weight.device.type, "sliding_window_enabled": True}
        given |= {"caseops_enabled": isinstance(counter, SideCar)}
        given |= {"cpu_threads": torch.get_num_threads()}
        run = run_sealed(folder / "train_gpt.py", [], folder, [], as_env(given))
        events = folder / "events.jsonl"
        lines = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        scores = {STAGES[e["stage"]]: e["val_loss"] for e in lines if e["event"] == "stage"}
        here = replace(opened, cfg=cfg)
        expected = {mode: evaluate_artifact(here, mode).val_loss for mode in EVALUATORS}
    what = f"the scores of {', '.join(EVALUATORS)} on {len(tokens) - 1} tokens"
    return replace(result(name, run, scores == expected, what, len(tokens) - 1), notes=(_origin(code),))


def _origin(code: bytes) -> str:
    """What the packed file has to do with the evaluators that were probed, beside giving the same scores."""
    try:
        ours = "same program" in unpack(code).partition("\n")[0]
    except BadInput:
        return "The file is no trainer packed by pgolf: the other probes ran other code, which gives the same scores."
    if not ours:
        return "The file is of another checkout than the one that probed: other code, which gives the same scores."
    return "The file is the program that this checkout packs: the other probes ran the same code."


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise BadInput(f"{path}: {e.strerror}") from None
