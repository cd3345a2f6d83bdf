"""The compliance statement of a submission, in the sections that this contest's reviewers expect.

Every statement says yes, no or unknown, and names the log lines or hashes that it rests on. A statement that nobody
has tested is unknown, whatever its author believes. pgolf knows what its own trainer does; of another program it knows
what the logs say and what the files weigh, and a log that does not speak of something shows nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pgolf.audit.checks.data import shared_of
from pgolf.audit.differences import before_adaptation
from pgolf.audit.measures import Measure, calibrated_training, evaluation, worst
from pgolf.evidence.probes import Answer
from pgolf.evidence.run import Evidence, Run
from pgolf.phrases import counted, signed
from pgolf.report.facts import Facts, Statement
from pgolf.stages import BY_MODE, LEARNING, STAGES

SCORE_FIRST = ("causal", "score before update")
SAME_RATIO, OTHER_RATIO = 1e-3, 1e-2  # relative differences in bytes per token: cut differently, other bytes
MOST_NAMED = 6  # files that a sentence names
ADAPTING = tuple(mode for mode, stage in BY_MODE.items() if stage.learns)


def sections(facts: Facts) -> list[tuple[str, list[Statement]]]:
    """(title, statements) in order."""
    return [
        ("Score-first TTT", list(_adaptation(facts))),
        ("Tokenizer", list(_tokenizer(facts))),
        (f"{facts.track.limits.artifact_bytes:,} bytes, self-contained artifact", list(_artifact(facts))),
        ("Time", list(_time(facts))),
        ("Reproducibility", list(_reproducibility(facts))),
        (f"Full stack delta{f' against {facts.standing.name}' if facts.standing else ''}", list(_delta(facts))),
        ("Thresholds, and what is not claimed", list(_limits_of_this(facts))),
    ]


def flags(facts: Facts) -> dict[str, bool | None]:
    """The community's compliance keys for submission.json; null is unknown.

    A limit's key is true or false to the letter. Inside the grace another key stands in its place: training of 600.5 s
    with a grace of 1 s is neither `train_under_600s: true`, as it is not under 600 s, nor `false`, as the track lets it
    pass, but `train_under_600s_plus_1s_grace: true`.
    """
    limits, runs = facts.track.limits, facts.runs
    training, scoring = (worst(m, runs, limits) for m in (calibrated_training, evaluation))
    megabytes = f"{limits.artifact_bytes / 1e6:g}".replace(".", "_")
    return {
        **_limit_flag(f"train_under_{limits.train_seconds:g}s", training),
        **_limit_flag(f"artifact_under_{megabytes}mb", facts.size),
        **_limit_flag(f"eval_under_{limits.eval_seconds:g}s", scoring),
        "three_seeds": len(runs) >= 3,
        "no_pre_quant_ttt": _by_absence(facts, _adapts_artifact_only(runs)),
        **{f"no_{word}": _no_knob(facts, word) for word in ("slot", "etlb", "ngram")},
        "score_first_ttt": _score_first(facts).holds,
        **({} if facts.claimed else {"record_claim": False}),
    }


def _no_knob(facts: Facts, word: str) -> bool | None:
    """Whether no knob has the word. Ours does nothing without a knob; names of another program's show nothing."""
    knobs = [k for r in facts.runs for k in r.hyperparameters]
    return not any(word in k for k in knobs) if knobs and facts.program.ours else None


def _by_absence(facts: Facts, holds: bool | None) -> bool | None:
    """An answer that is yes because a log does not speak of something: known of our trainer only."""
    return None if holds and not facts.program.ours else holds


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


def _score_first(facts: Facts) -> Answer:
    """Of the evaluators that adapt; of a program that is not ours, of all that were probed."""
    return _probes(facts, *SCORE_FIRST, evaluator=ADAPTING if facts.program.ours else "")


def _tried(facts: Facts, answer: Answer) -> str:
    """How much the probes tried, for the end of a sentence."""
    if not answer.evidence:
        if not facts.program.ours and not facts.program.evaluator:
            return "no evaluator of this program was given to probe"
        return "no probe has tried it" if facts.probed else "it can be probed (pgolf probe), and nobody has"
    tried = f"at {answer.positions} positions or more, at least {answer.borders} of them at borders, "
    return f"tested {tried if answer.borders else ''}by {_whose(facts)}"


def _whose(facts: Facts) -> str:
    if facts.probed and facts.program.evaluator:
        return f"the probes of {facts.program.evaluator}, which the author gives as the evaluation"
    return f"the probes of seed {facts.probed.seed}'s artifact" if facts.probed else "no probe"


def _adaptation(facts: Facts) -> Iterator[Statement]:
    finals, ours = [r.final for r in facts.runs], facts.program.ours
    if all(final and final.kind in LEARNING for final in finals):
        stages = {final.name for final in finals if final}
        names = dict.fromkeys(knob for stage in STAGES if stage.name in stages for knob in stage.told)
        knobs = ", ".join(f"{name} {_knob(facts, name)}" for name in names)
        told = f" ({knobs})" if knobs and ours else ""
        text = f"Every claimed score is the adapted pass over the artifact{told}"
        by_name = f", by the name that the logs give it: {', '.join(sorted(stages))}"
        yield Statement(f"{text}{'' if ours else by_name}.", _by_absence(facts, True), _finals(facts))
    elif not any(s.kind in LEARNING for r in facts.runs for s in r.stages):
        text = f"Nothing is adapted at test time: no log has an adapted stage{_shows_nothing(facts)}."
        yield Statement(text, _by_absence(facts, True), _finals(facts))
    only = _adapts_artifact_only(facts.runs)
    seen = f": the logs have no such stage{_shows_nothing(facts)}" if only and not ours else ""
    yield Statement(f"No stage adapts before quantisation{seen}.", _by_absence(facts, only), _finals(facts))
    answer = _score_first(facts)
    yield Statement(
        f"Each token is scored before any update on it: {_tried(facts, answer)}.", answer.holds, answer.evidence
    )


def _shows_nothing(facts: Facts) -> str:
    return "" if facts.program.ours else ", which does not show that there is none"


def _tokenizer(facts: Facts) -> Iterator[Statement]:
    yield _same_text(facts)
    yield _apart(facts)
    yield _bytes_counted(facts)
    if not facts.program.ours:
        yield _ratio(facts)
    answer = _probes(facts, "byte-exact")
    counted = f"counted again, document by document, by {_whose(facts)}"
    documents = counted if facts.probed and answer.evidence else _tried(facts, answer)
    yield Statement(f"A document's bytes are the UTF-8 length of its text: {documents}.", answer.holds, answer.evidence)


def _same_text(facts: Facts) -> Statement:
    """Whether the tokens that were scored are those of the record to beat."""
    standing = facts.standing
    if standing is None:
        return Statement("Tokenizer and validation text are those of the record to beat: none was named.", None)
    shas = {r.scored_sha256.value if r.scored_sha256 else None for r in facts.runs}
    at = tuple(r.scored_sha256.at for r in facts.runs if r.scored_sha256)
    text = f"Tokenizer and validation text are those of {standing.name}"
    if standing.scored_sha256 is not None and shas == {standing.scored_sha256}:
        return Statement(f"{text}: the validation tokens have the same SHA-256.", True, at)
    note = facts.comparison.notes[0] if facts.comparison else "nothing to compare them by"
    whose = "the logs here give" if standing.scored_sha256 else "its logs give"
    return Statement(f"{text}: {whose if standing.has_logs else 'they come with'} no hash of them; {note}.", None, at)


def _apart(facts: Facts) -> Statement:
    """Whether validation and training text are apart, as the dataset's manifest counted it."""
    text = "Validation text was kept out of the training text"
    try:
        shared = shared_of(facts.dataset)
    except ValueError:
        return Statement(f"{text}: nobody has counted.", None)
    exact = f"of {shared.documents:,} validation documents {shared.exact:,} are training documents token for token"
    return Statement(f"{text}: {exact}, {shared.said}.", not shared.too_many if shared.near else None)


def _bytes_counted(facts: Facts) -> Statement:
    counted = tuple(r.val_bytes.at for r in facts.runs if r.val_bytes)
    text = "The bytes that bpb divides by are those of the text"
    if not facts.program.ours:
        return Statement(f"{text}, token by token: pgolf has not seen how this program counts them.", None, counted)
    return Statement(
        f"{text}: the trainer adds up its bytes per token, decodes the validation tokens, and stops if the two differ.",
        True if facts.runs and len(counted) == len(facts.runs) else None,
        counted,
    )


def dataset_bytes_per_token(dataset: Mapping[str, Any]) -> float | None:
    """Of the validation text that a record's seeds were given, whose first token is not scored; None: unknown."""
    val_bytes, val_tokens = dataset.get("val_bytes"), dataset.get("val_tokens")
    return val_bytes / (val_tokens - 1) if val_bytes and val_tokens else None


def _ratio(facts: Facts) -> Statement:
    """Whether each log's own loss and score divide by as many bytes as the text that was scored has."""
    here = dataset_bytes_per_token(facts.dataset)
    text = "Loss and score of each log fit together by the bytes per token of this validation text"
    found = [r.bytes_per_token for r in facts.runs if r.bytes_per_token]
    if here is None or not found or len(found) < len(facts.runs):
        lacking = "no dataset.json gives them" if here is None else "not every log gives its own"
        return Statement(f"{text}: {lacking}.", None, _finals(facts))
    furthest = max(found, key=lambda b: abs(b / here - 1))
    difference = abs(furthest / here - 1)
    holds = True if difference <= SAME_RATIO else False if difference > OTHER_RATIO else None
    said = f"{furthest:.4f} by the log that is furthest, {here:.4f} in the dataset"
    return Statement(f"{text}: {said}.", holds, _finals(facts))


def _artifact(facts: Facts) -> Iterator[Statement]:
    limit = facts.track.limits.artifact_bytes
    at = tuple(r.artifact_bytes.at for r in facts.runs if r.artifact_bytes)
    text = f"Code and compressed model are at most {limit:,} bytes together"
    if facts.counted:
        logged, counted = (f"{m.value:,.0f}" if m.value is not None else "unknown" for m in facts.sizes)
        text += f": at most {counted} as pgolf counts the files, {logged} by the logs; the larger one decides"
    by_logs = "" if facts.counted or facts.program.ours else ", by the logs' own count"
    yield Statement(f"{text}{by_logs}.", _kept(facts.size), at)
    yield _code_counted(facts)
    answer = _probes(facts, "sealed")
    ran = facts.program.script if facts.program.ours or facts.program.eval_only is not None else "the evaluator"
    sealed = f"{ran} gave the same score sealed off, in {_whose(facts)}" if answer.holds else "not shown"
    yield Statement(
        "Evaluation reads nothing but the artifact, the validation shards and the tokenizer, and uses no network: "
        f"{sealed}.",
        answer.holds,
        answer.evidence,
    )


def _code_counted(facts: Facts) -> Statement:
    """Our trainer's log counts the packed file; another one may count compressed code, or one file of several."""
    program, size = facts.program, facts.program.code_bytes
    codes = [r.code_bytes for r in facts.runs if r.code_bytes]
    at = tuple(c.at for c in codes)
    if program.ours:
        text = f"The code that was counted is {program.script} in this folder ({size:,} bytes)."
        return Statement(text, all(c.value == size for c in codes) if codes else None, at)
    names = ", ".join(program.code[:MOST_NAMED]) + (", …" if len(program.code) > MOST_NAMED else "")
    text = f"The logs count the code that pgolf counts, {names} in this folder ({size:,} bytes)"
    if not codes:
        return Statement(f"{text}: they give no size of the code.", None)
    same = all(size in (c.value, r.source_bytes and r.source_bytes.value) for r in facts.runs if (c := r.code_bytes))
    logged = ", ".join(f"{n:,}" for n in sorted({c.value for c in codes}))
    return Statement(f"{text}{'' if same else f': they count {logged}'}.", same, at)


def _time(facts: Facts) -> Iterator[Statement]:
    """A limit that is crossed inside the grace is kept with the grace, and the sentence says so."""
    ours = facts.program.ours
    calibrating = "Training, with the pass over training data that calibrates the quantisation, takes"
    timed = ours or any(r.calibration_seconds for r in facts.runs)
    for what, measure in (
        (calibrating if timed else "Training takes", calibrated_training),
        ("The passes over the artifact that are scored take", evaluation),
    ):
        m = worst(measure, facts.runs, facts.track.limits)
        apart = " without diagnostic passes" if m.diagnostic else ""
        seed = f" (seed {m.seed})" if m.seed is not None else ""
        took = "an unknown time" if m.counted is None else f"{m.counted:.3f} s{apart}{seed}"
        grace = f", over the limit, inside the track's grace of {m.grace:g} s" if m.in_grace else ""
        clock = "" if ours else " by the logs' own clocks"
        yield Statement(f"{what} at most {m.limit:g} s{clock}: the longest took {took}{grace}.", _kept(m), m.evidence)
    if not ours and not any(r.calibration or r.calibration_seconds for r in facts.runs):
        yield Statement(
            "No pass over training data that calibrates the quantisation takes time outside that clock: the logs tell "
            "of none, which does not show that there is none.",
            None,
        )


def _reproducibility(facts: Facts) -> Iterator[Statement]:
    if facts.plans:
        yield from _planned(facts)
    else:
        yield Statement(
            "Seeds were named before the first run, and all runs are in the result: no plan is known.", None
        )
    prints = [r.weights_fingerprint for r in facts.runs if r.weights_fingerprint]
    silent = ": the logs give no fingerprint of them" if not prints and not facts.program.ours else ""
    yield Statement(
        f"The seeds are different runs: each began with other weights{silent}.",
        len({p.value for p in prints}) == len(prints) if len(prints) == len(facts.runs) else None,
        tuple(p.at for p in prints),
    )


def _planned(facts: Facts) -> Iterator[Statement]:
    plan = facts.plans[-1]
    first = min((a.started for a in facts.attempts if a.started), default=None)
    in_time = datetime.fromisoformat(facts.plans[0].created) <= datetime.fromisoformat(first) if first else None
    seeds = ", ".join(map(str, plan.seeds))
    yield Statement(f"Seeds {seeds} were named in plan.json before the first run was started.", in_time)
    if plan.added_seeds:
        added = ", ".join(map(str, plan.added_seeds))
        yield Statement(f"All seeds were named before any result was seen (added later: {added}).", False)
    if facts.alike:
        yield Statement(f"No other seeds of this program were run ({'; '.join(facts.alike)}).", False)
    finished = {r.seed.value for r in facts.runs if r.seed}
    yield Statement(
        f"Every planned seed is in the result, and all attempts ({len(facts.attempts)}) are listed below.",
        finished == set(plan.seeds) and {a.seed for a in facts.attempts} >= finished,
    )


def _delta(facts: Facts) -> Iterator[Statement]:
    if facts.standing is None:
        yield Statement("All that differs from the record to beat is listed: none was named.", None)
        return
    known = bool(facts.standing.hyperparameters) and all(r.hyperparameters for r in facts.runs)
    if facts.knobs.beside == "default":
        text = "The variables above are all knobs that differ: without a dump of them on both sides, nobody knows."
        yield Statement(text, None)
    else:
        yield Statement(
            "The list of knobs above is the whole difference between the two dumps of hyperparameters "
            f"({counted(len(facts.knobs.rows), 'knob')}); left out are only seeds, paths, ranks and names of a run.",
            True if known else None,
        )
    if row := before_adaptation(facts.stages):
        before, total = row.gain or 0.0, facts.stages[-1].gain or 0.0
        claim = "The gain is" if total > 0 else "There is a gain, and it is"
        yield Statement(
            f"{claim} not adaptation's alone: {signed(before, 8)} bpb before it ({row.label}), "
            f"{signed(total, 8)} after.",
            before > 0 if total > 0 else False,
        )
    text = f"Apart from these knobs the code is that of {facts.standing.name}"
    untold = "a dump of knobs cannot show that" if facts.program.ours else "pgolf has not compared the two"
    yield Statement(f"{text}; {untold}.", None)


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
    if not facts.claimed:
        yield Statement("No record is claimed, and no significance.", True)
        return
    policy = facts.track.policy
    yield Statement(
        f"The claim is the track's bar ({policy.margin_nats:g} nats at p < {policy.alpha:g}) by Welch's one-sided "
        "test; the paired difference is information only.",
        facts.comparison.clears if facts.comparison else False if facts.standing else None,
    )
