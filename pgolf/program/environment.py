"""The environment variables that a user or a log may set for a program, and those that are not theirs to set."""

import re
from collections.abc import Iterable, Mapping, Sequence

from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.run import OF_THE_RUN
from pgolf.program import Variable

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MOST_CHARACTERS = 4096
RUN_ID = "RUN_ID"
BY_TORCHRUN = (
    "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK GROUP_WORLD_SIZE ROLE_RANK ROLE_WORLD_SIZE NODE_RANK "
    "MASTER_ADDR MASTER_PORT"
)
RANKS = frozenset(BY_TORCHRUN.split())
OF_THE_MACHINE = frozenset(["PATH", "HOME", "BASH_ENV", "ENV", "IFS", "SHELLOPTS"])
LOADERS = re.compile(r"LD_|DYLD_|PYTHON|PGOLF_|TORCHELASTIC_|BASH_FUNC_", re.I)
# Names of logged settings that are the launcher's, or no settings at all
NOT_HANDED_ON = OF_THE_RUN | {name.lower() for name in RANKS | OF_THE_MACHINE}


def as_text(value: object) -> str:
    """A setting as an environment variable has it: True and False as 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def parse_variables(settings: Sequence[str], option: str = "--set", word: str = "NAME") -> dict[str, str]:
    """['TTT_EPOCHS=5', …] by name; BadInput for one without '=' or given twice, in whatever case."""
    variables: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise BadInput(f"{option} {setting}: write {word}=VALUE, such as {option} TTT_EPOCHS=5")
        if name.lower() in map(str.lower, variables):
            raise BadInput(f"{option} {name} is given twice")
        variables[name] = value
    return variables


def name_problem(name: str) -> str | None:
    """Why a user may not set a variable of this name; None: they may.

    Examples
    --------
    >>> name_problem("LD_PRELOAD")
    'decides what the interpreter or the loader runs, and is not handed to a program'
    """
    if not VARIABLE.fullmatch(name):
        return "is no name of a variable: letters, digits and '_', not a digit first"
    if LOADERS.match(name):
        return "decides what the interpreter or the loader runs, and is not handed to a program"
    if name.upper() in OF_THE_MACHINE:
        return "belongs to the machine that the program runs on"
    if name.upper() in RANKS:
        return "is set by torchrun for each rank"
    return None


def value_problem(value: str) -> str | None:
    """Why a variable cannot have this value; None: it can."""
    if len(value.encode(errors="replace")) > MOST_CHARACTERS:
        return f"has a value of over {MOST_CHARACTERS:,} bytes"
    return "has a value with a control character" if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value) else None


def check_settings(
    settings: Mapping[str, str], variables: Mapping[str, Variable], seed: str, data: Iterable[str]
) -> dict[str, str]:
    """The settings by the names that the source has; BadInput for one that it does not read, or that is not to be set.

    `seed` and `data` are the variables that every run sets by itself.
    """
    found: dict[str, str] = {}
    for given, value in settings.items():
        name = given if given in variables else given.upper()
        problem = _not_theirs(name, seed, data)
        if not problem and name not in variables:
            problem = f"the program reads no such variable{did_you_mean(name, variables)}; --env sets any other"
        if problem := problem or value_problem(value):
            raise BadInput(f"--set {given}: {problem}")
        if name in found:
            raise BadInput(f"--set {given}: {name} is set twice")
        found[name] = value
    return found


def check_extra(extra: Mapping[str, str], seed: str, data: Iterable[str], option: str = "--env") -> dict[str, str]:
    """The variables that an option sets, read or not; BadInput for one that is not to be set."""
    for name, value in extra.items():
        if problem := _not_theirs(name, seed, data) or value_problem(value):
            raise BadInput(f"{option} {name}: {problem}")
    return dict(extra)


def _not_theirs(name: str, seed: str, data: Iterable[str]) -> str | None:
    if problem := name_problem(name):
        return problem
    if name == seed:
        return "is set for each seed; give the seeds with --seeds"
    if name == RUN_ID:
        return "is set for each run"
    if name in data:
        return "says where the data is; give the dataset with --data-dir, or `data` in program.toml"
    return None
