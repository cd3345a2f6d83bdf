"""`pgolf power`: each question it answers, and the combinations of options that are no question."""

import json
import math
from collections.abc import Callable

import pytest

from pgolf import cli
from pgolf.stats.power import plan_seeds
from pgolf.stats.target import chance_of, runs_needed

TARGET = ("--mean", "3.2787", "--std", "0.0016")
TIMES = ("--delta", "0.4", "--std", "0.2")


@pytest.fixture
def pgolf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `pgolf …`; exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pgolf", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return run


def test_runs_below_a_target(pgolf):
    code, out, _ = pgolf("power", "--target", "3.28", *TARGET, "--runs", "14", "--json")
    content = json.loads(out)
    assert code == 0 and content["runs"] == 14 and content["alpha"] == 0.01
    assert content["runs_needed"] == runs_needed(0.0016, 3.28 - 3.2787, 0.01, 0.9)
    assert content["chance"] == chance_of(14, 0.0016, 3.28 - 3.2787, 0.01)
    assert chance_of(14, 0.0016, content["smallest_gap"], 0.01) == pytest.approx(0.9)


def test_the_smallest_gain_has_a_unit(pgolf):
    gain = ("--std", "0.0006", "--delta", "0.0065")
    for words, unit in (
        (gain, "(in the unit of --std)"),
        (("--track", "10min_16mb", *gain), "bpb"),
        (("--track", "nanogpt_short", *TIMES), "s"),
    ):
        (line,) = [line for line in pgolf("power", *words)[1].splitlines() if line.startswith("smallest Δ")]
        assert line.endswith(f" {unit}")


def test_a_track_gives_target_level_and_runs_where_no_option_does(pgolf, tmp_path):
    rules = tmp_path / "own.toml"
    rules.write_text(
        'title = "x"\nhardware = "x"\n[target]\nloss = 2.5\nleast = "train_seconds"\nalpha = 0.02\ngain_alpha = 0.03\n'
        "min_runs = 2\n[run]\nruns = 7\nnproc = 1\nmost_seconds = 60\n"
    )
    _, out, _ = pgolf("power", "--track", rules, "--mean", "2.49", "--std", "0.01", "--json")
    content = json.loads(out)
    assert (content["target"], content["alpha"], content["runs"]) == (2.5, 0.02, 7)
    given = ("--target", "2.6", "--alpha", "0.05", "--runs", "9")
    _, out, _ = pgolf("power", "--track", rules, "--mean", "2.49", "--std", "0.01", *given, "--json")
    content = json.loads(out)
    assert (content["target"], content["alpha"], content["runs"]) == (2.6, 0.05, 9)
    _, out, _ = pgolf("power", "--track", rules, *TIMES, "--json")
    assert json.loads(out)["alpha"] == 0.03


def test_a_track_with_limits_gives_the_bar_over_the_record_that_stands(pgolf):
    gain = ("--track", "10min_16mb", "--std", "0.0006", "--delta", "0.0065")
    _, out, _ = pgolf("power", *gain, "--json")
    content = json.loads(out)
    assert (content["n_new"], content["n_old"], content["alpha"]) == (3, 3, 0.01)
    assert content["margin"] == pytest.approx(0.005 / math.log(2) / 3.157151518)
    _, out, _ = pgolf("power", *gain)
    assert out.startswith("to beat ") and "pr1855, 3 seeds; the bar is 0.0022848 bpb" in out
    _, out, _ = pgolf("power", *gain, "--against", "pr1394", "--json")
    content = json.loads(out)
    assert content["n_old"] == 5 and content["margin"] == pytest.approx(0.0019357, abs=1e-7)
    _, out, _ = pgolf("power", *gain, "--margin", "0", "--old-seeds", "4", "--json")
    assert (json.loads(out)["margin"], json.loads(out)["n_old"]) == (0, 4)


def test_times_are_compared_with_as_many_runs_of_the_baseline(pgolf):
    _, out, _ = pgolf("power", "--track", "nanogpt_short", *TIMES, "--runs", "5", "--json")
    content = json.loads(out)
    assert (content["n_new"], content["n_old"]) == (5, 5)
    assert content["chance"] == plan_seeds(0.2, 0.4, n_new=5, n_old=5).chance
    _, out, _ = pgolf("power", "--track", "nanogpt_short", *TIMES, "--runs", "5", "--baseline-runs", "8")
    assert "8 baseline runs" in out and "seeds" not in out


def test_seeds_as_ever(pgolf):
    _, out, _ = pgolf("power", "--std", "0.0002", "--delta", "0.0021", "--seeds", "4", "--json")
    content = json.loads(out)
    assert (content["n_new"], content["n_old"], content["alpha"], content["margin"]) == (4, 3, 0.01, 0.0)


def test_a_mean_above_the_target_is_never_shown(pgolf):
    code, out, _ = pgolf("power", "--target", "3.28", "--mean", "3.29", "--std", "0.001")
    assert code == 0 and "no number would do: the mean is not below the target" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--std", "1"), "either --delta"),
        ((*TARGET, *TIMES[:2], "--target", "3.28"), "either --delta"),
        (TARGET, "--mean needs a target"),
        (("--target", "3.28", *TIMES), "--target is for --mean"),
        (("--target", "3.28", *TARGET, "--margin", "0"), "--margin"),
        (("--target", "3.28", *TARGET, "--old-seeds", "3"), "--old-seeds"),
        (("--track", "10min_16mb", *TARGET), "no target loss"),
        (("--against", "pr1493", *TIMES), "name it with --track"),
        (("--track", "nanogpt_short", "--against", "pr1493", *TIMES), "does not apply to the speedrun"),
        (("--track", "10min_16mb", "--against", "1.08,1.09", *TIMES), "has no bytes per token"),
        (("--track", "non_record_16mb", *TIMES), "no record of track non_record_16mb"),
        (("--track", "nanogpt_optimization", *TIMES), "fewest steps"),
        (("--track", "nanogpt_shrt", *TIMES), "did you mean nanogpt_short"),
        (("--target", "nan", *TARGET), "gap"),
        (("--target", "3.28", "--mean", "3.2", "--std", "0"), "std"),
        (("--target", "3.28", *TARGET, "--runs", "1"), "1 run:"),
        (("--target", "3.28", *TARGET, "--alpha", "0.9"), "alpha"),
        (("--target", "3.28", *TARGET, "--chance", "1"), "chance"),
    ],
)
def test_what_is_no_question(pgolf, words, said):
    code, out, err = pgolf("power", *words)
    assert code == 2 and said in " ".join(err.split()) and out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("ledger", "add", "x", "log.txt", "--track", "track_1_short", "--title", "x", "--date", "2026-01-01"),
        ("fit", "folder", "--track", "nanogpt_short"),
        ("sweep", "--track", "nanogpt_short"),
    ],
)
def test_commands_that_need_limits_refuse_a_track_with_a_target(pgolf, words):
    code, _, err = pgolf(*words)
    assert code == 2 and "aims at a target loss" in " ".join(err.split())
