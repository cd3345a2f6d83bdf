"""The scores that a log prints of the finished model, each evaluation once.

A score is a number of bits per byte beside the name of what it measures. Running figures, differences, other
records' scores and means of seeds are none. An evaluation that is printed again is the one that is known already:
its exact figure after the rounded one, the clock of a pass inside another's, a summary, a grep of the log.
"""

import math
import re
from dataclasses import dataclass, replace

from pgolf.evidence.dialect import NUMBER, UNIT, VALUE, seconds
from pgolf.evidence.lines import printable
from pgolf.evidence.run import Evidence, Stage, stage_kind

MOST_STAGES = 1000

BPB = re.compile(
    rf"(?<![\w\"'])((?:[a-z]\w*[_/ ])??)(?:bpb|bits_per_byte|bits per byte)(?:_exact)?(\s*\([^()]{{0,40}}\))?"
    rf"(?:\s*[:=]\s*|\s+(?=\d+\.\d)){VALUE}"
)
# 'Sliding window eval complete: 1.1260 BPB', where the words leave no doubt that it is a result
BPB_AFTER = re.compile(
    r"(?=[^:=]{0,60}\b(?:final|result|score|quantized|round-?trip|sliding|ttt|eval\w*)\b)[a-z][^:=]{1,60}[:=]"
    r"\s*(\d\.\d{2,9})\s*(?:val[_ ])?bpb(?![\w ]{0,2}(?:gain|better|lower|worse|improve|gap|over|vs|from))\b"
)
EXACT = re.compile(rf"\bexact\s*[:=]\s*{VALUE}")
LOSS = re.compile(rf"(?<!\w)(?:val[_ ]?)?loss(?:\s*[:=]\s*|\s+(?=\d+\.\d)){VALUE}|(?<!\w)vl[:=]{VALUE}")
TIME = re.compile(
    rf"(?<!\w)(?:eval_time|eval|time|elapsed|took|t|wall)(_ms|_s|_seconds)?\s*[:=]\s*({NUMBER})\s*{UNIT}?(?![\w.])"
)
TIME_AFTER = re.compile(rf"(?:\(|\bin|\btook|\beval time)\s*()({NUMBER})\s*{UNIT}(?![\w.])")
PAIR = re.compile(rf"([a-z_][\w/]*)\s*[:=]\s*({NUMBER}|nan|[-+]?inf)\s*{UNIT}?(?![\w.])")
RUNNING = re.compile(r"\d\s*/\s*\d|\d\s?%|running|\b(?:epoch|chunk|iter\w*|batch|phase|docs?|windows?)[ :=#]{0,2}\d")
OTHERS = re.compile(
    r"\b(?:baseline|target|sota|prev|previous|claim|claimed|expected|goal|delta|gain|gap|diff|improve\w*|partial|best"
    r"|so far|threshold|leader\w*|to beat|mean|std|average of|degradation|drop|penalty|merged|reference|control)\b"
)
# of several figures on one line, those of the parts count least
PARTS = re.compile(r"\b(?:nn|model|neural|only|token|byte|base|ppm|lm)\b")
SEED = re.compile(r"\bseeds?\W{0,3}(\d{1,18})\b")
PART_OF_PASS = re.compile(r"pass[ _]?\d|phase[ _]?\d", re.I)
EDGES = " :=-|,>#*()[]{}\"'"
GENERAL = {"final", "val", "eval", "quantized", "legal", "post", "pre", "int6", "int8", "sliding", "diagnostic", "full"}
BARE = re.compile(r"(?:val|validation|eval|loss|[-|*#\W\d])*")


@dataclass(frozen=True)
class Score:
    """What a line says of an evaluation. `seed`: the run that it is of, where the line says so."""

    stage: Stage
    seed: int | None
    finite: bool


def read_score(text: str, low: str, at: Evidence, heading: str, loss: float | None) -> Score | None:
    """The score that a line gives, None where it is none.

    `heading` names a score whose own line does not, `loss` is the one that a line just before has given.
    """
    found = _main(low)
    after = None if found or "bpb" not in low else BPB_AFTER.match(low)
    if found:
        head = text[: found.start()]
        name = f"{_name(head)} {found[1].strip('_/ ').removeprefix('val')}".strip()
    elif after:
        name = printable(text[: after.start(1)].strip(EDGES), 80)
    else:
        return None
    if BARE.fullmatch(name.lower()):
        if re.search(r"\w", name) and not heading:
            return None  # 'VAL loss 2.1 bpb 1.3': a validation during training
        name = re.sub(r"\([^()]*\)", "", printable(heading, 80)).strip()
    if found and found[2]:
        name = f"{name} {found[2].strip()}".strip()
    plain = re.sub(r"[\W_]+", " ", name.lower())
    if "seeds" in plain or OTHERS.search(plain):
        return None
    bpb, exact = (found[3], EXACT.search(low, found.end())) if found else (after[1] if after else "", None)
    if exact and abs(float(exact[1]) - float(bpb)) <= _half_unit(bpb):
        bpb = exact[1]
    nats = LOSS.search(low)
    value = float(bpb)
    if nats:
        loss = float(nats[1] or nats[2])
    times = (*TIME.finditer(low), *TIME_AFTER.finditer(low))
    took = next((t for m in times if (t := seconds(m[2], m[3], m[1])) is not None), None)
    seed = SEED.search(low)
    if seed:
        took = None  # a summary's clock is the whole run's
    stage = Stage(
        name=name or "val_bpb",
        kind=stage_kind(name),
        val_loss=loss,
        val_bpb=value,
        eval_seconds=took or None,  # no pass takes 0 s
        decimals=0 if "e" in bpb else len(bpb.partition(".")[2]),
        at=at,
        diagnostic="diagnostic" in plain,
    )
    finite = math.isfinite(value) and value > 0 and (loss is None or (math.isfinite(loss) and loss > 0))
    return Score(stage, int(seed[1]) if seed else None, finite)


def is_running(low: str) -> bool:
    """Whether a score on this line is of an evaluation that still runs."""
    found = _main(low)
    return found is not None and RUNNING.search(low[: found.start()]) is not None


def _main(low: str) -> re.Match[str] | None:
    """Of the figures of bits per byte on a line, the whole method's."""
    if "bpb" not in low and "bits" not in low:  # most lines: quicker than the pattern
        return None
    found = list(BPB.finditer(low))
    return max(found, key=lambda m: (_rank(m[1]), -m.start()), default=None)


def _rank(metric: str) -> int:
    words = re.sub(r"[\W_]+", " ", metric)
    return 0 if OTHERS.search(words) else 1 if PARTS.search(words) else 3 if not words or words == "val " else 2


def _name(head: str) -> str:
    """A score's name as the log spells it: the words before it without its name:value pairs."""
    words = LOSS.sub(" ", head.lower())
    if "=" in words or ":" in words:
        words = PAIR.sub(" ", words)
    kept = words.strip(EDGES).split()
    spelled = {w.lower().strip(EDGES): w.strip(EDGES) for w in head.split()}
    return printable(" ".join(spelled.get(w.strip(EDGES), w) for w in kept), 80)


def add_stage(stages: list[Stage], stage: Stage) -> None:
    """Append a score, or take it together with the same evaluation's where the log has printed it before."""
    for number in range(len(stages) - 1, -1, -1):
        if _same_evaluation(stages[number], stage, number == len(stages) - 1):
            before = stages[number]
            stages[number] = _joined(before, stage)
            if _is_part(before) and number < len(stages) - 1:
                stages[number] = before  # its time may have been taken off it
            _without_parts(stages, number)
            return
    stages.append(stage)
    _without_parts(stages, len(stages) - 1)
    if len(stages) > MOST_STAGES:
        del stages[0]


def _joined(before: Stage, again: Stage) -> Stage:
    better = again if again.decimals > before.decimals else before
    named = before if again.kind == "other" and not _is_part(before) else again if _is_part(before) else better
    losses = [s.val_loss for s in (better, before, again) if s.val_loss is not None]
    return replace(
        better,
        name=named.name,
        kind=named.kind,
        val_loss=max(losses, key=_decimals, default=None),
        eval_seconds=_outer_clock(before.eval_seconds, again.eval_seconds),
        diagnostic=before.diagnostic,
    )


def _outer_clock(a: float | None, b: float | None) -> float | None:
    """Of two clocks of one pass the longer one; of two that only rounding tells apart the more exact one."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b, key=_decimals) if abs(a - b) <= 0.06 and _decimals(a) != _decimals(b) else max(a, b)


def _without_parts(stages: list[Stage], number: int) -> None:
    """Take the times off the passes inside this one, whose own clock has run through all of them."""
    took = stages[number].eval_seconds
    if took is None or _is_part(stages[number]):
        return
    for i in range(number - 1, -1, -1):
        part = stages[i]
        within = _is_part(part) and _family(part.name) == _family(stages[number].name)
        if not within or part.eval_seconds is None or part.eval_seconds > took:
            break
        stages[i] = replace(part, eval_seconds=None)


def _same_evaluation(a: Stage, b: Stage, adjacent: bool) -> bool:
    if (a.kind == "pre-quant") != (b.kind == "pre-quant"):
        return False
    if _is_part(a) and not _is_part(b) and not adjacent:
        return False  # only the pass around it has its score, and follows at once
    digits = min(a.decimals, b.decimals)
    if digits < 4 and not adjacent:
        return False
    half_unit = 0.51 * 10.0**-digits
    if abs(a.val_bpb - b.val_bpb) > half_unit:
        return False
    if a.val_loss is not None and b.val_loss is not None:
        printed = min(digits, _decimals(a.val_loss), _decimals(b.val_loss))
        if abs(a.val_loss - b.val_loss) > 0.51 * 10.0**-printed:
            return False
    if a.eval_seconds is None or b.eval_seconds is None:
        return True
    if _is_part(b) and not _is_part(a) and _family(a.name) != _family(b.name):
        return False  # the same computed again, inside another pass
    if digits >= 6 or (digits >= 4 and _family(a.name) == _family(b.name) != ""):
        return True  # no two passes agree so far by chance
    apart = abs(a.eval_seconds - b.eval_seconds)
    return apart <= 1.0 if a.decimals != b.decimals or digits < 4 else apart <= max(1.0, 0.02 * a.eval_seconds)


def _family(name: str) -> str:
    """The method by whose name a log calls all its passes: 'ppm' of ppm_mixer and ppm_sliding; '' of a general word."""
    word = re.split(r"[\W_]", name.lower())[0]
    return "" if word in GENERAL else word


def _is_part(stage: Stage) -> bool:
    return PART_OF_PASS.search(stage.name) is not None


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])


def _half_unit(number: str) -> float:
    return 0.51 * 10.0 ** -len(number.partition(".")[2])
