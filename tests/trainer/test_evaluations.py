"""The trainer's list of what is scored from the artifact is that of pgolf.stages, which all other readers have."""

from itertools import product

import pytest

from pgolf.stages import STAGES
from pgolf.trainer.stages import stages

SWITCHES = ("sliding_window_enabled", "stream_enabled", "ttt_enabled", "phased_ttt_enabled")


@pytest.mark.parametrize("values", list(product((False, True), repeat=4)))
def test_knobs_turn_on_the_stages_that_the_table_says(config, values):
    cfg = config(**dict(zip(SWITCHES, values, strict=True)))
    expected = [s.name for s in STAGES if s.mode and all(getattr(cfg, knob) == on for knob, on in s.switches)]
    assert [name for name, _ in stages(cfg, print, len, None)] == expected
