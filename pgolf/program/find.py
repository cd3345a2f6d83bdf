"""A file, a folder or a record folder of a user's → the program that it holds. It is read, and never run."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.entry import Entry
from pgolf.evidence.record_folder import check_no_work_folder
from pgolf.program import ARTIFACTS, Program
from pgolf.program.data import data_variables, required_data, tells_shards, vocab_size
from pgolf.program.environment import check_extra, check_settings, name_problem
from pgolf.program.folder import CODE, Folder, is_left_out, is_text
from pgolf.program.logged import Logged, entry_of, log_names, read_logged
from pgolf.program.requires import FILES, required
from pgolf.program.settings import NAME, Settings, path_problem, read_settings
from pgolf.program.source import Reading, read_source

SCRIPT = "train_gpt.py"
WEIGHTS = (".pt", ".pth", ".ptz", ".npz")  # mostly a run's own
ROUNDS = 20  # of looking for what the files need that the round before found
SAYS_NOTHING = frozenset(("", ".", "..", "src", "code", "root", "home", "tmp"))


@dataclass(frozen=True)
class _Found:
    """The program's files, as they lie there, with what the source says."""

    folder: Folder
    script: str
    reading: Reading
    settings: Settings
    entry: Entry | None = None
    name: str = ""
    renamed: str | None = None  # what the script was called


def open_program(
    path: Path,
    settings: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    evaluator: str | None = None,
    speedrun: bool = False,
) -> Program:
    """Read a program of a user's.

    Parameters
    ----------
    path : its script, its folder, or a record folder, whose logs give the settings that it ran with.
    settings : variables that its source reads, by name, to set otherwise.
    extra : any other environment variables.
    evaluator : its evaluation for the legality probes, as FILE:make_evaluator.
    speedrun : it runs for a track with a target: it may read no seed, and take its data from a fixed path.

    Raises
    ------
    BadInput : it cannot be read within bounds, has several scripts, reads no seed or no place of data, or a variable
        is set that it does not read or that is not to be set.
    """
    return read_program(path, settings, extra, evaluator, speedrun)[0]


def read_program(
    path: Path,
    settings: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    evaluator: str | None = None,
    speedrun: bool = False,
) -> tuple[Program, Reading]:
    """`open_program`, with all that its source says."""
    found = _found(path, speedrun)
    reading, wishes, files = found.reading, found.settings, found.folder.files
    seed = _seed(found, speedrun)
    if speedrun:
        data = dict(wishes.data or {}) or required_data(reading.variables)
    else:
        data = dict(wishes.data or {}) or data_variables(reading.variables, _text(found))
    if not tells_shards(data) and not wishes.data and not speedrun:
        raise BadInput(
            f"{path}: {found.script} reads no variable that says where the data is (DATA_PATH, DATA_DIR); name it in a "
            f'{NAME} beside it: data = {{ NAME = "{{shards}}" }}'
        )
    code = code_of(files, found.script, reading.own, wishes)
    sizes = {sum(len(files[name]) for name in code), len(files[found.script])}
    logged = (
        Logged()
        if found.entry is None
        else read_logged(found.entry, reading.variables, {*data, *filter(None, [seed])}, sizes)
    )
    asked = check_settings(settings or {}, reading.variables, seed, data)
    others = check_extra(extra or {}, seed, data)
    if twice := sorted(asked.keys() & others.keys()):
        raise BadInput(f"{', '.join(twice)}: given with --set and with --env; give each of them once")
    environment = {**logged.settings, **asked, **others}
    needs = required(reading.modules, reading.commands, reading.cuda, wishes.requires, files)
    program = Program(
        name=wishes.name or found.name,
        ours=False,
        files=files,
        script=found.script,
        code=code,
        command=wishes.command or (),
        environment=environment,
        seed=seed,
        data=data,
        vocab_size=vocab_size(environment, reading.variables, data),
        log=wishes.log,
        artifact=wishes.artifacts or ARTIFACTS,
        variables=reading.variables,
        requires=replace(needs, setup=wishes.setup or needs.setup),
        trial=wishes.trial,
        eval_only=wishes.eval_only,
        eval_seconds=wishes.eval_seconds,
        evaluator=evaluator,
        ranks_divide=reading.ranks_divide,
        notes=(*_notes(found), *logged.notes),
    )
    _check_artifacts(program, path)
    return program, reading


def code_of(files: Mapping[str, bytes], script: str, own: tuple[str, ...], wishes: Settings) -> tuple[str, ...]:
    """The files whose bytes count as code: the script, and every file of code beside it that a run may need.

    Not counted: requirements.txt and the setup, as packages are not counted either; and shell scripts that neither the
    source nor `command` names, such as run_8gpu.sh, since torchrun starts the script.
    """
    named = {script, *own, *(wishes.command or ())}
    setup = wishes.setup or FILES[1]
    counted = [
        name
        for name in files
        if name != setup and (name in named or not name.endswith(".sh")) and Path(name).suffix.lower() in CODE
    ]
    return tuple(sorted({script, *counted}, key=lambda name: (name != script, name)))


def _found(path: Path, speedrun: bool) -> _Found:
    if path.is_dir():
        return _in_folder(path, speedrun)
    if not path.is_symlink() and not path.exists():
        raise BadInput(f"no file or folder {path}: give a train_gpt.py, the folder that it is in, or a record folder")
    return _beside(path)


def _in_folder(path: Path, speedrun: bool) -> _Found:
    check_no_work_folder(path)
    folder, settings = Folder(path), read_settings(path)
    entry = None if speedrun else entry_of(path.resolve())
    script = settings.script or _choose(folder, path)
    _take_script(folder, script, settings)
    if not settings.files:
        logs = log_names(entry) if entry else set()
        texts = speedrun  # whose logs may have any name
        folder.take_all(lambda name: name in logs or is_left_out(name.rpartition("/")[2]) or (texts and is_text(name)))
    return _Found(folder, script, _with_needed(folder, script), settings, entry, _name(path, script))


def _beside(path: Path) -> _Found:
    """The program of a script that was named itself: only those files beside it that it needs go along."""
    folder, settings, script = Folder(path.parent), read_settings(path.parent), path.name
    _take_script(folder, script, settings)
    if not settings.files:
        for name in _with_needed(folder, script, folder.peek()).own:
            folder.take(name)
    reading, name = _with_needed(folder, script), _name(path.parent, script)
    alone = [n for n in folder.files if n.endswith(".py")] == [script]
    named = settings.script or settings.files or script in (settings.command or ())
    if script == SCRIPT or not alone or named or _names_itself(folder.files[script], script):
        return _Found(folder, script, reading, settings, None, name)
    folder.files = {SCRIPT if n == script else n: content for n, content in folder.files.items()}
    return _Found(folder, SCRIPT, read_source(folder.files, SCRIPT), settings, None, name, renamed=script)


def _take_script(folder: Folder, script: str, settings: Settings) -> None:
    """Take the script, program.toml, so that a submission has it, what it names, and what makes a machine ready."""
    if script.startswith("-"):
        raise BadInput(f"{folder.root}: {script} would be taken for an option; rename it")
    folder.take(script)
    if settings.files:
        folder.take_matching(settings.files)
    for name in (NAME, *FILES, *filter(None, (settings.setup,))):
        if name == settings.setup or folder.has(name):
            folder.take(name)


def _choose(folder: Folder, path: Path) -> str:
    """The script of a folder, by its name; else the only one that is started and not imported."""
    if folder.has(SCRIPT):
        return SCRIPT
    names = [name for name in folder.top() if name.endswith(".py")]
    for kind in ("train_gpt", "train"):
        if fitting := [name for name in names if name.startswith(kind)]:
            return _only(fitting, path)
    started = [name for name in names if re.search(rb"__main__|[\"']SEED[\"']", folder.read(name))]
    if not started and len(names) != 1:
        raise BadInput(f"{path}: no Python script of a program in it: give the path of one, or of a folder with one")
    return _only(started or names, path)


def _only(names: list[str], path: Path) -> str:
    if len(names) == 1:
        return names[0]
    raise BadInput(
        f"{path} has several scripts: {', '.join(names)}; give the path of one, as {path / names[0]}, or write "
        f'script = "{names[0]}" in {path / NAME}'
    )


def _with_needed(folder: Folder, script: str, more: Mapping[str, bytes] | None = None) -> Reading:
    """Read the source with `more` files beside those taken, and take what it needs that is in neither."""
    for _ in range(ROUNDS):
        files = {**(more or {}), **folder.files}
        reading = read_source(files, script)
        wanted = [name for name in _wanted(folder, reading, script) if name not in files]
        if not wanted:
            break
        for name in wanted:
            folder.take(name)
    return reading


def _wanted(folder: Folder, reading: Reading, script: str) -> list[str]:
    """Files of the folder that the source imports or opens, and that were left out for their names or their place."""
    here = script.rpartition("/")[0]
    found = []
    for need in reading.modules:
        module = "/".join(filter(None, (here, need.name.partition(".")[0])))
        found += [f"{module}.py"] if folder.has(f"{module}.py") else folder.sources_in(module)
    opened = [name for need in reading.reads if path_problem(name := _plain(need.name)) is None]
    return found + [name for name in opened if folder.has(name) and not any(map(is_left_out, name.split("/")))]


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part != ".")


def _text(found: _Found) -> str:
    """The program's own source, as it lies there."""
    sources = (found.script, *(name for name in found.reading.own if name.endswith(".py")))
    return "\n".join(found.folder.files[name].decode(errors="replace") for name in sources)


def _names_itself(content: bytes, script: str) -> bool:
    """Whether a source has its own file's name as a text, and so may look for it."""
    return re.search(rb"""["'](?:\./)?%s["']""" % re.escape(script.encode()), content) is not None


def _name(folder: Path, script: str) -> str:
    """A submission's name: the folder's; the script's, where the folder's says nothing."""
    said = folder.name if folder.name not in SAYS_NOTHING and folder.resolve() != Path.home() else Path(script).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", said).strip("-._")[:80] or "program"


def _seed(found: _Found, speedrun: bool) -> str | None:
    variables, given = found.reading.variables, found.settings.seed
    if speedrun and not given and "SEED" not in variables:
        return None
    seed = given or "SEED"
    if problem := name_problem(seed):
        raise BadInput(f"{found.folder.root / NAME}: seed: {seed} {problem}")
    if seed in variables or (given and found.reading.unclear):
        return seed
    if given:
        near = did_you_mean(given, variables)
        raise BadInput(f"{found.folder.root / NAME}: seed: {found.script} reads no variable {given}{near}")
    like = next((name for name in variables if re.search(r"(^|_)SEED$", name)), None)
    raise BadInput(
        f"{found.folder.root / (found.renamed or found.script)}: reads no variable SEED, so all runs would have one "
        "seed; "
        + (f"if {like} is its seed, write" if like else "if it reads its seed by another name, write")
        + f' seed = "{like or "NAME"}" in a {NAME} beside it'
    )


def _check_artifacts(program: Program, path: Path) -> None:
    """BadInput for a file of the program that would pass for the artifact of a run that made none."""
    for name in program.files:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in program.artifact):
            raise BadInput(
                f"{path}: {name} has the name of an artifact; rename it, or give the artifact's by `artifact` in {NAME}"
            )


def _notes(found: _Found) -> list[str]:
    notes = []
    if found.renamed:
        notes.append(f"{found.renamed} runs as {SCRIPT}, as a submission has it.")
    if found.reading.packed:
        notes.append(f"The script extracts itself ({found.reading.packed}); what it extracts is what was read.")
    for need in found.reading.reads:
        name = _plain(need.name)
        if path_problem(name) is None and Path(name).suffix not in WEIGHTS and found.folder.has(name):
            notes.append(f"{need.file}:{need.line} opens {name}, which is not sent; name it by `files` in {NAME}.")
    return notes
