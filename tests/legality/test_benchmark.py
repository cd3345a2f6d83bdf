"""The benchmark of the probes counts as it should, and the page names what it may miss."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))
import legality

sys.path.pop()  # the benchmark's data.py is not the tests' data

BAD, GOOD = legality.ROOT / "tests" / "bad_evaluators", legality.ROOT / "tests" / "good_evaluators"
OFFENDER, HONEST = legality.Case(BAD / "trains_ahead.py", False), legality.Case(GOOD / "warm_up.py", True)
PASSING = [{"probe": "causal", "passed": True, "counter_example": None}]
FAILING = [{"probe": "causal", "passed": False, "counter_example": {"what": "moves"}}]


@pytest.mark.parametrize(
    "code, printed, said, outcomes",
    [
        (0, PASSING, "", ("missed", "passed")),
        (1, FAILING, "", ("caught", "accused")),
        (1, None, "error: the evaluator cannot be made", ("missed", "accused")),
        (2, None, "error: no file", ("missed", "accused")),
        (0, None, "", ("missed", "accused")),
        (0, FAILING, "", ("missed", "accused")),
        (124, None, "", ("missed", "accused")),
        (-9, None, "", ("missed", "accused")),
    ],
    ids=["passes", "fails", "no verdict", "bad input", "silent exit 0", "exit 0 with a failure", "hangs", "killed"],
)
def test_only_a_verdict_counts(code, printed, said, outcomes):
    """A probe that an evaluator ends with exit 0 has caught nothing."""
    end = legality.Ended(code, printed, said, 1.0)
    assert tuple(legality.judged(case, end, False, {}).outcome for case in (OFFENDER, HONEST)) == outcomes
    expected = outcomes[0] if outcomes[0] == "caught" else "out of reach"
    assert legality.judged(OFFENDER, end, False, {"trains_ahead": "reason"}).outcome == expected


def test_what_an_evaluator_prints_is_no_result_of_probes():
    for text in ("", "7", "null", "[]", "[1]", '{"probe": 1}', "evaluating …", '[{"probe": "causal"}]'):
        assert legality.results_of(text) is None
    assert legality.results_of(json.dumps(PASSING)) == PASSING


def test_every_evaluator_is_a_case_and_every_exception_is_an_evaluator():
    found = {case.file: case.honest for case in legality.cases([""])}
    assert sum(not honest for file, honest in found.items() if file.parent == BAD) >= 36
    assert sum(honest for file, honest in found.items() if file.parent == GOOD) >= 20
    names = {file.stem for file in found}
    assert legality.out_of_reach().keys() <= names
    assert legality.SURROUNDINGS.keys() - names <= {"b14_bytes_off_for_one_rare_piece", "b22_unix_socket"}
    for file in found:
        assert "make_evaluator" in file.read_text(), file


def test_a_surrounding_is_taken_away_again(tmp_path):
    shard = tmp_path / "fineweb_train_000000.bin"
    with legality.SURROUNDINGS["reads_training_shards"](tmp_path):
        assert shard.exists()
    assert not shard.exists()
    shard.write_bytes(b"mine")
    with legality.SURROUNDINGS["reads_training_shards"](tmp_path):
        assert shard.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == [shard.name]
