"""A short run of the fuzzer: `make fuzz` runs the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).with_name("run.py")


def fuzz(*options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *options], capture_output=True, text=True, timeout=500)


def rows(table: str) -> dict[str, list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return {name: figures for name, *figures in cells[2:]}


def test_no_reader_is_brought_down(tmp_path: Path) -> None:
    done = fuzz("--count", "3000", "--jobs", "1", "--markdown", "--findings", tmp_path / "found")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(done.stdout)
    inputs, refused, accepted, findings, *_ = found.pop("all")
    assert (inputs, findings) == ("3,000", "0")
    assert int(refused.replace(",", "")) + int(accepted.replace(",", "")) == 3000
    assert not (tmp_path / "found").exists()


def test_faults_are_found(tmp_path: Path) -> None:
    """One fault each: a wrong error, a file, a process, code, another's file, memory, time, death."""
    done = fuzz("--module", "broken", "--count", "8", "--jobs", "1", "--hangs", "2", "--findings", tmp_path)
    assert done.returncode == 1, done.stderr
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/finding.json"))]
    assert {one["reader"]: one["kind"] for one in found} == {
        "_untyped": "KeyError",
        "_writes": "forbidden",
        "_runs": "forbidden",
        "_executes": "forbidden",
        "_reads_elsewhere": "forbidden",
        "_large": "memory",
        "_without_end": "hang",
        "_dies": "dead (3)",
    }
    assert all(os.listdir(tmp_path / f"{number:03}" / "input") == ["x"] for number in range(1, 9))
    assert {figures[3] for name, figures in rows(done.stdout).items() if name != "all"} == {"1"}
