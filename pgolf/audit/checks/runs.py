"""The logs and the folder themselves: complete, of one configuration, on one validation text, without contradiction."""

import math
import re
from collections.abc import Iterable
from statistics import median
from typing import Any

from pgolf.audit.checks.known_text import compare_bytes, one_unit, rounding
from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.checks.slips import decimals_of
from pgolf.audit.differences import same_value
from pgolf.audit.measures import Status
from pgolf.errors import BadInput
from pgolf.evidence.lines import printable
from pgolf.evidence.run import OF_THE_RUN, Evidence, Problem, Run, Sourced, Stage
from pgolf.phrases import counted
from pgolf.stages import LEARNING, STAGES
from pgolf.stats.sample import SAME_TEXT, same_validation

SAME_STAGE = 1e-6  # bytes per token of one stage agree so over seeds, beside the rounding of the printed digits
RANKS = ("world_size", "grad_accum_steps")
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
    for name, problem in review.entry.unread.items():
        if name != claims.file:
            findings.warn(f"{printable(name)} is not read: {printable(problem)}")
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
            claimed_before = (
                run.claimed is not None and p.kind in ("error", "unfinished", "not-finite") and _after(p, run.claimed)
            )
            harmless = claimed_before or (p.kind == "error" and run.ended)
            after = " (its score was there already)" if harmless else ""
            findings.add("warn" if harmless else "fail", f"{name}: {p.text}{after}", p.at)
        if not run.final and _claims_validation(review, run):
            text = "it claims the last validation of its training; the artifact was never evaluated"
            findings.warn(f"{name} ends without a final score: {text}", run.val_curve[-1].at)
        elif not run.final:
            findings.fail(f"{name} ends without a final score", run.steps)
        elif reached & LEARNING and run.final.kind not in LEARNING:
            findings.fail(f"{name} ends at '{run.final.name}', the others go on to test-time training", run.final)
        elif missing := _missing_stage(run):
            text = f"{name} ends at '{run.final.name}': its knobs ask for a score of stage '{missing}' too"
            openly = _claimed_openly(review, run)
            findings.add("warn" if openly else "fail", text + ", of which nothing is claimed" * openly, run.final)
        if run.final and run.scored_in not in (None, run.log):
            text = f"{name}: the score is from {run.final.at.file}, which nothing ties to this run but its seed"
            findings.warn(text, run.final)
    findings.show(*(s for _, s in review.scored))
    return f"{counted(len(review.runs), 'log')}, run to the final score"


def _claims_validation(review: Review, run: Run) -> bool:
    """Whether the claimed loss is openly that of the last validation, on a track that is for no records."""
    said = review.entry.claims.by_seed.get(run.seed.value) if run.seed else None
    claim = (said and said.val_loss) or review.entry.claims.val_loss
    if review.track.record or not run.val_curve or claim is None:
        return False
    return claim.is_of(run.val_curve[-1].loss, decimals_of(run.val_curve[-1].loss))


def _claimed_openly(review: Review, run: Run) -> bool:
    """Whether the last score that a log has is the claimed one, to the digit: of what lacks, nothing is claimed."""
    finals = [s.val_bpb for _, s in review.scored]
    claim, headline = review.entry.seed_claim(run), review.entry.claims.val_bpb
    if run.final is None:
        return False
    if claim or headline is None or len(finals) < len(review.runs):
        return claim is not None and claim.is_of(run.final.val_bpb, run.final.decimals)
    return headline.is_of(math.fsum(finals) / len(finals), run.final.decimals)


def _after(problem: Problem, stage: Stage | None) -> bool:
    return stage is not None and problem.at.file == stage.at.file and problem.at.line > stage.at.line


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
    seeds = [r.seed.value for r in review.runs if r.seed]
    one_seed = len(seeds) == len(review.runs) and len(set(seeds)) == 1  # arms of an experiment, which claim no mean
    status: Status = "warn" if one_seed and len(review.runs) > 1 else "fail"
    one_batch = len({_batch(dump) for dump in dumps.values()}) == 1
    for knob in names:
        values = {log: dump[knob] for log, dump in dumps.items() if knob in dump}
        first = next(iter(values.values()))
        if not all(same_value(v.value, first.value) for v in values.values()):
            listed = ", ".join(f"{v.value} in {log}" for log, v in values.items())
            ranks_only = knob in RANKS and one_batch
            findings.add("warn" if ranks_only else status, f"{knob} is {listed}", *values.values())
        elif len(values) < len(dumps):
            findings.warn(f"only {', '.join(values)} has the knob {knob} ({first.value})", *values.values())
    for what in ("parameters", "code_bytes", "torch_version"):
        sourced = [x for r in review.runs if (x := getattr(r, what))]
        if len({x.value for x in sourced}) > 1:
            listed = ", ".join(str(v) for v in sorted({x.value for x in sourced}))
            findings.add(status if what == "parameters" else "warn", f"{what} differs: {listed}", *sourced)
    if len(review.runs) > 1 and len(dumps) < len(review.runs):
        findings.unknown("not every log gives its knobs")
    return f"all knobs ({len(names)}) are equal over {counted(len(dumps), 'log')}"


def _batch(dump: dict[str, Sourced[str]]) -> float | None:
    """Micro-batches of a step over all ranks, which stay the same where fewer ranks take more turns."""
    numbers = [say for name in RANKS if (say := dump.get(name)) and re.fullmatch(r"\d{1,6}", say.value)]
    return math.prod(int(n.value) for n in numbers) if len(numbers) == len(RANKS) else None


def knobs(run: Run) -> dict[str, Sourced[str]]:
    """The knobs that make a configuration: no names, paths, ranks, and not the seed under any name."""
    seed = str(run.seed.value) if run.seed else None
    return {
        k: v
        for k, v in run.hyperparameters.items()
        if k not in OF_THE_RUN and not EXPECTED_KNOB.fullmatch(k) and not (k in ("s", "data_seed") and v.value == seed)
    }


def same_data(review: Review, findings: Findings) -> str:
    """Every seed was scored on one validation text, the track's and the previous record's, and divides by its bytes."""
    known = False
    for what, name in (("scored_sha256", "hash of the"), ("val_tokens", "number of"), ("val_bytes", "bytes of the")):
        values: list[Sourced[Any]] = [x for r in review.runs if (x := getattr(r, what))]
        known = known or len(values) == len(review.runs)
        findings.show(*values)
        if len({x.value for x in values}) > 1:
            findings.fail(
                f"the {name} validation tokens differs over seeds: {_listed(x.value for x in values)}", *values
            )
    compare_bytes(review, findings)
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
    scores = [(r, s, b) for r in review.runs for s in r.stages if (b := s.bytes_per_token) and not one_unit(s)]
    if not scores:
        findings.unknown("no log gives both loss and bpb of a score")
        return ""
    usual = {name: median(b for _, s, b in scores if s.name == name) for name in {s.name for _, s, _ in scores}}
    for run, s, b in scores:
        if abs(b / usual[s.name] - 1) > SAME_STAGE + 2 * rounding(s):
            text = f"{review.name_of(run)}, {s.name}: {b:.6f} bytes per token, {usual[s.name]:.6f} in the other logs"
            findings.fail(text, s, *(x for _, x, _ in scores if x.name == s.name))
    last = scores[-1][1]
    for name, first in {s.name: s for _, s, _ in reversed(scores)}.items():
        if abs(usual[name] / usual[last.name] - 1) > SAME_TEXT + rounding(first) + rounding(last):
            text = f"{name}: {usual[name]:.4f} bytes per token, {last.name} has {usual[last.name]:.4f}"
            findings.warn(f"{text}: of other tokens, or a digit was changed", first, last)
    findings.show(*(s for _, s in review.scored))
    return f"{usual[last.name]:.4f} bytes per token throughout"
