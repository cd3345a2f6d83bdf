"""An entry of the contest, as its folder lies there: claims, files, and which log is the evidence for which seed.

A log that is another one's copy is not a seed. A log that only evaluates a saved artifact belongs to the training
run of its seed. A log that nobody claims (a try, an ablation) is kept apart and counted.
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.evidence.claimed_stage import choose_stage
from pgolf.evidence.claims import MAX_CLAIMS_BYTES, Claim, Claims, read_claims
from pgolf.evidence.folder import Copy, file_sizes, read_beginning_of, readme_of, runs_in_logs
from pgolf.evidence.lines import MOST_BYTES, printable
from pgolf.evidence.logs import read_seeds, rescored
from pgolf.evidence.record_folder import check_record_folder
from pgolf.evidence.run import OF_THE_RUN, Evidence, Run, Sourced
from pgolf.evidence.wrapped import MOST_WRAPPED, unwrapped
from pgolf.untrusted import Untrusted, hash_file, read_bytes

# of the machine, the place and the patience, not of the method
NO_CONFIGURATION = re.compile(
    r"_(?:dir|path|paths|file|files)$|name|host|seed|log|wandb|every$|world_size|grad_accum|wallclock"
)
SEED_IN_NAME = re.compile(r"(?<![a-z])seeds?[_=-]?(\d{1,9}(?:[_,+&-]\d{1,9})*)(?!\d)", re.I)


@dataclass
class Entry:
    """A record folder.

    `runs` holds one run a seed, in the order of the seeds; `extras` the runs that the record does not claim;
    `sizes` the bytes of each file at its top; `code_sizes` those of the files that submission.json lists as code;
    `unread` says of each file that could not be read, or may not count, why.
    """

    path: Path
    claims: Claims
    readme: str
    runs: list[Run] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    extras: list[Run] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    code_sizes: dict[str, int] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str | None:
        """The trainer in the folder: the one that submission.json names, train_gpt.py, or the one train_gpt_*.py."""
        if self.claims.program in self.code_sizes:
            return self.claims.program
        names = [n for n in self.sizes if re.fullmatch(r"train_gpt.*\.py", n)]
        return "train_gpt.py" if "train_gpt.py" in names else names[0] if len(names) == 1 else None

    def name_of(self, run: Run) -> str:
        """A run's log relative to the folder."""
        return printable(run.log.relative_to(self.path).as_posix())

    def named_seed(self, run: Run) -> int | None:
        """The seed that the log's file (or folder) name states: train_seed42.log, seed_42/train.log. Of several
        numbers, as in train_seed42_2024.log, the one that the log ran, if it is one of them."""
        found = SEED_IN_NAME.findall(run.log.relative_to(self.path).as_posix())
        numbers = [int(n) for n in re.findall(r"\d+", found[-1])] if found else []
        ran = run.seed.value if run.seed else None
        return ran if ran in numbers else numbers[0] if numbers else None

    def seed_claim(self, run: Run) -> Claim | None:
        """The score that submission.json claims for a run: for its seed, or its headline if there is but one seed."""
        seed = run.seed.value if run.seed else self.named_seed(run)
        said = self.claims.by_seed.get(seed) if seed is not None else None
        if said or self.claims.by_seed or (self.claims.n or 1) > 1:
            return said.val_bpb if said else None
        return self.claims.val_bpb if len(self.runs) == 1 else None


def read_entry(path: Path) -> Entry:
    """Read a record folder.

    Raises
    ------
    BadInput : it is no record's own folder, cannot be read, or holds neither a submission.json nor a log of a run.
    """
    check_record_folder(path)
    claims = read_claims(path)
    code = _listed(path, [*claims.code, *([claims.program] if claims.program else [])])
    entry = Entry(path, claims, "", code_sizes=code)
    entry.sizes = file_sizes(path, entry.unread)
    entry.readme = read_beginning_of(path, readme_of(entry.sizes), MAX_CLAIMS_BYTES, entry.unread)
    runs = [run for run in runs_in_logs(path, entry.unread, read_seeds) if run.trained or run.final]
    if not runs and not entry.claims.file:
        raise BadInput(f"{path}: neither a submission.json nor a log of a run: not a record folder")
    _forget_ordinals(claims, runs)
    runs = _claimed(entry, _with_evaluations(entry, _without_copies(entry, runs)))
    entry.runs = sorted(runs, key=lambda r: (r.seed.value if r.seed else -1, entry.name_of(r)))
    _note_packed_code(entry)
    choose_stage(entry.runs, claims, [entry.seed_claim(r) for r in entry.runs])
    return entry


def counts(numbers: list[int]) -> bool:
    """Whether sorted numbers count things, from 0 or from 1, and so may be no seeds."""
    return len(numbers) > 1 and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _forget_ordinals(claims: Claims, runs: list[Run]) -> None:
    """Take claims of "seeds" 1, 2, 3 for those of a first, second and third run, if no log ran such a seed."""
    numbers = sorted({*claims.seeds, *claims.by_seed})
    if counts(numbers) and any(r.seed for r in runs) and not any(r.seed and r.seed.value in numbers for r in runs):
        claims.seeds, claims.by_seed = (), {}


def _note_packed_code(entry: Entry) -> None:
    """Note for each run whether the folder's program extracts itself to the code that the run logged, by its size."""
    size = entry.sizes.get(entry.program or "")
    larger = [r for r in entry.runs if r.code_bytes and size and r.code_bytes.value > size]
    if not larger or not entry.program or not size or size > MOST_WRAPPED:
        return
    try:
        held = {len(c) for c in unwrapped(read_bytes(entry.path / entry.program, MOST_WRAPPED, entry.path))}
    except Untrusted:
        return
    for run in larger:
        if run.code_bytes and run.code_bytes.value in held:
            run.packed_bytes = Sourced(size, Evidence(entry.program, 1))


def _listed(path: Path, names: Iterable[str]) -> dict[str, int]:
    """Bytes of the files that are called so, but of none that is a link, or lies out of the folder."""
    root, found = path.resolve(), {}
    for name in names:
        file = root / name
        with suppress(OSError, ValueError):  # a name that no file can have
            if file.resolve() == file and file.is_relative_to(root) and file.is_file():
                found[name] = file.stat().st_size
    return found


def _without_copies(entry: Entry, runs: list[Run]) -> list[Run]:
    """One run of each set of copies, the one whose name says most; those whose names claim different seeds stay."""
    kept: list[Run] = []
    for run in sorted(runs, key=lambda r: _says_most(entry, r)):
        seed = entry.named_seed(run)
        first = next((k for k in kept if same_log(k, run) and seed in (None, entry.named_seed(k))), None)
        if first is None:
            kept.append(run)
        else:
            exact = hash_file(first.log, MOST_BYTES, entry.path) == hash_file(run.log, MOST_BYTES, entry.path)
            entry.copies.append(Copy(entry.name_of(run), entry.name_of(first), exact))
    return kept


def _says_most(entry: Entry, run: Run) -> tuple[bool, int, bool, str]:
    """Sorts the logs of one run: the one whose name has the seed, that lies on top, that is called train first."""
    name = run.log.name.strip().lower()
    return entry.named_seed(run) is None, len(run.log.parts), not name.startswith("train"), name


def same_log(a: Run, b: Run) -> bool:
    """Whether two logs tell of the very same run, and not of two runs, even of one seed: no clock runs twice alike."""
    if a.final is None or b.final is None or not (a.train_seconds or a.final.eval_seconds):
        return False
    return (
        (a.final.val_bpb, a.final.val_loss, a.final.eval_seconds)
        == (b.final.val_bpb, b.final.val_loss, b.final.eval_seconds)
        and (a.train_seconds and a.train_seconds.value) == (b.train_seconds and b.train_seconds.value)
        and [p.loss for p in a.train_curve[:20]] == [p.loss for p in b.train_curve[:20]]
    )


def _with_evaluations(entry: Entry, runs: list[Run]) -> list[Run]:
    """Training runs, with the score of a separate evaluation of their artifact where that is what is claimed."""
    trained = [r for r in runs if r.trained]
    for run in runs:
        if run.trained:
            continue
        seed = run.seed.value if run.seed else entry.named_seed(run)
        own = [i for i, r in enumerate(trained) if seed is not None and r.seed and r.seed.value == seed]
        if not own:
            trained.append(run)  # an evaluation is all there is of this seed
        elif len(own) == 1 and (trained[own[0]].final is None or _is_claimed(entry, run)):
            trained[own[0]] = rescored(trained[own[0]], run)
        else:
            entry.extras.append(run)
    return trained


def _is_claimed(entry: Entry, run: Run) -> bool:
    """Whether submission.json gives this run's score for its seed."""
    claim = entry.seed_claim(run)
    return bool(claim and run.final and claim.agrees(run.final.val_bpb, run.final.decimals))


def _claimed(entry: Entry, runs: list[Run]) -> list[Run]:
    """The runs that the record rests on; the others go to `extras`."""
    seeds = set(entry.claims.seeds)
    theirs = [r for r in runs if (r.seed and r.seed.value in seeds) or entry.named_seed(r) in seeds or not r.seed]
    if not any(r.seed for r in theirs):
        theirs = runs
    kept: list[Run] = []
    for tries in _tries(entry, theirs):
        best = [r for r in tries if _is_claimed(entry, r)] or _arm(entry, tries)
        best = best or [r for r in tries if r.final] or tries
        named = [r for r in best if entry.named_seed(r) is not None]
        kept += named if len(named) == 1 else best
    kept = _group_of_the_claim(entry, kept)
    entry.extras += [r for r in runs if not any(r is k for k in kept)]
    return kept


def _arm(entry: Entry, tries: list[Run]) -> list[Run]:
    """Of several runs of one seed the one that has the headline's score, or its loss where none was evaluated, if they
    are arms of an experiment: of other knobs or another model, or runs of the only seed that is claimed. Reruns of one
    configuration all stay."""
    claim, loss = entry.claims.val_bpb, entry.claims.val_loss
    fits = [r for r in tries if claim and r.final and claim.is_of(r.final.val_bpb, r.final.decimals)]
    if not any(r.final for r in tries):
        fits = [r for r in tries if loss and r.val_curve and loss.is_of(r.val_curve[-1].loss)]
    arms = entry.claims.n == 1 or any(not same_configuration(a, b) for a, b in combinations(tries, 2))
    return fits if len(fits) == 1 and arms else []


def _group_of_the_claim(entry: Entry, runs: list[Run]) -> list[Run]:
    """All runs; or one group of them, if the claimed mean is not that of all, but to the digit that of the group: logs
    of one folder and name but for numbers, as train_seed#.log beside baseline_seed#.log, or of one configuration. The
    others become other runs, of which a check warns."""
    claim = entry.claims.mean_bpb or entry.claims.val_bpb
    if claim is None or not all(r.final for r in runs) or claim.agrees(*_mean(runs)):
        return runs
    named: dict[str, list[Run]] = {}
    for run in runs:
        named.setdefault(re.sub(r"\d+", "#", entry.name_of(run).lower()), []).append(run)
    configured: list[list[Run]] = []
    for run in runs:
        group = next((g for g in configured if same_configuration(g[0], run)), None)
        configured.append([run]) if group is None else group.append(run)
    for groups in (list(named.values()), configured):
        fits = [g for g in groups if 1 < len(g) < len(runs) and claim.is_of(*_mean(g))]
        if len(fits) == 1:
            return fits[0]
    return runs


def _mean(runs: list[Run]) -> tuple[float, int]:
    """(mean of the final scores, decimals of them); of no runs 0."""
    finals = [r.final for r in runs if r.final]
    return math.fsum(s.val_bpb for s in finals) / max(1, len(finals)), max((s.decimals for s in finals), default=0)


def same_configuration(a: Run, b: Run) -> bool:
    """Whether two runs have one model and one value of every knob that both logs give, but for names and paths."""
    if a.parameters and b.parameters and a.parameters.value != b.parameters.value:
        return False
    shared = (a.hyperparameters.keys() & b.hyperparameters.keys()) - OF_THE_RUN
    return all(
        a.hyperparameters[k].value == b.hyperparameters[k].value for k in shared if not NO_CONFIGURATION.search(k)
    )


def _tries(entry: Entry, runs: list[Run]) -> Iterator[list[Run]]:
    """Runs that may be tries at one seed: of one logged seed, and not named after different ones."""
    groups: dict[tuple[int | None, int | None], list[Run]] = {}
    for number, run in enumerate(runs):
        seed, named = (run.seed.value if run.seed else None), entry.named_seed(run)
        alone = seed is None or (named is not None and named != seed)
        groups.setdefault((seed, number if alone else None), []).append(run)
    yield from groups.values()
