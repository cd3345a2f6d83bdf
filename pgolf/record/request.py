"""The record that a user asks for, checked before anything is started or written."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pgolf import presets, tracks
from pgolf.errors import BadInput
from pgolf.evidence.plan import Rule, check_seeds
from pgolf.files import write_atomic
from pgolf.knobs import RESERVED
from pgolf.ledger import StandingRecord
from pgolf.ledger.against import standing_of
from pgolf.ledger.choosing import check_standing
from pgolf.pack import pack
from pgolf.program import Program
from pgolf.program.environment import parse_variables
from pgolf.program.find import open_program
from pgolf.program.source import read_source
from pgolf.record.short import shortened
from pgolf.report.inputs import check_names, folder_words
from pgolf.tracks import Track
from pgolf.trainer.config import Knob


@dataclass(frozen=True)
class Request:
    """A record to make: the rules, what runs, the seeds, named before the first run, and what it is to be called.

    Presets are read once, here: whoever needs knobs later takes these, so that what is recorded is what ran. With a
    program of the user's the knobs are those of the track's preset, and only those of the dataset say anything of it.
    """

    track: Track
    preset: str  # with a program of the user's its name
    overrides: Mapping[str, str]  # knobs set on top of the preset, as text
    knobs: Mapping[str, Knob]  # those of the preset with the overrides on top
    baseline: Mapping[str, Knob] | None  # those that measure the standing record here; None: the track names no preset
    seeds: tuple[int, ...]
    name: str
    author: str
    github_id: str
    summary: str
    probe: bool = True  # whether the evaluation of the first finished seed is to be probed
    theirs: Program | None = None  # the user's program; None: pgolf's trainer with these knobs
    against: StandingRecord | None = None  # the record to beat; None: the track's
    non_record: bool = False  # if it is no record, it is to be submitted as a non-record one

    @property
    def label(self) -> str:
        """The program's name, or the preset's."""
        return self.preset if self.theirs else Path(self.preset).stem

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of what a record depends on, as far as they are known before its data and its program are made."""
        ran = {"program": self.theirs.sha256} if self.theirs else {"knobs": hash_of(dict(self.knobs))}
        return {**ran, "track": hash_of(asdict(self.track))}


def hash_of(value: object) -> str:
    """SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def rules_of(before: tuple[Rule, ...], limits: bool | None, loss: bool | None) -> tuple[Rule, ...]:
    """The rules that are asked for, by which seeds are ended early; those of `before` where nothing is."""
    asked: dict[Rule, bool | None] = {"limits": limits, "loss": loss}
    return tuple(rule for rule, wish in asked.items() if (rule in before if wish is None else wish))


def check_request(
    track: str,
    preset: str | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Knob] | None = None,
    *,
    name: str | None = None,
    author: str = "unknown",
    github_id: str = "",
    summary: str = "",
    probe: bool = True,
    program: str | None = None,
    env: Mapping[str, str] | None = None,
    packed: bool = False,
    evaluator: str | None = None,
    against: str | None = None,
    non_record: bool = False,
    fewer: str = " (a --non-record submission does not)",
) -> Request:
    """The record that is asked for; what is None comes from the track, the name from the preset or the program.

    With a `program`, the path of a user's, `overrides` are of variables that it reads and `env` of any others; `packed`
    packs its script first. A `non_record` may have fewer seeds than the track asks for; `fewer` says so where too few
    are named.

    Raises
    ------
    BadInput : unknown track, preset or knob, a value that does not parse, a knob that the record sets itself,
        a batch that the track's ranks cannot share, repeated seeds, fewer than the track asks for, a name that
        makes no folder, or an option that is given and empty.
    """
    given = {"--preset": preset, "--program": program, "--evaluator": evaluator, "--against": against, "--name": name}
    if empty := [option for option, value in given.items() if value == ""]:
        raise BadInput(f"{empty[0]} is empty; name one, or leave the option out")
    rules = tracks.load(track)
    if rules.target:
        raise BadInput(f"track {rules.name} is a speedrun, without seeds: its records are made by the flow record-runs")
    if not math.isfinite(rules.limits.most_seconds):
        raise BadInput(f"track {rules.name} limits no time, and a record needs a limit{_with_time(rules)}")
    settings = {name: as_text(value) for name, value in (overrides or {}).items()}
    theirs = read_program(program, preset, settings, env or {}, packed, evaluator)
    knobs = presets.load(preset or rules.preset, {} if theirs else settings)
    knobs.setdefault("vocab_size", presets.config_of(knobs).vocab_size)
    if theirs and theirs.vocab_size:
        knobs["vocab_size"] = presets.parse("vocab_size", str(theirs.vocab_size), where=theirs.name)
    preset = theirs.name if theirs else preset or rules.preset
    if reserved := sorted(RESERVED & knobs.keys()):
        raise BadInput(f"{', '.join(reserved)}: a record sets this itself for each seed; leave it out of the preset")
    baseline = presets.load(rules.baseline_preset) if rules.baseline_preset else None
    if theirs:
        check_ranks_of(theirs, rules.nproc)
    else:
        presets.check_ranks(presets.config_of(knobs), rules.nproc, preset)
    if baseline is not None and not against:
        presets.check_ranks(presets.config_of(baseline), rules.nproc, str(rules.baseline_preset))
    named = check_seeds(rules.seeds if seeds is None else seeds)
    non_record = non_record or not rules.record
    if len(named) < rules.policy.min_seeds and not non_record:
        raise BadInput(
            f"too few seeds ({', '.join(map(str, named))}): "
            f"track {rules.name} asks for at least {rules.policy.min_seeds}{fewer}"
        )
    check_name(name or Path(preset).stem)
    if theirs and evaluator:
        from pgolf.record.probing import evaluator_hashes  # imports torch: all that needs none is checked

        evaluator_hashes(evaluator)  # refuses one that cannot be read
    return Request(
        track=rules,
        preset=preset,
        overrides=settings,
        knobs=knobs,
        baseline=baseline,
        seeds=named,
        name=name or Path(preset).stem,
        author=author,
        github_id=github_id,
        summary=summary,
        probe=probe,
        theirs=theirs and with_vocabulary(theirs, int(knobs["vocab_size"])),
        against=standing_of(against, rules) if against else None,
        non_record=non_record,
    )


def _with_time(rules: Track) -> str:
    """The command for a track that limits no time: within the times of one that has its other limits, or its own."""
    own = "give --track a file with limits of your own"
    beside = (other for other in map(tracks.load, tracks.names()) if other.record and not other.target)
    for other in beside:
        if (other.corpus, other.limits.artifact_bytes) == (rules.corpus, rules.limits.artifact_bytes):
            words = f"--track {other.name} --non-record --seeds {','.join(map(str, rules.seeds))}"
            return f": `pgolf record {words}` runs within the times of {other.name}; or {own}"
    return f": {own}"


def check_to_beat(request: Request) -> None:
    """BadInput if there is no record to beat: none is named, and the track has none and no baseline to measure one."""
    if request.against is None:
        check_standing(request.track)


def check_name(name: str) -> None:
    """BadInput for a submission's name that makes no folder name."""
    folder_words(name)


def check_evaluator(spec: str) -> None:
    """BadInput unless `spec` is FILE.py:NAME of a file that is there; nothing of it is run."""
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise BadInput(f"--evaluator {spec}: write path/to/file.py:make_evaluator")
    if not Path(path).is_file():
        raise BadInput(f"--evaluator {spec}: no file {path}")


def check_ranks_of(program: Program, world: int) -> None:
    """BadInput for a program of the user's whose source refuses to run on so many ranks."""
    if program.ranks_divide and program.ranks_divide % world:
        raise BadInput(
            f"{program.script} runs only on ranks that divide {program.ranks_divide}, and here there would be {world}; "
            "name a track file with another nproc"
        )


def as_text(value: Knob) -> str:
    """A value as an environment variable has it: 1 or 0 for true or false."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def read_program(
    path: str | None,
    preset: str | None,
    settings: Mapping[str, str],
    env: Mapping[str, str],
    packed: bool,
    evaluator: str | None,
) -> Program | None:
    """The user's program, checked; None without a path.

    Raises
    ------
    BadInput : an option that goes only with a program, or not with one; a program that cannot be read, packed, or made
        short for a trial; a file of it that a submission has no place for.
    """
    if path is None:
        given = {"--env": env, "--pack": packed, "--evaluator": evaluator}
        if lonely := [option for option, value in given.items() if value]:
            raise BadInput(f"{lonely[0]} is for a program of your own; name it with --program")
        return None
    if preset:
        raise BadInput("a preset is of pgolf's own trainer; with --program, --set names the program's variables")
    if evaluator:
        check_evaluator(evaluator)
    program = open_program(Path(path), settings, env, evaluator)
    check_names(program)
    shortened(program)  # refuses one that cannot be tried
    return with_packed_script(program) if packed else program


def with_packed_script(program: Program) -> Program:
    """The program with its script, and the modules of its own that it imports, packed into one file. Modules that it
    opens or starts by their file's name stay beside it, too, and so does what it does not import.

    Raises
    ------
    BadInput : a line that cannot be packed.
    """
    own = read_source(program.files, program.script).own
    modules = [name for name in own if name in program.code and name.endswith(".py") and "/" not in name]
    with TemporaryDirectory() as folder:
        for name in (program.script, *modules):
            write_atomic(Path(folder) / name, program.files[name])
        extra = [Path(folder) / name for name in modules]
        try:
            code = pack(source=Path(folder) / program.script, extra=extra).code
        except BadInput as e:
            raise BadInput(f"--pack: {str(e).replace(f'{folder}/', '')}") from None  # named as the user has them
    files = {**program.files, program.script: code}
    kept = {*read_source(files, program.script).own, *program.command}  # no import of a packed module is left
    gone = {name for name in modules if name not in kept}
    return replace(
        program,
        files={name: content for name, content in files.items() if name not in gone},
        code=tuple(name for name in program.code if name not in gone),
    )


def with_vocabulary(program: Program, vocab_size: int) -> Program:
    """The program, told its vocabulary's size where it reads VOCAB_SIZE and has no default for it."""
    variable = (program.variables or {}).get("VOCAB_SIZE")
    if variable is None or variable.default is not None or "VOCAB_SIZE" in program.environment:
        return program
    return replace(program, environment={**program.environment, "VOCAB_SIZE": str(vocab_size)})


def parse_seeds(text: str, option: str = "--seeds") -> tuple[int, ...]:
    """'42,314,999' as integers; BadInput names the part that is none."""
    if not text.strip(" ,"):
        raise BadInput(f"{option} is empty; name at least one seed, or leave the option out")
    try:
        return check_seeds([parse_seed(part) for part in text.split(",") if part.strip()])
    except ValueError as e:
        raise BadInput(f"{option} {text}: {e}; give integers with commas between them, such as 42,314,999") from None


def parse_seed(text: str) -> int:
    """A seed as the trainer takes it: an integer in [0, 2^63)."""
    if not text.strip().isdecimal() or int(text) >= 1 << 63:
        raise ValueError(f"'{text.strip()}' is no seed")
    return int(text)


def parse_overrides(settings: Sequence[str]) -> dict[str, str]:
    """['TTT_EPOCHS=5', …] by knob name in lower case; BadInput for one without '=' or given twice."""
    return {name.lower(): value for name, value in parse_variables(settings, word="KNOB").items()}
