"""All six probes of an artifact: what `pgolf probe ARTIFACT` and the record flow run."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pgolf.artifact import (
    EVALUATORS,
    MOST_BYTES,
    Artifact,
    check_mode,
    denormals_flushed,
    evaluate_artifact,
    in_folder,
    load_tokens,
    open_artifact,
    token_bytes,
)
from pgolf.data.opening import MOST_TOKENIZER
from pgolf.data.shards import write_shard
from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.event_schema import Score, Start, read_event_lines
from pgolf.evidence.probes import ProbeResult
from pgolf.knobs import EVALUATION
from pgolf.legality.byte_exact import byte_exact
from pgolf.legality.probes import probe
from pgolf.legality.sealed import result, run_sealed
from pgolf.legality.stream_probe import Progress
from pgolf.legality.subject import Subject
from pgolf.legality.watch import Evaluator
from pgolf.pack import unpack
from pgolf.pack.kept import is_kept, packed
from pgolf.pack.wrapper import unwrap
from pgolf.presets import as_env
from pgolf.python_source import MOST_BYTES as MOST_SOURCE
from pgolf.stages import BY_MODE, BY_NAME, SWITCHES, modes_of
from pgolf.trainer.caseops import SideCar, side_cars
from pgolf.trainer.config import BOS, MODEL_KNOBS, Knob
from pgolf.trainer.model import GPT
from pgolf.trainer.phased_ttt import blocks_of, documents, phased
from pgolf.trainer.score import Scored
from pgolf.untrusted import read_bytes

CHUNKS = 4  # whole chunks of adaptation in a stream, so that there are as many borders
# Of phased adaptation: documents are cut short, so that a stream has batches and phases; and the most of some knobs
DOCUMENTS, DOCUMENT = 40, 100
SHORT = {"ttt_chunk_size": 16, "ttt_eval_seq_len": 48, "ttt_batch_size": 2, "phased_ttt_group_docs": 6}
SHORT |= {"phased_ttt_prefix_docs": 12, "phased_ttt_num_phases": 2}


@denormals_flushed()
def probe_artifact(
    artifact: Path,
    train_gpt: Path | None,
    data_dir: Path,
    knobs: dict[str, Knob] | None = None,
    *,
    modes: Sequence[str] | None = None,
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
    modes : the evaluators to probe; None: all, with the kind of adaptation that `knobs` choose.
    positions, seeds : as of `probes.probe`, for each evaluator.
    device : a GPU seldom repeats adaptation bit for bit, without which nothing is shown.

    Raises
    ------
    BadInput : an artifact, a packed file or a dataset that cannot be used.
    RunFailed : an evaluator raises.
    """
    knobs = dict(knobs or {})
    if unknown := set(modes or ()) - EVALUATORS.keys():
        raise BadInput(
            f"no mode '{min(unknown)}'{did_you_mean(min(unknown), EVALUATORS)}; there are: {', '.join(EVALUATORS)}"
        )
    whole = in_folder(open_artifact(artifact, knobs | {"device": device}), data_dir)
    window = whole.cfg.eval_seq_len
    short = SHORT | {"ttt_chunk_tokens": 2 * window, "global_ttt_chunk_tokens": window}
    changed = {k: n for k, n in short.items() if n < getattr(whole.cfg, k)}
    opened = replace(whole, cfg=replace(whole.cfg, **changed))  # type: ignore[arg-type]
    opened.model.cfg = opened.cfg
    for mode in modes or modes_of(vars(opened.cfg)):
        check_mode(opened.cfg, mode)
    text = load_tokens(opened.cfg)
    length = min(len(text) - 1, CHUNKS * opened.cfg.ttt_chunk_tokens + window // 2 + 11)
    notes = [f"{name.upper()} {getattr(opened.cfg, name)}" for name in ("eval_seq_len", "eval_stride")]
    all_modes = modes_of(vars(opened.cfg))
    results = []
    for mode in modes or all_modes:
        *found, _ = probe(_subject(opened, mode, text, length), positions=positions, seeds=seeds, progress=progress)
        own = [k for k in changed if (k == "ttt_chunk_tokens") != BY_MODE[mode].by_document]
        cut = [f"{k.upper()} {changed[k]} where the record has {getattr(whole.cfg, k)}" for k in own]
        results += [replace(r, notes=(*r.notes, *notes, *cut)) for r in found]
    results.append(byte_exact(_subject(opened, "fixed", text, length)))
    progress("sealed", 0, 1)
    results.append(_sealed(opened, train_gpt, text[: length + 1], knobs, all_modes))
    return results


def _subject(opened: Artifact, mode: str, text: Tensor, length: int) -> Subject:
    def stream(seed: int) -> Tensor:
        if BY_MODE[mode].by_document:
            return cut_documents(text, seed)
        first = seed * 7919 * length % max(1, len(text) - length)
        return text[first : first + length + 1]

    def make() -> Evaluator:
        fresh = opened.fresh(mode)
        return Phased(fresh) if BY_MODE[mode].by_document else partial(EVALUATORS[mode], fresh)

    cfg = opened.cfg
    counter = token_bytes(cfg)
    # side-cars are of the validation split alone, and of text that its tokens no longer show
    counts = None if isinstance(counter, SideCar) else counter.count
    name = f"{mode} of {opened.path.name}"
    return Subject(name, make, stream, cfg.vocab_size, text, Path(cfg.tokenizer_path), counts)


class Phased:
    """Phased adaptation as a probe sees it: with the order that it scores in, which follows from where documents begin.

    The order is written down here again, so that it is compared with what the evaluator does.
    """

    document_start = BOS

    def __init__(self, model: GPT):
        self.model = model

    def __call__(self, tokens: Tensor, want_logp: bool = False) -> Iterator[Scored]:
        return phased(self.model, tokens, want_logp)

    def order(self, tokens: Tensor) -> list[int]:
        """Batch after batch, in it chunk after chunk, of it document after document."""
        cfg = self.model.cfg
        if cfg.phased_ttt_group_docs:
            return list(range(1, len(tokens)))
        spans = [
            (s + at, min(s + at + cfg.ttt_chunk_size, e))
            for batches, _ in blocks_of(cfg, tokens)
            for batch in batches
            for at in range(0, max(e - s for s, e in batch), cfg.ttt_chunk_size)
            for s, e in batch
            if s + at < e
        ]
        return [t + 1 for s, e in spans for t in range(s, e)]


def cut_documents(text: Tensor, seed: int) -> Tensor:
    """A stream of the beginnings of DOCUMENTS documents, of different lengths."""
    draw, found = random.Random(seed), documents(text)
    first = seed * 7919 % max(1, len(found) - DOCUMENTS)
    parts = [text[s : min(e, s + draw.randrange(4, DOCUMENT))] for s, e in found[first : first + DOCUMENTS]]
    return torch.cat([*parts, text[:1]])


def _sealed(
    opened: Artifact, train_gpt: Path | None, tokens: Tensor, knobs: dict[str, Knob], modes: Sequence[str]
) -> ProbeResult:
    """Run the packed file on `tokens` and nothing else; its scores must be those of the evaluators that were probed."""
    counter = token_bytes(opened.cfg)
    transformed = {"caseops_enabled": isinstance(counter, SideCar)}
    code = packed(_knobs_of(opened) | transformed | knobs) if train_gpt is None else read_bytes(train_gpt, MOST_SOURCE)
    name = f"{train_gpt.name if train_gpt else 'the packed trainer'} with {opened.path.name}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cfg = replace(opened.cfg, data_dir=str(folder / "data"), datasets_dir="", tokenizer_path="")
        (folder / "train_gpt.py").write_bytes(code)
        (folder / opened.path.name).write_bytes(read_bytes(opened.path, MOST_BYTES))
        write_shard(Path(cfg.datasets_dir) / "fineweb_val_000000.bin", tokens.numpy())
        if isinstance(counter, SideCar):
            write_shard(side_cars(cfg)[0], counter.sizes[: len(tokens)].numpy())
        Path(cfg.tokenizer_path).parent.mkdir(parents=True)
        Path(cfg.tokenizer_path).write_bytes(read_bytes(Path(opened.cfg.tokenizer_path), MOST_TOKENIZER))
        given = {k: getattr(cfg, k) for k in (*EVALUATION, "data_dir", "dtype")}
        given |= {"eval_only": opened.path.name, "run_id": "sealed", "compile": "0"} | dict.fromkeys(SWITCHES, True)
        given |= {"device": opened.model.tok_emb.weight.device.type}
        given |= transformed | {"cpu_threads": torch.get_num_threads()}
        run = run_sealed(folder / "train_gpt.py", [], folder, [], as_env(given))
        events = folder / "events.jsonl"
        said = [event for _, event in read_event_lines(events)] if events.exists() else []
        scores = {
            BY_NAME[e.stage].mode if e.stage in BY_NAME else e.stage: e.val_loss for e in said if isinstance(e, Score)
        }
        with_kernels = any(isinstance(e, Start) and (e.config or {}).get("cpu_kernels") is True for e in said)
        here = replace(opened, cfg=cfg, model=_rounding_alike(opened.model, with_kernels))
        expected = {mode: evaluate_artifact(here, mode).val_loss for mode in modes}
    what = f"the scores of {', '.join(modes)} on {len(tokens) - 1} tokens"
    return replace(result(name, run, scores == expected, what, len(tokens) - 1), notes=(_origin(code),))


def _rounding_alike(model: GPT, cpu_kernels: bool) -> GPT:
    """The model with CPU_KERNELS as the packed file has them: they round otherwise, and are no other evaluation."""
    if model.cfg.cpu_kernels == cpu_kernels:
        return model
    other = GPT(replace(model.cfg, cpu_kernels=cpu_kernels), model.dtype)
    other.load_state_dict(model.state_dict())
    other.looping = model.looping
    return other.to(model.tok_emb.weight.device)


def _knobs_of(opened: Artifact) -> dict[str, Knob]:
    """The parts that a packed file needs to score this artifact: knobs of the model and of evaluation, codecs."""
    knobs = {k: getattr(opened.cfg, k) for k in (*MODEL_KNOBS, *EVALUATION)}
    return knobs | {"compressor": opened.codec, "lqer_enabled": opened.has_factors}


def _origin(code: bytes) -> str:
    """How the packed file relates to the evaluators that were probed, apart from giving the same scores."""
    try:
        unwrap(code)  # BadInput for one that was changed afterwards
        ours = is_kept(code) or "same program" in unpack(code).partition("\n")[0]
    except BadInput:
        return "The file is no trainer packed by pgolf: the other probes ran other code, which gives the same scores."
    if not ours:
        return "The file is of another checkout than the one that probed: other code, which gives the same scores."
    return "The file is the program that this checkout packs: the other probes ran the same code."
