"""The logs and the folder themselves: complete, of one configuration, on one validation text, without contradiction."""

import re
from collections.abc import Iterable
from statistics import median
from typing import Any

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.differences import same_value
from pgolf.errors import BadInput
from pgolf.evidence.run import OF_THE_RUN, Evidence, Run, Sourced, Stage
from pgolf.stages import LEARNING, STAGES
from pgolf.stats.sample import SAME_TEXT, same_validation

SAME_STAGE = 1e-6  # bytes per token of one stage agree so over seeds, beside the rounding of the printed digits
EXPECTED_KNOB = re.compile(
    r".*(?:_dir|_path|_paths|_file|_files|logfile)|run_name|exp(?:eriment)?_name|host(?:name)?|master_(?:addr|port)"
    r"|wandb.*|train_log_every|val_loss_every"
)


def required_files(review: Review, findings: Findings) -> str:
    """README.md, submission.json, train_gpt.py and the logs are there."""
    sizes, claims = review.entry.sizes, review.entry.claims
    if not any(n.lower() == "readme.md" for n in sizes):
        findings.fail("there is no README.md")
    elif not review.entry.readme.strip():
        findings.fail("README.md is empty")
    if claims.file is None:
        findings.fail("there is no submission.json")
    elif claims.problem:
        findings.fail(f"{claims.file}: {claims.problem}", Evidence(claims.file, 1))
    elif claims.file != "submission.json":
        findings.warn(f"{claims.file} should be called submission.json", Evidence(claims.file, 1))
    program = review.entry.program
    if program is None:
        findings.fail("there is no train_gpt.py")
    elif program != "train_gpt.py":
        findings.warn(f"{program} should be called train_gpt.py")
    if not review.runs:
        findings.fail("there is no log of a run")
    if not review.track.ruled:
        findings.warn(f"there are no rules here of the track '{review.track.name}' that it names: none is checked")
    return "README.md, submission.json, train_gpt.py and the logs are there"


def log_complete(review: Review, findings: Findings) -> str:
    """Every log runs to its final score, with finite losses and without errors."""
    if not review.runs:
        findings.fail("there is no log of a run")
    reached = {s.kind for _, s in review.scored}
    for run in review.runs:
        name = review.name_of(run)
        for p in run.problems:
            harmless = p.kind == "error" and run.ended
            after = " (its score was there already)" if harmless else ""
            findings.add("warn" if harmless else "fail", f"{name}: {p.text}{after}", p.at)
        if not run.final:
            findings.fail(f"{name} ends without a final score", run.steps)
        elif reached & LEARNING and run.final.kind not in LEARNING:
            findings.fail(f"{name} ends at '{run.final.name}', the others go on to test-time training", run.final)
        elif missing := _missing_stage(run):
            findings.fail(
                f"{name} ends at '{run.final.name}': its knobs ask for a score of stage '{missing}' too", run.final
            )
        if run.final and run.scored_in not in (None, run.log):
            text = f"{name}: the score is from {run.final.at.file}, which nothing ties to this run but its seed"
            findings.warn(text, run.final)
    findings.show(*(s for _, s in review.scored))
    return f"{len(review.runs)} logs run to their final score"


def _missing_stage(run: Run) -> str | None:
    kinds = {s.kind for s in run.stages}
    for i, stage in reversed(list(enumerate(STAGES))):  # a later stage may stand in for one, an earlier one cannot
        value = run.hyperparameters.get(stage.switches[0][0]) if stage.switches else None
        if value and same_value(value.value, "True") and not kinds & {later.kind for later in STAGES[i:]}:
            return stage.label
    return None


def same_config(review: Review, findings: Findings) -> str:
    """The knobs are equal over seeds, but for names and paths."""
    dumps = {review.name_of(r): knobs(r) for r in review.runs if r.hyperparameters}
    names = sorted({k for dump in dumps.values() for k in dump})
    for knob in names:
        values = {log: dump[knob] for log, dump in dumps.items() if knob in dump}
        first = next(iter(values.values()))
        if not all(same_value(v.value, first.value) for v in values.values()):
            listed = ", ".join(f"{v.value} in {log}" for log, v in values.items())
            findings.fail(f"{knob} is {listed}", *values.values())
        elif len(values) < len(dumps):
            findings.warn(f"only {', '.join(values)} has the knob {knob} ({first.value})", *values.values())
    for what in ("parameters", "code_bytes", "torch_version"):
        sourced = [x for r in review.runs if (x := getattr(r, what))]
        if len({x.value for x in sourced}) > 1:
            listed = ", ".join(str(v) for v in sorted({x.value for x in sourced}))
            findings.add("fail" if what == "parameters" else "warn", f"{what} differs: {listed}", *sourced)
    if len(review.runs) > 1 and len(dumps) < len(review.runs):
        findings.unknown("not every log gives its knobs")
    return f"{len(names)} knobs are equal over {len(dumps)} logs"


def knobs(run: Run) -> dict[str, Sourced[str]]:
    """The knobs that make a configuration: no names, paths, ranks, and not the seed under any name."""
    seed = str(run.seed.value) if run.seed else None
    return {
        k: v
        for k, v in run.hyperparameters.items()
        if k not in OF_THE_RUN and not EXPECTED_KNOB.fullmatch(k) and not (k in ("s", "data_seed") and v.value == seed)
    }


def same_data(review: Review, findings: Findings) -> str:
    """Every seed was scored on one validation text, and on the previous record's."""
    known = False
    for what, name in (("scored_sha256", "hash of the"), ("val_tokens", "number of"), ("val_bytes", "bytes of the")):
        values: list[Sourced[Any]] = [x for r in review.runs if (x := getattr(r, what))]
        known = known or len(values) == len(review.runs)
        findings.show(*values)
        if len({x.value for x in values}) > 1:
            findings.fail(
                f"the {name} validation tokens differs over seeds: {_listed(x.value for x in values)}", *values
            )
    if not known:
        findings.unknown("the logs do not say what they were scored on")
    if not review.previous:
        return "one validation text"
    sample = review.sample()
    if not sample or sample.val_bytes is None:
        findings.unknown("not comparable with the previous record's validation text: bytes unknown")
        return ""
    try:
        return f"against {review.previous.name}: {same_validation(sample, review.previous.sample())}"
    except BadInput as e:
        findings.fail(str(e))
        return ""


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, dict.fromkeys(values)))


def loss_bpb_consistent(review: Review, findings: Findings) -> str:
    """Loss and bpb of each score have one ratio, the bytes per token of the validation text."""
    scores = [(run, s, b) for run in review.runs for s in run.stages if (b := s.bytes_per_token)]
    if not scores:
        findings.unknown("no log gives both loss and bpb of a score")
        return ""
    usual = {name: median(b for _, s, b in scores if s.name == name) for name in {s.name for _, s, _ in scores}}
    for run, s, b in scores:
        if abs(b / usual[s.name] - 1) > SAME_STAGE + 2 * _rounding(s):
            text = f"{review.name_of(run)}, {s.name}: {b:.6f} bytes per token, {usual[s.name]:.6f} in the other logs"
            findings.fail(text, s, *(x for _, x, _ in scores if x.name == s.name))
    last = scores[-1][1]
    for name, first in {s.name: s for _, s, _ in reversed(scores)}.items():
        if abs(usual[name] / usual[last.name] - 1) > SAME_TEXT + _rounding(first) + _rounding(last):
            text = f"{name}: {usual[name]:.4f} bytes per token, {last.name} has {usual[last.name]:.4f}"
            findings.fail(text, first, last)
    findings.show(*(s for _, s in review.scored))
    return f"{usual[last.name]:.4f} bytes per token throughout"


def _rounding(stage: Stage) -> float:
    """How far the printed digits may move a stage's bytes per token, relatively."""
    half = 0.5 * 10.0**-stage.decimals
    return half / stage.val_bpb + half / (stage.val_loss or stage.val_bpb)
