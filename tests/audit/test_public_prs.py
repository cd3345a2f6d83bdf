"""Real record folders: every value that is read of them against a table that was made by reading the logs.

The table has, by folder and log, the seed, the score of the artifact that the record claims, the bytes of code and
model, and the seconds of the training timer at its end and of all passes up to that score; null where the log does not
say. A key that is missing was not judged.
"""

import json
from pathlib import Path

import pytest

from pgolf.audit.measures import artifact_bytes
from pgolf.evidence.entry import Entry, read_entry
from pgolf.evidence.logs import read_seeds
from pgolf.evidence.run import Run

FOLDERS = Path(__file__).resolve().parents[3] / "shared" / "public-prs"
TABLE = json.loads(Path(__file__).with_name("public_prs.json").read_text())
# a pass over the artifact of another compressor is counted; a score stands before its unit, in a sentence
MISREAD = {
    ("track_non_record_16mb__2026-04-30_CrawlerTransformer_d832_4hrCluster_MixedInt5_TTT", "eval_seconds"),
    ("track_non_record_16mb__2026-04-30_E03_QK-Gain-4.0", "val_bpb"),
}


def values(run: Run | None) -> dict[str, float | None]:
    if run is None:
        return {}
    size = artifact_bytes(run)
    return {
        "seed": run.seed.value if run.seed else None,
        "val_bpb": run.final.val_bpb if run.final else None,
        "artifact_bytes": size.value if size else None,
        "train_seconds": run.train_seconds.value if run.train_seconds else None,
        "eval_seconds": run.eval_seconds,
    }


def run_of(entry: Entry, log: str) -> Run | None:
    """The run of a log, also where the entry leaves it out as another one's copy."""
    runs = [r for r in (*entry.runs, *entry.extras) if entry.name_of(r) == log]
    return (runs or read_seeds(entry.path / log, entry.path) or [None])[-1]


@pytest.mark.parametrize("folder", TABLE)
def test_values_of_a_public_folder(folder):
    if not (FOLDERS / folder).is_dir():
        pytest.skip("the public folders are not here")
    entry, wrong = read_entry(FOLDERS / folder), []
    for log, expected in TABLE[folder].items():
        read = values(run_of(entry, log))
        for key, value in expected.items():
            got = read.get(key)
            same = got == value or (None not in (got, value) and got == pytest.approx(value, rel=0, abs=1e-9))
            if not same and (folder, key) not in MISREAD:
                wrong.append(f"{log}: {key} is {value}, not {got}")
    assert not wrong


def test_the_table_holds_every_log():
    if not FOLDERS.is_dir():
        pytest.skip("the public folders are not here")
    assert len(TABLE) == 140 and sum(len(logs) for logs in TABLE.values()) > 280
    assert {p.name for p in FOLDERS.iterdir() if p.is_dir() and p.name != "records"} <= TABLE.keys()
