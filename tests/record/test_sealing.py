"""A program of a user's scores its artifact sealed off: what it reads beside is seen, and no honest one is accused."""

import re
from pathlib import Path

import pytest

from pgolf.data.dataset import Dataset
from pgolf.evidence.manifest import list_files
from pgolf.evidence.probes import ProbeResult, read_probes
from pgolf.files import sha256_file
from pgolf.program import Program
from pgolf.program.find import open_program
from pgolf.record.probing import can_probe, known_probes, probe_program
from pgolf.record.programs import dataset_config
from pgolf.record.sealing import seal_program

# scores by sizes: of the artifact and of the validation text
SCRIPT = """
import os
import helper
from pathlib import Path

seed = int(os.environ["SEED"])
text = sorted(Path(os.environ["DATA_PATH"]).glob("fineweb_val_*.bin"))
assert text and Path(os.environ["TOKENIZER_PATH"]).is_file()
bpb = 1 + len(Path(os.environ["LOAD"]).read_bytes()) / sum(path.stat().st_size for path in text)
BEFORE
print(f"final_int8_zlib_roundtrip_exact val_loss:{bpb * 1.2:.8f} val_bpb:{bpb:.8f}")
"""
EVAL_ONLY = 'eval_only = { LOAD = "{artifact}" }\n'


def program_of(folder: Path, before: str = "", settings: str = EVAL_ONLY) -> Program:
    """A program that does `before` ahead of its score, and imports a module beside it."""
    folder.mkdir()
    (folder / "train_gpt.py").write_text(SCRIPT.replace("BEFORE", before))
    (folder / "helper.py").write_text("")
    (folder / "program.toml").write_text(settings)
    return open_program(folder)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "final_model.int8.ptz"
    path.write_bytes(b"\x01" * 100)
    return path


def sealed(data: Dataset, artifact: Path, program: Program) -> ProbeResult:
    return seal_program(7, artifact, program, dataset_config(data))


def test_a_program_that_reads_its_own_files_and_the_text_passes(
    tiny_data: Dataset, artifact: Path, tmp_path: Path
) -> None:
    command = 'command = ["python", "{script}", "--fast"]\n'
    program = program_of(tmp_path / "mine", "import sys; assert sys.argv[1:] == ['--fast']", command + EVAL_ONLY)
    result = sealed(tiny_data, artifact, program)
    assert result.passed is True, result
    assert (result.probe, result.subject) == ("sealed", "train_gpt.py with final_model.int8.ptz")


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("open(SECRET).read()", "opens: "),
        ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "uses the network"),
        ("bpb -= 0.1 if os.access(SECRET, os.R_OK) and open(SECRET).read() else 0", "another one"),
        ("bpb += os.getpid() % 4096 / 1e6", "another one"),
    ],
    ids=["file", "network", "file that helps", "other score"],
)
def test_a_program_that_needs_something_else_fails(
    tiny_data: Dataset, artifact: Path, tmp_path: Path, before: str, found: str
) -> None:
    (tmp_path / "secret").write_text("x")
    result = sealed(
        tiny_data, artifact, program_of(tmp_path / "mine", before.replace("SECRET", f"'{tmp_path}/secret'"))
    )
    assert result.passed is False
    assert result.counter_example and found in result.counter_example.what


@pytest.mark.parametrize(
    ("before", "settings", "why"),
    [
        (
            "raise SystemExit('needs all eight ranks')",
            EVAL_ONLY,
            "exit code 1; the last line .* 'needs all eight ranks'",
        ),
        ("print('step:1 loss:2'); raise SystemExit", EVAL_ONLY, "it states no score"),
        ("import not_there_at_all", EVAL_ONLY, "not_there_at_all"),
        ("", 'command = ["bash", "run.sh"]\n' + EVAL_ONLY, "only a script is sealed"),
        ("next(Path(os.environ['DATA_PATH']).glob('fineweb_train_*'))", EVAL_ONLY, "exit code 1"),
    ],
    ids=["fails", "no score", "lacks a module", "no script", "wants training text"],
)
def test_a_program_that_cannot_score_here_is_not_accused(
    tiny_data: Dataset, artifact: Path, tmp_path: Path, before: str, settings: str, why: str
) -> None:
    result = sealed(tiny_data, artifact, program_of(tmp_path / "mine", before, settings))
    assert result.passed is None
    assert re.search(why, result.power), result.power


def test_the_result_is_known_until_the_program_scores_in_another_way(
    tiny_data: Dataset, artifact: Path, tmp_path: Path
) -> None:
    program, record = program_of(tmp_path / "mine"), tmp_path / "record"
    probe_program(record, 7, artifact, program, tmp_path / "mine", dataset_config(tiny_data))
    (found,) = read_probes(record / "probes.jsonl").results
    assert found.passed is True
    list_files(record, record, {artifact.name: sha256_file(artifact)})
    assert known_probes(record, program) == record / "probes.jsonl"
    (tmp_path / "mine/program.toml").write_text('eval_only = { LOAD = "{artifact}", FAST = "1" }\n')
    assert known_probes(record, open_program(tmp_path / "mine")) is None
    (tmp_path / "mine/program.toml").unlink()
    assert not can_probe(open_program(tmp_path / "mine"))
