"""Run a record again from its own folder, and say whether the result is one that the record's own spread allows.

This runs the program that lies in the folder, which may be anybody's, and seals it off where the system can.
"""

import math
import re
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from pgolf.data.dataset import check_shares
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.logs import read_run
from pgolf.evidence.run import Run
from pgolf.files import write_json
from pgolf.pack.wrapper import unwrap
from pgolf.phrases import counted
from pgolf.program import SETTINGS, Program
from pgolf.program.check import missing_here
from pgolf.program.environment import log_problem, value_problem
from pgolf.program.find import open_program
from pgolf.program.source import read_source
from pgolf.record.job import Job
from pgolf.record.logged_seed import dataset_of, logged_seed, logged_threads
from pgolf.record.programs import PACKED, own_program, settings_on, write_files
from pgolf.record.progress import Progress
from pgolf.record.request import check_ranks_of, with_vocabulary
from pgolf.record.results import ARTIFACT_MOST, LOG, name_for, read_result
from pgolf.record.sealed_job import check_sealable, seal_job
from pgolf.record.seeds import attempt_folders, run_seed
from pgolf.stats.sample import Sample, from_seeds
from pgolf.stats.student import t_quantile
from pgolf.trainer.config import Config, config_from_env
from pgolf.trainer.data import DataError, shards
from pgolf.untrusted import Untrusted, hash_file, parse_json, read_bytes, read_json

LEVEL = 0.95
LOOK_S = 1.0  # a sealed run, too, looks now and then whether somebody holds the lock
OURS = ("events.jsonl", "weights_fingerprint")  # words of our trainer; `pgolf pack --source` packs any program
PROGRAMS, MOST_PROGRAMS = "programs.json", 1 << 20  # beside the attempts at a seed, and its bytes
MOST_PACKED = 1 << 20  # bytes of a packed trainer
MOST_RANKS = 64  # without GPUs: a log may name any number
MOST_SECONDS = 24 * 3600.0  # after which a stranger's program that has not ended is ended


@dataclass(frozen=True)
class Reproduction:
    """The result, in bpb. `low` and `high` bound where one more seed of the record lies with 95 % chance.

    `inside` is None where the record has no spread to go by.
    """

    seed: int
    val_bpb: float
    logged_bpb: float
    low: float | None
    high: float | None

    @property
    def inside(self) -> bool | None:
        """Whether the result is one that the record's own spread allows."""
        return None if self.low is None or self.high is None else self.low <= self.val_bpb <= self.high

    def __str__(self) -> str:
        result = f"seed {self.seed}: {self.val_bpb:.8f}, {_beside(self.val_bpb, self.logged_bpb)}"
        if self.low is None or self.high is None:
            return f"{result}; the record has no spread to judge that by"
        where = "inside" if self.inside else "NOT inside"
        return f"{result}; {where} the 95 % range of one more seed, {self.low:.8f} to {self.high:.8f}"


def _beside(val_bpb: float, logged_bpb: float) -> str:
    """How far a score is from the logged one, to its eight decimals."""
    if not round(val_bpb - logged_bpb, 8):
        return "equal to the logged score"
    return f"{abs(val_bpb - logged_bpb):.8f} {'above' if val_bpb > logged_bpb else 'below'} the logged score"


@dataclass(frozen=True)
class Again:
    """A seed of a record, checked and ready to be run again: nothing is written or run yet.

    `job` is what runs, in a folder of its own below `out`; `dataset` are the files that it reads there.
    """

    entry: Entry
    seed: int
    logged_bpb: float
    out: Path
    job: Job
    nproc: int
    dataset: tuple[Path, ...]

    @property
    def program(self) -> Program:
        """The program that the folder has."""
        return self.job.program


def prepare(folder: Path, out: Path, data_dir: Path, seed: int | None = None, artifact: Path | None = None) -> Again:
    """Read a record, and what would run its program with its logged knobs, or score `artifact`.

    Parameters
    ----------
    folder : the record.
    out : where it is to run; a run of this program that is there already will be taken up or, if it has ended, read.
    data_dir : the folder of the dataset and tokenizer, or one above it.
    seed : one of the record's; default: its first.
    artifact : a compressed model whose SHA-256 submission.json gives for that seed; it is scored, nothing is trained.

    Raises
    ------
    BadInput : no such folder, program, seed or data, a program that this machine lacks something for or that nothing
        says how to score an artifact with, or an artifact with another hash.
    """
    entry = read_entry(folder)
    number, score, logged = logged_seed(entry, seed)
    data_dir = dataset_of(entry, logged, data_dir)
    if artifact:
        _check_artifact(entry, number, artifact)
    world, out, data_dir = _ranks(logged), out.resolve(), data_dir.resolve()
    job = (_own_job if is_ours(folder) else _their_job)(folder, out, data_dir, logged, artifact)
    job = replace(job, folder=out / ("scored" if artifact else "trained"), source=out / "program")
    job = replace(job, anew=_has_changed(job, number))
    return Again(entry, number, score, out, job, world, tuple(data_dir / name for name in ("datasets", "tokenizers")))


def run_again(
    again: Again, sealed: bool = True, watch: Callable[[Progress], None] = lambda progress: None
) -> Reproduction:
    """Run what was prepared; `watch` is called with its progress twice a second.

    `sealed` takes the network, the user's home and all files but its own and the dataset from the program. A sealed run
    ends with this process, however that ends; the next call makes another attempt.

    Raises
    ------
    BadInput : this system cannot seal a program off, or another process is at the same folder.
    RunFailed : the program failed, or left no result.
    """
    if sealed:
        check_sealable()
    again.out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(again.out / ".lock")
    try:
        lock.acquire(timeout=LOOK_S)
    except Timeout:
        raise BadInput(f"another `pgolf reproduce` is at {again.out}; wait for it, or name another folder") from None
    try:
        write_files(again.program, again.job.source)
        _note_program(again.job, again.seed)
        job = replace(again.job, nproc=again.nproc)
        if sealed:
            job = seal_job(job, again.nproc, again.dataset, again.job.source, again.out / ".lock")
        finished = run_seed(job, again.seed, threading.Event(), watch)
    finally:
        lock.release()
    result = read_result(finished.folder)
    log = finished.folder / (result.log if result else LOG)
    final = read_run(log, finished.folder).final
    if final is None:
        raise RunFailed(f"{log}: the program ended without a final score")
    return Reproduction(again.seed, final.val_bpb, again.logged_bpb, *spread(_sample(again.entry)))


def _noted(job: Job, seed: int) -> dict[str, str]:
    """SHA-256 of the program that each attempt at a seed ran, by the attempt's name, as far as that is known."""
    with suppress(Untrusted):
        content = read_json(job.folder / str(seed) / PROGRAMS, MOST_PROGRAMS, job.folder)
        if isinstance(content, dict):
            return {name: sha256 for name, sha256 in content.items() if isinstance(sha256, str)}
    return {}


def _has_changed(job: Job, seed: int) -> bool:
    """Whether the last attempt at a seed is of another program, or of one that is not known."""
    folders = attempt_folders(job.folder / str(seed))
    return bool(folders) and _noted(job, seed).get(folders[-1].name) != job.program.sha256


def _note_program(job: Job, seed: int) -> None:
    """Write down which program the next attempt runs, before it is made."""
    folder = job.folder / str(seed)
    following = f"attempt-{len(attempt_folders(folder)) + 1}"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PROGRAMS, _noted(job, seed) | {following: job.program.sha256})


def _ranks(logged: Run) -> int:
    """The ranks that the log names, 1 where it names none; BadInput for more than there are GPUs, or too many."""
    world = 1 if logged.world_size is None else logged.world_size.value
    most = torch.cuda.device_count() if torch.cuda.is_available() else MOST_RANKS
    if not 1 <= world <= most:
        raise BadInput(
            f"{logged.log}: it ran on {counted(world, 'rank')}, and here are at most {most}; take another machine"
        )
    return world


def is_ours(folder: Path) -> bool:
    """Whether a folder's train_gpt.py is pgolf's trainer as pgolf packs it; it is unpacked, and not run."""
    try:
        _, source = unwrap(read_bytes(folder / PACKED, MOST_PACKED, inside=folder))
    except (BadInput, RecursionError, MemoryError):
        return False
    return all(word in source for word in OURS)


def _own_job(folder: Path, out: Path, data_dir: Path, logged: Run, artifact: Path | None) -> Job:
    knobs = {k: v.value for k, v in logged.hyperparameters.items()}
    code = read_bytes(folder / PACKED, MOST_PACKED, inside=folder)
    program = own_program(code, folder.resolve().name, {})
    given = {}
    threads = logged_threads(logged)
    environment = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    environment |= knob_environment(knobs, read_source({PACKED: code}, PACKED).variables) | {"DATA_DIR": str(data_dir)}
    if artifact:
        name = name_for(program, artifact)
        given, environment["EVAL_ONLY"] = {name: artifact}, name
    elif (world := _ranks(logged)) > 1:
        _check_shares(environment, world)
    return Job("reproduction of seed", out, program, out, environment, given=given)


def _check_shares(environment: Mapping[str, str], world: int) -> None:
    try:
        check_shares(config_from_env(environment), world)
    except ValueError as e:
        raise BadInput(f"the record's log: {e}") from None


def _their_job(folder: Path, out: Path, data_dir: Path, logged: Run, artifact: Path | None) -> Job:
    """The job of a program that is not ours; all that can be wrong with it is said before anything is written."""
    program = open_program(folder)
    check_ranks_of(program, _ranks(logged))
    if lacks := missing_here(program, torch.cuda.is_available()):
        raise BadInput(f"{'; '.join(lacks)}. Install what is missing, or reproduce the record where it is")
    config = _dataset(program, logged, data_dir, trains=artifact is None)
    environment = settings_on(with_vocabulary(program, config.vocab_size), config)
    given = {}
    if artifact:
        if program.eval_only is None:
            raise BadInput(
                f"nothing says how {program.script} scores an artifact: write in {folder / SETTINGS} the variables "
                'that make it score one and train nothing, such as eval_only = { EVAL_ONLY = "{artifact}" }'
            )
        name = name_for(program, artifact)
        given = {name: artifact}
        environment |= {k: v.replace("{artifact}", name) for k, v in program.eval_only.items()}
    return Job("reproduction of seed", out, program, out, environment, given=given, most_seconds=MOST_SECONDS)


def _dataset(program: Program, logged: Run, data_dir: Path, trains: bool) -> Config:
    """The dataset in the vocabulary that the program has, by its source or its log; else the only one that is there."""
    said = logged.hyperparameters.get("vocab_size")
    there = [re.fullmatch(r"fineweb10B_sp(\d{1,7})", path.name) for path in data_dir.glob("datasets/fineweb10B_sp*")]
    sizes = {int(found[1]) for found in there if found}
    vocab = program.vocab_size or (int(said.value) if said and re.fullmatch(r"\d{1,7}", said.value) else None)
    if vocab is None and len(sizes) != 1:
        raise BadInput(
            f"{data_dir}: has {len(sizes)} datasets, and neither {program.script} nor its log says which vocabulary it "
            "has; give --data-dir with the right one alone"
        )
    config = Config(run_id="-", data_dir=str(data_dir), vocab_size=vocab or sizes.pop())
    try:
        for split in ("val", "train") if trains else ("val",):
            shards(config, split)
    except DataError as e:
        raise BadInput(f"{e}; give --data-dir, the folder with datasets/ and tokenizers/") from None
    if not Path(config.tokenizer_path).is_file():
        raise BadInput(
            f"no tokenizer {config.tokenizer_path}: give --data-dir, the folder with datasets/ and tokenizers/"
        )
    return config


def knob_environment(knobs: Mapping[str, str], variables: Collection[str]) -> dict[str, str]:
    """The environment variables that set logged knobs again: their names in upper case, as this community does it.

    Only those of `variables`, which the program reads, that a log may set; a value with a path in it is of one machine.

    Examples
    --------
    >>> knob_environment({"ttt_epochs": "4", "seed": "42", "eval_only": "x"}, {"TTT_EPOCHS", "SEED", "EVAL_ONLY"})
    {'TTT_EPOCHS': '4'}
    """
    named = {name.upper(): value for name, value in knobs.items()}
    return {
        name: value
        for name, value in named.items()
        if name in variables and not (log_problem(name) or value_problem(value) or "/" in value)
    }


def spread(sample: Sample) -> tuple[float, float] | tuple[None, None]:
    """Where one more seed of the sample lies with 95 % chance; (None, None) without two different ones.

    References
    ----------
    .. [1] G. J. Hahn, "Factors for calculating two-sided prediction intervals for samples from a normal
       distribution", J. Amer. Statist. Assoc. 64 (1969) 878-888.

    Examples
    --------
    >>> low, high = spread(from_seeds("04-09", [1.08079352, 1.08103103, 1.08118408]))
    >>> round(low, 6), round(high, 6)
    (1.080025, 1.081981)
    """
    if sample.std == 0:
        return None, None
    half = float(t_quantile((1 + LEVEL) / 2, sample.n - 1)) * sample.std * math.sqrt(1 + 1 / sample.n)
    return sample.mean - half, sample.mean + half


def _sample(entry: Entry) -> Sample:
    return from_seeds(entry.path.name, [r.final.val_bpb for r in entry.runs if r.final])


def _check_artifact(entry: Entry, seed: int, artifact: Path) -> None:
    """BadInput unless submission.json gives this file's SHA-256 for the seed."""
    if not artifact.exists():
        raise BadInput(f"no file {artifact}")
    try:
        said = parse_json(entry.claims.text, "submission.json", number=str)
        claimed = said["seed_results"][str(seed)]["artifact_sha256"]
    except (Untrusted, LookupError, TypeError):
        raise BadInput(f"{entry.path}: submission.json gives no artifact_sha256 for seed {seed}") from None
    if (found := hash_file(artifact, ARTIFACT_MOST)) != claimed:
        raise BadInput(f"{artifact} is not the artifact of seed {seed}: its SHA-256 is {found}, not {claimed}")
