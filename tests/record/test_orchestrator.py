"""Who makes a record, how it is left or ended, and where each record stands, without a record's hours."""

import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import good_speedrun
import jobs
import pytest
from filelock import FileLock
from living import of_pod, wait_for
from typer.testing import CliRunner

from pgolf import cli, tracks
from pgolf.audit.target import audit_target
from pgolf.cli.following import follow
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.plan import make_plan, write_plan
from pgolf.files import write_atomic
from pgolf.pods.local import LocalPod
from pgolf.pods.places import lock_if_free
from pgolf.pods.processes import identity
from pgolf.pods.settings import Settings, read_settings
from pgolf.pods.slots import lock_file
from pgolf.record.ending import stop_record
from pgolf.record.live import Live, State, read_live, write_live
from pgolf.record.orchestrator import (
    LOG,
    Orchestrator,
    as_given,
    as_typed,
    attending,
    end_starting,
    find_record,
    read_orchestrator,
    records_starting,
    start_folder,
    typed_here,
    write_orchestrator,
)
from pgolf.record.outcome import End, RunsOutcome, SweepOutcome, end_with, read_end, write_end
from pgolf.record.rows import Row
from pgolf.record.seeds import Left, run_seed
from pgolf.record.stand import list_stands
from pgolf.record.stopping import AskedToStop, Stop, ask_to_stop
from pgolf.report.runs_submission import RunsVerdict

SLEEPS = "import time; open('up', 'w'); time.sleep(300)"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The folder of a record that has a plan."""
    folder = tmp_path / "runs" / "mine"
    write_plan(folder, make_plan("mine", "cpu_smoke", "smoke", (42,), {"dataset": "0" * 64}))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "pods.toml").write_text("")
    return read_settings(tmp_path / "pods.toml")


@pytest.fixture
def running(record: Path) -> Iterator[Path]:
    """An attempt of that record, which runs and which nobody watches."""
    attempt, stop = record / "seeds/42/attempt-1", Stop()
    threading.Thread(target=lambda: (wait_for((attempt / "up").exists), stop.leave())).start()
    with pytest.raises(Left, match="it goes on"):
        run_seed(jobs.job(record / "seeds", SLEEPS), 42, stop)
    yield attempt
    LocalPod(attempt).kill()


def stand(runs_dir: Path) -> tuple[str, str]:
    (one,) = list_stands(runs_dir)
    return one.state, one.said


def test_run_that_is_left_goes_on_and_is_taken_up(running: Path, record: Path) -> None:
    assert of_pod(running)
    stop = Stop()
    stop.set()
    with pytest.raises(RunFailed):
        run_seed(jobs.job(record / "seeds", SLEEPS), 42, stop)
    assert not of_pod(running), "whoever takes it up may end it"
    assert not (record / "seeds/42/attempt-2").exists()


def test_stop_ends_what_nobody_is_at(running: Path, record: Path, settings: Settings) -> None:
    assert stand(record.parent) == ("left", "still running here, with nobody at it: 1 run")
    assert stop_record(record, settings, None, lambda text: None)
    assert not of_pod(running)
    assert LocalPod(running).status().state == "ended", "its supervisor has said how"
    assert stand(record.parent)[0] == "stopped"
    assert not stop_record(record, settings, None, lambda text: None)


def test_work_that_is_asked_to_stop_ends_and_says_so(record: Path) -> None:
    logging.getLogger("pgolf").setLevel(logging.INFO)
    before = signal.signal(signal.SIGTERM, lambda *_: exit(1))
    try:
        with (
            lock_if_free(record),
            pytest.raises(AskedToStop),
            attending(record, "cpu_smoke", "mine", "local", None) as shown,
        ):
            shown.live.show("seeds")
            assert stand(record.parent) == ("running", "seeds")
            ask_to_stop(record)
            time.sleep(30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert shown.asked.is_set() and not (record / "stop.json").exists()
    assert stand(record.parent) == ("stopped", "all runs are ended, by `pgolf stop`")
    assert "asked to stop" in (record / LOG).read_text()
    (one,) = list_stands(record.parent)
    assert json.dumps(one.as_json())


@pytest.mark.parametrize(("state", "goes_on"), [("finished", False), ("failed", True)])
def test_stop_of_a_finished_record_names_no_command_that_goes_on(record: Path, state: State, goes_on: bool) -> None:
    write_orchestrator(record, Orchestrator(replace(identity(), pid=2**22), command=("pgolf", "record")))
    write_live(record, Live("mine", "cpu_smoke", "mine", "now", "now", state))
    done = CliRunner().invoke(cli.app, ["stop", "mine", "--runs-dir", str(record.parent)])
    assert done.exit_code == 0, done.output
    assert ("go on" in done.output, "finished; nothing" in done.output) == (goes_on, not goes_on)


def test_command_that_goes_on_is_for_the_folder_where_it_was_given(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, other = tmp_path / "my folder", tmp_path / "other"
    there.mkdir()
    other.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.setattr("pgolf.record.orchestrator.Here.command", ("pgolf", "record", "--program", "mine"))
    with attending(record, "cpu_smoke", "mine", "local", None):
        pass

    def said(where: Path) -> str:
        monkeypatch.chdir(where)
        (one,) = list_stands(record.parent)
        return typed_here(one.command, one.cwd)

    assert said(there) == "pgolf record --program mine"
    assert said(other) == f"(cd '{there}' && pgolf record --program mine)"


@pytest.mark.parametrize("named", [None, Path("pods.toml")])
def test_pods_file_is_known_to_who_stops_it_in_another_folder(
    record: Path, settings: Settings, named: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(record.parents[1])
    with attending(record, "cpu_smoke", "mine", "ssh", named):
        who = read_orchestrator(record)
    assert who and who.pods_file == str(record.parents[1] / "pods.toml")


def test_stop_says_so_where_another_process_takes_the_record_up(record: Path, settings: Settings) -> None:
    write_orchestrator(record, Orchestrator(identity(), command=("pgolf", "record")))
    other = Orchestrator(replace(identity(), pid=1), command=("pgolf", "record"))
    request = record / "stop.json"
    taking = threading.Thread(target=lambda: (wait_for(request.exists), write_orchestrator(record, other)))
    taking.start()
    with FileLock(lock_file(record)), pytest.raises(RunFailed, match="another process has taken it up"):
        stop_record(record, settings, None, lambda text: None)
    taking.join()


def test_stop_waits_for_who_only_looks(
    running: Path, record: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(lock_file(record), thread_local=False)

    def looked_at(record: Path) -> bool:
        """Nobody is at it, and somebody looks just after that."""
        lock.acquire()
        threading.Timer(0.5, lock.release).start()
        return False

    monkeypatch.setattr("pgolf.record.ending.is_busy", looked_at)
    assert stop_record(record, settings, None, lambda text: None)
    assert not of_pod(running)


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "MY_PASSWORD", "CLIENT_SECRET_ID", "wandb_key_2"])
def test_secret_of_a_command_line_is_a_variable_of_the_shell(name: str) -> None:
    for words in (["--env", f"{name}=s3cr3t"], [f"--env={name}=s3cr3t"], [f"--set={name}=s3cr3t"]):
        line = as_typed(as_given(["pgolf", "record", *words]))
        assert "s3cr3t" not in line
        told = subprocess.run(["sh", "-c", f"printf '%s ' {line}"], env={name: "its own"}, capture_output=True)
        assert told.stdout.decode() == " ".join(["pgolf", "record", *words, ""]).replace("s3cr3t", "its own")


@pytest.mark.parametrize("word", ["TRAIN_BATCH_TOKENS=4096", "--set=PASSTHROUGH_NUMEL=1", "KEYS=3", "--name=a key=b"])
def test_command_line_keeps_what_is_no_secret(word: str) -> None:
    assert as_given(["pgolf", "record", word]) == ("pgolf", "record", word)


def test_failure_is_told_with_its_reason(record: Path) -> None:
    with pytest.raises(RunFailed), attending(record, "cpu_smoke", "mine", "local", None):
        raise RunFailed("no seed finished")
    assert stand(record.parent) == ("failed", "no seed finished")
    live = read_live(record)
    assert live and (live.track, live.name, live.verdict) == ("cpu_smoke", "mine", "no seed finished")


def test_time_left_of_a_record_is_that_of_its_file(record: Path) -> None:
    rows = (Row("seed 42", stage="train", left=60.0, basis="runs"), Row("seed 314", left=1200.0, basis="runs"))
    started = "2026-11-29T22:00:00+00:00"
    write_live(record, Live("mine", "cpu_smoke", "mine", started, started, rows=rows, left=1260.0))
    with FileLock(lock_file(record)):
        (one,) = list_stands(record.parent)
    assert (one.state, one.left) == ("running", 1260.0)


def test_process_that_was_killed_is_not_believed_to_live(record: Path) -> None:
    me = identity()
    assert me.lives
    assert not replace(me, started=me.started - 60).lives, "another process with that pid"
    assert not replace(me, host="elsewhere").lives
    write_orchestrator(record, Orchestrator(me, "detached", ("pgolf", "record")))
    assert (record / "orchestrator.json").stat().st_mode & 0o077 == 0
    assert read_orchestrator(record) == Orchestrator(me, "detached", ("pgolf", "record"))
    assert stand(record.parent) == ("stopped", "the process that made it is gone"), "its lock says so, whatever the pid"
    (record / "orchestrator.json").write_text('{"process": {"host": "h", "pid": "all", "started": 0}}')
    assert read_orchestrator(record) is None


def test_log_of_a_record_is_bounded(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgolf.record.orchestrator.LOG_MOST", 1000)
    logging.getLogger("pgolf").setLevel(logging.INFO)
    with attending(record, "cpu_smoke", "mine", "local", None):
        for _ in range(100):
            logging.getLogger("pgolf.record").info("x" * 100)
    text = (record / LOG).read_text()
    assert len(text) < 1300 and text.endswith("the log is full, and goes on nowhere\n")


def test_record_is_found_by_its_id_or_folder(record: Path, tmp_path: Path) -> None:
    assert find_record("mine", record.parent) == find_record(str(record), tmp_path) == record
    with pytest.raises(BadInput, match="did you mean mine"):
        find_record("mien", record.parent)
    (record / "moved.json").write_text('{"record": "other"}')
    assert find_record("mine", record.parent) == record, "only a folder that waits for its id is moved"


def test_end_of_a_speedrun_is_read_as_it_was(record: Path) -> None:
    good_speedrun.Folder(record / "track_1_short" / "2026-08-01_Example").write()
    audit = audit_target(record / "track_1_short" / "2026-08-01_Example", tracks.load("nanogpt_short"))
    end = end_with(RunsOutcome("mine", record, RunsVerdict(audit, ()), record / "records"))
    write_end(record, end)
    read = read_end(record)
    assert read == end and read and read.of_runs and read.of_runs.verdict.audit
    assert any(v is read.of_runs.verdict.audit.baseline for v in read.of_runs.verdict.audit.variants)
    write_end(record, End(exit_code=2, error="a folder that is none"))
    again = read_end(record)
    with pytest.raises(BadInput, match="a folder that is none"):
        assert again and again.outcome()
    (record / "end.json").write_text('{"exit_code": "all"}')
    with pytest.raises(BadInput, match="not what pgolf writes"):
        read_end(record)


def test_status_writes_nothing_and_follows_no_link(record: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert stand(record.parent)[0] == "stopped"
    assert sorted(tmp_path.rglob("*")) == before, "the disk may be one that cannot be written"
    with lock_if_free(record):
        assert stand(record.parent)[0] == "running"
    lock_file(record).unlink()
    lock_file(record).symlink_to(tmp_path / "elsewhere")
    assert stand(record.parent)[0] == "stopped"
    assert not (tmp_path / "elsewhere").exists()


def test_process_that_a_strangers_file_names_is_not_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as mine:
        starting = start_folder(tmp_path)
        write_orchestrator(starting, Orchestrator(identity(mine.pid), "detached"))
        assert not end_starting(starting)
        assert records_starting(tmp_path) == []
        assert mine.poll() is None
        mine.kill()


def test_end_before_the_first_run_is_told_in_words(tmp_path: Path) -> None:
    starting = start_folder(tmp_path)
    code = "import sys, pgolf.flows.detached as d; d.run_here = lambda *given: sys.exit(143); d.main()"
    given = {"module": "", "flow": "", "parameters": {}, "starting": str(starting), "command": []}
    subprocess.run([sys.executable, "-c", code], input=json.dumps(given), text=True, check=False, timeout=100)
    end = read_end(starting)
    assert end and end.exit_code == 1 and end.error.startswith("stopped before its first run")


@contextmanager
def no_room() -> Iterator[None]:
    """Files can be made, and no byte be written, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_stops_no_stopping(running: Path, record: Path, settings: Settings) -> None:
    write_live(record, Live("mine", "cpu_smoke", "Mine", "now", "now"))
    with no_room():
        ask_to_stop(record)
        ask_to_stop(record)
        assert stop_record(record, settings, None, lambda text: None)
    assert (record / "stop.json").exists()
    assert not of_pod(running)


def test_full_disk_is_why_nobody_has_said_how_it_ended(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunFailed, match=r"^mine: the process that made it is gone"):
        follow(record)
    monkeypatch.setattr("pgolf.record.disk.FULL_BYTES", 1 << 62)
    with pytest.raises(RunFailed, match=r"^the disk of .* is full .* free some\. mine: the process"):
        follow(record)


def test_process_that_a_folder_names_and_that_is_not_at_it_is_not_waited_for(record: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        write_orchestrator(record, Orchestrator(identity(other.pid), "detached", ("pgolf", "record")))
        said = rf"^mine: process {other.pid} \(.*sleep\(300\)\), which its orchestrator\.json names, is not at it"
        with pytest.raises(RunFailed, match=said):
            follow(record)
        threading.Timer(1.0, lambda: write_end(record, End(exit_code=1, error="no seed finished"))).start()
        with FileLock(lock_file(record)):
            assert follow(record).error == "no seed finished"  # whoever holds the lock is waited for
    finally:
        other.kill()
        other.wait()


def test_record_of_an_earlier_version_is_finished_wherever_it_is_asked_about(record: Path, monkeypatch, capsys) -> None:
    written = record / "records/cpu_smoke/2026-01-01_mine"
    written.mkdir(parents=True)
    (written / "README.md").write_text("# mine\n")
    monkeypatch.chdir(record.parent.parent)
    for words, code, said in (
        (["status"], 0, "finished  mine"),
        (["watch", "mine"], 1, "finished by an earlier pgolf"),
    ):
        monkeypatch.setattr("sys.argv", ["pgolf", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert int(end.value.code or 0) == code
        shown = " ".join(capsys.readouterr())
        assert said in shown and "records/cpu_smoke/2026-01-01_mine" in shown and "gone" not in shown


def test_end_of_a_sweep_is_told_by_status_and_watch_as_it_was(
    record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(record.parents[1])
    monkeypatch.setattr("pgolf.record.orchestrator.Here.command", ("pgolf", "ablate", "old", "new"))
    about = record, "cpu_smoke", "ablation: old to new"

    def watched(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["pgolf", "watch", "mine", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), " ".join(capsys.readouterr())

    with pytest.raises(KeyboardInterrupt), attending(*about, chat=False):
        raise KeyboardInterrupt
    assert stand(record.parent)[0] == "stopped"
    with pytest.raises(RunFailed), attending(*about, chat=False):
        raise RunFailed("TTT_LR=9 42: it diverged")
    assert stand(record.parent) == ("failed", "TTT_LR=9 42: it diverged")
    assert watched()[0] == 1 and "it diverged" in watched()[1]
    with lock_if_free(record), attending(*about, chat=False) as shown:
        shown.live.show("changes")
        shown.live.runs([Row("base 42", stage="done", elapsed=9.0), Row("TTT_LR=9 42", stage="train", left=60.0)])
        (one,) = list_stands(record.parent)
        assert (one.state, one.done, one.runs, one.said) == ("running", 1, 2, "changes; TTT_LR=9 42 train")
        table = SweepOutcome("ablation", record, record / "report" / "README.md", "1 of 1 gain shown, over 3 seeds")
        table.report.parent.mkdir(exist_ok=True)
        table.report.write_text("## From old to new\n\n| change | gain |\n|---|---|\n| `TTT_LR=9` | +0.0015 |\n")
        shown.done(table, table.said)
    assert stand(record.parent) == ("finished", table.said)
    code, said = watched()
    assert code == 0 and "ablation mine is finished: 1 of 1 gain shown" in said and str(table.report) in said
    assert "From old to new" in said and re.search(r"TTT_LR=9 +\+0.0015", said) and "|" not in said
    assert json.loads(watched("--json")[1]) == table.as_json()


def test_webhook_of_records_is_told_nothing_of_sweeps(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setenv("PGOLF_WEBHOOK_URL", "http://127.0.0.1:1/hook")
    monkeypatch.setattr("pgolf.record.news.notify", told.append)
    for chat in (False, True):
        with pytest.raises(RunFailed), attending(record, "cpu_smoke", "mine", chat=chat):
            raise RunFailed("it diverged")
        assert told == ["mine: failed: it diverged"] * chat


def test_sweep_of_an_earlier_version_has_ended_where_its_report_is_newer_than_whoever_was_at_it_last(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgolf.record.orchestrator.Here.command", ("pgolf", "ablate", "old", "new"))
    report = record / "report" / "README.md"

    def stood() -> tuple[str, str, tuple[str, ...]]:
        (one,) = list_stands(record.parent)
        return one.state, one.said, one.command

    command = ("pgolf", "ablate", "old", "new")
    write_orchestrator(record, Orchestrator(identity(), "foreground", command))
    assert stood() == ("stopped", "the process that made it is gone", command)
    write_atomic(report, "which change brought what")
    os.utime(report, (time.time() + 1, time.time() + 1))
    assert stood() == ("finished", "see report", command)
    os.utime(report, (1, 1))  # begun again, with more to try
    assert stood() == ("stopped", "the process that made it is gone", command)
    done = CliRunner().invoke(cli.app, ["status", "--runs-dir", str(record.parent)])
    assert "go on: pgolf ablate old new" in done.output


def test_sweep_heeds_a_request_to_stop(record: Path) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: exit(1))
    try:
        with lock_if_free(record), pytest.raises(AskedToStop), attending(record, "cpu_smoke", "mine", chat=False):
            ask_to_stop(record)
            time.sleep(30)
    finally:
        signal.signal(signal.SIGTERM, before)
