"""A plan is written once, keeps its word, and seeds that were added later say so."""

import json

import pytest

from pgolf.errors import BadInput
from pgolf.evidence.plan import make_plan, make_plan_of_runs, read_plans, write_plan

INPUTS = {"train_gpt.py": "ab" * 32, "data": "cd" * 32}


def test_written_plan_reads_back_with_its_hash(tmp_path):
    plan = make_plan("r1", "cpu_smoke", "smoke", [42, 314, 999], INPUTS)
    write_plan(tmp_path, plan)
    assert read_plans(tmp_path) == [plan]
    assert json.loads((tmp_path / "plan.json").read_text())["sha256"] == plan.sha256


def test_the_same_plan_again_leaves_the_first_as_it_was(tmp_path):
    write_plan(tmp_path, make_plan("r1", "cpu_smoke", "smoke", [1, 2], INPUTS, created="2026-01-01T00:00:00+00:00"))
    before = (tmp_path / "plan.json").read_bytes()
    write_plan(tmp_path, make_plan("r1", "cpu_smoke", "smoke", [1, 2], INPUTS))
    assert (tmp_path / "plan.json").read_bytes() == before
    assert len(read_plans(tmp_path)) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seeds": [1, 3]}, "seeds"), ({"inputs": INPUTS | {"data": "ee"}}, "data"), ({"preset": "pr1812"}, "preset")],
)
def test_another_plan_is_refused_and_says_what_differs(tmp_path, change, named):
    given = {"seeds": [1, 2], "inputs": INPUTS, "preset": "smoke"}
    write_plan(tmp_path, make_plan("r1", "cpu_smoke", **given))
    with pytest.raises(BadInput, match=named):
        write_plan(tmp_path, make_plan("r1", "cpu_smoke", **(given | change)))
    assert read_plans(tmp_path)[0].seeds == (1, 2)


def test_added_seeds_make_a_further_plan_that_says_so(tmp_path):
    first = make_plan("r1", "cpu_smoke", "smoke", [1, 2], INPUTS)
    write_plan(tmp_path, first)
    more = first.with_seeds([7])
    assert write_plan(tmp_path, more).name == "plan-2.json"
    assert read_plans(tmp_path) == [first, more]
    assert (more.extends, more.added_seeds, more.seeds) == (first.sha256, (7,), (1, 2, 7))
    with pytest.raises(BadInput, match="already"):
        more.with_seeds([7])


def test_an_edited_plan_is_found_out(tmp_path):
    path = write_plan(tmp_path, make_plan("r1", "cpu_smoke", "smoke", [1, 2], INPUTS))
    path.write_text(path.read_text().replace("cpu_smoke", "10min_16mb"))
    with pytest.raises(BadInput, match="hash"):
        read_plans(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1}', "null"])
def test_a_file_that_is_no_plan(tmp_path, content):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(BadInput, match="not a plan"):
        read_plans(tmp_path)


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_make_no_plan(seeds):
    with pytest.raises(BadInput):
        make_plan("r1", "cpu_smoke", "smoke", seeds, INPUTS)


def test_a_plan_with_a_thousand_errors_names_one(tmp_path):
    content = make_plan("r", "t", "p", [1], {}).as_json() | {"early_stop": ["x"] * 1000, "sha256": ""}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="not a plan: early_stop") as e:
        read_plans(tmp_path)
    assert len(str(e.value)) < 1000


def test_a_plan_of_runs_keeps_their_order_and_needs_no_seed(tmp_path):
    order = ("this", "baseline", "baseline", "this")
    plan = make_plan_of_runs("r", "nanogpt_short", "faster", order, (), {"this": "0"})
    write_plan(tmp_path, plan)
    assert read_plans(tmp_path) == [plan]
    with pytest.raises(BadInput, match="order"):
        write_plan(tmp_path, make_plan_of_runs("r", "nanogpt_short", "faster", (*order, "this"), (), {"this": "0"}))
