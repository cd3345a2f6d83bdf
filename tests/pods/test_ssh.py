"""Pods on a machine of an inventory: a real sshd, real processes, a wire that is cut."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import jobs
import psutil
import pytest
from fakes.light import light_python
from fakes.network import Wire
from fakes.programs import TOO_BIG
from fakes.sshd import MISSING, SSHD, USER, Sshd

from pgolf import presets, tracks
from pgolf.cli.following import follow
from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput, RunFailed
from pgolf.files import hash_folder, sha256_file
from pgolf.pack import pack
from pgolf.pods import Gone
from pgolf.pods.local import LocalPod
from pgolf.pods.machine import Machine, Refused, ensure_key
from pgolf.pods.needs import Needs
from pgolf.pods.pins import Address
from pgolf.pods.remote import RemotePlace, RemotePod
from pgolf.pods.settings import Checks, Inventoried, Settings, Ssh, read_settings
from pgolf.pods.slots import Unfit, machine_facts
from pgolf.pods.ssh import Data, Inventory
from pgolf.pods.versions import versions_here
from pgolf.presets import as_env
from pgolf.record.early_stop import Judge
from pgolf.record.ending import stop_record
from pgolf.record.job import Job
from pgolf.record.live import LiveFile
from pgolf.record.seeds import EndedEarly, TakenDown, attempts, run_seed
from pgolf.record.stand import list_stands
from pgolf.requirements import packages_of

pytestmark = [pytest.mark.record, pytest.mark.skipif(SSHD is None, reason=MISSING)]
TINY = Path(__file__).parents[1] / "flows"
LOOSE = Checks(min_free_gb=0.01, min_disk_mb_s=0.1)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "id_ed25519"


@pytest.fixture
def sshd(tmp_path: Path, key: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "there", ensure_key(key))
    yield server
    server.stop()


@pytest.fixture
def wire(sshd: Sshd) -> Iterator[Wire]:
    relay = Wire(sshd.port)
    yield relay
    relay.close()


def machine(sshd: Sshd, key: Path, port: int | None = None, patience_s: float = 20.0) -> Machine:
    address = Address("127.0.0.1", port or sshd.port, USER, key, key.with_name("pins"))
    return Machine("there", address, "wörk", sys.executable, threading.Event(), patience_s)


def settings(sshd: Sshd, key: Path, port: int | None = None, checks: Checks = LOOSE, **more) -> Ssh:
    listed = Inventoried(name="there", host="127.0.0.1", port=port or sshd.port, user=USER, **more)
    return Ssh(
        key=key,
        known_hosts=key.with_name("known_hosts"),
        work="work",
        python=light_python(key.with_name("light")),
        patience_s=20.0,
        checks=checks,
        machines=(listed,),
    )


def place(tmp_path: Path, ssh: Ssh, data: Data | None = None, runs: int = 1) -> RemotePlace:
    stop = threading.Event()
    data = data or Data(tmp_path / "data", {})
    inventory = Inventory(ssh, tmp_path / "record/pods", data, stop)
    return RemotePlace((tmp_path / "record").resolve(), inventory, stop, runs, data)


def job(tmp_path: Path, program: str, **options) -> Job:
    return jobs.job((tmp_path / "record/seeds").resolve(), program, **options)


def test_seed_runs_there_and_its_files_come_home(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    this = job(
        tmp_path,
        "import os; print('loss → 3.25 ✓', os.environ['SEED'], os.getcwd());"
        "os.makedirs('logs'); open('logs/a', 'wb').write(os.urandom(9_000_000))",
    )
    done = run_seed(this, 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    log = (done.folder / "train.log").read_text()
    assert "loss → 3.25 ✓ 42" in log
    assert str(sshd.home / "work") in log
    assert hashlib.sha256((done.folder / "logs/a").read_bytes()).hexdigest() == done.files["logs/a"]
    assert not list((sshd.home / ".pgolf/unfetched").iterdir())
    again = run_seed(this, 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    assert again == done
    (attempt,) = attempts(tmp_path / "record", [42])
    assert attempt.outcome == "finished"
    assert {p.name for p in done.folder.iterdir() if p.name.startswith(".")} <= {".lock"}


def test_data_and_files_of_a_program_are_found_there_by_any_name(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    root = tmp_path / "data"
    (root / "datasets/x").mkdir(parents=True)
    (root / "datasets/x/fineweb_train_0.bin").write_bytes(b"shard")
    files = {"datasets/x/fineweb_train_0.bin": hashlib.sha256(b"shard").hexdigest()}
    environment = {
        "DATA_PATH": f"{root}/datasets/x",
        "TRAIN_FILES": f"{root}/datasets/x/fineweb_train_*.bin",
        "DATA_DIR": str(root),
        "OTHER": f"{root}2/datasets",
        "ARGUMENTS": f"--data={root}",
    }
    this = job(
        tmp_path,
        "import glob, json, os, subprocess\n"
        "assert subprocess.run(['tools/hello.sh'], capture_output=True).stdout == b'hello\\n'\n"
        "assert len(glob.glob(os.environ['TRAIN_FILES'])) == len(os.listdir(os.environ['DATA_PATH'])) == 1\n"
        f"print(json.dumps([os.environ[name] for name in {list(environment)}]))",
        environment=environment,
        given={"tools/hello.sh": tmp_path / "hello.sh"},
    )
    (tmp_path / "hello.sh").write_text("#!/bin/sh\necho hello\n")
    done = run_seed(this, 42, threading.Event(), place=place(tmp_path, settings(sshd, key), Data(root, files)))
    there = sshd.home / "work" / Data(root, files).folder
    assert json.loads((done.folder / "train.log").read_text()) == [
        f"{there}/datasets/x",
        f"{there}/datasets/x/fineweb_train_*.bin",
        str(there),
        environment["OTHER"],
        environment["ARGUMENTS"],
    ]


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/../../b", "a\nb", "pod.json"])
def test_name_that_leaves_a_pods_folder_is_refused(tmp_path: Path, sshd: Sshd, key: Path, name: str) -> None:
    (tmp_path / "source").touch()
    for pod in (place(tmp_path, settings(sshd, key)).open(tmp_path / "record/a"), LocalPod(tmp_path / "b")):
        with pytest.raises(BadInput, match="name"):
            pod.put(tmp_path / "source", name)
        assert pod.status().state == "fresh"
    assert not (sshd.home / "work").exists()


ENDED = {"state": "ended", "exit_code": 0, "started": 1.0, "ended": 2.0}
NAMED = {"pod.json": 1, "exit.json": 1}
LIES = [
    ({"sizes": {"files": {**NAMED, "../../../up": 1}, "more": 0}}, "not a file in"),
    ({"sizes": {"files": {**NAMED, "/tmp/up": 1}, "more": 0}}, "not a file in"),
    ({"sizes": {"files": {**NAMED, "logs/../../up": 1}, "more": 0}}, "not a file in"),
    ({"sizes": {"files": {**NAMED, ".lock": 1}, "more": 0}}, "not a file in"),
    ({"sizes": {"files": {**NAMED, "a": -1}, "more": 0}}, "not a size"),
    ({"sizes": {"files": {**NAMED, "a": [1]}, "more": 0}}, "not a size"),
    ({"sizes": {"files": {"pod.json": 1}, "more": 0}}, "missing or too large"),
    ({"sizes": {"files": {**NAMED, "exit.json": 1 << 30}, "more": 0}}, "missing or too large"),
    ({"sizes": ["a"]}, "no table"),
    ({"hashes": {"../../../up": ["0" * 64, 1]}}, "not asked for"),
    ({"hashes": {"exit.json": ["../../up", 1]}}, "not a SHA-256 and a size"),
    ({"hashes": {"exit.json": ["0" * 64, True]}}, "not a SHA-256 and a size"),
    ({"hashes": {"exit.json": ["0" * 64, 1 << 60]}}, "not those that it named"),
    ({"hashes": {}}, "not those that it named"),
    ({"hashes": ["a"]}, "no table"),
    ({"status": {**ENDED, "started": "now"}}, "no status"),
    ({"status": {**ENDED, "state": "fine"}}, "no status"),
    ({"status": {**ENDED, "exit_code": "0"}}, "no status"),
    ({"status": {**ENDED, "more": 0}}, "no status"),
]


@pytest.fixture
def ended(tmp_path: Path, sshd: Sshd, key: Path) -> RemotePod:
    """A pod whose command has ended; its files are still there."""
    pod = place(tmp_path, settings(sshd, key)).open(tmp_path / "record/seeds/42/attempt-1")
    (tmp_path / "source").touch()
    pod.put(tmp_path / "source", "train_gpt.py")
    pod.start(["true"], {})
    while pod.status().state == "running":
        time.sleep(0.05)
    assert isinstance(pod, RemotePod)
    return pod


def test_agent_that_lies_about_files_writes_none_here(tmp_path: Path, sshd: Sshd, ended: RemotePod) -> None:
    truth = {"sizes": {"files": NAMED, "more": 0}, "hashes": {"exit.json": ["0" * 64, 1]}, "status": ENDED}
    before = {path for path in tmp_path.rglob("*") if sshd.home not in path.parents}
    for lie, said in LIES:
        ended.broken = False
        (sshd.home / "work/agent.py").write_text(f"import json, sys\nprint(json.dumps({truth | lie}[sys.argv[1]]))\n")
        with pytest.raises(Gone, match=said):
            ended.fetch()
        assert ended.broken
        assert {path for path in tmp_path.rglob("*") if sshd.home not in path.parents} == before


def test_machine_that_talks_without_end_is_refused(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    there = machine(sshd, key)
    for talks in ("yes", "yes >&2"):
        with pytest.raises(Refused, match="more than 1,048,576"):
            there.run(talks)
    there.install()
    for answer, said in (("[" * 100_000, "recursion"), ("{", "Expecting"), ("\\xff", "Expecting")):
        (sshd.home / "wörk/agent.py").write_text(f"import os\nos.write(1, b'{answer}')")
        with pytest.raises(Refused, match=f"wrong answer to 'status': .*{said}"):
            there.agent("status", PurePosixPath("x"))


def test_end_that_is_not_told_as_a_supervisor_does_is_no_end(sshd: Sshd, ended: RemotePod) -> None:
    (sshd.home / "work" / ended.remote / "exit.json").write_text('{"exit_code": "0", "signals": [], "ended": 1}')
    with pytest.raises(Gone, match="does not say how the command ended"):
        ended.fetch()
    assert not (ended.folder / "exit.json").exists()
    assert LocalPod(ended.folder).status().state == "lost"


def test_file_that_grows_meanwhile_comes_home_as_it_was_hashed(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    there = machine(sshd, key)
    (sshd.home / "wörk").mkdir()
    (sshd.home / "wörk/a").write_bytes(b"12345")
    there.get(PurePosixPath("a"), tmp_path / "a", hashlib.sha256(b"123").hexdigest(), 3)
    assert (tmp_path / "a").read_bytes() == b"123"


def test_too_many_files_and_too_much_of_a_log_stay_there(
    tmp_path: Path, sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("answers", "remote"):
        monkeypatch.setattr(f"pgolf.pods.{module}.MIRRORED_MOST", 1 << 20)
    monkeypatch.setattr("pgolf.pods.remote.READ_AT_ONCE", 300_000)
    monkeypatch.setattr("pgolf.pods.local.READ_AT_ONCE", 200_000)
    monkeypatch.setattr("pgolf.pods.answers.FILE_MOST", 2 << 20)
    monkeypatch.setattr("pgolf.pods.answers.FILES_MOST", 50)
    program = """import os
os.makedirs("tb"); os.makedirs("logs")
for i in range(MANY):
    open(f"tb/{i}.bin", "w").write("x")
for name in "final_model.ptz", "logs/a.txt", "notes.md", "odd\\n.txt":
    open(name, "w").write("kept")
open("huge.bin", "wb").truncate(3 << 20)
os.mkfifo("pipe"); os.mkfifo("events.jsonl"); os.symlink("/etc/passwd", "link")
print("abcdefghi\\n" * 300_000)
"""
    always = {"train.log", "final_model.ptz", "logs/a.txt", "supervisor.err", "place.json", "pod.json", "exit.json"}
    for many, more in ((10, {"train_gpt.py", "notes.md", *(f"tb/{i}.bin" for i in range(10))}), (60, set())):
        this = jobs.job((tmp_path / f"record{many}/seeds").resolve(), program.replace("MANY", str(many)))
        stop, data = threading.Event(), Data(tmp_path / "data", {})
        inventory = Inventory(settings(sshd, key), tmp_path / f"record{many}/pods", data, stop)
        here = RemotePlace((tmp_path / f"record{many}").resolve(), inventory, stop, 1, data)
        done = run_seed(this, 42, stop, place=here)
        here.close()
        assert done.files.keys() - {"events.jsonl"} == always | more
        assert (done.folder / "train.log").read_bytes() == (b"abcdefghi\n" * 300_000)[: 1 << 20]
        assert done.files["train.log"] == sha256_file(done.folder / "train.log")
        assert "huge.bin, odd\\n.txt" in caplog.text


def test_result_that_a_program_writes_itself_stays_there(tmp_path: Path, sshd: Sshd, key: Path, caplog) -> None:
    forges = (
        "import os\n"
        "for name in 'result.json', 'ended_early.json', 'place.json', 'a/attempt-1/place.json', 'a/result.json':"
        " os.makedirs(os.path.dirname(name) or '.', exist_ok=True); open(name, 'w').write('{}')"
    )
    done = run_seed(job(tmp_path, forges), 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    found = {path.relative_to(done.folder).as_posix() for path in done.folder.rglob("*.json")}
    assert found == {"exit.json", "pod.json", "place.json", "a/result.json"}
    assert json.loads((done.folder / "place.json").read_text())["slot"] == "there"
    assert "4 files, a/attempt-1/place.json, ended_early.json, place.json, result.json" in caplog.text


def test_host_key_is_pinned_at_first_contact_and_another_is_refused(
    tmp_path: Path, sshd: Sshd, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert machine(sshd, key).run("echo here") == "here\n"
    assert "first contact, host key SHA256:" in caplog.text
    assert sshd.host_key in key.with_name("pins").read_text()
    sshd.stop()
    shutil.rmtree(sshd.home / "etc")
    other = Sshd(sshd.home, ensure_key(key))
    try:
        key.with_name("pins").write_text(key.with_name("pins").read_text().replace(str(sshd.port), str(other.port)))
        with pytest.raises(BadInput, match="shows another host key than the one pinned"):
            machine(other, key).run("echo here")
        rented = machine(other, key)
        rented.address = replace(rented.address, rented=True)
        with pytest.raises(Gone, match="shows another host key: its container was started anew"):
            rented.run("echo here")
        assert other.host_key not in key.with_name("pins").read_text()
    finally:
        other.stop()


def test_pin_that_is_no_key_is_bad_input(sshd: Sshd, key: Path) -> None:
    key.with_name("pins").write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 nonsense\n")
    with pytest.raises(BadInput, match="not the host key of"):
        machine(sshd, key).run("true")


def test_key_that_is_not_accepted_is_said_at_once(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    other = tmp_path / "other"
    ensure_key(other)
    assert other.stat().st_mode & 0o77 == 0
    with pytest.raises(Refused, match="does not accept"):
        machine(sshd, other).run("true")


def test_failed_command_says_what_it_said(sshd: Sshd, key: Path) -> None:
    with pytest.raises(Refused, match="nothing of the kind"):
        machine(sshd, key).run("echo nothing of the kind >&2; exit 4")


def test_silent_machine_is_gone_after_some_patience(sshd: Sshd, key: Path) -> None:
    sshd.stop()
    with pytest.raises(Gone, match="no answer for"):
        machine(sshd, key, patience_s=1.0).run("true")
    known = machine(sshd, key, patience_s=600.0)
    known.gone = lambda: True
    with pytest.raises(Gone, match="it is gone"):
        known.run("true")


def test_closing_ends_who_still_waits_for_the_machine(sshd: Sshd, key: Path) -> None:
    for command, stops in (("true", True), ("sleep 300", False)):
        there, ended = machine(sshd, key, patience_s=600.0), list[Exception]()
        if stops:
            sshd.stop()

        def waits(there: Machine = there, command: str = command, ended: list[Exception] = ended) -> None:
            try:
                there.run(command)
            except Gone as e:
                ended.append(e)

        thread = threading.Thread(target=waits)
        thread.start()
        time.sleep(1.0)
        there.close()
        thread.join(30)
        assert not thread.is_alive()
        assert ended
        if stops:
            sshd.start()


@pytest.mark.parametrize("said", ["", "nonsense", "[1]", '{"torch": {"a": 1}}', '{"torch": NaN}', '{"a\x1b[2J": 1}'])
def test_machine_that_tells_nonsense_of_itself_is_unfit(tmp_path: Path, sshd: Sshd, key: Path, said: str) -> None:
    script = tmp_path / "bootstrap.sh"
    script.write_text(f"cat <<'EOF'\n{said}\nEOF\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pgolf.pods.bootstrap.SCRIPTS", tmp_path)
        with pytest.raises(Unfit):
            Inventory(settings(sshd, key), tmp_path / "pods", Data(tmp_path, {}), threading.Event()).slots[0].machine()


def test_command_that_its_machine_knows_nothing_of_is_lost_and_not_started_again(
    tmp_path: Path, sshd: Sshd, key: Path, ended: RemotePod
) -> None:
    (ended.folder / "exit.json").unlink(missing_ok=True)
    shutil.rmtree(sshd.home / "work" / ended.remote)
    taken_up = place(tmp_path, settings(sshd, key)).open(ended.folder)
    for pod in (ended, taken_up):
        assert pod.status().state == "lost"
        with pytest.raises(RuntimeError, match="has run a command already"):
            pod.start(["true"], {})
    assert ended.broken  # it has forgotten what it had said


def test_command_that_goes_on_after_it_was_ended_leaves_a_broken_machine(sshd: Sshd, ended: RemotePod) -> None:
    (sshd.home / "work/agent.py").write_text('print(\'{"state": "running"}\')')
    assert ended.status().state == "running"
    ended.kill()
    assert ended.status().state == "lost"


def test_seeds_do_not_wait_for_a_machine_when_none_is_left(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    here = place(tmp_path, settings(sshd, key, gpus=8))
    (tmp_path / "source").touch()
    with pytest.raises(Gone, match="no machine is left"):
        here.open(tmp_path / "record/seeds/42/attempt-1").put(tmp_path / "source", "train_gpt.py")


def test_machine_that_comes_back_ends_what_was_given_up_and_is_used_again(
    tmp_path: Path, sshd: Sshd, key: Path
) -> None:
    there, pid = settings(sshd, key).model_copy(update={"patience_s": 1.0}), tmp_path / "pid"
    first = place(tmp_path, there)
    program = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(300)"

    def stop() -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.05)
        sshd.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    for _ in range(2):
        with pytest.raises(TakenDown):
            run_seed(job(tmp_path, program), 42, threading.Event(), place=first)
    thread.join()
    assert psutil.pid_exists(int(pid.read_text()))
    sshd.start()
    done = run_seed(job(tmp_path, ""), 42, threading.Event(), place=place(tmp_path, there))
    assert done.folder.name == "attempt-2"
    assert not psutil.pid_exists(int(pid.read_text()))


def test_cut_wire_loses_no_byte_and_starts_nothing_twice(
    tmp_path: Path, sshd: Sshd, wire: Wire, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """# every arrow is written in two parts
import sys, time
for i in range(40):
    for part in (b"\\xe2\\x86", b"\\x92 %d\\n" % i):
        sys.stdout.buffer.write(part)
        sys.stdout.flush()
        time.sleep(0.1)
"""
    here = place(tmp_path, settings(sshd, key, wire.port))

    def cut() -> None:
        log = tmp_path / "record/seeds/42/attempt-1/train.log"
        while not (log.exists() and log.stat().st_size > 20):
            time.sleep(0.05)
        wire.cut.set()
        sshd.stop()
        time.sleep(3)
        sshd.start()
        wire.cut.clear()

    thread = threading.Thread(target=cut)
    thread.start()
    monkeypatch.setattr("pgolf.pods.machine.KEEPALIVE_S", 1)
    done = run_seed(job(tmp_path, program), 42, threading.Event(), place=here)
    thread.join()
    assert (done.folder / "train.log").read_text() == "".join(f"→ {i}\n" for i in range(40))


def test_running_seed_is_taken_up_by_the_next_process(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    this = job(
        tmp_path, "import os, time\nopen('pid', 'a').write('x')\nwhile not os.path.exists('go'): time.sleep(0.1)"
    )
    here = place(tmp_path, settings(sshd, key))
    pod = here.open(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start(this.program.start(this.nproc), {"SEED": "42"})
    assert isinstance(pod, RemotePod)
    (sshd.home / "work" / pod.remote / "go").touch()  # and the process that started it is no more
    done = run_seed(this, 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    assert done.folder.name == "attempt-1"
    assert (done.folder / "pid").read_text() == "x"


def test_run_that_is_left_there_is_ended_by_stop_or_said_to_go_on(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    """Also where the process that made the record was killed, and said nothing any more."""
    record = (tmp_path / "record").resolve()
    here = place(tmp_path, settings(sshd, key))
    this = job(tmp_path, "import time\ntime.sleep(1000)")
    pod = here.open(this.folder / "42/attempt-1")
    pod.put(this.source / "train_gpt.py", "train_gpt.py")
    pod.start(this.program.start(this.nproc), {"SEED": "42"})
    here.close()
    LiveFile(record, record.name, "cpu_smoke", "mine").show("seeds")

    def state() -> tuple[str, str]:
        (stand,) = list_stands(tmp_path)
        return stand.state, stand.said

    go_on = ("left", "its runs may go on elsewhere: there")
    assert state() == go_on
    with pytest.raises(RunFailed, match="nobody is at it; its runs may go on elsewhere"):
        follow(record)
    known = Settings(ssh=settings(sshd, key).model_copy(update={"patience_s": 1.0}))
    with pytest.raises(RunFailed, match=r"may go on elsewhere \(there: pods.toml does not name it"):
        stop_record(record, Settings(), None, print)
    sshd.stop()
    with pytest.raises(RunFailed, match=r"may go on elsewhere \(there: it does not answer"):
        stop_record(record, known, None, print)
    assert state() == go_on
    sshd.start()
    assert stop_record(record, known, None, print)
    exit_there = sshd.home / "work" / pod.remote / "exit.json"
    assert json.loads(exit_there.read_text())["signals"], "it was ended there"
    assert state() == ("stopped", "all runs are ended")
    assert not stop_record(record, known, None, print)


def test_start_whose_reply_is_lost_starts_nothing_more(sshd: Sshd, key: Path) -> None:
    there, folder = machine(sshd, key), PurePosixPath("seed")
    there.install()
    spec = {"command": ["sh", "-c", "echo x >> ran; sleep 1"], "env": {}}
    first, second = there.agent("start", folder, spec), there.agent("start", folder, spec)
    assert (first["state"], second["state"]) == ("running", "running")
    while there.agent("status", folder)["state"] == "running":
        time.sleep(0.1)
    assert there.agent("start", folder, spec)["state"] == "ended"
    assert there.read(folder / "ran", 0) == b"x\n"


def test_seed_killed_there_is_another_attempt_and_what_it_said_is_kept(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    dies = "import os; print('last words', flush=True); os.kill(os.getpid(), 9)"
    with pytest.raises(TakenDown, match="SIGKILL"):
        run_seed(job(tmp_path, dies), 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    here = place(tmp_path, settings(sshd, key))
    assert run_seed(job(tmp_path, ""), 42, threading.Event(), place=here).folder.name == "attempt-2"
    first, _ = attempts(tmp_path / "record", [42])
    assert first.outcome == "stopped"
    assert "last words" in (first.reason or "")


def test_seed_that_misses_a_limit_there_is_ended_and_its_files_come_home(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    judge = Judge(("limits",), tracks.load("10min_16mb").limits, tracks.EarlyStop())
    for program in (TOO_BIG, "would succeed"):
        here = place(tmp_path, settings(sshd, key))
        with pytest.raises(EndedEarly, match="over the limit of 16,000,000"):
            run_seed(job(tmp_path, program), 42, threading.Event(), place=here, judge=judge)
        here.close()
    (attempt,) = attempts(tmp_path / "record", [42])
    assert (attempt.outcome, attempt.exit_code) == ("ended early", 1)
    folder = tmp_path / "record/seeds/42/attempt-1"
    assert json.loads((folder / "exit.json").read_text())["signals"] == [signal.SIGTERM]
    assert "evaluating" in (folder / "train.log").read_text()
    assert not list((sshd.home / ".pgolf/unfetched").iterdir())


def test_supervisor_killed_there_is_lost_and_its_orphan_is_ended(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    there, folder = machine(sshd, key), PurePosixPath("seed")
    there.install()
    there.agent("start", folder, {"command": ["sh", "-c", "echo $$ > pid; exec sleep 300"], "env": {}})
    while not (pid := there.read(folder / "pid", 0)):
        time.sleep(0.05)
    os.kill(json.loads(there.read(folder / "pod.json", 0))["pid"], signal.SIGKILL)
    while there.agent("status", folder)["state"] == "running":
        time.sleep(0.05)
    assert there.agent("status", folder)["state"] == "lost"
    there.agent("kill", folder)
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_machine_that_is_not_what_it_should_be_is_refused(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    for found, more in {
        "no NVIDIA driver, 8 GPUs were paid for": {"gpus": 8, "gpu": "NVIDIA H100 80GB HBM3"},
        "GB free": {"checks": Checks(min_free_gb=1e6)},
        "the disk writes": {"checks": Checks(min_free_gb=0.01, min_disk_mb_s=1e9)},
        "99.0 is needed": {"checks": Checks(min_free_gb=0.01, min_disk_mb_s=0.1, min_torch="99.0")},
    }.items():
        slot = Inventory(settings(sshd, key, **more), tmp_path / "pods", Data(tmp_path, {}), threading.Event()).slots[0]
        with pytest.raises(Unfit, match=found):
            slot.machine()


def test_machine_that_lacks_the_codec_of_the_record_is_refused_before_a_seed_starts(
    tmp_path: Path, sshd: Sshd, key: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    hides = "import importlib.util as u; spec = u.find_spec\n"
    (hidden / "sitecustomize.py").write_text(
        f"{hides}u.find_spec = lambda name, *more: None if name == 'constriction' else spec(name, *more)\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPIP_NO_INDEX=1 PYTHONPATH={hidden} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    there = settings(sshd, key).model_copy(update={"python": str(python)})
    for preset, fit in (("smoke-frontier", False), ("smoke", True)):
        data = Data(tmp_path, {}, packages_of(presets.load(preset)))
        slot = Inventory(there, tmp_path / preset, data, threading.Event()).slots[0]
        if fit:
            slot.machine()
        else:
            with pytest.raises(Unfit, match=r"unfit: cannot install constriction>=0\.5,<0\.6"):
                slot.machine()


def test_machine_is_made_ready_for_each_program_and_each_dataset(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    source, there = tmp_path / "program", sshd.home / "work"
    source.mkdir()
    (source / "setup.sh").write_text("echo x >>../../ran; cat tools/greeting\n")
    (source / "tools").mkdir()
    (source / "tools/greeting").write_text("hello")
    needs = Needs(setup="setup.sh", source=source, files=hash_folder(source))
    datasets = [Data(tmp_path, {}, ()), Data(source, {"tools/greeting": sha256_file(source / "tools/greeting")}, ())]

    def ready(data: Data, needs: Needs) -> None:
        data = replace(data, needs=needs)
        Inventory(settings(sshd, key), tmp_path / "pods", data, threading.Event()).slots[0].machine()

    with pytest.raises(Unfit, match=r"module flash_attn_of_a_test .ModuleNotFoundError"):
        ready(datasets[0], replace(needs, modules=("flash_attn_of_a_test",)))
    ready(datasets[0], replace(needs, optional=("numpy", "flash_attn_of_a_test")))
    assert (there / "ran").read_text() == "x\n"
    assert not (there / datasets[1].folder).exists()
    ready(datasets[1], needs)
    assert (there / datasets[1].folder / "tools/greeting").read_text() == "hello"
    (facts,) = machine_facts(tmp_path).values()
    assert facts["versions"] == versions_here([])
    (there / "agent.py").unlink()
    ready(datasets[1], needs)  # it is, and nobody looks again
    assert not (there / "agent.py").exists()
    (source / "setup.sh").write_text("echo the wheel is missing >&2; exit 1")
    with pytest.raises(Unfit, match=r"setup\.sh: exit code 1: the wheel is missing"):
        ready(datasets[1], replace(needs, files=hash_folder(source)))


def test_children_that_a_program_leaves_are_ended(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    leaves = "import subprocess\nprint(subprocess.Popen(['sleep', '300'], start_new_session=True).pid)\n"
    done = run_seed(job(tmp_path, leaves), 42, threading.Event(), place=place(tmp_path, settings(sshd, key)))
    pid = int((done.folder / "train.log").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ssh]\nworks = 'x'", "ssh.works"),
        ("[[ssh.machines]]\nname = 'a b'\nhost = 'h'", "ssh.machines.0.name"),
        ("[runpod]\nowner = 'Me'", "runpod.owner"),
        ("[runpod.rent]\ngpu_count = 0", "runpod.rent.gpu_count"),
        ("[ssh", "not TOML"),
    ],
)
def test_wrong_inventory_is_bad_input(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pods.toml").write_text(text)
    with pytest.raises(BadInput, match=said):
        read_settings(tmp_path / "pods.toml")


@pytest.mark.parametrize("name", ["a\\u0000b", "~nobody-has-this-name/key", "circle/key"])
def test_a_path_that_no_system_takes_is_bad_input(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "pods.toml").write_text(f'[ssh]\nkey = "{name}"\n')
    with pytest.raises(BadInput, match=r"pods\.toml: ssh\.key is not a path that can be used"):
        read_settings(tmp_path / "pods.toml")


def test_settings_without_a_file_rent_what_the_contest_asks_for(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGOLF_PODS_FILE", raising=False)
    assert read_settings() == Settings()
    assert Settings().runpod.rent.gpu_types == ("NVIDIA H100 80GB HBM3",)


@pytest.mark.training
def test_two_gloo_ranks_train_there(tmp_path: Path, sshd: Sshd, key: Path, tiny_data: Dataset) -> None:
    knobs = presets.load(str(TINY / "tiny.toml"), {"iterations": "4", "grad_accum_steps": "1"})
    environment = {"DATA_DIR": str(tiny_data.data_dir), "OMP_NUM_THREADS": "1", **as_env({"ttt_enabled": False})}
    this = jobs.job((tmp_path / "record/seeds").resolve(), pack(knobs).code, environment, nproc=2)
    data = Data(tiny_data.data_dir, tiny_data.files)
    there = settings(sshd, key).model_copy(update={"python": sys.executable})
    done = run_seed(this, 42, threading.Event(), place=place(tmp_path, there, data))
    events = [json.loads(line) for line in (done.folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["world_size"] == 2
    assert events[0]["config"]["data_dir"] == str(sshd.home / "work" / data.folder)
    (artifact,) = (e for e in events if e["event"] == "artifact")
    assert artifact["sha256"] == done.files["final_model.int6.ptz"]
    assert subprocess.run(["pgrep", "-f", str(sshd.home / "work/record")], capture_output=True).stdout == b""
