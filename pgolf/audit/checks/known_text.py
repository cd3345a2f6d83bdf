"""Whether a score divides by the bytes of the track's validation text, which the track's data file knows.

Bytes per token follow from a score's own loss and bpb; times the log's number of tokens they are the bytes that bpb
divides by. Bytes counted wrongly make every score of a record too low by the same share, and no two of its logs
disagree: only the text itself tells.
"""

import re
from statistics import median

from pgolf.audit.checks.review import Findings, Place, Review
from pgolf.audit.checks.slips import decimals_of
from pgolf.evidence.run import Run, Stage
from pgolf.stats.sample import LN2
from pgolf.tracks import KnownSplit, Track

SAME_COUNT = 5e-4  # relative: trainers leave out the end of a split, up to a row of all ranks
SAME_BYTES = 5e-4  # relative: bytes per token of that, and of stages that leave out more
OTHER_MIX = 0.02  # relative: bytes per token of parts of a text differ by up to this under one tokenizer
MORE_TEXT = 1.05  # times the bytes of the validation text that older splits have


def compare_bytes(review: Review, findings: Findings) -> None:
    """Report every score that does not divide by the bytes of the track's validation text."""
    if not (review.track.val_bytes or review.track.validation):
        if review.track.corpus and not review.track.record:
            findings.unknown(f"bytes per token: by its plan it is of corpus {review.track.corpus}, which is not known")
        return
    ratios = [(s.name, b) for _, s in review.scored if (b := s.bytes_per_token)]
    usual = {name: median(b for other, b in ratios if other == name) for name, _ in ratios}
    for run, final in review.scored:
        # one log alone that differs has a digit that was changed, as loss-bpb-consistent says
        if abs((final.bytes_per_token or 0) - usual.get(final.name, 0)) <= SAME_BYTES * usual.get(final.name, 0):
            _compare(review.name_of(run), run, final, review.track, findings)


def _compare(name: str, run: Run, final: Stage, track: Track, findings: Findings) -> None:
    per_token = final.bytes_per_token if not one_unit(final) else None
    places = (run.val_tokens, run.hyperparameters.get("vocab_size"), final)
    if per_token is None:
        findings.unknown(f"{name} has no loss in nats per token beside its bpb: bytes per token unknown", *places)
    elif run.val_tokens is None:
        _without_count(name, run, per_token, rounding(final), track, findings, places)
    elif split := _split_of(run, track):
        text = f"{name}: its {run.val_tokens.value:,} tokens are as many as {split.tokenizer} has"
        _with_split(text, split, per_token / (split.bytes / split.tokens), rounding(final), findings, places)
    elif track.val_bytes:
        counted = run.val_tokens.value * per_token
        _of_any_tokenizer(name, counted, rounding(final), track, findings, places)


def _split_of(run: Run, track: Track) -> KnownSplit | None:
    """The known split that a run's tokens are: as many, under a vocabulary of that size if the log says."""
    tokens = run.val_tokens.value if run.val_tokens else 0
    near = (s for s in track.validation if abs(tokens / s.tokens - 1) <= SAME_COUNT)
    return next((s for s in near if _vocabulary(run) in (None, s.vocab_size)), None)


def _vocabulary(run: Run) -> int | None:
    said = run.hyperparameters.get("vocab_size")
    return int(said.value) if said and re.fullmatch(r"\d{1,6}", said.value) else None


def _with_split(
    text: str, split: KnownSplit, ratio: float, near: float, findings: Findings, places: tuple[Place, ...]
) -> None:
    """`ratio` is that of the bytes counted to those that these tokens have."""
    off = abs(ratio - 1) - near
    if off <= SAME_BYTES:
        return
    said = f"{text} for {split.bytes / 1e6:,.2f} MB of text, its score divides by {ratio * split.bytes / 1e6:,.2f} MB"
    if ratio < 1:
        findings.warn(f"{said}: bpb is too high, or of another text", *places)
    elif off <= OTHER_MIX:
        findings.warn(f"{said}: bpb is {1 - 1 / ratio:.2%} too low, or of another text", *places)
    else:
        findings.fail(f"{said}: bytes are counted wrongly, and bpb is {1 - 1 / ratio:.1%} too low", *places)


def _of_any_tokenizer(
    name: str, counted: float, near: float, track: Track, findings: Findings, places: tuple[Place, ...]
) -> None:
    """Tokens of a tokenizer that the track does not know: the text has its bytes under any."""
    whole = track.val_bytes or 0
    ratio = counted / whole
    text = f"{name} scores {counted / 1e6:,.1f} MB of text, the validation split has {whole / 1e6:,.1f}"
    if abs(ratio - 1) <= 2 * SAME_BYTES + near:
        return
    if _spaces_twice(ratio, near, track):
        findings.fail(f"{text}: as much as if each space was counted twice", *places)
    elif ratio > MORE_TEXT:
        findings.warn(f"{text}: bytes were counted twice, or it is other text", *places)
    elif ratio < 1 / MORE_TEXT:
        findings.warn(f"{text}: it is a part of it", *places)
    else:
        findings.warn(f"{text}: it is another validation text, or bytes are counted otherwise", *places)


def _without_count(
    name: str,
    run: Run,
    per_token: float,
    near: float,
    track: Track,
    findings: Findings,
    places: tuple[Place, ...],
) -> None:
    """The log gives no number of tokens: bytes per token may be those of a tokenizer that the track knows."""
    vocabulary = _vocabulary(run)
    known = [(s, per_token * s.tokens / s.bytes) for s in track.validation if vocabulary in (None, s.vocab_size)]
    if any(abs(ratio - 1) <= SAME_BYTES + near for _, ratio in known):
        return
    text = f"{name}: {per_token:.4f} bytes per token"
    twice = next((s for s, ratio in known if _spaces_twice(ratio, near, track)), None)
    if twice:
        said = f"{text} are those of {twice.tokenizer} on the validation text with each space counted twice"
        findings.add("fail" if vocabulary else "warn", said, *places)
    elif vocabulary and known and min(ratio for _, ratio in known) > MORE_TEXT:
        most = max(s.bytes / s.tokens for s, _ in known)
        findings.warn(
            f"{text}, a tokenizer of {vocabulary} pieces has {most:.4f} on the validation text: bytes were counted "
            "twice, or it is another tokenizer or text",
            *places,
        )
    else:
        findings.unknown(
            f"{text} can't be compared with the validation text: no log gives the number of its tokens", *places
        )


def _spaces_twice(ratio: float, near: float, track: Track) -> bool:
    if not track.val_bytes or not track.val_spaces:
        return False
    return abs(ratio / (1 + track.val_spaces / track.val_bytes) - 1) <= SAME_BYTES + near


def one_unit(stage: Stage) -> bool:
    """Whether a score's loss is its bpb again, or nats per byte: it tells nothing of bytes per token."""
    near = rounding(stage)
    return any(stage.val_loss and abs(stage.val_loss / stage.val_bpb / unit - 1) <= near for unit in (1.0, LN2))


def rounding(stage: Stage) -> float:
    """How far the printed digits may move a stage's bytes per token, relatively. A log may print fewer of the loss."""
    of_loss = 0.5 * 10.0 ** -min(stage.decimals, decimals_of(stage.val_loss)) if stage.val_loss else 0.0
    return 0.5 * 10.0**-stage.decimals / stage.val_bpb + of_loss / (stage.val_loss or stage.val_bpb)
