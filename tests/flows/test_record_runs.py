"""Speedruns' records with the real command, in seconds: what they leave, what a kill costs, and what is refused."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import seconds
from fakes.programs import PROGRAMS, speedrun_data, speedrun_program
from seconds import Made, here

from pgolf import tracks
from pgolf.audit.target import audit_target
from pgolf.evidence.manifest import check_files
from pgolf.evidence.plan import read_plans
from pgolf.evidence.variants import read_variants
from pgolf.record.outcome import read_end

pytestmark = [pytest.mark.usefixtures("shared_server"), pytest.mark.record]
TRACK = PROGRAMS / "speedrun_track.toml"


def command(folder: Path, *more: str, new: Path | None = None) -> list[str]:
    """The command of a record in `folder`, whose programs and data are made there once."""
    program, baseline = new or folder / "mine/train_gpt.py", folder / "theirs/train_gpt.py"
    if not baseline.exists():
        speedrun_data(folder / "data")
        speedrun_program(folder / "theirs", 100.0)
        if new is None:
            speedrun_program(folder / "mine", 90.0)
    where = ["--track", str(TRACK), "--data-dir", str(folder / "data"), "--runs-dir", str(folder / "runs")]
    return [seconds.PGOLF, "record", "--json", *where, "--program", str(program), "--baseline", str(baseline), *more]


def record(folder: Path, *more: str, new: Path | None = None) -> tuple[int, Made | None, str]:
    code, stdout, stderr = here(command(folder, *more, new=new))
    return code, Made(json.loads(stdout), stderr, folder / "runs") if stdout else None, stderr


def starts(folder: Path) -> dict[str, float]:
    """When each run's attempts were started, by their folders."""
    pods = folder.glob("runs/*/variants/*/*/attempt-*/pod.json")
    return {pod.parent.as_posix(): json.loads(pod.read_text())["began"] for pod in pods}


@pytest.fixture(scope="module")
def faster(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> tuple[Path, Made]:
    """A record of a program that is faster by its own clock."""
    folder = tmp_path_factory.mktemp("faster")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seconds, "SERVER", prefect_server)
        code, made, stderr = record(folder, "--name", "FasterSteps", "--author", "A. Nobody")
    assert made, stderr
    assert code == 0, made.outcome["reasons"]
    return folder, made


def test_the_submission_is_a_record_by_a_reviewers_own_audit(faster: tuple[Path, Made]) -> None:
    _, made = faster
    submission = Path(made.outcome["path"])
    assert submission.relative_to(made.folder).parts[:2] == ("records", "speedrun_track")
    audit = audit_target(submission, tracks.load(str(TRACK)))
    assert not audit.failed
    (new,) = audit.new
    assert len(new.results) == len(audit.baseline.results) == 3
    assert new.gain is not None
    assert new.gain.p < 0.01
    assert 0.195 < new.gain.difference < 0.205  # 20 steps of 10 ms
    assert all(v.loss is not None and v.loss.p < 0.01 for v in audit.new)


def test_its_page_ends_with_the_verdict_and_the_way_to_the_submission(faster: tuple[Path, Made]) -> None:
    _, made = faster
    page = (made.folder / "live.html").read_text()
    assert 'data-state="finished"' in page
    assert "<strong>A RECORD" in page
    gain = r"gain over the baseline \+0\.(?:19|20)\d s \(p faster \d\.\d+e-\d\d\)"
    assert re.search(rf"this_pr: 1\.(?:79|80)\d s, {gain}, mean val_loss 3", page)
    assert f"{Path(made.outcome['path']).relative_to(made.folder).as_posix()}/README.md" in page
    assert page.count("75 % of the training is done") == 1
    assert page.count("this_pr 5 is done") == page.count("started, 3 runs of each variant") == 1


def test_the_runs_were_made_in_the_planned_order_on_one_machine(faster: tuple[Path, Made]) -> None:
    folder, made = faster
    (plan,) = read_plans(made.folder)
    by_time = sorted((started, path) for path, started in starts(folder).items())
    assert [Path(path).parts[-3] for _, path in by_time] == list(plan.order)
    assert [Path(path).parts[-2] for _, path in by_time] == ["1", "2", "3", "4", "5", "6"]
    assert "the author's own machine: 6 runs" in (Path(made.outcome["path"]) / "README.md").read_text()


def test_every_log_of_the_submission_is_the_one_that_the_program_named(faster: tuple[Path, Made]) -> None:
    _, made = faster
    found = read_variants(Path(made.outcome["path"]))
    logs = {run.log.read_bytes() for variant in found.variants for run in variant.runs}
    written = {path.read_bytes() for path in made.folder.glob("variants/*/*/attempt-1/logs/*.txt")}
    assert logs == written
    assert len(logs) == 6


def test_the_same_command_starts_nothing_again(faster: tuple[Path, Made]) -> None:
    folder, made = faster
    before = starts(folder)
    code, again, stderr = record(folder, "--name", "FasterSteps", "--author", "A. Nobody")
    assert again, stderr
    assert code == 0
    assert starts(folder) == before
    assert again.outcome["path"] == made.outcome["path"]
    assert stderr.count("reused, finished before") == 6
    check_files(made.folder, made.folder / "variants")
    shown = [word for word in command(folder, "--name", "FasterSteps", "--author", "A. Nobody") if word != "--json"]
    code, stdout, _ = here(shown)
    assert code == 0
    said, following = stdout.splitlines()[-2:]
    assert said == f"record: {made.outcome['path']}" and following.startswith("next: pgolf audit --draft ")
    assert "p faster" in stdout
    end = read_end(made.folder)
    assert end and end.outcome().as_json() == again.outcome, "any terminal can show it later"
    code, later, _ = here([seconds.PGOLF, "watch", str(made.folder)])
    assert (code, later) == (0, stdout)


def test_more_runs_after_results_are_another_record(faster: tuple[Path, Made]) -> None:
    folder, made = faster
    code, _, stderr = record(folder, "--runs", "4", "--id", made.folder.name)
    assert code == 2
    assert "order" in stderr


def test_a_slower_program_is_no_record_and_the_report_says_why(tmp_path: Path) -> None:
    new = speedrun_program(tmp_path / "slow", 101.0)
    code, made, stderr = record(tmp_path, new=new)
    assert code == 1, stderr
    assert made
    assert any("gain" in reason or "faster" in reason for reason in made.outcome["reasons"]), made.outcome["reasons"]
    assert (made.folder / "report" / "README.md").is_file()
    assert not (made.folder / "records").exists()


def test_a_run_that_fails_is_named_and_not_replaced(tmp_path: Path) -> None:
    new = speedrun_program(tmp_path / "flaky", 90.0)
    source = new.read_text()
    new.write_text(source.replace('if MISCHIEF == "fails":', 'if "/4/attempt-" in os.getcwd():'))
    code, made, stderr = record(tmp_path, new=new)
    assert code == 1, stderr
    assert made
    assert any("run 4 (this_pr)" in reason for reason in made.outcome["reasons"])
    assert sorted(p.name for p in made.folder.glob("variants/*/4/*")) == ["attempt-1"]
    assert len([*made.folder.glob("variants/*/*/attempt-1/result.json")]) == 5


def test_nothing_more_is_started_where_the_first_run_fails(tmp_path: Path) -> None:
    new = speedrun_program(tmp_path / "bad", MISCHIEF="nan")
    code, made, stderr = record(tmp_path, new=new)
    assert code == 1, stderr
    assert made
    assert len(starts(tmp_path)) == 1
    assert any("not a finite number" in reason for reason in made.outcome["reasons"])


def test_killed_in_the_middle_the_same_command_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    new = speedrun_program(tmp_path / "waits", HANGS_UNLESS=str(tmp_path / "go"))
    source = new.read_text()
    new.write_text(source.replace("while HANGS_UNLESS and", 'while "/4/attempt-" in os.getcwd() and'))
    with (tmp_path / "out").open("wb") as out:
        line = command(tmp_path, "--foreground", new=new)
        first = subprocess.Popen(line, env=seconds.environment(), stdout=out, stderr=out)
        wait_for(lambda: [*tmp_path.glob("runs/*/variants/this_pr/4/attempt-1/pod.json")], first, tmp_path / "out")
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = starts(tmp_path)
    (tmp_path / "go").touch()
    code, made, stderr = record(tmp_path, new=new)
    assert made, stderr
    assert code == 0, made.outcome["reasons"]
    after = starts(tmp_path)
    assert {path: after[path] for path in before} == before
    assert [Path(path).name for path in after] == ["attempt-1"] * 6


def wait_for(come, process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + 120
    while not come():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.05)


# --- what is refused, and plans
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seeds", "1,2,3"), "--seeds does not apply"),
        (("--preset", "smoke"), "--preset does not apply"),
        (("--against", "9.0,9.1"), "--baseline names"),
        (("--evaluator", "e.py:make_evaluator"), "--evaluator does not apply"),
        (("--stop-hopeless",), "--stop-hopeless does not apply"),
        (("--pack",), "--pack does not apply"),
        (("--rehearse",), "--rehearse does not apply"),
        (("--non-record",), "--non-record does not apply"),
        (("--pods-at-once", "2"), "--pods-at-once does not apply"),
        (("--no-probe",), "--no-probe does not apply"),
        (("--runs", "2"), "--runs 2"),
        (("--set", "NO_SUCH=1"), "NO_SUCH"),
        (("--data-dir", "/nothing/there"), "--data-dir"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_has_no_use_is_refused_before_anything_starts(options, said, tmp_path: Path) -> None:
    code, stdout, stderr = here(command(tmp_path, *options))
    assert code == 2, stderr
    assert said in " ".join(stderr.split())
    assert not stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", [("--runs", "3"), ("--baseline", "theirs.py")], ids=lambda option: option[0])
def test_options_of_speedruns_are_refused_on_other_tracks(option: tuple[str, str], tmp_path: Path) -> None:
    code, _, stderr = here(
        [seconds.PGOLF, "record", "--track", "cpu_smoke", "--runs-dir", str(tmp_path / "r"), *option]
    )
    assert code == 2
    assert f"{option[0]} is for speedruns" in " ".join(stderr.split())
    assert not (tmp_path / "r").exists()


def test_a_plan_gives_the_order_and_the_costs_and_starts_nothing(tmp_path: Path) -> None:
    pods = ("--pods", "runpod", "--max-cost", "30", "--max-hours", "2")
    code, stdout, stderr = here(command(tmp_path, "--plan", *pods))
    assert code == 0, stderr
    plan = json.loads(stdout)
    assert plan["order"] == ["this_pr", "baseline", "baseline", "this_pr", "this_pr", "baseline"]
    assert plan["commands"] == ["python train_gpt.py"] * 6
    assert plan["data"] == {"folder": str(tmp_path / "data"), "bytes": 2}
    assert plan["costs"]["machines"] == 1
    assert plan["costs"]["most_dollars"] <= 30
    assert not (tmp_path / "runs").exists()


def test_pods_need_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_a_test")
    code, _, stderr = here(command(tmp_path, "--pods", "runpod"))
    assert code == 2
    assert "--max-cost" in stderr
    assert os.listdir(tmp_path / "data") == ["fineweb10B"]
