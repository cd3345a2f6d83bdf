"""A speedrun's record in this process: what is asked for, the order and data of its runs, and what a run has left."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.programs import PROGRAMS, speedrun_data, speedrun_program

from pgolf import tracks
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.manifest import list_files, read_manifest, read_versions
from pgolf.evidence.plan import read_plans
from pgolf.files import hash_folder
from pgolf.program import Program
from pgolf.record.folder import remove_others
from pgolf.record.results import refuse
from pgolf.record.run_results import log_of, settle_run
from pgolf.record.runs_data import find_data
from pgolf.record.runs_folder import (
    check_plan_of_runs,
    describe_runs,
    gather_runs,
    keep_versions,
    run_job,
    unequal_machines,
    working_on_runs,
)
from pgolf.record.runs_request import RunsRequest, balanced, check_runs
from pgolf.record.runs_trial import trial_of_run
from pgolf.record.seeds import NoResult, run_seed
from pgolf.report.runs_inputs import BASELINE, NEW, PlannedRun

TRACK = tracks.load(str(PROGRAMS / "speedrun_track.toml"))
PLAIN = Program("theirs", False, {"train_gpt.py": b""}, "train_gpt.py", ("train_gpt.py",), seed=None)


@pytest.fixture
def request_of(tmp_path):
    """A request for `runs` runs of two programs, each made with the options of its variant."""

    def made(runs: int = 3, new: dict | None = None, baseline: dict | None = None, **more) -> RunsRequest:
        programs = {
            "program": speedrun_program(tmp_path / "mine", **(new or {})),
            "baseline": speedrun_program(tmp_path / "theirs", **{"step_ms": 100.0, **(baseline or {})}),
        }
        return check_runs(TRACK, runs=runs, **{name: str(path) for name, path in programs.items()}, **more)

    return made


def recorded(request: RunsRequest, tmp_path: Path, **more):
    data = find_data(request, speedrun_data(tmp_path / "data"))
    return describe_runs(tmp_path / "runs", request, data, **more)


# --- what is asked for
@pytest.mark.parametrize("runs", range(1, 9))
def test_no_variant_has_a_better_place_in_the_order(runs):
    order = balanced(runs)
    assert order.count(NEW) == order.count(BASELINE) == runs
    assert all(set(order[i : i + 2]) == {NEW, BASELINE} for i in range(0, 2 * runs, 2))
    if runs % 2 == 0:
        places = {v: sum(i for i, name in enumerate(order) if name == v) for v in (NEW, BASELINE)}
        assert places[NEW] == places[BASELINE]


def test_programs_without_a_seed_get_none(request_of):
    request = request_of()
    assert request.seeds == ()
    assert request.program.of_run(3, "run3") == {}


def test_a_program_that_reads_a_seed_gets_another_one_in_each_run(request_of, tmp_path):
    request = request_of()
    script = tmp_path / "mine" / "train_gpt.py"
    script.write_text(script.read_text() + '\nseed = os.environ.get("SEED", "0")\nname = os.environ.get("RUN_ID")\n')
    request = check_runs(TRACK, str(script), str(tmp_path / "theirs"))
    assert request.seeds == (1, 2, 3, 4, 5, 6)
    assert request.program.of_run(4, "run4") == {"SEED": "4", "RUN_ID": "run4"}
    assert request.baseline.of_run(4, "run4") == {}


def test_settings_are_the_programs_and_env_is_for_both(request_of):
    request = request_of(settings={"MISCHIEF": "nan"}, env={"NCCL_DEBUG": "WARN"})
    assert request.program.environment == {"MISCHIEF": "nan", "NCCL_DEBUG": "WARN"}
    assert request.baseline.environment == {"NCCL_DEBUG": "WARN"}


def test_logs_beside_a_script_are_no_part_of_it(tmp_path):
    speedrun_program(tmp_path / "mine")
    (tmp_path / "mine" / "this_pr").mkdir()
    (tmp_path / "mine" / "this_pr" / "11cb620c-daaf.txt").write_text("step:1/1 val_loss:3.2 train_time:1ms\n")
    (tmp_path / "mine" / "requirements.txt").write_text("numpy\n")
    baseline = speedrun_program(tmp_path / "theirs", 100.0)
    request = check_runs(TRACK, str(tmp_path / "mine"), str(baseline))
    assert set(request.program.files) == {"train_gpt.py", "program.toml", "requirements.txt"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"program": None}, "--program"),
        ({"baseline": None}, "--baseline"),
        ({"runs": 2}, "--runs 2.*3 to"),
        ({"runs": 10_000}, "--runs 10000"),
        ({"baseline": "mine"}, "nothing to compare"),
        ({"settings": {"SEED": "3"}}, "SEED"),
        ({"name": "???"}, r"'\?\?\?'.*folder's name"),
    ],
)
def test_what_cannot_be_a_record_is_refused(options, said, tmp_path):
    paths = {
        "mine": str(speedrun_program(tmp_path / "mine")),
        "theirs": str(speedrun_program(tmp_path / "theirs", 99.0)),
    }
    given = {"program": paths["mine"], "baseline": paths["theirs"], **options}
    given["baseline"] = paths.get(given["baseline"], given["baseline"])
    with pytest.raises(BadInput, match=said):
        check_runs(TRACK, **given)


def test_programs_that_install_different_packages_are_refused(tmp_path):
    paths = [str(speedrun_program(tmp_path / name, ms).parent) for name, ms in (("mine", 90.0), ("theirs", 100.0))]
    (tmp_path / "mine" / "requirements.txt").write_text("numpy\n")
    check_runs(TRACK, *paths)
    (tmp_path / "theirs" / "requirements.txt").write_text("numpy\n")
    check_runs(TRACK, *paths)
    (tmp_path / "theirs" / "requirements.txt").write_text("torch\n")
    with pytest.raises(BadInput, match=r"requirements\.txt.*differ"):
        check_runs(TRACK, *paths)


# --- data
def test_only_the_folder_that_the_programs_name_is_taken(request_of, tmp_path):
    folder = speedrun_data(tmp_path / "data")
    (folder / "other").mkdir()
    (folder / "other" / "large.bin").write_bytes(b"x")
    data = find_data(request_of(), folder)
    assert data.sizes == {"fineweb10B/fineweb_val_000000.bin": 2}


def test_missing_data_is_named_with_the_variant_that_reads_it(request_of, tmp_path):
    with pytest.raises(BadInput, match=r"data/fineweb10B: the program of this_pr.*--data-dir"):
        find_data(request_of(), tmp_path / "data")


def test_programs_that_read_no_data_need_none(request_of, tmp_path):
    request = request_of()
    for name in ("mine", "theirs"):
        (tmp_path / name / "train_gpt.py").write_text(f"print('step:1/1 val_loss:3.2')  # {name}\n")
    request = check_runs(TRACK, str(tmp_path / "mine"), str(tmp_path / "theirs"))
    assert find_data(request, tmp_path / "nowhere") is None


# --- the folder
def test_the_plan_has_the_order_before_the_first_run_and_more_runs_are_refused(request_of, tmp_path):
    request = request_of()
    record = recorded(request, tmp_path, record_id="mine")
    with working_on_runs(record):
        (plan,) = read_plans(record.folder)
    assert plan.order == (NEW, BASELINE, BASELINE, NEW, NEW, BASELINE)
    assert {path.name for path in record.source(BASELINE).iterdir()} == {"train_gpt.py", "program.toml"}
    more = check_runs(TRACK, str(tmp_path / "mine"), str(tmp_path / "theirs"), 4)
    with (
        pytest.raises(BadInput, match=r"differs from this one in order; .*finish that record as planned"),
        working_on_runs(describe_runs(tmp_path / "runs", more, record.data, "mine")),
    ):
        pass


def test_a_plan_that_is_only_shown_is_compared_with_the_one_that_is_there(request_of, tmp_path):
    request = request_of()
    record = recorded(request, tmp_path, record_id="mine")
    more = check_runs(TRACK, str(tmp_path / "mine"), str(tmp_path / "theirs"), 4)
    check_plan_of_runs(tmp_path / "runs", more, record.data, "mine")
    with working_on_runs(record):
        check_plan_of_runs(tmp_path / "runs", request, record.data, "mine")
        with pytest.raises(BadInput, match="differs from this one in order"):
            check_plan_of_runs(tmp_path / "runs", more, record.data, "mine")
        check_plan_of_runs(tmp_path / "runs", more, record.data, "other")
        check_plan_of_runs(tmp_path / "runs", more, record.data, None)


def test_a_run_is_read_from_the_log_that_it_names_itself(request_of, tmp_path):
    record = recorded(request_of(), tmp_path)
    with working_on_runs(record):
        finished = run_seed(run_job(record, NEW), 1, threading.Event())
    assert finished.folder == record.folder / "variants" / NEW / "1" / "attempt-1"
    assert (finished.folder / "data").is_symlink()
    assert not [name for name in finished.files if name.startswith("data/")]
    log = log_of(finished.folder)
    assert log and log.startswith("logs/")
    inputs = gather_runs(record, {1: finished.folder})
    assert [(run.number, run.variant, bool(run.log), run.machine) for run in inputs.runs[:2]] == [
        (1, NEW, True, "here"),
        (2, BASELINE, False, ""),
    ]
    assert [a.outcome for a in inputs.attempts] == ["finished"]


@pytest.mark.parametrize(
    ("mischief", "said"), [("nan", "last validation loss is not a finite"), ("fails", "the loss is not what it was")]
)
def test_a_run_without_a_result_says_why_and_is_not_started_again(mischief, said, request_of, tmp_path):
    record = recorded(request_of(new={"MISCHIEF": mischief}), tmp_path)
    with working_on_runs(record):
        for _ in range(2):
            with pytest.raises(RunFailed, match=said):
                run_seed(run_job(record, NEW), 1, threading.Event())
    inputs = gather_runs(record, {})
    assert [(a.seed, a.number, a.outcome) for a in inputs.attempts] == [(1, 1, "failed")]
    assert inputs.runs[0].log is None


def test_a_run_that_was_ended_after_its_last_loss_is_not_made_again(request_of, tmp_path):
    record = recorded(request_of(new={"MISCHIEF": "quits"}), tmp_path)
    with working_on_runs(record):
        for _ in range(2):
            with pytest.raises(NoResult, match="ended after its last loss"):
                run_seed(run_job(record, NEW), 1, threading.Event())
    assert [(a.seed, a.number, a.outcome) for a in gather_runs(record, {}).attempts] == [(1, 1, "failed")]


def lost(record, text: str) -> Path:
    """The first run's attempt, whose machine died after it had printed this."""
    attempt = left(record.folder / f"variants/{NEW}/1/attempt-1", train=text)
    (attempt / "pod.json").write_text('{"pid": 4194304, "started": 1.0}')
    return attempt


def test_a_lost_run_is_made_again_only_before_its_last_loss(request_of, tmp_path):
    record = recorded(request_of(), tmp_path)
    with working_on_runs(record):
        attempt = lost(record, LINE.format(step=20, loss="nan"))
        with pytest.raises(NoResult, match="ended after its last loss"):
            run_seed(run_job(record, NEW), 1, threading.Event())
        shutil.rmtree(attempt)
        lost(record, LINE.format(step=15, loss="3.9000"))
        assert run_seed(run_job(record, NEW), 1, threading.Event()).folder.name == "attempt-2"
    assert [a.outcome for a in gather_runs(record, {}).attempts] == ["lost", "finished"]


def test_a_run_that_works_on_is_ended(request_of, tmp_path):
    record = recorded(request_of(new={"HANGS_UNLESS": "/nothing/there"}), tmp_path)
    job = run_job(record, NEW)
    object.__setattr__(job, "most_seconds", 1.0)
    with working_on_runs(record), pytest.raises(NoResult, match="most_seconds"):
        run_seed(job, 1, threading.Event())


def test_a_trial_is_made_only_of_a_program_that_can_be_made_short(request_of, tmp_path):
    request = request_of()
    script = tmp_path / "mine" / "train_gpt.py"
    script.write_text(script.read_text().replace("STEPS, ", 'STEPS = int(os.environ.get("NUM_ITERATIONS", 20))\n_, '))
    record = recorded(check_runs(TRACK, str(script), str(request.baseline_folder)), tmp_path)
    assert trial_of_run(record, BASELINE) is None
    trial = trial_of_run(record, NEW)
    with working_on_runs(record):
        finished = run_seed(trial, 1, threading.Event())
    assert finished.folder == record.folder / "preflight" / NEW / "1" / "attempt-1"
    assert "step:4/4 val_loss:" not in (finished.folder / "train.log").read_text()  # every fifth step is validated
    assert gather_runs(record, {}).attempts == []


# --- what a run has left
LINE = "step:{step}/20 val_loss:{loss} train_time:1800ms step_avg:90.00ms\n"


def left(folder: Path, **logs: str) -> Path:
    (folder / "logs").mkdir(parents=True)
    for name, text in logs.items():
        (folder / (f"{name}.log" if name == "train" else f"logs/{name}.txt")).write_text(text)
    return folder


def test_the_log_that_tells_more_counts(tmp_path):
    last = LINE.format(step=20, loss="3.2700")
    attempt = left(tmp_path, train=last, mine=LINE.format(step=10, loss="4.1000") + last)
    assert settle_run(attempt, PLAIN, "run1").log == "logs/mine.txt"
    assert log_of(attempt) == "logs/mine.txt"


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ({}, "no log to read"),
        ({"train": "hello\n"}, "no validation loss"),
        ({"train": LINE.format(step=20, loss="nan")}, "not a finite number"),
        ({"train": LINE.format(step=20, loss="3.27"), "b": LINE.format(step=20, loss="3.21")}, "different last"),
    ],
)
def test_logs_that_give_no_result_are_refused(logs, said, tmp_path):
    attempt = left(tmp_path, **logs)
    assert said in str(settle_run(attempt, PLAIN, "run1").refused)
    assert log_of(attempt) is None


def test_a_refusal_is_kept_and_a_link_is_no_log(tmp_path):
    attempt = left(tmp_path / "a", train=LINE.format(step=20, loss="3.27"))
    refuse(attempt, "it has not ended")
    assert settle_run(attempt, PLAIN, "run1").refused == "it has not ended"
    other = left(tmp_path / "b")
    (tmp_path / "log.txt").write_text(LINE.format(step=20, loss="3.27"))
    (other / "logs" / "x.txt").symlink_to(tmp_path / "log.txt")
    shutil.copy(tmp_path / "log.txt", other / "train.log")
    assert settle_run(other, PLAIN, "run1").log == "train.log"


# --- machines
def test_versions_do_not_change_between_runs_on_this_machine(request_of, tmp_path):
    record = recorded(request_of(), tmp_path)
    old, new = {"python": "3.12.1", "torch": "2.9"}, {"python": "3.12.1", "torch": "2.10", "numpy": "2"}
    with working_on_runs(record):
        keep_versions(record, new, 6)
        keep_versions(record, old, 6)  # no run has been started
        (record.folder / "variants" / NEW / "1" / "attempt-1").mkdir(parents=True)
        keep_versions(record, old, 5)
        with pytest.raises(BadInput, match=r"\(numpy missing, now 2, torch 2\.9, now 2\.10\)"):
            keep_versions(record, new, 5)
        keep_versions(record, new, 0)  # nothing is left to be run
        assert read_versions(record.folder, "here") == old


def on(machine: str, record, number: int, variant: str) -> Path:
    """The attempt of a run that has come home from a machine elsewhere."""
    attempt = left(record.folder / f"variants/{variant}/{number}/attempt-1", train=LINE.format(step=20, loss="3.2700"))
    (attempt / "pod.json").write_text(f'{{"place": "{machine}", "started": 1.0}}')
    (attempt / "exit.json").write_text('{"exit_code": 0, "interrupted": false, "ended": 2.0}')
    settle_run(attempt, PLAIN, f"run{number}")
    return attempt


@pytest.mark.parametrize(
    ("machines", "least", "reasons"),
    [
        ("aaaaaa", "train_seconds", 0),
        ("aabbbb", "train_seconds", 0),
        ("aaabbb", "train_seconds", 1),
        ("aaabbb", "steps", 0),
    ],
)
def test_a_record_in_time_needs_machines_with_as_many_runs_of_both(machines, least, reasons, request_of, tmp_path):
    request = request_of()
    track = replace(TRACK, target=replace(TRACK.target, least=least))
    record = recorded(replace(request, track=track), tmp_path)
    with working_on_runs(record):
        finished = {n: on(machine, record, n, v) for (n, v), machine in zip(record.runs, machines, strict=True)}
    inputs = gather_runs(record, finished)
    assert "".join(run.machine for run in inputs.runs) == machines
    assert len(inputs.reasons) == reasons


def test_times_compare_only_where_each_machine_has_as_many_runs_of_both():
    def runs(*machines: str) -> list[PlannedRun]:
        return [
            PlannedRun(i, v, Path("x"), (), m) for i, (v, m) in enumerate(zip(balanced(2), machines, strict=True), 1)
        ]

    assert unequal_machines(runs("a", "a", "a", "a")) is None
    assert unequal_machines(runs("a", "a", "b", "b")) is None
    failed = replace(runs("a", "a", "a", "a")[0], log=None)
    assert unequal_machines([failed, *runs("a", "a", "a", "a")[1:]]) is None
    assert "a 1 of this_pr and 2 of baseline; b 1 of this_pr" in str(unequal_machines(runs("a", "a", "a", "b")))


def submissions(record: Path, *names: str, listed: bool = True) -> list[Path]:
    made = [record / "records" / "tiny" / name for name in names]
    for folder in made:
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(folder.name)
        if listed:
            list_files(record, folder, hash_folder(folder))
    return made


def test_the_submission_under_its_last_name_is_the_only_one(tmp_path):
    old, new = submissions(tmp_path, "old", "new")
    remove_others(tmp_path, new)
    assert not old.exists()
    assert [*read_manifest(tmp_path)] == ["records/tiny/new/README.md"]


def test_a_report_and_a_submission_of_the_same_runs_are_never_side_by_side(tmp_path, monkeypatch):
    (submission,) = submissions(tmp_path, "mine")
    report = tmp_path / "report"
    report.mkdir()
    (report / "README.md").write_text("# NOT A RECORD")
    list_files(tmp_path, report, hash_folder(report))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("pgolf.record.folder.shutil.rmtree", interrupted)
        remove_others(tmp_path, submission)
    remove_others(tmp_path, submission)
    assert {p.name for p in tmp_path.iterdir()} == {"manifest.json", "records"}, "also what a kill has left"
    assert [*read_manifest(tmp_path)] == ["records/tiny/mine/README.md"]
    report.mkdir()
    (report / "README.md").write_text("# NOT A RECORD")
    remove_others(tmp_path, report)
    assert {p.name for p in tmp_path.iterdir()} == {"manifest.json", "report"}


def interrupted(path, **_):
    if path.exists():
        raise KeyboardInterrupt


def test_what_is_not_the_records_own_or_was_changed_stays(tmp_path):
    changed, more, hidden, new = submissions(tmp_path, "changed", "more", "hidden", "new")
    (theirs,) = submissions(tmp_path, "theirs", listed=False)
    (changed / "README.md").write_text("mine")
    (more / "notes.md").write_text("mine")
    (hidden / ".notes").write_text("mine")
    remove_others(tmp_path, new)
    assert all(folder.exists() for folder in (changed, more, hidden, theirs, new))
