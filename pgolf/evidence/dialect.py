"""The words of this contest's logs, in every dialect seen: one pattern for each kind of line.

All patterns are lower case and see a lower-cased line (those of knobs, which keep their spelling, see the line as it
is); most are matched at its beginning. None can take more than linear time on a line of the length that they see.
"""

import math
import re

NUMBER = r"[-+]?(?:\d++\.?\d*+|\.\d++)(?:e[-+]?\d++)?"
VALUE = rf"({NUMBER}|nan|[-+]?inf)(?![\w.])"
UNIT = r"(ms|seconds|secs?|s|minutes|mins?|m)"

# losses during training: 'step:500/20000 train_loss:…' or '500/20000 val_loss: …'
STEP = re.compile(
    r"(?:(?:step|iter(?:ation)?)\s*[:=]?\s*|s[:=])(\d{1,12})(?:\s*/\s*(\d{1,12}))?(?=[\s:|,(])"
    r"|(\d{1,12})\s*/\s*(\d{1,12})(?=[\s:|,(])"
)
LOSS = re.compile(rf"(?<!\w)(?:(?:(val|train|test|eval)(?:idation|ing)?[_ ]?)?loss|(v|te)l|tr?l)\s*[:=]?\s*{VALUE}")
LOSS_ALONE = re.compile(rf"val loss {VALUE}$")  # of the step before: llm.c prints it so
STEP_TIME = re.compile(
    r"(?<!\w)(?:train_time|time|elapsed|total|t)(?P<suffix>_ms|_s|_seconds)?\s*[:=]"
    rf"\s*(?P<number>{NUMBER})\s*(?P<unit>{UNIT})?(?![\w.])"
)
# 'step 500 | loss 2.1 | … | 497s'
LAST_TIME = re.compile(rf"(?:\||\bt)\s*(?P<suffix>)(?P<number>{NUMBER})\s*(?P<unit>{UNIT})\s*$")
CLOCK = re.compile(r" train_time:[\d.]++m?s step_avg:[\w.]++$")  # all that follows a step where no loss was taken
PENDING_LOSS = re.compile(rf"(?:val[_ ]?)?loss\s*[:=]\s*{VALUE}$")  # on a line of its own, before bpb's

# scores of the finished model are in scores.py; here is who runs and how long it took
QUOTED_NAME = re.compile(r"""["'](\w+)["'](?=\s*:)""")  # of a dict that Python prints
BULLETS = "-*•>"
BULLET = re.compile(rf"^[{BULLETS}]\s+")
RULES = "=#*-"  # what a title is written between, if no colon ends it
TITLE = re.compile(rf"([^:=]{{3,100}}):|[{RULES}]{{2,12}}\s*([^=#*]{{3,100}}?)\s*[{RULES}]{{0,12}}")
EVALUATING = re.compile(
    r"(?:ttp|ttpp|ttpr|tttg|sliding_eval|ttt_chunk)\b|beginning ttt\b|\w*(?:ttt|sliding)\w*:(?:start|warming)"
)
PHASED = re.compile(r"ttp[pr]?\b")  # lines of adaptation in phases

# times and sizes
STOPPED = re.compile(
    r"(?<!\w)stopping[_ ]early\b|(?<!\w)training[_ ](?:done|complete|completed|finished|took)\b"
    r"|(?<!\w)(?:finished|completed) training\b"
)
TRAIN_TIME = re.compile(
    r"(?<!\w)(?:total[_ ])?train(?:ing)?[_ ](?:wall[_ ]?)?(?:time|clock|(?=sec))_?(?P<suffix>ms|s|seconds|secs)?"
    rf"\s*[:=]\s*(?P<number>{NUMBER})\s*(?P<unit>{UNIT})?(?![\w.])"
)
TRAINED_IN = re.compile(
    r"(?<!\w)(?:training[_ ](?:done|complete|completed|finished)\b|(?:finished|completed) training\b|training(?= took))"
    r"[^.;]{0,60}?\b(?:in|after|took)(?P<suffix>)"
    rf"\s*(?P<number>{NUMBER})\s*(?P<unit>{UNIT})(?![\w.])"
)
STOP_STEP = re.compile(r"(?<!\w)steps?\s*[:=]?\s*(\d+)|(?<!\d)(\d++)\s+steps\b")
TOTAL_EVAL = re.compile(rf"total[_ ]eval(?:uation)?[_ ]time(_ms|_s|_seconds)?\s*[:=]\s*~?({NUMBER})\s*{UNIT}?(?![\w.])")
EVAL_TOOK = re.compile(
    r"(?:[\w+-]+[ :]){0,4}?\w*(?:eval\w*|validation|round-?trip|scoring|pass|ppm|ngram)(?: check)?"
    rf"[_ ](?:time|took|elapsed)(_ms|_s|_seconds)?\s*[:=]?\s*(\d[\d,]*+(?:\.\d*+)?|{NUMBER})\s*{UNIT}(?![\w.])"
)
ADAPTED = re.compile(
    r"(?<!\w)(?:[a-z]\w{0,20}_)?(?:ttt|tta)\s*[:_ ]\s*(?:done|completed?|finished|total_time|elapsed)\b[^.;]{0,60}?"
    rf"(?<![\w.])({NUMBER})\s*{UNIT}(?![\w.])"
)
# what the model itself has written is no training data
SELF_CALIBRATES = re.compile(r"gptq\b.{0,40}\b(?:generat(?:ed|ing)\b|autoregressive|ar self|ar_)")
CALIBRATES = re.compile(r"(?:gptq\w*[: ]+)?(?:collecting hessians|calibrating|collecting calibration)\b")
CALIBRATED = re.compile(
    r"(?:gptq\w*[: ]+)?(?:hessians? )?(?:collected|calibrated|hessian_collection_time"
    r"|calibration (?:done|took|time|finished|complete))\b[^.;]{0,60}?"
    rf"(?:\bin|\btook|[:=]|\bdone|\btime)\s*({NUMBER})\s*{UNIT}\b"
)

# who runs
SEED = re.compile(r"(?<![\w-])seed(?:\s*[:=]\s*|\s+)(\d{1,18})(?![\w.]|\s*[,/&]\s*\d)")  # in whatever words

# the data, the model and the machine
WHOLE_FACTS = {
    "parameters": re.compile(r"(?:model_params|total_params|params|parameters)\s*[:=]\s*([\d,_]+)(?![\d.])"),
    "world_size": re.compile(r"(?:running .{0,200}?\bwith )?world_size\s*[:= ]\s*(\d+)"),
    "threads": re.compile(r"torch: .{0,120} threads: (\d{1,4})\b"),
    "val_tokens": re.compile(r"(?:val_tokens\s*[:=]|val_loader:.{0,200}?\btokens[:=])\s*([\d,_]+)"),
    "val_bytes": re.compile(r"val_bytes\s*[:=]\s*([\d,_]+)(?![\d.])"),
}
WORD_FACTS = {
    "weights_fingerprint": re.compile(r"weights_fingerprint\s*[:=]\s*([0-9a-f]{8,64})\b"),
    "scored_sha256": re.compile(r".{0,80}\b(?:scored|val)_sha256\s*[:=]\s*([0-9a-f]{64})\b"),
    "artifact_sha256": re.compile(r"artifact_sha256\s*[:=]\s*([0-9a-f]{64})\b"),
    "torch_version": re.compile(r"(?:(?:running )?pytorch|torch:) (\d\S{0,40})"),
    "hardware": re.compile(
        r"(?:(?:gpu|device)(?:[_ ]name)?\s*[:=]\s*|running .{0,120}?\bon (?:device_name=)?|\| device\s{1,40}\|\s*)"
        r"((?:nvidia|amd)\b(?:(?!\s+(?:with world_size|\|)).){0,80})"
    ),
}
GPU = re.compile(
    r"\|\s+(\d+)\s+((?:nvidia|amd|tesla)\b[^|]*?)\s+(?:on|off|n/a)\s+\||gpu (\d+): ((?:nvidia|amd|tesla)\b[^(]*)"
)
# what any of these patterns needs, tried first: most lines of a long log say nothing
FACT = re.compile(
    r"stop|train|total|gptq|collect|calib|hess|code|bytes|size|budget|submission|artifact|param|world_|val_|loss|weights_"
    r"|running |pytorch|torch|gpu|device|nvidia|tt[pg]|ttt|sliding|seed|hyper|bpb|bits.per|err|fault|traceback|omp_num"
    r"|time|took|scor|epoch"
)
ERROR = re.compile(
    r"traceback \(most recent call last\)|error:|.{0,200}\b(?:outofmemoryerror|childfailederror|cuda error|nccl error"
    r"|runtimeerror|assertionerror|segmentation fault)\b"
)

# knobs, source code, and where a run begins
KNOBS_TITLE = r"\W{0,4}(?:hyper-?parameters|hparams|config(?:uration)?|arg(?:ument)?s)\W{0,6}"
KNOBS = re.compile(KNOBS_TITLE)
KNOBS_INLINE = re.compile(KNOBS_TITLE + r"(?=\{)")
KNOBS_REPR = re.compile(r"(?:namespace|hyperparameters|config|args)\(.*\)")
REPR_ITEM = re.compile(r"([A-Za-z_]\w{0,99})=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,()\s]+)")
KNOB = re.compile(r"(\s*)[\"']?([A-Za-z_]\w*)[\"']?\s*[:=]\s?(.*)")
KNOB_TOKEN = re.compile(r"(?:([A-Za-z_]\w*):(?=[A-Za-z_]\w*=))?([A-Za-z_]\w*)([:=])([^\s:=/][^\s=]*)")
NO_KNOB = {"params", "model_params", "total_params", "val_tokens", "val_bytes", "weights_fingerprint", "step_avg"}
NO_KNOB |= {"scored_sha256", "val_sha256", "warmup", "warmup_step", "loop_warmup_step", "val_loss", "train_shards"}
NO_KNOB |= {
    "start",
    "started",
    "end",
    "ended",
    "done",
    "date",
    "time",
    "timestamp",
    "elapsed",
    "elapsed_ms",
    "elapsed_s",
}
DESCRIBES_DATA = re.compile(r"\w{0,30}loader\w{0,10}:|val_bpb:|data\w{0,30}:", re.I)  # and tells nothing of the method
BEGINS = re.compile(
    r"\W{0,4}hyper-?parameters\W{0,6}$|train_shards\s*[:=]|train_loader:|val_bpb:enabled|running (?:python|pytorch)\b"
    r"|seed\s*[:=]\s*-?\d+\s*$|[^\w]*(?:running |starting )?seed\W{0,3}\d+\W*$"
)
LAUNCHED = "setting omp_num_threads environment variable"  # torchrun's banner
SOURCE = re.compile(r"import \w|from [\w.]+ import |def \w|class \w|@\w|#!|\"\"\"|if __name__")
AFTER_SOURCE = re.compile(
    r"={50,}$|hyper-?parameters:$|(?:step:)?\d+/\d+ |(?:train_shards|world_size|model_params|seed|val_tokens):\s*\d"
    r"|val_bpb:enabled|logs/\S+$"
)


def seconds(number: str, unit: str | None, suffix: str | None = None) -> float | None:
    """A time in seconds, from its unit or from its name's suffix (_ms, _s, _seconds); None without either."""
    unit, value = unit or (suffix or "").removeprefix("_"), float(number.replace(",", ""))
    if not unit or not math.isfinite(value):
        return None
    return value / 1000 if unit == "ms" else value * 60 if unit.startswith("m") else value


def rounding(number: str, unit: str | None, suffix: str | None = None) -> float:
    """By how many seconds a printed time may be too large."""
    return 0.5 * (seconds("1", unit, suffix) or 0.0) * 10.0 ** -len(number.partition(".")[2])


def decimals(number: str) -> int:
    """Digits after the point of a printed number; 0 of one with an exponent."""
    return 0 if "e" in number.lower() else len(number.partition(".")[2])


def whole(text: str) -> int | None:
    """An integer with or without thousands separators; None where there is none of a sane length."""
    digits = text.replace(",", "").replace("_", "")
    return int(digits) if digits.isdecimal() and len(digits) <= 18 else None
