"""The page of a record folder that means harm: it hashes what lies in the folder, and nothing else."""

import hashlib
import os

import pytest
from good_entry import Folder

from pgolf.audit.audit import audit
from pgolf.report.page import page, report_of_audit


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "2026-04-25_A_Record")
    made.write()
    return made.path


def test_files_of_the_page(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the user's own")
    (folder / "link.bin").symlink_to(secret)
    (folder / "inside.bin").symlink_to("train_gpt.py")
    os.mkfifo(folder / "pipe.bin")
    with (folder / "zeros.bin").open("wb") as f:
        f.truncate(200 << 30)
    report = report_of_audit(audit(folder))
    files = {name: sha256 for name, _, sha256 in report.files}
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in page(report)
    assert (
        files["inside.bin"]
        == files["train_gpt.py"]
        == hashlib.sha256((folder / "train_gpt.py").read_bytes()).hexdigest()
    )
    assert files["zeros.bin"].startswith("none: over 1,024 MiB") and not {"link.bin", "pipe.bin"} & files.keys()


def test_names_of_files_that_are_no_text(folder):
    for name in (b"\xff.bin", b"a\x1b[2Jb.bin", b"<b>.bin"):
        (folder / os.fsdecode(name)).write_bytes(b"x")
    os.mkfifo(folder / os.fsdecode(b"\xfe.log"))
    shown = page(report_of_audit(audit(folder)))
    assert "\x1b" not in shown and "<b>" not in shown
    shown.encode()
