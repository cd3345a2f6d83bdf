"""Which files of a pod come home, and what its agent lists of a folder."""

from pathlib import Path

import pytest

from pgolf.pods import agent, answers

APART = {"pod.json": 100, "exit.json": 100}


def test_of_too_much_the_log_and_the_artifact_come_home() -> None:
    small = {"train.log": 1000, "final_model.int6.ptz": 16_000_000, "logs/seed1.txt": 1000}
    large = {f"ckpt/{i}.npy": answers.FILE_MOST for i in range(9)}
    choice = answers.choose({"files": APART | small | large, "more": 0})
    assert choice.home == tuple(sorted(small))
    assert choice.left == tuple(large)
    choice = answers.choose({"files": APART | small | dict([*large.items()][:7]), "more": 0})
    assert choice.left == ()
    checkpoints = {f"{i}.pt": answers.FILE_MOST - i for i in range(9)}
    choice = answers.choose({"files": APART | small | checkpoints, "more": 0})
    assert choice.home == tuple(sorted([*small, *[f"{i}.pt" for i in range(2, 9)]]))
    assert str(choice) == "2 files, 0.pt, 1.pt"


def test_files_that_were_not_even_listed_count() -> None:
    files = APART | {"train.log": 1, "a.npy": 1}
    assert answers.choose({"files": files, "more": answers.FILES_MOST - 2}).home == ("a.npy", "train.log")
    choice = answers.choose({"files": files, "more": answers.FILES_MOST})
    assert choice.home == ("train.log",)
    assert str(choice) == "10,001 files, a.npy, …"


def test_log_over_what_is_mirrored_is_not_fetched_again() -> None:
    files = APART | {"train.log": answers.MIRRORED_MOST + 1, "a.log": answers.MIRRORED_MOST + 1}
    assert answers.choose({"files": files, "more": 0}) == answers.Choice(("a.log",), ("train.log",), 0)


def test_agent_lists_what_ends_a_run_first_and_counts_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LISTED", 3)
    for name in ("a/1.npy", "a/2.npy", "logs/seed1.txt", "train.log", "zz.ptz", ".hidden", ".git/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("xy")
    (tmp_path / "link.log").symlink_to("train.log")
    listed = {"files": {"logs/seed1.txt": 2, "train.log": 2, "zz.ptz": 2}, "more": 2}
    assert agent.sizes(str(tmp_path)) == listed
    assert agent.hashes(str(tmp_path), ["link.log", "missing", "zz.ptz/x"]) == {}
