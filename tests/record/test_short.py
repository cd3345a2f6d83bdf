"""How a user's program is made short for a trial, and less short for one that refuses so few steps."""

from pgolf.program import Program, Variable
from pgolf.record.short import less_shortened, shortened


def program(trial: dict[str, str] | None = None, **defaults: str) -> Program:
    variables = {name: Variable(name, text, "train_gpt.py", 1) for name, text in defaults.items()}
    script = "train_gpt.py"
    return Program("theirs", False, {script: b""}, script, (script,), variables=variables, trial=trial)


def test_a_trial_never_divides_by_zero_validations():
    every = {"ITERATIONS": "20000", "VAL_LOSS_EVERY": "1000"}
    assert int(shortened(program(**every))["VAL_LOSS_EVERY"]) > 20000
    assert "VAL_LOSS_EVERY" not in shortened(program(ITERATIONS="20000", VAL_LOSS_EVERY="0"))


def test_a_second_trial_bounds_only_steps_and_clock():
    whole = {"ITERATIONS": "80", "TRAIN_BATCH_TOKENS": "524288", "WARMUP_STEPS": "20", "MAX_WALLCLOCK_SECONDS": "600.0"}
    assert shortened(program(**whole))["ITERATIONS"] == "4"
    assert less_shortened(program(**whole)) == {"ITERATIONS": "80", "MAX_WALLCLOCK_SECONDS": "60"}
    assert less_shortened(program(ITERATIONS="20000")) == {"ITERATIONS": "100"}
    assert less_shortened(program({"STEPS": "4"}, ITERATIONS="20000")) is None
