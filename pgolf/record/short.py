"""How a program of a user's is made short for its trial: by the variables that it reads."""

from contextlib import suppress

from pgolf.errors import BadInput
from pgolf.program import Program

STEPS = ("ITERATIONS", "NUM_ITERATIONS", "MAX_ITERATIONS", "MAX_ITERS", "MAX_STEPS", "NUM_STEPS", "TRAIN_STEPS")
CLOCKS = ("MAX_WALLCLOCK_SECONDS", "MAX_TRAIN_SECONDS", "TRAIN_SECONDS", "TIME_LIMIT_SECONDS")
FEW = {  # at most so much of these, whatever their defaults
    "WARMUP_STEPS": 1,
    "TRAIN_LOG_EVERY": 1,
    "GPTQ_CALIBRATION_BATCHES": 2,
    "TTT_EPOCHS": 1,
}
TRIAL_STEPS, TRIAL_SECONDS, MICRO_BATCHES = 4, 10, 8
LONGER_STEPS, LONGER_SECONDS = 100, 60  # of a second trial, for a program that refuses so few
SELDOM = "1000000"  # steps between validations; not 0, which not every program expects
SEQUENCE, TOKENS = 2048, 16384  # where the program does not say how long its sequences are; least text to score


def shortened(program: Program) -> dict[str, str]:
    """The variables that make a trial of the program take seconds.

    Raises
    ------
    BadInput : it reads none that is known to.
    """
    if program.trial is not None:
        return dict(program.trial)
    read = program.variables or {}
    steps, clocks = bounds(program, TRIAL_STEPS, TRIAL_SECONDS)
    if not (steps or clocks):
        raise BadInput(
            f"{program.script} reads none of {', '.join((*STEPS, *CLOCKS))}, so it cannot be made short for a trial; "
            "name variables that do under [trial] in program.toml"
        )
    few = {name: str(most) for name, most in FEW.items() if name in read}
    batch = whole(program, "TRAIN_BATCH_TOKENS")
    least = MICRO_BATCHES * (whole(program, "TRAIN_SEQ_LEN") or SEQUENCE)
    smaller = {"TRAIN_BATCH_TOKENS": str(least)} if batch and batch > least else {}
    seldom = {"VAL_LOSS_EVERY": SELDOM} if whole(program, "VAL_LOSS_EVERY") else {}
    return few | seldom | smaller | (steps or clocks)


def less_shortened(program: Program) -> dict[str, str] | None:
    """The variables of a second trial, for a program that fails with those of `shortened`: only its steps and its
    clock are bounded, as some want more steps, or a larger batch. None: the user said what a trial sets."""
    if program.trial is not None:
        return None
    steps, clocks = bounds(program, LONGER_STEPS, LONGER_SECONDS)
    return steps | clocks


def bounds(program: Program, steps: int, seconds: int) -> tuple[dict[str, str], dict[str, str]]:
    """The variables that it reads which bound its steps, and those which bound its time; never above what they are."""

    def bounded(names: tuple[str, ...], most: int) -> dict[str, str]:
        read = [name for name in names if name in (program.variables or {})]
        return {name: str(min(most, whole(program, name) or most)) for name in read}

    return bounded(STEPS, steps), bounded(CLOCKS, seconds)


def tokens_to_score(program: Program) -> int:
    """Tokens of validation text for a trial: some of the program's sequences."""
    longest = max(whole(program, name) or SEQUENCE for name in ("TRAIN_SEQ_LEN", "EVAL_SEQ_LEN"))
    return max(TOKENS, 16 * longest) + 1


def whole(program: Program, name: str) -> int | None:
    """The whole number that a variable of the program has, as set or by default; None: unknown."""
    try:
        return int(str(text_of(program, name)).replace("_", ""))
    except ValueError:
        return None


def clock_of(program: Program) -> float | None:
    """Seconds after which the program ends its training, as set or by default; None: unknown."""
    for name in CLOCKS:
        with suppress(ValueError, TypeError):
            return float(str(text_of(program, name)).replace("_", ""))
    return None


def text_of(program: Program, name: str) -> str | None:
    """The text that a variable of the program has, as set or by default; None: unknown."""
    variable = (program.variables or {}).get(name)
    return program.environment.get(name, variable.default if variable else None)
