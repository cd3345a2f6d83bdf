"""The environment variables that a user or a log may set for a program, and those that are not theirs to set."""

import re
from collections.abc import Iterable, Mapping, Sequence

from pgolf.errors import BadInput, did_you_mean
from pgolf.evidence.run import OF_THE_RUN
from pgolf.program import Program, Variable

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
# What no stranger's file may set, neither a log nor a program.toml; a user may, with --env. Whole names, in any case
NOT_STRANGERS = {
    "decides where traffic goes, or whom it trusts": r".*PROXY|SSL.*|OPENSSL_.*|.*CA_BUNDLE|SSH_.*|GIT_.*",
    "decides what the system's libraries and shells do": (
        r"XDG_.*|TE?MP|TMPDIR|SHELL|USER|LOGNAME|LOCPATH|NLSPATH|GCONV_PATH|GLIBC_.*|MALLOC_.*|PS4|CDPATH|BASH.*"
        r"|PROMPT_COMMAND|PERL.*|RUBY.*|NODE_.*|JAVA_.*|PIP_.*|UV_.*|CONDA_.*|VIRTUAL_ENV"
    ),
    "decides what compilers and torch's libraries load": (
        r"CC|CXX|CPP|C(XX|PP)?FLAGS|LDFLAGS|NVCC.*|TRITON_.*|TORCH_(?!COMPILE).*|TORCHINDUCTOR_.*|PYTORCH_.*|CUDA_.*"
        r"|CUDNN_.*|CUBLAS_.*|NVIDIA_.*|NCCL_.*|GLOO_.*|UCX_.*|FI_.*|OMPI_.*|OMP_.*|KMP_.*|MKL_.*"
    ),
    "belongs to a service, and may be a key": (
        r"HF_.*|HUGGING_?FACE.*|TRANSFORMERS_.*|WANDB_.*|AWS_.*|GITHUB_.*|RUNPOD_.*|PREFECT_.*|.*_(API_KEY|TOKEN|SECRET)"
    ),
}
OF_LIBRARIES = re.compile(r"(?:NCCL|GLOO|OMP|KMP|MKL|CUDA|CUDNN|CUBLAS|PYTORCH|TORCH|TORCHINDUCTOR|TRITON)_")
A_KEY = re.compile(r"SECRET|PASSW|CREDENTIAL|AUTH(?!OR)|(?:KEY|TOKEN)\d*$", re.I)  # in a name
PERHAPS_A_KEY = re.compile(r"KEY|TOKEN(?!I)", re.I)  # unless it is a number, as of TRAIN_BATCH_TOKENS
A_NUMBER = re.compile(r"[-+]?[\d.,_]{1,16}(?:e[-+]?\d{1,3})?", re.I)
AN_ABSOLUTE_PATH = re.compile(r"(?:^|[^\w.-]|^-\w)(?:/|~)|[A-Za-z]:[\\/]|\\\\")
HIDDEN = "…"  # in place of a value that is not published
FROM_A_FILE = re.compile(  # of a program that is to train
    r"(.*_)?(EVAL|SCORE|VAL|TEST|INFERENCE|QUANT)_ONLY(_.*)?|(.*_)?(RESUME|CKPTS?|CHECKPOINTS?)(_.*)?"
    r"|(LOAD|INIT|START)_FROM.*|SKIP_TRAIN(ING)?",
    re.I,
)


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


def stranger_problem(name: str) -> str | None:
    """Why a stranger's file may not set a variable of this name; None: it may.

    Examples
    --------
    >>> stranger_problem("all_proxy"), stranger_problem("TTT_EPOCHS")
    ('decides where traffic goes, or whom it trusts', None)
    """
    kinds = (why for why, names in NOT_STRANGERS.items() if re.fullmatch(names, name, re.I))
    return name_problem(name) or next(kinds, None)


def log_problem(name: str) -> str | None:
    """Why a record's log may not set a variable of this name for the program beside it; None: it may.

    Examples
    --------
    >>> log_problem("resume_from_ckpt"), log_problem("SEED"), log_problem("MATRIX_LR")
    ('starts from a file instead of training', 'is of one run', None)
    """
    if name.lower() in OF_THE_RUN and not FROM_A_FILE.fullmatch(name):
        return "is of one run"
    return stranger_problem(name) or ("starts from a file instead of training" if FROM_A_FILE.fullmatch(name) else None)


def published(program: Program) -> dict[str, str]:
    """The variables that are set for a program, as a submission prints them.

    HIDDEN stands for a value that has an absolute path in it, that may be a key by its name, or that neither the
    program's source nor one of torch's libraries reads.
    """
    known = program.variables or {}
    return {
        name: value if (name in known or OF_LIBRARIES.match(name)) and not _private(name, value) else HIDDEN
        for name, value in program.environment.items()
    }


def _private(name: str, value: str) -> bool:
    may_be_key = A_KEY.search(name) or (PERHAPS_A_KEY.search(name) and not A_NUMBER.fullmatch(value))
    return bool(may_be_key or AN_ABSOLUTE_PATH.search(value))


def value_problem(value: str) -> str | None:
    """Why a variable cannot have this value; None: it can."""
    if len(value.encode(errors="replace")) > MOST_CHARACTERS:
        return f"has a value of over {MOST_CHARACTERS:,} bytes"
    return "has a value with a control character" if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value) else None


def check_settings(
    settings: Mapping[str, str], variables: Mapping[str, Variable], seed: str | None, data: Iterable[str]
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


def check_extra(
    extra: Mapping[str, str], seed: str | None, data: Iterable[str], option: str = "--env"
) -> dict[str, str]:
    """The variables that an option sets, read or not; BadInput for one that is not to be set."""
    for name, value in extra.items():
        if problem := _not_theirs(name, seed, data) or value_problem(value):
            raise BadInput(f"{option} {name}: {problem}")
    return dict(extra)


def _not_theirs(name: str, seed: str | None, data: Iterable[str]) -> str | None:
    if problem := name_problem(name):
        return problem
    if name == seed:
        return "is set for each seed; give the seeds with --seeds"
    if name == RUN_ID:
        return "is set for each run"
    if name in data:
        return "says where the data is; give the dataset with --data-dir, or `data` in program.toml"
    return None
