"""A record's folder may be anybody's: its program runs only if the user agrees, and sealed off where the system can."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from seconds import PGOLF, TINY, Made, environment

from pgolf import cli
from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput, RunFailed
from pgolf.flows.record import record_3seed
from pgolf.pack.wrapper import COMPRESSORS, wrap
from pgolf.pods.local import MARK
from pgolf.program.find import open_program
from pgolf.record import trust
from pgolf.record.reproduce import prepare, run_again
from pgolf.record.sealed_job import why_not_sealable
from pgolf.record.trust import stranger_of

MARCH = Path(__file__).parents[1] / "programs" / "march"
LOG = """Hyperparameters:
  seed: 42
  matrix_lr: 0.022
train_shards: 1
1/1 train_loss: 4.5 train_time: 0.0m
quantized_ttt val_loss:2.79 val_bpb:1.0801 eval_time:100ms
"""
PROGRAM = """import os
BEFORE
os.environ["DATA_DIR"], os.environ["SEED"], os.environ.get("ITERATIONS", "9")
print("Hyperparameters:\\n  seed: 42\\n1/1 train_loss: 4.5 train_time: 0.0m")
print("quantized_ttt val_loss:2.79 val_bpb:1.08010000 eval_time:100ms")
"events.jsonl weights_fingerprint"
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A stranger's record of a program that is packed as pgolf packs it."""
    folder = tmp_path / "2026-05-02_Theirs"
    folder.mkdir()
    (folder / "train_seed42.log").write_text(LOG)
    claims = {"name": "Fast\x1b[2J", "author": "Mallory", "seeds": [42]}
    (folder / "submission.json").write_text(json.dumps(claims))
    write_program(folder)
    (tmp_path / "data").mkdir()
    return folder


def write_program(folder: Path, before: str = "") -> None:
    code = wrap(PROGRAM.replace("BEFORE", before), "pgolf test", COMPRESSORS["zlib"])
    (folder / "train_gpt.py").write_bytes(code)


@pytest.fixture
def sealable() -> None:
    if why := why_not_sealable():
        pytest.skip(why)


# --- who is asked
def test_a_record_folder_is_a_strangers_and_a_script_or_an_ordinary_folder_is_not(theirs: Path, tmp_path: Path) -> None:
    assert stranger_of(MARCH, open_program(MARCH)) is None
    assert stranger_of(MARCH / "train_gpt.py", open_program(MARCH)) is None
    found = stranger_of(theirs, open_program(theirs))
    assert found and (found.author, found.script) == ("Mallory", "train_gpt.py")
    assert all(word in str(found) for word in ("Mallory", "train_gpt.py", f"{found.size:,} bytes", "SHA-256 "))
    assert str(found).isprintable()
    assert stranger_of(theirs / "train_gpt.py", open_program(theirs)) == found  # its script, named itself
    (theirs / "submission.json").unlink()
    assert stranger_of(theirs, open_program(theirs))  # its log tells of a record


def test_nobody_can_be_asked_in_a_flow(theirs: Path, tmp_path: Path) -> None:
    how = {"program": str(theirs), "against": "9.0,9.1", "runs_dir": str(tmp_path / "runs")}
    with pytest.raises(BadInput, match=r"Mallory.*--yes \(in a deployment: trust_program\)"):
        record_3seed.fn(track=str(TINY / "tiny_track.toml"), **how)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["reproduce", "record"])
def test_without_a_terminal_and_without_yes_nothing_starts(
    command: str, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trust, "AGREED", tmp_path / "config" / "agreed.txt")
    arguments = {
        "reproduce": [str(theirs), "--no-seal", "--out", "out", "--data-dir", str(tmp_path / "data")],
        "record": ["--program", str(theirs), "--against", "9.0,9.1", "--runs-dir", "out"],
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pgolf", command, *arguments[command]])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "Mallory" in said and "SHA-256" in said and "--yes" in said and "\x1b" not in said
    assert not (tmp_path / "out").exists() and not (tmp_path / "config").exists()


@pytest.mark.parametrize(("folder", "option", "trusted"), [("theirs", "--yes", True), ("march", "--pack", False)])
def test_the_flow_hears_the_answer(
    folder: str, option: str, trusted: bool, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def flow(module: str, flow: str, /, **parameters: object) -> None:
        given.update(parameters)
        raise RunFailed("enough is seen")

    program = {"theirs": theirs, "march": MARCH}[folder]
    monkeypatch.setattr("pgolf.cli.detached.run_flow", flow)
    monkeypatch.setattr(trust, "AGREED", tmp_path / "config" / "agreed.txt")
    arguments = ["record", "--foreground", "--program", str(program), "--against", "9.0,9.1", option]
    monkeypatch.setattr(sys, "argv", ["pgolf", *arguments])
    with pytest.raises(SystemExit):
        cli.main()
    assert given["trust_program"] is trusted
    assert not (tmp_path / "config").exists()  # --yes answers for one command


def on_a_terminal(command: list[str], answer: str, env: dict[str, str], cwd: Path) -> tuple[int, str]:
    """(exit code, what was shown) of a command on a terminal of its own, whose one question is answered."""
    own, its = pty.openpty()
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=env, cwd=cwd, start_new_session=True)
    os.close(its)
    shown, answered, deadline = "", False, time.monotonic() + 300
    while time.monotonic() < deadline:
        if select.select([own], [], [], 1.0)[0]:
            try:
                shown += os.read(own, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        if "[y/N]" in shown and not answered:
            os.write(own, f"{answer}\n".encode())
            answered = True
    os.close(own)
    return process.wait(timeout=60), shown


def test_on_a_terminal_it_is_asked_once_and_a_changed_program_is_asked_about_again(
    theirs: Path, tmp_path: Path
) -> None:
    env = {**environment(), "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "1000"}
    command = [PGOLF, "reproduce", str(theirs), "--no-seal", "--data-dir", "data", "--out"]
    code, shown = on_a_terminal([*command, "first"], "n", env, tmp_path)
    assert code == 2 and "not agreed to; nothing was started" in shown and not (tmp_path / "first").exists()
    code, shown = on_a_terminal([*command, "second"], "y", env, tmp_path)
    assert "no spread to judge" in shown and "It runs as you" in shown and (tmp_path / "second").exists(), shown
    agreed = (tmp_path / "config" / "pgolf" / "agreed.txt").read_text()
    quiet = {"env": env, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([*command, "third"], stdin=subprocess.DEVNULL, **quiet)
    assert "no spread to judge" in done.stdout, done.stderr  # not asked again
    write_program(theirs, "os.getpid()")
    done = subprocess.run([*command, "fourth"], stdin=subprocess.DEVNULL, **quiet)
    assert done.returncode == 2 and "--yes" in done.stderr
    assert (tmp_path / "config" / "pgolf" / "agreed.txt").read_text() == agreed


# --- what it may do
HOSTILE = """
import ctypes, pathlib, signal, socket
done = []
def tries(what):
    try:
        what()
        done.append(what.__name__)
    except OSError:
        pass
def network(): socket.create_connection(("127.0.0.1", PORT), 5)
def agent(): s = socket.socket(socket.AF_UNIX); s.connect("PLACE/agent.sock")
def abstract(): s = socket.socket(socket.AF_UNIX); s.connect("\\0ABSTRACT")
def secret(): pathlib.Path("PLACE/secret").read_text()
def listing(): os.listdir("PLACE")
def home(): pathlib.Path("PLACE/home/.bashrc").write_text("x")
def logs(): pathlib.Path("THEIRS/train_seed42.log").write_text("x")
def data(): pathlib.Path(os.environ["DATA_DIR"], "datasets", "x").write_text("x")
def kill(): os.kill(VICTIM, signal.SIGTERM)
def mount():
    if ctypes.CDLL(None, use_errno=True).mount(b"none", b"/mnt", b"tmpfs", 0, None): raise OSError
def environ(): pathlib.Path("/proc/VICTIM/environ").read_bytes()
for what in (network, agent, abstract, secret, listing, home, logs, data, environ, kill, mount): tries(what)
pathlib.Path("done.txt").write_text(" ".join(done))
pathlib.Path(os.environ["HOME"], "mine").write_text("x")
pathlib.Path(os.environ["TMPDIR"], "mine").write_text("x")
"""


@pytest.mark.parametrize("sealed", [True, False])
def test_a_hostile_program_reaches_nothing_when_it_is_sealed_off(
    sealed: bool, sealable: None, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "home"))
    (tmp_path / "secret").write_text("x")
    (tmp_path / "data" / "datasets").mkdir()
    abstract = f"pgolf-test-{os.getpid()}"
    victim = subprocess.Popen(["sleep", "600"])
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(socket.socket(socket.AF_UNIX)) as agent,
        closing(socket.socket(socket.AF_UNIX)) as hidden,
    ):
        for listener, name in ((agent, str(tmp_path / "agent.sock")), (hidden, f"\0{abstract}")):
            listener.bind(name)
            listener.listen()
        before = HOSTILE.replace("PORT", str(server.getsockname()[1])).replace("ABSTRACT", abstract)
        before = (
            before.replace("PLACE", str(tmp_path)).replace("THEIRS", str(theirs)).replace("VICTIM", str(victim.pid))
        )
        write_program(theirs, before)
        try:
            result = run_again(prepare(theirs, tmp_path / "out", tmp_path / "data"), sealed)
        finally:
            victim.kill()
            victim.wait()
    done = set((tmp_path / "out" / "trained" / "42" / "attempt-1" / "done.txt").read_text().split())
    assert result.val_bpb == 1.0801
    if sealed:
        assert not done
        assert not (tmp_path / "home" / "mine").exists() and not (tmp_path / "home" / ".bashrc").exists()
    else:  # so that each of these is a real attempt
        assert done >= {"network", "agent", "abstract", "secret", "listing", "home", "logs", "data", "kill", "environ"}


def test_a_dataset_of_links_is_read_and_a_link_to_the_home_is_not_followed(
    sealable: None, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    kept, datasets = tmp_path / "elsewhere", tmp_path / "data" / "datasets"
    for folder in (kept, tmp_path / "home", tmp_path / "blobs", datasets):
        folder.mkdir()
    (tmp_path / "blobs" / "1").write_text("shard")
    (tmp_path / "home" / "secret").write_text("x")
    (kept / "a.bin").symlink_to("../blobs/1")
    (datasets / "set").symlink_to(kept)
    (datasets / "home").symlink_to(tmp_path / "home")
    reads = "import pathlib\nwhere = pathlib.Path(os.environ['DATA_DIR'], 'datasets')\n"
    reads += "assert (where / 'set/a.bin').read_text() == 'shard'\n"
    write_program(theirs, f"{reads}(where / 'home/secret').read_text()")
    with pytest.raises(RunFailed, match=r"No such file or directory: .*home/secret"):
        run_again(prepare(theirs, tmp_path / "out", tmp_path / "data"))


def marked(folder: Path) -> Iterator[psutil.Process]:
    """The live processes of an attempt."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder.resolve()) and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_killed_pgolf_leaves_nothing_sealed_behind_and_the_same_command_goes_on(
    sealable: None, theirs: Path, tmp_path: Path
) -> None:
    waits = "import time, subprocess, sys\nif os.getcwd().endswith('attempt-1'):\n"
    waits += "    subprocess.Popen(['sleep', '600'], start_new_session=True)\n    open('here', 'w').close()\n"
    write_program(theirs, f"{waits}    time.sleep(600)")
    command = [PGOLF, "reproduce", str(theirs), "--yes", "--data-dir", "data", "--out", "out"]
    process = subprocess.Popen(command, env=environment(), cwd=tmp_path, start_new_session=True)
    attempt, deadline = tmp_path / "out" / "trained" / "42" / "attempt-1", time.monotonic() + 120
    while not (attempt / "here").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    everyone = [*marked(attempt)]
    assert len(everyone) >= 5  # supervisor, seal, the first inside, program, what it has started
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while [*marked(attempt)] or any(alive(each) for each in everyone):  # who ends loses its environment first
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "seed 42: 1.08010000" in done.stdout, done.stderr
    assert (attempt.with_name("attempt-2") / "exit.json").is_file()


def test_a_system_that_cannot_seal_says_so_and_names_the_way_out(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgolf.record.sealed_job.why_not_sealable", lambda: "This system cannot seal a program off")
    with pytest.raises(BadInput, match=r"cannot seal a program off\. --no-seal runs the program as you"):
        run_again(prepare(theirs, tmp_path / "out", tmp_path / "data"))
    assert not (tmp_path / "out").exists()


@pytest.mark.record  # tests/docs runs it, with --yes
def test_a_record_that_pgolf_made_is_asked_about_like_any_other(
    sealable: None, made: Made, tiny_data: Dataset, tmp_path: Path
) -> None:
    folder, env = made.outcome["path"], {**environment(), "HOME": str(tmp_path)}
    command = [PGOLF, "reproduce", folder, "--seed", "314", "--data-dir", str(tiny_data.data_dir), "--out", "out"]
    asked = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert asked.returncode == 2 and "Read it, then say with --yes" in asked.stderr  # a folder can say what it likes
