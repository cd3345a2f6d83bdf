"""A speedrun's folder: its variants, each with the runs that were made of it.

A variant is a folder with logs (`this_pr/`, `baseline/`), or the record's folder itself, or what logs in one folder
begin their names with (`this_pr_seed0.txt`, `baseline_seed0.txt`). Its runs have no seeds: they
are told apart by their losses and clocks (`evidence/same_run.py`), and one run counts once in a folder, however many
logs tell of it.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from pgolf.errors import BadInput
from pgolf.evidence.claims import MAX_CLAIMS_BYTES
from pgolf.evidence.folder import Copy, Unread, file_sizes, read_beginning_of, readme_of, runs_in_logs
from pgolf.evidence.lines import MOST_BYTES, printable
from pgolf.evidence.record_folder import check_record_folder
from pgolf.evidence.run import Evidence, Run
from pgolf.evidence.same_run import TELLING_S, Repeat, Seen, clocked, repeated
from pgolf.evidence.stated import Stated
from pgolf.evidence.statements import read_stated
from pgolf.evidence.unseeded import UUID, first_line, is_one_line, unseeded_runs
from pgolf.untrusted import hash_file

# Words by which a sub-folder's name calls it the standing record, run again; and words that say the same of a record
# (`old_record`), or beside a folder that is named as the change: `main` is the record beside `this_pr`, and is the new
# program beside `ablation`.
OF_A_BASELINE = re.compile(r"(?:baselines?|base|controls?|previous|prev|standing|reference|upstream)\d*")
ELSE = re.compile(r"main|master|old|before|original|current|sota|last|ref|prior")
OF_A_RECORD, BEFORE_IT = re.compile(r"records?|wr"), re.compile(r"old|last|prior|before")
OF_A_CHANGE = re.compile(
    r"this|pr\d*|new|ours|mine|after|candidate|propos(?:ed|al)|changed?|treatment|branch|submission|record|modified"
    r"|updated?|improved|tests?|feature"
)
A_CHANGE_PLAINLY = re.compile(r"this|pr\d*|new|ours|mine|candidate|propos(?:ed|al)|submission")
# words that say nothing of what ran: baseline_runs, prev_record_pr118, control_2025-09-03, baseline_v2
BESIDE_THE_POINT = re.compile(
    r"the|of|on|runs?|logs?|records?|wr|reruns?|timings?|retimed|[vn]?\d+|pr\d*|commit|x?[hab]\d+|gpus?|same|machine"
    r"|(?:runs?|seeds?|node|pod|rep)\d*|results?|txt|sxm\d*|pcie|local|this|my"
)
OF_A_RUN = re.compile(r"(?:run|seed|trial|attempt|repeat|rep)s?[_ -]?\d{1,3}|\d{1,2}")  # a folder around one log
PREFIXED = re.compile(r"(\w[\w.-]*?)[_-](?:seed|run)[_-]?\d{1,6}", re.I)  # a log's name: variant, number
DATED = re.compile(r"\d{4}-\d\d-\d\d|\d{6}")  # begins the name of a record's own folder, as 20260610_tuned_baseline


@dataclass(frozen=True)
class Result:
    """What a run has reached: its last logged validation loss.

    Attributes
    ----------
    loss, decimals : nats per token, and the digits after the point that the log printed.
    step, planned : the step of that loss, and the steps that the run was to make, if the log says.
    seconds : the training clock at that loss; None where the log gives none.
    at : the line.
    """

    loss: float
    decimals: int
    step: int
    planned: int | None
    seconds: float | None
    at: Evidence


@dataclass
class Variant:
    """The runs of one program: `name` is the sub-folder, '' for the folder itself. `baseline`: the name says that it is
    the standing record, run again on the same machine. `copies` are logs whose run counts elsewhere, in this variant or
    in the baseline; `shared` are logs that count, and whose run another new variant has too; `repeats` are runs that
    count, and yet have the losses of another. `unread` says of each log, or part of one, that does not count, why."""

    name: str
    runs: list[Run] = field(default_factory=list)
    baseline: bool = False
    copies: list[Copy] = field(default_factory=list)
    shared: list[Copy] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    unread: Unread = field(default_factory=dict)


@dataclass
class Variants:
    """A speedrun's folder.

    Attributes
    ----------
    readme : the text of its README, or of the one other Markdown file at its top; '' where there is none.
    variants : by name, each with a run or a copy at least.
    stated : the lists and figures that the README gives.
    unread : of each file at its top that could not be read, why; of logs, `Variant.unread` says it.
    sizes : bytes of each file at its top.
    shared_logs : the logs that tell of several runs.
    """

    path: Path
    readme: str
    variants: list[Variant]
    stated: Stated
    unread: Unread = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    shared_logs: frozenset[Path] = frozenset()

    def name_of(self, run: Run) -> str:
        """A run's log relative to the folder; of several runs in one log, which of them: `log.txt, line 1402`."""
        name = printable(run.log.relative_to(self.path).as_posix())
        return f"{name}, line {first_line(run)}" if run.log in self.shared_logs else name

    @property
    def baseline(self) -> Variant | None:
        """The variant that is the standing record, run again: of several the one with the most runs."""
        return max((v for v in self.variants if v.baseline and v.runs), key=lambda v: len(v.runs), default=None)


def result_of(run: Run) -> Result | None:
    """What a run has reached: by its last validation loss, and by no earlier one.

    None where it has none, where that is not finite (NaN at the end is no result that an earlier line could mend), or
    where it was measured before the first step.
    """
    last = run.val_curve[-1] if run.val_curve else None
    if last is None or not math.isfinite(last.loss) or last.step == 0:
        return None
    planned = run.planned_steps.value if run.planned_steps else None
    return Result(last.loss, last.decimals, last.step, planned, last.seconds, last.at)


def read_variants(path: Path) -> Variants:
    """Read a speedrun's folder: logs in it, or in its sub-folders.

    Raises
    ------
    BadInput : it is no record's own folder, cannot be read, or holds no log of a run.
    """
    check_record_folder(path)
    unread: Unread = {}
    sizes = file_sizes(path, unread)
    other = [n for n in sizes if n.lower().endswith(".md")]
    name = readme_of(sizes) or (other[0] if len(other) == 1 else "")
    readme = read_beginning_of(path, name, MAX_CLAIMS_BYTES, unread)
    found: dict[str, Variant] = {}
    of_logs: Unread = {}
    runs = list(runs_in_logs(path, of_logs, lambda log, folder: unseeded_runs(log, folder, of_logs)))
    names = _variants_of(path, sorted({run.log for run in runs}))
    for run in runs:
        found.setdefault(names[run.log], Variant(names[run.log])).runs.append(run)
    if not found:
        raise BadInput(
            f"{path}: no log of a run in it: name a folder with a record's logs, or a folder of such folders"
        )
    for log, why in of_logs.items():
        where = _folder_of(path, path / log.partition(", line ")[0])
        (found[where].unread if where in found else unread)[log] = why
    variants = [found[n] for n in sorted(found)]
    for variant in variants:
        variant.baseline = is_baseline(variant.name, [v.name for v in variants if v is not variant])
    stated = read_stated(readme, name, {v.name: v.baseline for v in variants})
    shared = frozenset(log for log, n in Counter(run.log for run in runs).items() if n > 1)
    all_of_it = Variants(path, readme, variants, stated, unread, sizes, shared)
    _count_once(all_of_it)
    return all_of_it


def is_baseline(name: str, others: list[str]) -> bool:
    """Whether a sub-folder's name says that it is the standing record, run again on the same machine.

    Every word of one of the folders in the name has to say so, or to say nothing: `baseline`, `prev_record_pr118` and
    `baseline/logs` do; `tuned_baseline`, `baseline_with_fp8` and a record's own folder, which begins with a date, do
    not. `main`, `old` and such words say it only beside a folder that is named as the change: `this_pr`, `new`; so do
    `wr` and `record_76`.
    """
    for part in Path(name).parts:
        words = _words(part)
        telling = [w for w in words if not BESIDE_THE_POINT.fullmatch(w)]
        if DATED.match(part) or not all(OF_A_BASELINE.fullmatch(w) or ELSE.fullmatch(w) for w in telling):
            continue
        of_a_record = _any(OF_A_RECORD, words) and _any(BEFORE_IT, telling)
        record_alone = not telling and _any(OF_A_RECORD, words) and not _any(A_CHANGE_PLAINLY, words)
        if record_alone and any(_all(A_CHANGE_PLAINLY, _words(other)) for other in others):
            return True
        beside = any(_any(OF_A_CHANGE, _words(other)) for other in others if part not in Path(other).parts)
        if telling and (_any(OF_A_BASELINE, telling) or of_a_record or beside):
            return True
    return False


def _any(pattern: re.Pattern[str], words: list[str]) -> bool:
    return any(pattern.fullmatch(word) for word in words)


def _all(pattern: re.Pattern[str], words: list[str]) -> bool:
    """Whether a word is one of these, and each further one says nothing."""
    return _any(pattern, words) and all(pattern.fullmatch(w) or BESIDE_THE_POINT.fullmatch(w) for w in words)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+\d*|\d+", name.lower())


def _folder_of(path: Path, log: Path) -> str:
    """The folder of a log, relative to the record's; '' for that itself."""
    where = log.relative_to(path).parent.as_posix()
    return "" if where == "." else where


def _variants_of(path: Path, logs: list[Path]) -> dict[Path, str]:
    """The variant of each log: its folder, or the one above, where its folder has a run's name and no other log."""
    names = {log: _folder_of(path, log) for log in logs}
    alone = Counter(names.values())
    for log, name in names.items():
        above, _, own = f"/{name}".rpartition("/")
        if alone[name] == 1 and (OF_A_RUN.fullmatch(own.lower()) or UUID.fullmatch(own)):
            names[log] = above.strip("/")
    for folder in {*names.values()}:
        together = [log for log in logs if names[log] == folder]
        if prefixes := _prefixes(together):
            names |= {log: f"{folder}/{prefix}".strip("/") for log, prefix in prefixes.items()}
    return names


def _prefixes(logs: list[Path]) -> dict[Path, str]:
    """The variant that each log's name begins with: `baseline_seed0.txt` beside `this_pr_seed0.txt`; nothing where one
    has no such name, or none is a baseline's beside another."""
    found = {log: named[1] for log in logs if (named := PREFIXED.fullmatch(log.stem))}
    kinds = {*found.values()}
    baselines = {kind for kind in kinds if is_baseline(kind, [k for k in kinds if k != kind])}
    return found if len(found) == len(logs) and baselines and baselines != kinds else {}


def _count_once(folder: Variants) -> None:
    """Move all logs of one run but the fullest to `copies`: of a variant, and across the baseline and a new one, where
    it counts for the baseline if that has it as full. Note runs of two new variants, and runs that repeat another's
    losses."""
    names = {id(r): folder.name_of(r) for v in folder.variants for r in v.runs}
    order = sorted(
        ((v, r) for v in folder.variants for r in v.runs),
        key=lambda vr: (-len(vr[1].val_curve), not vr[0].baseline, names[id(vr[1])]),
    )
    bytes_of = cache(lambda log: hash_file(log, MOST_BYTES, folder.path))
    tellers = _Tellers(folder.path, bytes_of)
    counted: dict[int, Variant] = {}
    for variant, run in order:
        others = tellers.of_the_run(run)
        visible = (o for o in others if (of := counted[id(o)]) is variant or of.baseline or variant.baseline)
        first = next(visible, None)
        if other := first or next(iter(others), None):
            exact = other.log != run.log and bytes_of(other.log) == bytes_of(run.log)
            copy = Copy(names[id(run)], names[id(other)], exact)
            (variant.copies if first else variant.shared).append(copy)
        if first is None:
            counted[id(run)] = variant
            tellers.add(run)
    for variant in folder.variants:
        variant.copies.sort(key=lambda c: c.file)
        variant.runs = [r for r in variant.runs if id(r) in counted]
        variant.repeats = list(repeated(variant.runs, lambda run: names[id(run)]))
    _note_shared_losses(folder, counted, names)


class _Tellers:
    """Runs that count, found again by another log of one of them."""

    def __init__(self, folder: Path, bytes_of: Callable[[Path], str]) -> None:
        self.folder, self.bytes_of, self.seen = folder, bytes_of, Seen()
        self.by_key: dict[Hashable, list[Run]] = {}

    def _keys(self, run: Run) -> tuple[Hashable, Hashable]:
        """By its clock or bytes, and by its end."""
        last = result_of(run)
        end = ("end", last.step, last.loss, last.seconds) if last and (last.seconds or 0.0) >= TELLING_S else None
        return clocked(run) or (self.bytes_of(run.log), first_line(run)), end

    def of_the_run(self, run: Run) -> list[Run]:
        """The runs that this log tells of, too."""
        key, end = self._keys(run)
        alone = len(run.val_curve) == 1 and end in self.by_key and is_one_line(run.log, self.folder)
        of_the_end = self.by_key[end] if alone else []  # one line, copied out of a log
        return [
            *self.by_key.get(key, ()),
            *of_the_end,
            *(a.run for a in self.seen.alike(run) if a.what == "clock"),
        ]

    def add(self, run: Run) -> None:
        """Take in a run."""
        for key in self._keys(run):
            if key is not None:
                self.by_key.setdefault(key, []).append(run)
        self.seen.add(run)


def _note_shared_losses(folder: Variants, counted: dict[int, Variant], names: dict[int, str]) -> None:
    """Note runs with most losses of another run of their variant, or of the other side: the baseline's and the new."""
    seen = Seen()
    known = {frozenset((r.file, r.of)) for v in folder.variants for r in v.repeats if r.what == "curve"}
    for variant in sorted(folder.variants, key=lambda v: not v.baseline):
        for run in variant.runs:
            for other in seen.alike(run):
                name, of = names[id(run)], names[id(other.run)]
                theirs = counted[id(other.run)]
                if frozenset((name, of)) in known or not (theirs is variant or theirs.baseline != variant.baseline):
                    continue
                what: Literal["curve", "most"] = "curve" if other.equal == other.common else "most"
                variant.repeats.append(Repeat(name, of, other.equal, what, other.common))
            seen.add(run)
