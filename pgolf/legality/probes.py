"""The five probes that watch an evaluator from outside. See docs/legality.md for what each can and cannot show."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.budget import Budget, OutOfTime
from pgolf.legality.byte_exact import byte_exact
from pgolf.legality.normalisation import LOSS_TOLERANCE, SUM_TOLERANCE
from pgolf.legality.state import Heap
from pgolf.legality.stream_probe import Progress, StreamProbe
from pgolf.legality.streams import TAILS
from pgolf.legality.subject import Subject
from pgolf.phrases import counted

SHORT = 501  # positions of the last stream: a choice made on a whole stream is nearest to another one in a short one


def probe(
    subject: Subject,
    *,
    positions: int = 32,
    seeds: Sequence[int] = (0, 1),
    progress: Progress = lambda what, done, total: None,
    budget: Budget | None = None,
) -> list[ProbeResult]:
    """Probe an evaluator from outside: causal, normalised, score before update, one pass, byte-exact.

    Parameters
    ----------
    positions : positions a stream to change the tokens at.
    seeds : one stream each; where these are long, the first makes a short one, too.
    budget : of time; positions, and streams but the first, are left out where it ends, and `power` says so.

    Raises
    ------
    RunFailed : the evaluator raises, or does not offer the interface of `watch.Evaluator`.

    Examples
    --------
    >>> import torch
    >>> from pgolf.legality import subject_of
    >>> def uniform(tokens, want_logp=False):
    ...     n, logp = len(tokens) - 1, torch.full((len(tokens) - 1, 4), 0.25).log()
    ...     yield 1, -logp[:, 0], logp if want_logp else None
    >>> results = probe(subject_of("uniform", lambda: uniform, length=50), positions=8, seeds=(0,))
    >>> [(r.probe, r.passed) for r in results[:4]]
    [('causal', True), ('normalised', True), ('score before update', True), ('one pass', True)]
    """
    with Heap() as heap:
        streams = list(_streams(subject, seeds, positions, heap, progress, budget or Budget()))
    return [_causal(streams), _normalised(streams), _before_update(streams), _one_pass(streams), byte_exact(subject)]


def _streams(
    subject: Subject, seeds: Sequence[int], positions: int, heap: Heap, progress: Progress, budget: Budget
) -> Iterator[StreamProbe]:
    """The probes of as many streams as the budget has time for; of the first, always."""
    planned = [(subject, seed) for seed in seeds]
    if len(subject.stream(seeds[0])) > 4 * SHORT:
        planned.append((replace(subject, stream=lambda seed: subject.stream(seed)[: SHORT + 1]), seeds[0]))
    for i, (one, seed) in enumerate(planned):
        part = budget.part(len(planned) - i)
        if i and not budget.fits(3, part):
            return
        try:
            yield StreamProbe(one, seed, heap, budget=budget, until=part).run(positions, progress)
        except OutOfTime:
            if i == 0:
                raise
            return


def _lengths(streams: list[StreamProbe]) -> str:
    """How long the streams are, in words."""
    return " and ".join(str(n) for n in dict.fromkeys(s.n for s in streams))


def _within(streams: list[StreamProbe]) -> str:
    """A sentence on what there was no time for."""
    tried, wanted, budget = sum(len(s.tried) for s in streams), sum(s.wanted for s in streams), streams[0].budget
    if tried == wanted or any(s.decided for s in streams):
        return ""
    return f" Of {wanted} positions {tried} were tried within the budget of {budget.seconds:,.0f} s."


def _result(
    name: str, streams: list[StreamProbe], example: CounterExample | None, power: str, **facts: Any
) -> ProbeResult:
    """The result of one probe over all streams."""
    return ProbeResult(
        probe=name,
        subject=streams[0].subject.name,
        passed=example is None,
        deterministic=_unsteady(streams) is None,
        power=power,
        seeds=tuple(dict.fromkeys(s.seed for s in streams)),
        counter_example=example,
        notes=tuple(dict.fromkeys(note for s in streams for note in s.notes)) if name == "causal" else (),
        **facts,
    )


def _unsteady(streams: list[StreamProbe]) -> CounterExample | None:
    """An evaluator that does not repeat itself passes no probe that compares two passes."""
    return next((s.unsteady for s in streams if s.unsteady), None)


def _tried(streams: list[StreamProbe]) -> tuple[int, int, str]:
    """(positions, borders, sentence on what so many positions can show)."""
    tried, at_borders = (
        sum(len(s.tried) for s in streams),
        sum(len(s.at_borders.intersection(s.tried)) for s in streams),
    )
    share = 1 - 0.05 ** (1 / tried) if tried else 1.0
    rule = (
        f"An offence that shows at one in {1 / share:.0f} positions, whatever the change, is seen with 95 %"
        if tried
        else "Nothing was compared"
    )
    return tried, at_borders, rule


def _choices(streams: list[StreamProbe]) -> str:
    """A sentence on the choices that were made to change."""
    large = [kind for s in streams for kind in s.large]
    if not large:
        return ""
    return (
        f" A choice made on the whole stream, as by a dry run, is seen if it becomes another one by any of "
        f"{counted(len(large), 'change')} of nearly all the stream: {', '.join(dict.fromkeys(large))}."
    )


def _learns(streams: list[StreamProbe]) -> str:
    changes = [sum(a != b for a, b in pairwise(s.base.states)) for s in streams]
    pieces = [len(s.base.pieces) for s in streams]
    seen = (
        f"the state was seen to change {counted(sum(changes), 'time')}"
        if sum(changes)
        else "no state was seen to change"
    )
    return f"of {counted(sum(pieces), 'piece')}, between which {seen}"


def _causal(streams: list[StreamProbe]) -> ProbeResult:
    tried, at_borders, rule = _tried(streams)
    example = _unsteady(streams) or next((s.causal for s in streams if s.causal), None)
    compared = sum(sum(s.tried) for s in streams)
    power = (
        f"Streams of {_lengths(streams)} positions were changed from {counted(tried, 'position')} on, {at_borders} of "
        f"them at borders ({_learns(streams)}), by {', '.join(TAILS)}; {counted(compared, 'score')} and "
        f"{counted(tried, 'distribution')} that lie before a change were compared bit for bit. {rule}."
        f"{_within(streams)}{_choices(streams)}"
    )
    return _result("causal", streams, example, power, positions=tried, borders=at_borders)


def _before_update(streams: list[StreamProbe]) -> ProbeResult:
    tried, at_borders, rule = _tried(streams)
    example = _unsteady(streams) or next((s.update for s in streams if s.update), None)
    power = (
        f"One token was changed at {counted(tried, 'position')}, {at_borders} of them at borders: the "
        f"distribution there and the states before it ({_learns(streams)}) were compared bit for bit. {rule}."
        f"{_within(streams)}"
    )
    return _result("score before update", streams, example, power, positions=tried, borders=at_borders)


def _normalised(streams: list[StreamProbe]) -> ProbeResult:
    checks = [s.normalisation for s in streams]
    checked = sum(c.checked for c in checks)
    off, apart = max(c.worst_sum for c in checks), max(c.worst_loss for c in checks)
    power = (
        f"All distributions ({checked}) of {counted(len(streams), 'stream')} were summed: at most {off:.2g} from 1 "
        f"(allowed {SUM_TOLERANCE:g}). All losses were compared with −log p(target), and with those given where no "
        f"distributions are asked for: at most {apart:.2g} nats apart (allowed {LOSS_TOLERANCE:g}). Nothing of these "
        "streams was left out; other streams were not summed."
    )
    example = next((c.example for c in checks if c.example), None)
    return _result("normalised", streams, example, power, positions=checked)


def _one_pass(streams: list[StreamProbe]) -> ProbeResult:
    passes = sum(s.passes for s in streams)
    power = (
        f"{passes} passes over streams of {_lengths(streams)} positions, changed and unchanged: each yielded every "
        "position once and in order, and no score changed after it had been given. What an evaluator computes and does "
        "not yield is not seen; where it lets that choose, the other probes see it."
    )
    example = next((s.order for s in streams if s.order), None)
    return _result("one pass", streams, example, power, positions=sum(s.n for s in streams))
