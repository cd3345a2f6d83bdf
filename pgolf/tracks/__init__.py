"""Tracks: the aim of a competition, its limits and its policy of significance, one TOML file each."""

import math
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pgolf.errors import BadInput, did_you_mean
from pgolf.tracks.entries import problem
from pgolf.untrusted import Untrusted, read_toml

# Share of the validation documents that training may have, too: a corpus has duplicates, a wrong split has thousands.
MOST_SHARED = 0.01
CHANCE = 3.0  # standard errors by which the shares of two samples of one corpus may differ
MOST_BYTES = 1 << 20  # of a track's file
MOST_NAMED = 200  # characters of a track's name that are looked at


def too_many_near(documents: int, near: int, compared: int, compared_near: int) -> bool:
    """Whether more validation documents are nearly in the training text than an honest split of the corpus has.

    Parameters
    ----------
    documents, near : validation documents, and how many of them are in the training text, exactly or nearly.
    compared, compared_near : training documents that the same was counted for, against the rest of the training text.

    An honest split has as large a share of them as training has, but for MOST_SHARED and for chance.

    >>> too_many_near(50_000, 900, 10_000, 150), too_many_near(50_000, 1_700, 10_000, 150)
    (False, True)
    """
    if not documents:
        return False
    natural = compared_near / compared if compared else 0.0
    pooled = (near + compared_near) / (documents + compared)
    error = math.sqrt(pooled * (1 - pooled) * (1 / documents + (1 / compared if compared else 0.0)))
    return near / documents > natural + MOST_SHARED + CHANCE * error


@dataclass(frozen=True)
class Limits:
    """Hard limits (bytes, seconds; infinity where a track sets none) and the grace inside which crossing one is a
    warning, not a failure.

    A program of a user's has `overhead_seconds` more for what is not limited: starting, compiling, quantising. If it
    has not ended by then, it is ended.
    """

    artifact_bytes: int
    train_seconds: float
    eval_seconds: float
    grace_seconds: float
    overhead_seconds: float = 900.0

    @property
    def most_seconds(self) -> float:
        """The time after which a program that has not ended by itself is ended."""
        return self.train_seconds + self.eval_seconds + self.overhead_seconds


NO_LIMITS = Limits(artifact_bytes=sys.maxsize, train_seconds=math.inf, eval_seconds=math.inf, grace_seconds=0.0)


@dataclass(frozen=True)
class Policy:
    """When a new mean counts as a record: margin in nats per token at level alpha, with enough seeds."""

    margin_nats: float
    alpha: float
    min_seeds: int


@dataclass(frozen=True)
class EarlyStop:
    """When a running seed is given up, if that was asked for.

    A projection counts once `after_share` of what it projects is done and it is over the limit by `over_share`.
    `hopeless` has pairs (share of the standing record's steps, nats): at the first logged step there the loss must not
    be worse, by more than so many nats, than `quantile` of the standing record's seeds (1: its worst one).
    """

    after_share: float = 0.25
    over_share: float = 0.05
    quantile: float = 1.0
    hopeless: tuple[tuple[float, float], ...] = ((0.25, 0.3), (0.5, 0.3), (0.75, 0.1), (0.9, 0.1))


@dataclass(frozen=True)
class KnownSplit:
    """The validation split under a tokenizer that is known: whole sequences, and the bytes of their text."""

    tokenizer: str
    vocab_size: int
    tokens: int
    bytes: int


@dataclass(frozen=True)
class Target:
    """The aim of a speedrun: the least of something in which the runs' mean validation loss gets below a target.

    Attributes
    ----------
    loss : the target, nats per token.
    least : the measure that a record makes less: 'train_seconds' by the log's clock, or 'steps'.
    alpha : level of the one-sided one-sample t-test of the runs' last validation losses against `loss`.
    gain_alpha : level of the one-sided two-sample test of training times against the baseline's, run on the same
        machine. Steps need no test: every run of a variant has as many.
    min_runs : the fewest runs of a variant.
    runs : the runs of each variant that `pgolf record` plans unless told otherwise.
    most_seconds : after so long a run that has not ended by itself is ended.
    """

    loss: float
    least: Literal["train_seconds", "steps"]
    alpha: float
    gain_alpha: float
    min_runs: int
    runs: int
    most_seconds: float


@dataclass(frozen=True)
class Track:
    """A competition: its aim, limits, policy, and what `pgolf record` runs for it unless told otherwise.

    Where `target` is None the aim is the lowest score within `limits`. Where it is set, the aim is a speedrun's: then
    there are runs without seeds, and neither limits nor a policy in bits per byte, a preset or a ledger entry.

    `known_as` has patterns of other names for it. Without `record` its entries need not be records, and so not be
    evaluated as records are. Without `ruled` only its name is known, and nothing of its rules.
    """

    name: str
    title: str
    hardware: str
    limits: Limits
    policy: Policy
    seeds: tuple[int, ...]
    preset: str
    corpus: str
    standing: str | None  # the ledger entry to beat; None: the best that the rules admit, as `ledger.choosing` finds it
    baseline_preset: str | None  # what measures the standing record afresh where its validation text differs
    nproc: int  # ranks of one seed run
    early_stop: EarlyStop = EarlyStop()
    known_as: tuple[str, ...] = ()
    val_bytes: int | None = None  # of the validation text, to 1e-4; None where there may be several
    val_spaces: int | None = None  # of these, single spaces
    validation: tuple[KnownSplit, ...] = ()
    record: bool = True
    ruled: bool = True
    target: Target | None = None


def recognised(text: str) -> str | None:
    """The track that people mean by `text`: its name, one of other spelling, or words that it is known as; else None.

    Examples
    --------
    >>> recognised("track_10min_16mb"), recognised("non-record-unlimited-compute-16mb"), recognised("speedrun")
    ('10min_16mb', 'non_record_16mb', None)
    """
    low = text[:MOST_NAMED].lower().strip()
    spelled = re.sub(r"[\s-]+", "_", low).removeprefix("track_")
    if spelled in names():
        return spelled
    return next((name for name, pattern in _known_as() if re.search(pattern, low)), None)


@cache
def _known_as() -> tuple[tuple[str, str], ...]:
    """(track, pattern of another name for it) of those that ship with pgolf."""
    return tuple((name, pattern) for name in names() for pattern in load(name).known_as)


def unknown(name: str) -> Track:
    """A track of which only the name is known: it limits nothing."""
    policy = Policy(margin_nats=0.0, alpha=0.01, min_seeds=0)
    return Track(name, name, "any", NO_LIMITS, policy, (), "", "", None, None, 1, record=False, ruled=False)


def names() -> list[str]:
    """The tracks that ship with pgolf."""
    return sorted(p.name.removesuffix(".toml") for p in files(__name__).iterdir() if p.name.endswith(".toml"))


def load(name: str) -> Track:
    """The track called `name` (or of a TOML file's path).

    Raises
    ------
    BadInput : no such track (near misses are named), or a file that lacks an entry or has one too many.
    """
    path = Path(name) if name.endswith(".toml") else Path(str(files(__name__) / f"{name}.toml"))
    if name.endswith(".toml") and not path.exists():
        raise BadInput(f"{path}: no such file; give a track's file, or the name of one of: {', '.join(names())}")
    if not path.exists() or path.name.startswith("."):
        raise BadInput(f"no track '{name}'{did_you_mean(name, names())}; there are: {', '.join(names())}")
    try:
        content = read_toml(path, MOST_BYTES, finite=False)  # a track may set no limit of time
    except Untrusted as e:
        raise BadInput(f"{path}: not a track: {e.without(path)}") from None
    if wrong := problem(content):
        raise BadInput(f"{path}: not a track: {wrong}")
    return _with_target(path.stem, content) if "target" in content else _with_limits(path, content)


def load_limited(name: str) -> Track:
    """The track called `name`, for work that goes by limits, seeds and a preset.

    Raises
    ------
    BadInput : as `load`, or its aim is a target loss.
    """
    track = load(name)
    if track.target:
        limited = ", ".join(other for other in names() if load(other).target is None)
        raise BadInput(f"track {track.name} aims at a target loss, without limits or a preset: name one of {limited}")
    return track


def _with_target(name: str, content: dict[str, Any]) -> Track:
    run, target = content["run"], Target(**content["target"], **_of_runs(content["run"]))
    return Track(
        name=name,
        title=content["title"],
        hardware=content["hardware"],
        limits=NO_LIMITS,
        policy=Policy(margin_nats=0.0, alpha=target.alpha, min_seeds=target.min_runs),
        seeds=(),
        preset="",
        corpus="",
        standing=None,
        baseline_preset=None,
        nproc=run["nproc"],
        known_as=tuple(content.get("known_as", ())),
        target=target,
    )


def _of_runs(run: dict[str, Any]) -> dict[str, Any]:
    return {"runs": run["runs"], "most_seconds": run["most_seconds"]}


def _with_limits(path: Path, content: dict[str, Any]) -> Track:
    run = content["run"]
    return Track(
        name=path.stem,
        title=content["title"],
        hardware=content["hardware"],
        limits=Limits(**content["limits"]),
        policy=Policy(**content["policy"]),
        seeds=tuple(run["seeds"]),
        preset=_beside(path, run["preset"]),
        corpus=run["corpus"],
        standing=_beside(path, run["standing"]) if "standing" in run else None,
        baseline_preset=_beside(path, run["baseline_preset"]) if "baseline_preset" in run else None,
        nproc=run["nproc"],
        early_stop=_early_stop(content.get("early_stop", {})),
        val_bytes=content.get("val_bytes"),
        val_spaces=content.get("val_spaces"),
        validation=tuple(KnownSplit(**split) for split in content.get("validation", ())),
        record=content.get("record", True),
        known_as=tuple(content.get("known_as", ())),
    )


def _early_stop(content: dict[str, Any]) -> EarlyStop:
    if "hopeless" in content:
        content = content | {"hopeless": tuple((float(share), float(nats)) for share, nats in content["hopeless"])}
    return EarlyStop(**content)


def _beside(track: Path, name: str) -> str:
    """A preset or ledger entry as it is looked up: a file's name is relative to the track's own file."""
    return str(track.parent / name) if name.endswith((".toml", ".json")) else name
