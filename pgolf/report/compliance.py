"""The compliance statement of a submission, in the sections that this contest's reviewers expect.

Every statement says yes, no or unknown, and names the log lines or hashes that it rests on. A statement that nobody
has tested is unknown, whatever its author believes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgolf.audit.differences import KnobDifference, StageDifference, before_adaptation
from pgolf.audit.measures import Measure, artifact_size, calibrated_training, evaluation, worst
from pgolf.evidence.plan import Attempt, Plan
from pgolf.evidence.probes import Answer, Probed
from pgolf.evidence.run import Evidence, Run
from pgolf.ledger import StandingRecord
from pgolf.stages import BY_MODE, LEARNING, STAGES
from pgolf.stats.comparison import Comparison
from pgolf.tracks import Track

SCORE_FIRST = ("causal", "score before update")
ADAPTING = tuple(mode for mode, stage in BY_MODE.items() if stage.learns)


@dataclass(frozen=True)
class Statement:
    """A sentence, whether it holds (None: unknown), and the lines it rests on."""

    text: str
    holds: bool | None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts that the statements are made from."""

    track: Track
    runs: Sequence[Run]
    standing: StandingRecord
    comparison: Comparison | None
    plans: Sequence[Plan]
    attempts: Sequence[Attempt]
    knobs: Sequence[KnobDifference]
    stages: Sequence[StageDifference]
    program_bytes: int
    probed: Probed | None = None


def sections(facts: Facts) -> list[tuple[str, list[Statement]]]:
    """(title, statements) in order."""
    return [
        ("Score-first TTT", list(_adaptation(facts))),
        ("Tokenizer", list(_tokenizer(facts))),
        (f"{facts.track.limits.artifact_bytes:,} bytes, self-contained artifact", list(_artifact(facts))),
        ("Time", list(_time(facts))),
        ("Reproducibility", list(_reproducibility(facts))),
        (f"Full stack delta against {facts.standing.name}", list(_delta(facts))),
        ("Thresholds, and what is not claimed", list(_limits_of_this(facts))),
    ]


def flags(facts: Facts) -> dict[str, bool | None]:
    """The community's compliance keys for submission.json; null is unknown.

    A limit's key is true or false to the letter. Inside the grace another key stands in its place: training of 600.5 s
    with a grace of 1 s is neither `train_under_600s: true`, as it is not under 600 s, nor `false`, as the track lets it
    pass, but `train_under_600s_plus_1s_grace: true`.
    """
    limits, runs = facts.track.limits, facts.runs
    size, training, scoring = (worst(m, runs, limits) for m in (artifact_size, calibrated_training, evaluation))
    knobs = [k for r in runs for k in r.hyperparameters]
    megabytes = f"{limits.artifact_bytes / 1e6:g}".replace(".", "_")
    return {
        **_limit_flag(f"train_under_{limits.train_seconds:g}s", training),
        **_limit_flag(f"artifact_under_{megabytes}mb", size),
        **_limit_flag(f"eval_under_{limits.eval_seconds:g}s", scoring),
        "three_seeds": len(runs) >= 3,
        "no_pre_quant_ttt": _adapts_artifact_only(runs),
        **{f"no_{word}": _no_knob(knobs, word) for word in ("slot", "etlb", "ngram")},
        "score_first_ttt": _probes(facts, *SCORE_FIRST, evaluator=ADAPTING).holds,
    }


def _no_knob(knobs: Sequence[str], word: str) -> bool | None:
    return not any(word in k for k in knobs) if knobs else None


def _limit_flag(name: str, measure: Measure) -> dict[str, bool | None]:
    if measure.in_grace:
        return {f"{name}_plus_{measure.grace:g}s_grace": True}
    return {name: None if measure.value is None else measure.value <= measure.limit}


def _kept(measure: Measure) -> bool | None:
    return None if measure.status == "unknown" else measure.status != "fail"


def _adapts_artifact_only(runs: Sequence[Run]) -> bool | None:
    """Whether every adapted score comes after the quantised one, from the artifact."""
    kinds = [[s.kind for s in r.stages] for r in runs]
    if not kinds or any("quantized" not in k for k in kinds):
        return None
    return not any(LEARNING & set(k[: k.index("quantized")]) for k in kinds)


def _finals(facts: Facts) -> tuple[Evidence, ...]:
    return tuple(r.final.at for r in facts.runs if r.final)


def _knob(facts: Facts, name: str) -> str:
    values = {r.hyperparameters[name].value for r in facts.runs if name in r.hyperparameters}
    return values.pop() if len(values) == 1 else "unknown"


def _probes(facts: Facts, *names: str, evaluator: str | tuple[str, ...] = "") -> Answer:
    return facts.probed.answer(*names, evaluator=evaluator) if facts.probed else Answer(None, (), 0, 0)


def _tried(facts: Facts, answer: Answer) -> str:
    """How much the probes tried, for the end of a sentence."""
    if not facts.probed:
        return "it can be probed (pgolf probe), and nobody has"
    tried = f"at {answer.positions} positions or more, at least {answer.borders} of them at borders, "
    return f"tested {tried if answer.borders else ''}by {_whose(facts)}"


def _whose(facts: Facts) -> str:
    return f"the probes of seed {facts.probed.seed}'s artifact" if facts.probed else "no probe"


def _adaptation(facts: Facts) -> Iterator[Statement]:
    finals = [r.final for r in facts.runs]
    if all(final and final.kind in LEARNING for final in finals):
        stages = {final.name for final in finals if final}
        names = dict.fromkeys(knob for stage in STAGES if stage.name in stages for knob in stage.told)
        knobs = ", ".join(f"{name} {_knob(facts, name)}" for name in names)
        told = f" ({knobs})" if knobs else ""
        yield Statement(f"Every claimed score is the adapted pass over the artifact{told}.", True, _finals(facts))
    elif not any(s.kind in LEARNING for r in facts.runs for s in r.stages):
        yield Statement("Nothing is adapted at test time: no log has an adapted stage.", True, _finals(facts))
    yield Statement("No stage adapts before quantisation.", _adapts_artifact_only(facts.runs), _finals(facts))
    answer = _probes(facts, *SCORE_FIRST, evaluator=ADAPTING)
    yield Statement(
        f"Each token is scored before any update on it: {_tried(facts, answer)}.", answer.holds, answer.evidence
    )


def _tokenizer(facts: Facts) -> Iterator[Statement]:
    shas = {r.scored_sha256.value if r.scored_sha256 else None for r in facts.runs}
    at = tuple(r.scored_sha256.at for r in facts.runs if r.scored_sha256)
    same = facts.standing.scored_sha256 is not None and shas == {facts.standing.scored_sha256}
    name = facts.standing.name
    if same:
        text = f"Tokenizer and validation text are those of {name}: the validation tokens have the same SHA-256."
    else:
        note = facts.comparison.notes[0] if facts.comparison else "nothing to compare them by"
        text = f"Tokenizer and validation text are those of {name}: its logs give no hash of them; {note}."
    yield Statement(text, True if same else None, at)
    counted = tuple(r.val_bytes.at for r in facts.runs if r.val_bytes)
    yield Statement(
        "The bytes that bpb divides by are those of the text: the trainer adds up its bytes per token, decodes the "
        "validation tokens, and stops if the two differ.",
        True if facts.runs and len(counted) == len(facts.runs) else None,
        counted,
    )
    answer = _probes(facts, "byte-exact")
    documents = f"counted again, document by document, by {_whose(facts)}" if facts.probed else _tried(facts, answer)
    yield Statement(f"A document's bytes are the UTF-8 length of its text: {documents}.", answer.holds, answer.evidence)


def _artifact(facts: Facts) -> Iterator[Statement]:
    limit = facts.track.limits.artifact_bytes
    size = worst(artifact_size, facts.runs, facts.track.limits)
    at = tuple(r.artifact_bytes.at for r in facts.runs if r.artifact_bytes)
    yield Statement(f"Code and compressed model are at most {limit:,} bytes together.", _kept(size), at)
    codes = [r.code_bytes for r in facts.runs if r.code_bytes]
    yield Statement(
        f"The code that was counted is train_gpt.py in this folder ({facts.program_bytes:,} bytes).",
        all(c.value == facts.program_bytes for c in codes) if codes else None,
        tuple(c.at for c in codes),
    )
    answer = _probes(facts, "sealed")
    sealed = f"train_gpt.py gave the same score sealed off, in {_whose(facts)}" if answer.holds else "not shown"
    yield Statement(
        "Evaluation reads nothing but the artifact, the validation shards and the tokenizer, and uses no network: "
        f"{sealed}.",
        answer.holds,
        answer.evidence,
    )


def _time(facts: Facts) -> Iterator[Statement]:
    """A limit that is crossed inside the grace is kept with the grace, and the sentence says so."""
    for what, measure in (
        ("Training, with the pass over training data that calibrates the quantisation, takes", calibrated_training),
        ("The passes over the artifact that are scored take", evaluation),
    ):
        m = worst(measure, facts.runs, facts.track.limits)
        apart = " without diagnostic passes" if m.diagnostic else ""
        seed = f" (seed {m.seed})" if m.seed is not None else ""
        took = "an unknown time" if m.counted is None else f"{m.counted:.3f} s{apart}{seed}"
        grace = f", over the limit, inside the track's grace of {m.grace:g} s" if m.in_grace else ""
        yield Statement(f"{what} at most {m.limit:g} s: the longest took {took}{grace}.", _kept(m), m.evidence)


def _reproducibility(facts: Facts) -> Iterator[Statement]:
    plan = facts.plans[-1]
    first = min((a.started for a in facts.attempts if a.started), default=None)
    in_time = datetime.fromisoformat(facts.plans[0].created) <= datetime.fromisoformat(first) if first else None
    seeds = ", ".join(map(str, plan.seeds))
    yield Statement(f"Seeds {seeds} were named in plan.json before the first run was started.", in_time)
    if plan.added_seeds:
        added = ", ".join(map(str, plan.added_seeds))
        yield Statement(f"All seeds were named before any result was seen (added later: {added}).", False)
    finished = {r.seed.value for r in facts.runs if r.seed}
    yield Statement(
        f"Every planned seed is in the result, and all {len(facts.attempts)} attempts are listed below.",
        finished == set(plan.seeds) and {a.seed for a in facts.attempts} >= finished,
    )
    prints = [r.weights_fingerprint for r in facts.runs if r.weights_fingerprint]
    yield Statement(
        "The seeds are different runs: each began with other weights.",
        len({p.value for p in prints}) == len(prints) if len(prints) == len(facts.runs) else None,
        tuple(p.at for p in prints),
    )


def _delta(facts: Facts) -> Iterator[Statement]:
    known = bool(facts.standing.hyperparameters) and all(r.hyperparameters for r in facts.runs)
    yield Statement(
        f"The list of knobs above is the whole difference between the two dumps of hyperparameters ({len(facts.knobs)} "
        "knobs); left out are only seeds, paths, ranks and names of a run.",
        True if known else None,
    )
    if row := before_adaptation(facts.stages):
        total = facts.stages[-1].gain or 0.0
        yield Statement(
            f"The gain is not adaptation's alone: {row.gain:+.8f} bpb before it ({row.label}), {total:+.8f} after.",
            (row.gain or 0.0) > 0 if total > 0 else False,
        )
    yield Statement(
        f"Apart from these knobs the code is that of {facts.standing.name}; a dump of knobs cannot show that.", None
    )


def _limits_of_this(facts: Facts) -> Iterator[Statement]:
    yield Statement(
        "No statement rests on a threshold of epochs or chunk size: what counts is the order of scoring and training.",
        True,
    )
    answer = _probes(facts, *SCORE_FIRST, "normalised", "one pass")
    yield Statement(
        "The four conditions of community issue 1017 (causal, normalised, scored before update, one pass) hold for "
        f"every evaluator: {_tried(facts, answer)}.",
        answer.holds,
        answer.evidence,
    )
    policy = facts.track.policy
    yield Statement(
        f"The claim is the track's bar ({policy.margin_nats:g} nats at p < {policy.alpha:g}) by Welch's one-sided "
        "test; the paired difference is information only.",
        facts.comparison.clears if facts.comparison else False,
    )
