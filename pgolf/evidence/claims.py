"""A record's statements about itself: submission.json, and the words of its README. Claims, not evidence.

Every number keeps the digits that it was printed with: 1.0810 claims four decimals, no more.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any

from pgolf.evidence.lines import printable
from pgolf.evidence.run import Evidence

MAX_CLAIMS_BYTES = 1 << 18  # bytes of a submission.json or a README that are read
DEEPEST = 6  # nested objects that are looked into
MOST_SEEDS = 50
MOST_FILES = 1000  # files of code that are listed

MEAN_BPB = ("val_bpb", "mean_val_bpb", "val_bpb_mean", "mean_bpb", "val_bpb_sliding", "final_val_bpb")
MEAN_LOSS = ("val_loss", "mean_val_loss", "val_loss_mean", "mean_val_loss_nats", "val_loss_sliding", "final_val_loss")
STD_BPB = ("val_bpb_std", "std_val_bpb", "std_bpb", "bpb_std")
STD_LOSS = ("val_loss_std", "std_val_loss", "std_val_loss_nats", "loss_std")
TOTAL_BYTES = ("bytes_total", "artifact_bytes", "artifact_size_bytes", "artifact_bytes_max", "total_bytes")
CODE_BYTES = ("bytes_code", "code_bytes")
T_STATISTIC = ("t_statistic", "t_stat", "welch_t", "t")
P_VALUE = ("p_value", "p_one_sided", "welch_p", "p")
SECONDS = {"train": ("train_time", "train", "training_time"), "eval": ("eval_time", "ttt_eval_time", "eval")}


@dataclass(frozen=True)
class Claim:
    """A number as somebody printed it. `bound` is '<' where only a bound is claimed, as in p < 0.001."""

    value: float
    decimals: int
    at: Evidence
    bound: str = ""

    @property
    def unit(self) -> float:
        """One unit of the last digit printed."""
        return 10.0**-self.decimals

    def agrees(self, value: float) -> bool:
        """Whether `value` may have been printed so: rounded, cut off, or averaged from rounded figures."""
        slack = 0.5 if self.decimals == 1 else 1.0  # 1.0 is no claim of 1.079
        return abs(value - self.value) <= 1.0001 * slack * self.unit

    def __str__(self) -> str:
        return f"{self.bound}{self.value:,.{max(self.decimals, 0)}f}" if self.decimals < 12 else f"{self.value:.4g}"


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


@dataclass
class Claims:
    """The claims of submission.json; None where it says nothing. `problem` says why it could not be read."""

    file: str | None = None
    problem: str | None = None
    text: str = ""
    track: str | None = None
    name: str | None = None
    author: str | None = None
    date: str | None = None
    hardware: str | None = None
    previous_record: str | None = None
    program: str | None = None  # the script that ran, if it is not called train_gpt.py
    code: tuple[str, ...] = ()  # the files that it counts as code
    val_bpb: Claim | None = None
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
        with path.open("rb") as f:
            claims.text = f.read(MAX_CLAIMS_BYTES).decode("utf-8-sig", errors="replace")
        content = json.loads(claims.text, parse_float=_decimal, parse_int=_decimal, parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError) as e:
        claims.problem = f"no JSON: {printable(str(e), 100)}"
        return claims
    if not isinstance(content, dict):
        claims.problem = "no JSON object"
        return claims
    _Reader(claims).read(content)
    return claims


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if len(text) <= 40 else None
    except InvalidOperation:
        return None


class _Reader:
    """Fills `Claims` from the content of its file."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.lines = claims.text.splitlines()

    def read(self, content: dict[str, Any]) -> None:
        c = self.claims
        for key in ("track", "name", "author", "date", "hardware", "previous_record", "program"):
            value = content.get(key)
            setattr(c, key, printable(value) if isinstance(value, str) and value.strip() else None)
        for key, names in (
            ("val_bpb", MEAN_BPB),
            ("val_loss", MEAN_LOSS),
            ("val_bpb_std", STD_BPB),
            ("val_loss_std", STD_LOSS),
            ("artifact_bytes", TOTAL_BYTES),
            ("code_bytes", CODE_BYTES),
        ):
            setattr(c, key, self._first(content, names))
        for level in _objects(content):
            c.t = c.t or self._first(level, T_STATISTIC)
            c.p = c.p or self._first(level, P_VALUE)
        code = content.get("code")
        c.code = tuple(n for n in code[:MOST_FILES] if isinstance(n, str)) if isinstance(code, list) else ()
        self._seeds(content)

    def _seeds(self, content: dict[str, Any]) -> None:
        c = self.claims
        listed = content.get("seeds")
        results = content.get("seed_results") or content.get("per_seed") or content.get("results")
        results = listed if isinstance(listed, dict) else results
        if isinstance(results, list):
            results = {str(r.get("seed")): r for r in results if isinstance(r, dict)}
        for key, values in islice(results.items(), MOST_SEEDS) if isinstance(results, dict) else ():
            seed = _integer(re.sub(r"^seed[_ -]?", "", str(key).lower()))
            if seed is not None:
                values = values if isinstance(values, dict) else {"val_bpb": values}
                c.by_seed[seed] = self._seed(seed, str(key), values)
        seeds = [_integer(s) for s in listed[:MOST_SEEDS]] if isinstance(listed, list) else list(c.by_seed)
        c.seeds = tuple(dict.fromkeys(s for s in seeds if s is not None))
        one = _integer(content.get("seed"))
        if not c.seeds and one is not None:
            c.seeds = (one,)
        count = _integer(content.get("n_seeds") or content.get("num_seeds"))
        c.n = count or len(c.seeds) or None

    def _seed(self, seed: int, key: str, values: dict[str, Any]) -> SeedClaim:
        line = self._line(key)
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
            self._first(values, MEAN_BPB, line),
            self._first(values, MEAN_LOSS, line),
            self._first(values, TOTAL_BYTES, line),
            self._number(values, "steps", line),
            times["train"],
            times["eval"],
        )

    def _first(self, values: dict[str, Any], names: tuple[str, ...], line: int = 1) -> Claim | None:
        return next((c for n in names if (c := self._number(values, n, line))), None)

    def _number(self, values: dict[str, Any], key: str, line: int = 1) -> Claim | None:
        value, bound = values.get(key), ""
        if isinstance(value, dict):
            value = value.get("mean")
        if isinstance(value, str) and (found := re.fullmatch(r"\s*([<≤]?)[=~≈]?\s*([-+.\deE]{1,30})\s*", value)):
            bound, value = ("<" if found[1] else ""), _decimal(found[2])
        if not isinstance(value, Decimal) or not value.is_finite() or abs(value.adjusted()) > 300:
            return None
        exponent = value.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        at = Evidence(self.claims.file or "", self._line(key, line))
        return Claim(float(value), decimals, at, bound)

    @staticmethod
    def _scaled(claim: Claim | None, divisor: int) -> Claim | None:
        if claim is None or divisor == 1:
            return claim
        return Claim(claim.value / divisor, claim.decimals + 3, claim.at)

    def _line(self, key: str, after: int = 1) -> int:
        """The first line from `after` on that names the key; 1 if none does."""
        quoted = f'"{key}"'
        return next((n for n, text in enumerate(self.lines[after - 1 :], after) if quoted in text), 1)


def _integer(value: Any) -> int | None:
    text = str(value)
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None


def _objects(content: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """The object and the objects in it, but not those of single seeds."""
    yield content
    for key, value in content.items():
        if isinstance(value, dict) and depth < DEEPEST and key not in ("seeds", "seed_results", "per_seed"):
            yield from _objects(value, depth + 1)


def read_text(path: Path) -> str:
    """The text of a README, as much of it as anybody would read; '' if there is none."""
    try:
        with path.open("rb") as f:
            return f.read(MAX_CLAIMS_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
