"""Records of a program that misbehaves, with the real command: what its report and the terminal say, and what stays."""

import re
from pathlib import Path

import pytest
from chat import Chat
from fakes.programs import PROGRAMS, bad_program
from seconds import record_here

from pgolf.data.dataset import Dataset
from pgolf.notify import VARIABLE
from pgolf.pods.local import LocalPod

pytestmark = [pytest.mark.usefixtures("shared_server"), pytest.mark.record]
SEEDS = (42, 314, 999)


TRIAL = '\n[trial]\nMISCHIEF = ""\n'  # it is honest there


def track(folder: Path, most_seconds: float) -> Path:
    """The track of programs, after whose limits a run is ended so many seconds after its start."""
    text = (PROGRAMS / "track.toml").read_text().replace("../flows/", f"{PROGRAMS.parent}/flows/")
    for name, seconds in (("train_seconds", 1.0), ("eval_seconds", 1.0), ("overhead_seconds", most_seconds - 2.0)):
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {seconds}", text)
    path = folder / "short.toml"
    path.write_text(text)
    return path


def how(mischief: str, program: Path, *more: str) -> tuple[str, ...]:
    against = ("--against", "9.0,9.1,9.05", "--name", "foreign", "--id", "it", "--no-probe")
    return "--program", str(program), "--set", f"MISCHIEF={mischief}", *against, *more


def written(record: Path) -> dict[str, int]:
    """Every file of the seeds' folders, and when it was written."""
    return {str(p.relative_to(record)): p.stat().st_mtime_ns for p in (record / "seeds").rglob("*") if p.is_file()}


def report_of(record: Path) -> str:
    assert not (record / "records").exists()
    return (record / "report/README.md").read_text()


def test_a_seed_that_never_ends_leaves_the_others_their_results(tiny_data: Dataset, tmp_path: Path) -> None:
    rules, runs = track(tmp_path, 10.0), tmp_path / "runs"
    command = how("endless", bad_program(tmp_path / "mine"), "--set", "ONLY_SEED=314")
    code, made, stderr = record_here(rules, tiny_data, runs, *command)
    assert made, stderr
    assert code == 1
    assert [s["seed"] for s in made.outcome["seeds"]] == [42, 999]
    assert {p.relative_to(made.folder / "seeds").as_posix() for p in made.folder.glob("seeds/*/*")} == {
        f"{seed}/attempt-1" for seed in SEEDS
    }
    why = "it has not ended 10 s after its start, the track's limits and all that is granted beside them"
    assert f"seed 314, attempt-1: no result: {why}" in stderr
    assert any(line.startswith("| 314 | 1 | failed") and why in line for line in report_of(made.folder).splitlines())
    assert "seed 314 was planned and did not finish" in report_of(made.folder)
    ended = LocalPod(made.folder / "seeds/314/attempt-1").status()
    assert ended.started and ended.ended and 10 <= ended.ended - ended.started < 30

    before = written(made.folder)
    code, again, stderr = record_here(rules, tiny_data, runs, *command)
    assert again, stderr
    assert code == 1
    assert written(made.folder) == before
    assert again.outcome["seeds"] == made.outcome["seeds"]
    assert all(f"seed {seed}: reused" in stderr for seed in (42, 999))
    assert f"seed 314, attempt-1: no result: {why}" in stderr


def test_seeds_that_all_misbehave_are_told_in_a_report(tiny_data: Dataset, tmp_path: Path) -> None:
    command = how("nan", bad_program(tmp_path / "mine", TRIAL))
    code, made, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *command)
    assert code == 1
    assert made is None
    why = "train.log:13: the score is not a finite number above 0"
    assert all(f"seed {seed}, attempt-1: no result: {why}" in stderr for seed in SEEDS)
    report = report_of(tmp_path / "it")
    assert "no seed finished" in stderr.replace("\n", " ")
    assert [line.split(" | ")[:3] for line in report.splitlines() if why in line] == [
        [f"| {seed}", "1", "failed"] for seed in SEEDS
    ]


def test_a_trial_finds_misbehaviour_before_a_seed_starts(tiny_data: Dataset, tmp_path: Path) -> None:
    command = how("no_score", bad_program(tmp_path / "mine"))
    for attempt in (1, 2):  # a trial is no attempt at a record, and may be tried again
        code, made, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *command)
        assert code == 1
        assert made is None
        assert f"preflight, seed 42, attempt-{attempt}: no result: no final score can be read" in stderr.replace(
            "\n", " "
        )
        assert "Traceback" not in stderr
    assert not (tmp_path / "it/seeds").exists()


def test_a_packed_program_that_wants_more_steps_is_tried_again_with_more(tiny_data: Dataset, tmp_path: Path) -> None:
    mine = bad_program(tmp_path / "mine")
    script = mine / "train_gpt.py"
    script.write_text(script.read_text().replace("import json\n", "import json\nimport side\n") + "print(side.WORDS)\n")
    (mine / "side.py").write_text('WORDS = "from a module beside the script"\n')
    command = how("wants_more", mine, "--set", "ITERATIONS=60", "--pack")
    code, made, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *command)
    assert made, stderr
    assert code == int(not made.outcome["positive"])
    assert [s["seed"] for s in made.outcome["seeds"]] == list(SEEDS)
    assert "preflight: failed, now tried again with more steps" in stderr.replace("\n", " ")
    tried = [(made.folder / f"preflight/42/attempt-{n}/train.log").read_text() for n in (1, 2)]
    assert tried[0] == "error: an average of weights needs 50 steps\n"
    assert "step:60/60" in tried[1]
    assert not list(made.folder.rglob("side.py"))
    assert "from a module beside the script" in (made.folder / "seeds/314/attempt-1/train.log").read_text()


def test_a_program_that_wants_more_steps_than_a_trial_has_fails_it(tiny_data: Dataset, tmp_path: Path) -> None:
    command = how("wants_more", bad_program(tmp_path / "mine"), "--set", "ITERATIONS=40")
    code, made, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *command)
    assert (code, made) == (1, None)
    assert "preflight, seed 42, attempt-2: exit code 1: error: an average of weights needs 50 steps" in stderr
    assert not (tmp_path / "it/seeds").exists()


def test_a_program_that_prints_only_into_its_own_log_makes_a_record(
    tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = how("silent", bad_program(tmp_path / "mine"))
    with Chat() as chat:
        monkeypatch.setenv(VARIABLE, chat.url)
        code, made, stderr = record_here(PROGRAMS / "track.toml", tiny_data, tmp_path, *command)
    assert made, stderr
    assert [s["seed"] for s in made.outcome["seeds"]] == list(SEEDS)
    assert code == int(not made.outcome["positive"])
    assert not (made.folder / "seeds/42/attempt-1/train.log").read_bytes()
    told = " ".join(body["text"] for body in chat.told)
    assert all(f"seed {seed} is done: val_bpb {1.9 + seed / 1000:.5f}" in told for seed in SEEDS)
