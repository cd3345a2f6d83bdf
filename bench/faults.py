"""What records on rented pods survive: every fault of tests/faults, each on a record of its own.

    python bench/faults.py [--json] [--only WORD …] [--times N] [--replay] [--keep FOLDER]
    python bench/faults.py --record cpu_smoke [--keep FOLDER]     a track's own record here and on three pods: the same?

The pods are sshds of this machine, the API is the tests' fake of RunPod's. The record is the tests' tiny one; with
--replay, its seeds replay the undisturbed record's. Of several tries, the longest time to recover counts, the most pods
that were left, and the most machines that one record rented. Seconds to recover: from the restart, or from the fault's
end, to the submission; of a record that cannot be made, to its end.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/faults"))
from fakes.account import FakeRunpod
from hostile import ROWS
from orchestrator import IN_A_CHARACTER, POINTS
from prefect.settings import PREFECT_API_URL
from scenarios import (
    Ground,
    Result,
    api_restarts,
    can_mount,
    disturbed,
    full_disk_here,
    full_disk_there,
    killed_at,
    network_drops,
    pod_dies,
    running,
    spot_taken,
)
from seconds import PACKAGES, TINY, environment, measured_track, record, record_command

from pgolf import tracks
from pgolf.data.pydocs import build
from pgolf.evidence.logs import read_run
from pgolf.flows.server import prefect_api


def faults() -> Iterator[tuple[str, Callable[[Ground], Result]]]:
    """Every fault, by what it is called."""
    for point in (*POINTS, IN_A_CHARACTER):
        yield f"kill -9 {point}", lambda ground, point=point: killed_at(ground, point)
    for name, disturb in {
        "a pod dies in training": pod_dies,
        "a spot pod is taken away": spot_taken,
        "network gone for 60 s": network_drops(),
        "the API restarts": api_restarts,
    }.items():
        yield name, lambda ground, name=name, disturb=disturb: disturbed(ground, name, disturb)
    yield from ROWS.items()
    if can_mount():
        yield "disk of a pod fills in training", full_disk_there
        yield "disk here full for 20 s", full_disk_here


def together(tries: list[Result]) -> Result:
    """One row of several tries of a fault."""
    first = tries[0]
    return Result(
        first.fault,
        len(tries),
        sum(r.survived for r in tries),
        sum(r.seeds_repeated for r in tries),
        max(r.recover_s for r in tries),
        max(r.pods_left for r in tries),
        "; ".join(filter(None, (r.why for r in tries))),
        max(r.rented for r in tries),
    )


def ground_in(folder: Path, account: FakeRunpod, prefect: str, replay: bool) -> Ground:
    """The tests' track with its standing record measured, and an undisturbed record on this machine."""
    data = build(folder / "data", packages=PACKAGES, vocab_size=512)
    code, made, stderr = record(TINY / "tiny_track.toml", data, folder / "here", "--no-probe")
    assert made and code == 0, stderr
    track = folder / "track"
    track.mkdir(exist_ok=True)
    runs = made.folder / "seeds" if replay else None
    return Ground(measured_track(made, track), data, account, made.outcome, folder / "faults", prefect, runs)


def tried(name: str, fault: Callable[[Ground], Result], ground: Ground) -> Result:
    """What came of a fault; one that ends in an error was not survived, and the next one is tried all the same."""
    began = time.monotonic()
    try:
        return fault(ground)
    except (AssertionError, subprocess.SubprocessError) as e:
        left = ground.account.alive()
        for pod in left:
            ground.account.tell("kill", id=pod["id"])
        return Result(name, 1, 0, 0, round(time.monotonic() - began, 1), len(left), repr(e)[:300])


def same_record(name: str, folder: Path) -> int:
    """A track's record here, and once more on three pods; exit 0 if the two submissions are the same but for times."""
    corpus, here = folder / "data", folder / "here"
    command = record_command(Path(name), corpus, here, "--no-probe")
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    made, rules = json.loads(done.stdout), tracks.load(name)
    standing = Path(made["folder"], "baseline/standing.json")
    track = folder / f"{rules.name}.toml"
    text = (Path(tracks.__file__).parent / track.name).read_text()
    track.write_text(text.replace(f'"{rules.standing}"', f'"{standing}"') if standing.exists() else text)
    account = FakeRunpod(folder / "account")
    try:
        ground, runs_dir = Ground(track, corpus, account, made, folder, ""), folder / "pods"
        with running(ground, ground.command(runs_dir), runs_dir / "err") as process:
            stdout, _ = process.communicate()
        assert process.returncode == 0, (runs_dir / "err").read_text()
        there, pods = json.loads(stdout), account.pods()
    finally:
        account.close()
    different = differences(Path(made["path"]), Path(there["path"]))
    pods_of = json.loads((Path(there["folder"]) / "manifest.json").read_text())["pods"]
    left = sum(pod["alive"] for pod in pods)
    print(f"{name}: {len(pods_of)} pods, {left} left; {'; '.join(different) or 'the same submission'}")
    return int(bool(different) or left > 0)


def differences(here: Path, there: Path) -> list[str]:
    """In what two submissions differ, times and what follows from them apart."""
    found = [f"only in one: {name}" for name in {p.name for p in here.iterdir()} ^ {p.name for p in there.iterdir()}]
    if (here / "train_gpt.py").read_bytes() != (there / "train_gpt.py").read_bytes():
        found.append("train_gpt.py")
    a, b = (json.loads((folder / "submission.json").read_text()) for folder in (here, there))
    found += [f"submission.json: {key}" for key in a.keys() | b.keys() if _timeless(key, a) != _timeless(key, b)]
    for log in here.glob("train_seed*.events.jsonl"):
        curves = [[p.loss for p in read_run(folder / log.name).train_curve] for folder in (here, there)]
        if curves[0] != curves[1]:
            found.append(f"losses of {log.name}")
    return found


def _timeless(key: str, submission: dict[str, Any]) -> Any:
    if key in ("plans", "attempts", "date"):  # ids and times
        return None
    value = submission[key]
    return (
        {s: {k: v for k, v in r.items() if "seconds" not in k} for s, r in value.items()}
        if key == "seed_results"
        else value
    )


def main() -> int:
    """Try them; exit 0 if all are survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="*", default=[""], help="faults whose name has one of these words")
    parser.add_argument("--times", type=int, default=1, help="how often each is tried (default: once)")
    parser.add_argument("--replay", action="store_true", help="replay seeds instead of training them")
    parser.add_argument(
        "--keep", type=Path, help="folder for the records and their logs, kept (default: a temporary one)"
    )
    parser.add_argument(
        "--record", metavar="TRACK", help="compare a track's record here with one on three pods instead"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results = []
    with ExitStack() as stack:
        folder = (options.keep or Path(stack.enter_context(TemporaryDirectory(prefix="pgolf-faults-")))).resolve()
        if options.record:
            return same_record(options.record, folder)
        account = FakeRunpod(folder / "account")
        try:
            with prefect_api(folder / "prefect") as wait:
                wait()
                ground = ground_in(folder, account, str(PREFECT_API_URL.value()), options.replay)
                for name, fault in faults():
                    if any(word in name for word in options.only):
                        tries = []
                        for number in range(options.times):
                            apart = replace(ground, folder=ground.folder / str(number + 1))
                            tries.append(tried(name, fault, apart))
                            print(json.dumps(tries[-1].__dict__), file=sys.stderr, flush=True)
                        results.append(together(tries))
        finally:
            account.close()
    if options.json:
        print(json.dumps({"faults": [result.as_json() for result in results]}))
    else:
        print("| fault | tried | survived | seeds repeated | seconds to recover | machines rented | pods left |")
        print("|---|---|---|---|---|---|---|")
        for r in results:
            cells = (r.fault, r.tried, r.survived, r.seeds_repeated, f"{r.recover_s:.0f}", r.rented, r.pods_left)
            print(f"| {' | '.join(map(str, cells))} |")
    return int(any(r.survived < r.tried for r in results))


if __name__ == "__main__":
    sys.exit(main())
