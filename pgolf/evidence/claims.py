"""A record's statements about itself: submission.json, and the words of its README. Claims, not evidence.

Every number keeps the digits that it was printed with: 1.0810 claims four decimals, no more.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pgolf.evidence.claimed_seeds import MOST_SEEDS, SCORES, is_score, objects, said_of_seeds, score_name
from pgolf.evidence.lines import printable
from pgolf.evidence.run import Evidence
from pgolf.untrusted import Untrusted, parse_json, read_text

MAX_CLAIMS_BYTES = 1 << 18  # bytes of a submission.json or a README that are read
MOST_DECIMALS, TELLING_DECIMALS, ROUND_ZEROS = 99, 4, 3
LEAST_BYTES = 10_000  # of an artifact
SCORE_OR_NOT, MOST_BPB = {"score", "bpb"}, 20  # a score of more is of something else
MOST_FILES = 1000  # files of code that are listed

NAMED_MEAN_BPB = (
    *("mean_val_bpb", "val_bpb_mean", "mean_bpb", "bpb_mean", "val_bpb_avg", "avg_val_bpb"),
    *("val_bpb_3seed_mean", "val_bpb_mean_3seed", "mean_final_val_bpb", "final_val_bpb_mean"),
)
MEAN_BPB = ("val_bpb", "val_bpb_ttt", "val_bpb_sliding", "final_val_bpb", "final_bpb", "bpb", "score")
MEAN_LOSS = ("val_loss", "mean_val_loss", "val_loss_mean", "mean_val_loss_nats", "val_loss_sliding", "final_val_loss")
STD_BPB = ("val_bpb_std", "std_val_bpb", "std_bpb", "bpb_std")
STD_LOSS = ("val_loss_std", "std_val_loss", "std_val_loss_nats", "loss_std")
TOTAL_BYTES = (
    *("bytes_total", "artifact_bytes", "artifact_size_bytes", "artifact_bytes_max", "total_bytes"),
    *("total_submission_bytes", "submission_bytes", "total_artifact_bytes", "bytes_artifact", "artifact_size"),
)
STEPS = ("steps", "train_steps", "step_stop", "training_steps")
SEED_LOSS = ("val_loss", "val_loss_nats", "final_val_loss", "loss")
CODE_BYTES = ("bytes_code", "code_bytes")
T_STATISTIC = ("t_statistic", "t_stat", "welch_t")
P_VALUE = ("p_value", "p_one_sided", "welch_p")
PROSE, MOST_PROSE = ("title", "blurb", "description", "summary", "notes", "note"), 5000
OF_ITSELF = re.compile(
    r"(?<![a-z])non[- ]record (?:submission|negative|result|entry|run\b|experiment|exploration)", re.I
)
OF_A_TEST = re.compile(r"signif|welch|test|stat")
SECONDS = {"train": ("train_time", "train", "training_time"), "eval": ("eval_time", "ttt_eval_time", "eval")}
SEED_LISTS = ("seeds", "seeds_run", "seeds_complete", "seed_list", "seeds_used")
SEED_COUNTS = ("n_seeds", "num_seeds", "seed_count")
SUMMARIES = ("results", "result", "metrics", "summary", "scores", "mean", "statistics", "aggregate")
NO_RECORD = (
    "is_record",
    "record",
    "record_claim",
    "non_record",
    "record_type",
    "submission_type",
    "status",
    "name",
    "type",
)
NEVER_ZERO = {
    *MEAN_BPB,
    *NAMED_MEAN_BPB,
    *MEAN_LOSS,
    *STD_BPB,
    *STD_LOSS,
    *TOTAL_BYTES,
    *CODE_BYTES,
}  # a zero there is a blank
NUMBER_TEXT = re.compile(r"\s*([<≤]?)[=~≈]?\s*([-+.\deE,_]{1,40})\s*(?:(?:±|\+/-)[\s\d.eE-]{1,30})?")


@dataclass(frozen=True)
class Claim:
    """A number as somebody printed it. `bound` is '<' where only a bound is claimed, as in p < 0.001."""

    value: float
    decimals: int
    at: Evidence
    bound: str = ""
    name: str = ""  # its key in submission.json

    @property
    def unit(self) -> float:
        """One unit of the last digit printed."""
        return 10.0**-self.decimals

    def agrees(self, value: float, decimals: int = MOST_DECIMALS) -> bool:
        """Whether `value`, known to so many `decimals`, may have been printed so: rounded, cut off, or averaged from
        rounded figures. A claim with more digits than the value has is compared in those that both have."""
        slack = 0.5 if self.decimals == 1 else 1.0  # 1.0 is no claim of 1.079
        return abs(value - self.value) <= 1.0001 * max(slack * self.unit, 10.0**-decimals)

    @property
    def rounded(self) -> "Claim":
        """A count whose last digits are zeros, three or more, as one that was rounded there: 15,980,000 bytes."""
        digits = f"{self.value:.0f}"
        zeros = len(digits) - len(digits.rstrip("0"))
        return replace(self, decimals=-zeros) if self.decimals <= 0 and zeros >= ROUND_ZEROS else self

    def is_of(self, value: float, decimals: int = MOST_DECIMALS) -> bool:
        """Whether it is `value` to the digit, rounded or cut off, and has digits enough to be told from others."""
        unit = max(self.unit, 10.0**-decimals)
        rounded, cut_off = abs(value - self.value) <= 0.5001 * unit, -1e-4 * unit <= value - self.value < unit
        return self.decimals >= TELLING_DECIMALS and (rounded or cut_off)

    def __str__(self) -> str:
        if self.decimals > 8 and abs(self.value) < 1e-3:
            return f"{self.bound}{self.value:.4g}"
        return f"{self.bound}{self.value:,.{min(max(self.decimals, 0), 8)}f}"


@dataclass(frozen=True)
class SeedClaim:
    """The claims about one seed. Bytes, seconds, bpb, nats per token."""

    seed: int
    val_bpb: Claim | None = None
    val_loss: Claim | None = None
    artifact_bytes: Claim | None = None
    steps: Claim | None = None
    train_seconds: Claim | None = None
    eval_seconds: Claim | None = None
    others: tuple[Claim, ...] = ()  # its other scores in bpb


@dataclass
class Claims:
    """The claims of submission.json; None where it says nothing. `problem` says why it could not be read."""

    file: str | None = None
    problem: str | None = None
    text: str = ""
    track: str | None = None
    name: str | None = None
    author: str | None = None
    github_id: str | None = None
    date: str | None = None
    hardware: str | None = None
    previous_record: str | None = None
    program: str | None = None  # the script that ran, if it is not called train_gpt.py
    code: tuple[str, ...] = ()  # the files that it counts as code
    no_record: bool = False  # it says that it is none
    val_bpb: Claim | None = None  # the headline
    mean_bpb: Claim | None = None  # the mean over seeds, where one is given under that name
    val_loss: Claim | None = None
    val_bpb_std: Claim | None = None
    val_loss_std: Claim | None = None
    artifact_bytes: Claim | None = None
    code_bytes: Claim | None = None
    t: Claim | None = None
    p: Claim | None = None
    n: int | None = None  # how many seeds it says it has
    seeds: tuple[int, ...] = ()
    by_seed: dict[int, SeedClaim] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The claims as plain numbers, null where there is none."""
        numbers = ("val_bpb", "val_loss", "val_bpb_std", "val_loss_std", "artifact_bytes", "code_bytes", "t", "p")
        values = {k: getattr(self, k) for k in numbers}
        return {
            **{k: getattr(self, k) for k in ("name", "author", "date", "hardware")},
            **{k: _plain(v) for k, v in values.items()},
            "seeds": list(self.seeds),
            "seed_results": {
                str(s): {k: _plain(v) for k, v in vars(c).items() if isinstance(v, Claim)}
                for s, c in self.by_seed.items()
            },
        }


def _plain(claim: Claim | None) -> float | int | None:
    if claim is None:
        return None
    return int(claim.value) if claim.decimals <= 0 and claim.value.is_integer() else claim.value


def read_claims(folder: Path) -> Claims:
    """The claims of a record folder's submission.json, or of its one submission_*.json. Never raises: what is wrong
    with the file is in `problem`."""
    found = sorted(folder.glob("submission*.json"), key=lambda p: (p.name != "submission.json", p.name))
    if not found:
        return Claims()
    path = found[0]
    claims = Claims(file=printable(path.name))
    try:
        claims.text = read_text(path, MAX_CLAIMS_BYTES, folder, errors="replace")
        content = parse_json(claims.text, str(path), number=_decimal)
    except Untrusted as e:
        claims.problem = printable(e.without(path))
        return claims
    if not isinstance(content, dict):
        claims.problem = "not a JSON object"
        return claims
    _Reader(claims).read(content)
    return claims


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if len(text) <= 40 and text[-1:].isdigit() else None  # no NaN, no Infinity
    except InvalidOperation:
        return None


class _Reader:
    """Fills `Claims` from the content of its file."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.lines = claims.text.splitlines()

    def read(self, content: dict[str, Any]) -> None:
        c = self.claims
        for key in ("track", "name", "author", "github_id", "date", "hardware", "previous_record", "program"):
            value = content.get(key)
            setattr(c, key, printable(value) if isinstance(value, str) and value.strip() else None)
        prose = " ".join(v[:MOST_PROSE] for k in PROSE if isinstance(v := content.get(k), str))
        c.no_record = any(_says_no_record(key, content.get(key)) for key in NO_RECORD) or bool(OF_ITSELF.search(prose))
        for key, names in (
            ("val_bpb", (*MEAN_BPB, *NAMED_MEAN_BPB)),
            ("val_loss", MEAN_LOSS),
            ("val_bpb_std", STD_BPB),
            ("val_loss_std", STD_LOSS),
            ("artifact_bytes", TOTAL_BYTES),
            ("code_bytes", CODE_BYTES),
        ):
            setattr(c, key, self._first(content, names))
        summaries = [content, *(v for k, v in content.items() if k.lower() in SUMMARIES and isinstance(v, dict))]
        named = [claim for level in summaries if (claim := self._first(level, NAMED_MEAN_BPB))]
        c.mean_bpb = named[0] if named else None
        c.val_bpb = c.val_bpb or next((x for level in summaries if (x := self._first(level, MEAN_BPB))), c.mean_bpb)
        for name, level in objects(content):
            short = OF_A_TEST.search(name) is not None  # elsewhere, a "t" or a "p" may be anything
            c.t = c.t or self._first(level, (*T_STATISTIC, "t") if short else T_STATISTIC)
            c.p = c.p or self._first(level, (*P_VALUE, "p") if short else P_VALUE)
        if c.p and c.p.value >= 1:
            c.p = None  # a blank
        code = content.get("code")
        c.code = tuple(n for n in code[:MOST_FILES] if isinstance(n, str)) if isinstance(code, list) else ()
        self._seeds(content)

    def _seeds(self, content: dict[str, Any]) -> None:
        c = self.claims
        lists = [x for key in SEED_LISTS if isinstance(x := content.get(key), list) and x]
        listed = [n for x in lists[:1] for s in x[:MOST_SEEDS] if (n := _integer(s)) is not None]
        said = said_of_seeds(content, listed)
        name = score_name(said.values, c.val_bpb.value if c.val_bpb else None, c.val_bpb.unit if c.val_bpb else 0.0)
        for seed, values in said.values.items():
            claim = self._seed(seed, said.keys[seed], values, name)
            if any(isinstance(v, Claim) for v in vars(claim).values()):
                c.by_seed[seed] = claim
        c.seeds = tuple(dict.fromkeys(listed or c.by_seed))
        one = _integer(content.get("seed"))
        if not c.seeds and one is not None:
            c.seeds = (one,)
        counts = [_integer(content.get(key)) for key in (*SEED_COUNTS, *SEED_LISTS)]
        c.n = next((n for n in counts if n and n > 0), None) or len(listed) or len(c.seeds) or None

    def _seed(self, seed: int, key: str, values: Mapping[str, Any], name: str | None) -> SeedClaim:
        line = self._line(key if key != "seed" else str(seed), values=key == "seed")
        losses = [
            n for n in ((name or "").replace("bpb", "loss"), (name or "").replace("bpb", "loss_nats")) if n != name
        ]
        plain = name in (None, *SCORES)
        times = {
            which: next(
                (
                    self._scaled(self._number(values, f"{stem}{unit}", line), scale)
                    for stem in stems
                    for unit, scale in (("_ms", 1000), ("_s", 1), ("_seconds", 1))
                    if f"{stem}{unit}" in values
                ),
                None,
            )
            for which, stems in SECONDS.items()
        }
        return SeedClaim(
            seed,
            self._first(values, (name,) if name else (), line),
            self._first(values, (*losses, *(SEED_LOSS if plain else ())), line),
            self._first(values, TOTAL_BYTES, line),
            self._first(values, STEPS, line),
            times["train"],
            times["eval"],
            tuple(c for n in values if is_score(n) and n != name and (c := self._number(values, n, line))),
        )

    def _first(self, values: Mapping[str, Any], names: Iterable[str], line: int = 1) -> Claim | None:
        return next((c for n in names if (c := self._number(values, n, line))), None)

    def _number(self, values: Mapping[str, Any], key: str, line: int = 1) -> Claim | None:
        value, bound = values.get(key), ""
        if isinstance(value, dict):
            value = value.get("mean")
        if isinstance(value, str) and (found := NUMBER_TEXT.fullmatch(value)):
            bound, value = ("<" if found[1] else ""), _decimal(re.sub(r"(?<=\d)[,_](?=\d)", "", found[2]))
        if not isinstance(value, Decimal) or not value.is_finite() or abs(value.adjusted()) > 300:
            return None
        exponent = value.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        at = Evidence(self.claims.file or "", self._line(key, line))
        least = LEAST_BYTES if key in TOTAL_BYTES else 0  # fewer are megabytes
        if (key in NEVER_ZERO and value <= least) or (key in SCORE_OR_NOT and value > MOST_BPB):
            return None
        return Claim(float(value), decimals, at, bound, key)

    @staticmethod
    def _scaled(claim: Claim | None, divisor: int) -> Claim | None:
        if claim is None or divisor == 1:
            return claim
        return Claim(claim.value / divisor, claim.decimals + 3, claim.at)

    def _line(self, key: str, after: int = 1, values: bool = False) -> int:
        """The first line from `after` on that names the key (or has it as the value of a `"seed"`); else `after`."""
        words = re.compile(rf'"seed"\s*:\s*"?{re.escape(key)}\b' if values else rf'"{re.escape(key)}"', re.I)
        return next((n for n, text in enumerate(self.lines[after - 1 :], after) if words.search(text)), after)


def _says_no_record(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value != ("non" not in key)
    return isinstance(value, str) and re.search(r"(?<![a-z])non[-_ ]?record(?![a-z])", value[:200].lower()) is not None


def _integer(value: Any) -> int | None:
    text = str(value)
    found = re.fullmatch(r"(?:seed[_ -]?)?(-?\d{1,18})", text, re.I) if isinstance(value, str | int | Decimal) else None
    return int(found[1]) if found else None
