"""The table of what is scored from the artifact."""

import pytest

from pgolf.trainer.stages import stages


@pytest.mark.parametrize(
    "knobs, expected",
    [
        ({}, ["quantized", "quantized_sliding_window", "quantized_ttt"]),
        ({"phased_ttt_enabled": 1}, ["quantized", "quantized_sliding_window", "quantized_ttt_phased"]),
        ({"phased_ttt_enabled": 1, "ttt_enabled": 0}, ["quantized", "quantized_sliding_window"]),
        ({"sliding_window_enabled": 0, "ttt_enabled": 0}, ["quantized"]),
    ],
)
def test_knobs_turn_stages_on(config, knobs, expected):
    assert [name for name, _ in stages(config(**knobs), print, len, None)] == expected
