"""One judgement of a limit: to the last millisecond and byte, and of several runs the one that decides."""

from pathlib import Path

import pytest

from pgolf.audit.measures import Measure, artifact_bytes, worst_measures
from pgolf.evidence.run import Evidence, Run, Sourced, Stage
from pgolf.tracks import Limits

AT = Evidence("log", 1)
LIMITS = Limits(artifact_bytes=16_000_000, train_seconds=600.0, eval_seconds=600.0, grace_seconds=1.0)


def run(seed: int, train: float | None, calibration: float | None = None, **sizes: int) -> Run:
    made = Run(Path("log"), seed=Sourced(seed, AT), calibration=AT)
    made.train_seconds = None if train is None else Sourced(train, AT)
    made.calibration_seconds = None if calibration is None else Sourced(calibration, AT)
    for name, size in sizes.items():
        setattr(made, name, Sourced(size, AT))
    return made


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (599.999, "pass"),
        (600.0, "pass"),
        (600.001, "warn"),
        (601.0, "warn"),
        (601.001, "fail"),
        (None, "unknown"),
    ],
)
def test_time_has_a_grace(seconds: float | None, status: str) -> None:
    assert Measure("training", "s", 600.0, seconds, grace=1.0).status == status


def test_grace_ends_at_the_decimal_that_is_written() -> None:
    assert 600.1 - 600 > 0.1  # in floating point
    assert Measure("training", "s", 600.0, 600.1, grace=0.1).in_grace


def test_size_has_no_grace() -> None:
    sizes = (16_000_000, 16_000_001)
    columns = [worst_measures([run(1, 1.0, 1.0, artifact_bytes=size)], LIMITS) for size in sizes]
    assert [c[0].status for c in columns] == ["pass", "fail"]


def test_one_run_over_a_limit_decides_whatever_is_unknown_of_others() -> None:
    training = worst_measures([run(1, 590.0, 5.0), run(2, None), run(3, 590.0, 12.0)], LIMITS)[2]
    assert (training.status, training.seed, training.value) == ("fail", 3, 602.0)
    training = worst_measures([run(1, 590.0, 10.5), run(2, 590.0)], LIMITS)[2]  # its calibration is not timed
    assert (training.status, training.seed, training.value) == ("unknown", 2, None)
    training = worst_measures([run(1, 590.0, 5.0), run(2, 590.0, 10.5), run(3, 590.0, 6.0)], LIMITS)[2]
    assert (training.status, training.seed) == ("warn", 2)


def test_nothing_is_known_of_no_runs() -> None:
    assert [m.status for m in worst_measures([], LIMITS)] == ["unknown"] * 4


def test_size_is_the_sum_where_a_log_gives_its_parts() -> None:
    size = artifact_bytes(run(1, 1.0, model_bytes=900, code_bytes=100))
    assert size and size.value == 1000
    assert artifact_bytes(run(1, 1.0, model_bytes=900)) is None


def test_diagnostic_passes_alone_miss_no_limit() -> None:
    made = run(1, 1.0, 1.0)
    made.stages = [
        Stage("diagnostic quantized", "quantized", 2.8, 1.1, 300.0, 4, AT, diagnostic=True),
        Stage("quantized_ttt", "ttt", 2.8, 1.1, 500.0, 4, AT),
    ]
    evaluation = worst_measures([made], LIMITS)[3]
    assert (evaluation.value, evaluation.counted, evaluation.status) == (800.0, 500.0, "warn")
    assert not evaluation.in_grace
    assert "diagnostic" in evaluation.judged
