"""How fast records are audited: every public record, copies of them in a large archive, and one very long log.

python bench/audit.py [--records FOLDER] [--large 1700] [--jobs N] [--log-mb 100] [--json]
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import audit_folders
from pgolf.evidence.logs import read_run

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "public-records"


def archive(folder: Path) -> dict[str, object]:
    """Audit every record below `folder`."""
    started = time.perf_counter()
    audits = audit_folders(record_folders(folder))
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 3),
        "records": len(audits),
        "logs": sum(len(a.runs) + len(a.entry.copies) + len(a.entry.extras) for a in audits),
        "checks": dict(Counter(c.status for a in audits for c in a.checks)),
    }


def large(folder: Path, records: int, jobs: int | None) -> dict[str, object]:
    """`pgolf archive --json` of so many records, copies of those below `folder`: CPU seconds of all its processes, and
    the memory of the largest."""
    found = record_folders(folder)
    with tempfile.TemporaryDirectory() as place:
        for number in range(records):
            source = found[number % len(found)]
            shutil.copytree(source, Path(place) / f"{number // len(found)}" / source.name)
        command = [sys.executable, "-m", "pgolf.cli", "archive", place, "--json"]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*command, *(["--jobs", str(jobs)] if jobs else [])], stdout=subprocess.PIPE)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1), done.returncode
    return {
        "records": len(json.loads(done.stdout)["records"]),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_process_mib": after.ru_maxrss >> 10,  # the first child processes here: no other is larger
    }


def long_log(megabytes: int) -> dict[str, object]:
    """Read one log of that size: training steps and a launcher's noise, half and half."""
    noise = "node-1:12345:12399 [3] NCCL INFO Channel 02/0 : 3[3] -> 4[4] via P2P/CUMEM/read\n"
    with tempfile.NamedTemporaryFile("w", suffix=".log") as f:
        f.write("Hyperparameters:\n  seed: 42\ntrain_shards: 80\n")
        steps = megabytes * 6500
        for step in range(1, steps + 1):
            f.write(f"step:{step}/9000000 train_loss:2.3456 train_time:{24 * step}ms step_avg:24.05ms\n{noise}")
        f.flush()
        size = Path(f.name).stat().st_size
        started = time.perf_counter()
        run = read_run(Path(f.name))
        seconds = time.perf_counter() - started
    assert run.steps is not None and run.steps.value == steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"megabytes": size >> 20, "seconds": round(seconds, 2), "peak_process_mib": peak}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--large", type=int, default=1700, help="records of the large archive")
    parser.add_argument("--jobs", type=int, help="processes for it")
    parser.add_argument("--log-mb", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = {
        "large": large(args.records, args.large, args.jobs) if args.records.is_dir() else None,
        "archive": archive(args.records) if args.records.is_dir() else None,
        "long_log": long_log(args.log_mb),
    }
    if args.json:
        print(json.dumps(result))
        return 0
    for name, figures in result.items():
        print(f"{name}: {figures if figures else 'no records here (--records FOLDER)'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
