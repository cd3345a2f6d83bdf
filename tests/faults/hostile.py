"""Machines that cost money and do no work, and machines that lie: faults of tests/faults that are not a record's own.

What it means to survive one is written at each. Of all of them: no pod is left, no more machines are rented than
the seeds need and the fault takes (three at most of those that are never of use), and nothing is written outside the
record.
"""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fakes.programs import PROGRAMS, bad_program
from scenarios import (
    TIMEOUT_S,
    Ground,
    Result,
    disturbed,
    judged,
    pod_of,
    rented,
    replayed,
    running,
    shortened,
    wait_for,
)

SPENT = 3  # machines that may be rented in vain
GOES_S = 240.0  # a pod that nobody watches is gone in this time, with the short nets of these faults
LOG_KEPT = 256 << 20  # bytes of an endless log that may come home
OWN = {"pods.toml", "id_ed25519", "first.err", "second.err", "mine"}  # beside a record, by its command or its test


def judged_by(
    ground: Ground,
    name: str,
    runs_dir: Path,
    why: list[str],
    began: float,
    most: int = SPENT,
    planted: Path | None = None,
) -> Result:
    """The result of a fault that ends otherwise than with an undisturbed record; `why` says what is wrong so far."""
    pods, left = rented(ground, runs_dir), ground.account.alive()
    if len(pods) > most:
        why.append(f"{len(pods)} machines were rented")
    if left:
        why.append(f"pods left: {left}")
    why += [f"written outside the record: {path}" for path in strangers(runs_dir, planted)]
    why += ground.account.ledger()["faults"]
    seconds = round(time.monotonic() - began, 1)
    return Result(name, 1, int(not why), 0, seconds, len(left), "; ".join(why), len(pods))


def strangers(runs_dir: Path, planted: Path | None = None) -> list[Path]:
    """Files beside a record, or where a machine wanted to plant one, that nobody of pgolf writes there."""
    known = OWN | {runs_dir.name, f".{runs_dir.name}.lock"}
    found = [path for path in runs_dir.iterdir() if path.name not in known]
    return found + ([planted] if planted and planted.exists() else [])


def given_up(ground: Ground, name: str, trouble: dict[str, int], said_to_be: str, code: int = 1) -> Result:
    """The record ends by itself with an exit code, having said why."""
    runs_dir = ground.folder / name.replace(" ", "-")
    command = shortened(ground, runs_dir, ready_patience_s=15.0)
    ground.account.tell("misbehave", **trouble)
    began, why = time.monotonic(), list[str]()
    try:
        with running(ground, command, runs_dir / "first.err") as process:
            process.communicate(timeout=TIMEOUT_S)
    finally:
        ground.account.tell("misbehave", **dict.fromkeys(trouble, 0))
    said = (runs_dir / "first.err").read_text()
    if process.returncode != code:
        why.append(f"exit code {process.returncode}, see {runs_dir}/first.err")
    why += [f"{said_to_be!r} is not said"] if said_to_be not in said else []
    why += ["a traceback is shown"] if "Traceback" in said else []
    return judged_by(ground, name, runs_dir, why, began)


def never_reachable(ground: Ground) -> Result:
    """No pod's image starts an sshd: it has an address, and nothing answers there."""
    return given_up(ground, "no pod is ever reachable", {"no_sshd": 99}, "no answer by SSH")


def creates_refused(ground: Ground) -> Result:
    """The account may rent nothing: that is asked for once a seed at most, and the API's own words are shown."""
    name = "every create is refused for good"
    before = creates(ground)
    result = given_up(ground, name, {"refused": 99}, "balance", code=2)
    asked = creates(ground) - before
    if asked > SPENT or result.rented:
        return replace(result, survived=0, why=f"{result.why}; asked for {asked} times, {result.rented} rented")
    return result


def creates(ground: Ground) -> int:
    return list(ground.account.ledger()["requests"]).count("POST /pods")


def no_price(ground: Ground) -> Result:
    """The API tells no price of any pod: none is used."""
    result = given_up(ground, "no pod has a price", {"no_price": 99}, "price unknown")
    used = list((ground.folder / "no-pod-has-a-price").glob("*/seeds/*/attempt-*/pod.json"))
    return replace(result, survived=0, why=f"{result.why}; used: {used}") if used else result


def container_restarts(ground: Ground, runs_dir: Path) -> None:
    """Disk wiped, another host key at the same address."""
    ground.account.tell("restart_container", id=pod_of(ground, runs_dir), wipe=True, new_key=True)


def container_restarted(ground: Ground) -> Result:
    """A container is started anew in the middle of a seed: that goes on elsewhere, at the price of one machine."""
    result = disturbed(ground, "a container restarts in training", container_restarts)
    return at_most(result, 4)


def at_most(result: Result, machines: int) -> Result:
    """The same result, but not survived where more machines were rented."""
    if result.rented <= machines:
        return result
    return replace(result, survived=0, why=f"{result.why}; {result.rented} machines were rented")


def crash_loop(ground: Ground) -> Result:
    """The image of every pod dies after seconds, for ever, and the orchestrator is killed: the pods end themselves.

    Started again, the record says that they did, and goes on or ends by the rule for machines that fail alike. The
    seconds are those from the kill until no pod was left.
    """
    name = "crash loop, orchestrator dead"
    runs_dir = ground.folder / "crash-loop"
    command = shortened(ground, runs_dir, first_lease_s=15, lifetime_s=20, fetch_grace_s=1)
    ground.account.tell("misbehave", crash_loop=99)
    try:
        with running(ground, command, runs_dir / "first.err") as process:
            wait_for(ground.account.alive, process)
            process.kill()
            process.wait()
        began, why = time.monotonic(), list[str]()
        while ground.account.alive() and time.monotonic() < began + GOES_S:
            time.sleep(0.5)
        result = judged_by(ground, name, runs_dir, why, began)
    finally:
        ground.account.tell("misbehave", crash_loop=0)
    if not result.survived:
        return result
    with running(ground, replayed(ground, ground.command(runs_dir)), runs_dir / "second.err") as process:
        stdout, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode == 0:
        return at_most(judged(ground, name, runs_dir, 0, stdout, result.recover_s), 3 + SPENT)
    if "the pod ended before it was ready" not in (runs_dir / "second.err").read_text():
        why.append(f"exit code {process.returncode}, see {runs_dir}/second.err")
    return replace(judged_by(ground, name, runs_dir, why, began), recover_s=result.recover_s)


# names that a pod's agent lists beside its own; `{outside}` is a file beside the records' folders
NAMES = itertools.cycle(["../../../../{outside}", "{folder}/{outside}", "link", "logs/../../../../../{outside}"])
LIES = """
os.path.exists("{at}") and not os.path.lexists("{at}/link") and os.symlink("/etc/hostname", "{at}/link")
honest_sizes, honest_hashes = sizes, hashes
SHA256 = hashlib.sha256(b"planted").hexdigest()


def sizes(folder):
    told = honest_sizes(folder)
    told["files"]["{name}"] = 7
    return told


def hashes(folder, names):
    return {{**honest_hashes(folder, names), **{{name: [SHA256, 7] for name in names if name == "{name}"}}}}


"""


def hostile_list(ground: Ground) -> Result:
    """A pod's agent lists a file that is not in the pod's folder: it is not written, and its seed goes on elsewhere."""
    outside = ground.folder / "planted"
    name = next(NAMES).format(outside=outside.name, folder=ground.folder)

    def lies(ground: Ground, runs_dir: Path) -> None:
        attempt = runs_dir / runs_dir.name / "seeds/42/attempt-1"
        work = ground.account.folder / pod_of(ground, runs_dir) / "wörk"
        at = work / json.loads((attempt / "place.json").read_text())["folder"]
        head, main = (work / "agent.py").read_text().split("def main(")
        (work / "agent.py").write_text(head + LIES.format(name=name, at=at).strip() + "\n\n\ndef main(" + main)

    result = at_most(disturbed(ground, "hostile file list", lies), 4)
    written = strangers(ground.folder / "hostile-file-list", outside)
    if written:
        return replace(result, survived=0, why=f"{result.why}; written outside the record: {written}")
    return result


def of_a_program(ground: Ground, name: str, more: str, *options: str) -> tuple[Ground, Path, list[str]]:
    """A record of a user's program that trains nothing, with `more` of its code at the end."""
    runs_dir = ground.folder / name.replace(" ", "-")
    runs_dir.mkdir(parents=True)
    mine = bad_program(runs_dir / "mine")
    (mine / "train_gpt.py").write_text((mine / "train_gpt.py").read_text() + more)
    options = ("--program", str(mine), "--against", "9.0,9.1,9.05", "--yes", *options)
    theirs = replace(ground, track=PROGRAMS / "track.toml", options=options, runs=None)
    return theirs, runs_dir, theirs.command(runs_dir)


def endless_log(ground: Ground) -> Result:
    """A seed's program prints for ever: it is ended, its seed fails, and the beginning of its log is kept."""
    name = "endless log"
    settings = ("MISCHIEF=long_log", "ONLY_SEED=314", "LOG_BYTES=1000000000000")
    theirs, runs_dir, command = of_a_program(ground, name, "", *(w for s in settings for w in ("--set", s)))
    began, why = time.monotonic(), list[str]()
    with running(theirs, command, runs_dir / "first.err") as process:
        process.communicate(timeout=TIMEOUT_S)
    if process.returncode != 1:
        why.append(f"exit code {process.returncode}, see {runs_dir}/first.err")
    if "train.log has more than" not in (runs_dir / "first.err").read_text():
        why.append("it is not said")
    kept = (runs_dir / runs_dir.name / "seeds/314/attempt-1/train.log").stat().st_size
    why += [f"{kept:,} bytes of its log came home"] if kept > LOG_KEPT else []
    return judged_by(ground, name, runs_dir, why, began)


def endless_file(ground: Ground) -> Result:
    """A seed's program leaves a file of a terabyte: it stays on its pod, which is said, and the seed counts."""
    name = "endless file"
    theirs, runs_dir, command = of_a_program(ground, name, "\nopen('endless.bin', 'wb').truncate(1 << 40)\n")
    began, why = time.monotonic(), list[str]()
    with running(theirs, command, runs_dir / "first.err") as process:
        stdout, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode != 0:
        why.append(f"exit code {process.returncode}, see {runs_dir}/first.err")
    elif not json.loads(stdout)["positive"]:
        why.append("the verdict is negative")
    if "endless.bin" not in (runs_dir / "first.err").read_text():
        why.append("it is not said")
    why += [f"{path} came home" for path in runs_dir.rglob("endless.bin") if "seeds" in path.parts]
    return judged_by(ground, name, runs_dir, why, began)


ROWS: dict[str, Callable[[Ground], Result]] = {
    "no pod is ever reachable": never_reachable,
    "every create is refused for good": creates_refused,
    "no pod has a price": no_price,
    "a container restarts in training": container_restarted,
    "crash loop, orchestrator dead": crash_loop,
    "hostile file list": hostile_list,
    "endless log": endless_log,
    "endless file": endless_file,
}
