"""The words of this contest's logs, in every dialect seen: one pattern for each kind of line.

All patterns are lower case and see a lower-cased line (those of knobs, which keep their spelling, see the line as it
is); most are matched at its beginning. None can take more than linear time on a line of the length that they see.
"""

import math
import re

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
VALUE = rf"({NUMBER}|nan|[-+]?inf)(?![\w.])"
UNIT = r"(ms|seconds|secs?|s|minutes|mins?|m)"
PAIR = re.compile(rf"([a-z_][\w/]*)\s*[:=]\s*({NUMBER}|nan|[-+]?inf)\s*{UNIT}?(?![\w.])")

# losses during training: 'step:500/20000 train_loss:…' or '500/20000 val_loss: …'
STEP = re.compile(r"(?:step\s*[:=]?\s*(\d{1,12})(?:\s*/\s*(\d{1,12}))?|(\d{1,12})\s*/\s*(\d{1,12}))(?=[\s:|,(])")
LOSS = re.compile(rf"(?<!\w)(?:(val|train)[_ ]?)?loss\s*[:=]\s*{VALUE}")
STEP_TIME = re.compile(rf"(?<!\w)(?:train_time|time|t)(_ms|_s|_seconds)?\s*[:=]\s*({NUMBER})\s*{UNIT}?(?![\w.])")

# scores of the finished model: '<name> val_loss:… val_bpb:… eval_time:…ms'
BPB = re.compile(rf"(?<!\w)val[_ /]?(?:bpb|bits_per_byte)\s*[:=]\s*{VALUE}")
VAL_LOSS = re.compile(rf"(?<!\w)val[_ ]?loss\s*[:=]\s*{VALUE}")
EVAL_TIME = re.compile(
    rf"(?<!\w)(?:eval_time|eval|time|elapsed)(_ms|_s|_seconds)?\s*[:=]\s*({NUMBER})\s*{UNIT}?(?![\w.])"
)
PROGRESS = re.compile(r"\d\s*/\s*\d|\d\s?%|running")
OTHERS_SCORE = re.compile(
    r"\b(?:baseline|target|sota|prev|previous|claim|claimed|expected|goal|delta|gain|improve\w*|partial|best|so far"
    r"|threshold|leader\w*|to beat)\b"
)
EVALUATING = re.compile(
    r"(?:ttp|ttpp|ttpr|tttg|sliding_eval|ttt_chunk)\b|beginning ttt\b|\w*(?:ttt|sliding)\w*:(?:start|warming)"
)
PHASED = re.compile(r"ttp[pr]?\b")  # lines of adaptation in phases

# times and sizes
STOPPED = re.compile(r"stopping[_ ]early\b|training[_ ](?:done|complete|completed|finished)\b")
TRAIN_TIME = re.compile(
    r"(?<!\w)(?:total[_ ])?train(?:ing)?[_ ](?:wall[_ ]?)?(?:time|clock)(_ms|_s|_seconds)?"
    rf"\s*[:=]\s*({NUMBER})\s*{UNIT}?(?![\w.])"
)
STOP_STEP = re.compile(r"(?<!\w)steps?\s*[:=]\s*(\d+)")
TOTAL_EVAL = re.compile(rf"total[_ ]eval[_ ]time(_ms|_s|_seconds)?\s*[:=]\s*({NUMBER})\s*{UNIT}?(?![\w.])")
CALIBRATES = re.compile(r"(?:gptq\w*[: ]+)?(?:collecting hessians|calibrating|collecting calibration)\b")
CALIBRATED = re.compile(
    rf"(?:gptq\w*[: ]+)?(?:collected|calibrated|calibration (?:done|took|time|finished|complete))\b[^.;]{{0,60}}?"
    rf"(?:\bin|\btook|[:=]|\bdone|\btime)\s*({NUMBER})\s*{UNIT}\b"
)
CODE = re.compile(r"code[ _](?:size|bytes)\s*(?:\(([^)]*)\))?\s*[:=]\s*([\d,_]+)(?![\d.])")
MODEL = re.compile(r"(?:serialized|compressed|quantized)[ _]model\s*([^:=]{0,80}?)\s*[:=]\s*([\d,_]+) bytes")
ARTIFACT = re.compile(
    r"(?:total[_ ])?(?:submission|artifact)(?:[ _](?:size|bytes))*\s*([^:=]{0,80}?)\s*[:=]\s*([\d,_]+)(?![\d.])\s*"
    r"(?:bytes|b)?(?:\s|$)"
)
BUDGET = re.compile(r"budget\s*[:=]\s*([\d,_]+)\s*/\s*[\d,_]+")
INLINE_CODE = re.compile(r"artifact:.{0,200}\bcode:(\d{1,12})\b")

# the data, the model and the machine
WHOLE_FACTS = {
    "parameters": re.compile(r"(?:model_params|total_params|params|parameters)\s*[:=]\s*([\d,_]+)(?![\d.])"),
    "seed": re.compile(r"seed\s*[:=]\s*(\d{1,18})(?=\s*[|,;])"),  # 'Seed: 42 | world size: 8'
    "world_size": re.compile(r"world_size\s*[:=]\s*(\d+)"),
    "val_tokens": re.compile(r"(?:val_tokens\s*[:=]|val_loader:.{0,200}?\btokens[:=])\s*([\d,_]+)"),
    "val_bytes": re.compile(r"val_bytes\s*[:=]\s*([\d,_]+)(?![\d.])"),
}
WORD_FACTS = {
    "weights_fingerprint": re.compile(r"weights_fingerprint\s*[:=]\s*([0-9a-f]{8,64})\b"),
    "scored_sha256": re.compile(r".{0,80}\b(?:scored|val)_sha256\s*[:=]\s*([0-9a-f]{64})\b"),
    "artifact_sha256": re.compile(r"artifact_sha256\s*[:=]\s*([0-9a-f]{64})\b"),
    "torch_version": re.compile(r"(?:(?:running )?pytorch|torch:) (\d\S{0,40})"),
    "hardware": re.compile(r"(?:gpu|device)(?:[_ ]name)?\s*[:=]\s*((?:nvidia|amd)\b.{0,80})"),
}
GPU = re.compile(
    r"\|\s+(\d+)\s+((?:nvidia|amd|tesla)\b[^|]*?)\s+(?:on|off|n/a)\s+\||gpu (\d+): ((?:nvidia|amd|tesla)\b[^(]*)"
)
# what any of these patterns can begin with, tried first: most lines of a long log say nothing
FACT = re.compile(
    r"stopping|train|total|gptq|collect|calib|code|serial|compress|quant|submission|artifact|budget|model_p|param|world_"
    r"|val_|weights_|running |pytorch|torch|gpu|device|\||ttp|ttt|ttg|sliding|beginning|seed|\W{0,4}hyper"
)
FACT_WORDS = ("bpb", "rescor", "bits_per", "err", "fault", "traceback", "ttt", "sliding", "omp_num")
ERROR = re.compile(
    r"traceback \(most recent call last\)|error:|.{0,200}\b(?:outofmemoryerror|childfailederror|cuda error|nccl error"
    r"|runtimeerror|assertionerror|segmentation fault)\b"
)

# knobs, source code, and where a run begins
KNOBS_TITLE = r"\W{0,4}(?:hyper-?parameters|hparams|config(?:uration)?|arg(?:ument)?s)\W{0,6}"
KNOBS = re.compile(KNOBS_TITLE)
KNOBS_INLINE = re.compile(KNOBS_TITLE + r"(?=\{)")
KNOBS_REPR = re.compile(r"(?:namespace|hyperparameters|config|args)\(.*\)")
REPR_ITEM = re.compile(r"([A-Za-z_]\w*)=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,()\s]+)")
KNOB = re.compile(r"(\s*)[\"']?([A-Za-z_]\w*)[\"']?\s*[:=]\s?(.*)")
KNOB_TOKEN = re.compile(r"([A-Za-z_]\w*)[:=]([^\s:=/][^\s=]*)")
NO_KNOB = {"params", "model_params", "total_params", "val_tokens", "val_bytes", "weights_fingerprint"}
NO_KNOB |= {"scored_sha256", "val_sha256", "warmup", "warmup_step", "loop_warmup_step", "val_loss", "train_shards"}
LOADERS = {"val_bpb", "train_loader", "val_loader"}  # the first word of lines that describe the data
BEGINS = re.compile(
    r"\W{0,4}hyper-?parameters\W{0,6}$|train_shards\s*[:=]|train_loader:|val_bpb:enabled|running (?:python|pytorch)\b"
    r"|seed\s*[:=]\s*-?\d+\s*$"
)
LAUNCHED = "setting omp_num_threads environment variable"  # torchrun's banner
SOURCE = re.compile(r"import \w|from [\w.]+ import |def \w|class \w|@\w|#!|\"\"\"|if __name__")
AFTER_SOURCE = re.compile(
    r"={50,}$|hyper-?parameters:$|(?:step:)?\d+/\d+ |(?:train_shards|world_size|model_params|seed|val_tokens):\s*\d"
    r"|val_bpb:enabled|logs/\S+$"
)


def seconds(number: str, unit: str | None, suffix: str | None = None) -> float | None:
    """A time in seconds, from its unit or from its name's suffix (_ms, _s, _seconds); None without either."""
    unit, value = unit or (suffix or "").removeprefix("_"), float(number)
    if not unit or not math.isfinite(value):
        return None
    return value / 1000 if unit == "ms" else value * 60 if unit.startswith("m") else value


def whole(text: str) -> int | None:
    """An integer with or without thousands separators; None where there is none of a sane length."""
    digits = text.replace(",", "").replace("_", "")
    return int(digits) if digits.isdecimal() and len(digits) <= 18 else None
