"""`pgolf compare`, `power` and `ledger` as a person types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from good_entry import Folder

from pgolf import cli

PUBLIC = Path(__file__).parents[3] / "shared" / "public-records"
Pgolf = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pgolf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pgolf:
    """Runs `pgolf …`; exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pgolf", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return run


def test_headline_of_the_seed_document(pgolf):
    code, out, _ = pgolf(
        "compare", "mean=1.07290246,std=0.00015869,n=3", "mean=1.0810,std=0.0002,n=3", "--bytes-per-token=3.7266"
    )
    assert code == 0
    for figure in ("5.856e-07", "t = -54.935", "df = 3.80", "1.8e-07 to 3.4e-06", "0.02092 nats", "0.0019357 bpb"):
        assert figure in out


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public records here")
def test_a_folder_against_the_ledger_as_json(pgolf):
    _, out, _ = pgolf("compare", str(PUBLIC / "2026-04-09_A2_Muon097_3Seed"), "pr1493", "--json")
    content = json.loads(out)
    assert (f"{content['t']:.3f}", f"{content['df']:.2f}", f"{content['p_one_sided']:.6f}") == (
        "-3.798",
        "2.61",
        "0.020298",
    )
    assert content["verdict"].startswith("does not clear the bar")


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public records here")
def test_a_reproduction_that_is_the_same_logs_again_is_no_seed(pgolf):
    folder = PUBLIC / "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT"
    _, out, _ = pgolf("compare", f"{folder},pr1493", "pr1394")
    assert "cannot be claimed" in out and "not distinct" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "pr1494", "pr1493"), "did you mean pr1493"),
        (("compare", "1.0,x", "pr1493"), "'x' is no folder"),
        (("compare", "1.0", "pr1493", "--alpha", "0"), "alpha"),
        (("power", "--std", "0", "--delta", "1"), "std"),
        (("ledger", "build", "gone"), "gone"),
        (("reproduce", "gone"), "gone"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(pgolf, words, said):
    code, out, err = pgolf(*words)
    assert code == 2
    assert said in " ".join(err.split()) and out == ""


def test_it_shows_and_exits_0_whatever_the_verdict(pgolf):
    code, out, _ = pgolf("compare", "1.10,1.11,1.12", "pr1493", "--json")
    assert code == 0 and json.loads(out)["verdict"].startswith("no improvement")
    assert "Exit 0: the comparison is shown, whatever its verdict" in " ".join(pgolf("compare", "--help")[1].split())
    assert "compare" not in pgolf("--help")[1].partition("Exit codes")[2].partition("2 bad input")[0]


def test_power_says_how_many_seeds(pgolf):
    _, out, _ = pgolf("power", "--std", "0.0002", "--delta", "0.003", "--margin", "0.0019357", "--json")
    content = json.loads(out)
    assert content["seeds_needed"] == 4 and 0.8 < content["chance"] < 0.9


def test_without_a_previous_record_the_one_that_stands_is_compared_with(pgolf):
    _, out, _ = pgolf("compare", "1.0580,1.0581,1.0583", "--json")
    assert json.loads(out) == json.loads(pgolf("compare", "1.0580,1.0581,1.0583", "pr1855", "--json")[1])
    _, out, _ = pgolf("compare", "cpu_smoke-base")
    assert "previous  " in out and out.count("cpu_smoke-base: mean") == 2, "the standing record of its own track"


def of_track(path: Path, track: str) -> str:
    folder = Folder(path)
    folder.write()
    folder.claim(track=track)
    return str(folder.path)


def test_pooled_folders_are_held_beside_the_record_of_their_own_track(pgolf, tmp_path):
    one, two = of_track(tmp_path / "a", "cpu_smoke"), of_track(tmp_path / "b", "cpu_smoke")
    for new in (one, f"{one},{two}"):
        said = "".join(pgolf("compare", new)[1:])
        assert "cpu_smoke-base" in said and "pr1855" not in said
    other = of_track(tmp_path / "c", "10min_16mb")
    code, out, err = pgolf("compare", f"{one},{other}")
    assert (code, out) == (2, "") and "of several tracks (cpu_smoke, 10min_16mb)" in err


@pytest.mark.parametrize("text", ["pr1493,", ",pr1493", "pr1493,,pr1394", " "])
def test_an_empty_side_is_not_the_current_folder(pgolf, monkeypatch, tmp_path, text):
    Folder(tmp_path).write()
    monkeypatch.chdir(tmp_path)
    for words in ((text,), ("pr1493", text)):
        assert pgolf("compare", *words)[0] == 2


def test_where_no_record_stands_the_previous_one_has_to_be_named(pgolf, tmp_path):
    (tmp_path / "submission.json").write_text('{"track": "non_record_16mb"}')
    code, _, err = pgolf("compare", str(tmp_path))
    assert code == 2 and "no record of the ledger stands for track non_record_16mb" in err
