"""Records of a user's program with the real command: what they leave, what is reused, and what is refused."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
import seconds
from seconds import Made, here, record_command, record_here

from pgolf import tracks
from pgolf.audit.audit import audit_folders
from pgolf.data.dataset import Dataset

pytestmark = [pytest.mark.usefixtures("shared_server"), pytest.mark.record]
PROGRAMS = Path(__file__).parent.parent / "programs"
TRACK, MARCH = PROGRAMS / "track.toml", PROGRAMS / "march/train_gpt.py"
SEEDS = (42, 314, 999)
HOW = ("--program", str(MARCH), "--set", "ITERATIONS=20", "--against", "9.0,9.1,9.05", "--name", "foreign")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, tiny_data: Dataset, prefect_server: str) -> Made:
    """A record of the March program, three seeds on two ranks each."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seconds, "SERVER", prefect_server)
        code, made, stderr = record_here(TRACK, tiny_data, tmp_path_factory.mktemp("runs"), *HOW)
    assert made, stderr
    assert code == 0, made.outcome["reasons"]
    return made


def written(folder: Path) -> dict[str, int]:
    """Every file of the seeds' folders, and when it was written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in (folder / "seeds").rglob("*") if p.is_file()}


def test_the_submission_holds_the_program_as_it_ran_and_passes_the_audit(theirs: Made) -> None:
    submission = Path(theirs.outcome["path"])
    content = MARCH.read_bytes()
    assert (submission / "train_gpt.py").read_bytes() == content
    assert sha256(content).hexdigest() in (submission / "README.md").read_text()
    (audit,) = audit_folders([submission], tracks.load(str(TRACK)))
    assert not audit.failed
    assert [r.seed.value for r in audit.runs if r.seed] == list(SEEDS)


def test_nothing_is_claimed_that_was_not_tested(theirs: Made) -> None:
    stated = json.loads((Path(theirs.outcome["path"]) / "submission.json").read_text())
    assert stated["compliance"]["score_first_ttt"] is None
    assert not list(theirs.folder.rglob("events.jsonl"))


def test_the_same_command_starts_nothing_again(theirs: Made, tiny_data: Dataset) -> None:
    before = written(theirs.folder)
    code, again, stderr = record_here(TRACK, tiny_data, theirs.runs_dir, *HOW)
    assert again, stderr
    assert code == 0
    assert again.outcome["folder"] == theirs.outcome["folder"]
    assert written(theirs.folder) == before


def test_a_plan_says_what_ran_and_writes_nothing(theirs: Made, tiny_data: Dataset, tmp_path: Path) -> None:
    code, stdout, stderr = here(record_command(TRACK, tiny_data, tmp_path / "runs", *HOW, "--plan"))
    assert code == 0, stderr
    plan = json.loads(stdout)
    assert plan["seeds"] == list(SEEDS)
    assert plan["program"]["files"] == {"train_gpt.py": sha256(MARCH.read_bytes()).hexdigest()}
    assert plan["environment"]["ITERATIONS"] == "20"
    assert not (tmp_path / "runs").exists()


def test_the_record_that_was_written_is_a_program_itself(theirs: Made, tiny_data: Dataset, tmp_path: Path) -> None:
    submission = theirs.outcome["path"]
    code, stdout, stderr = here(
        record_command(TRACK, tiny_data, tmp_path / "runs", "--program", submission, "--against", "9.0,9.1", "--plan")
    )
    assert code == 0, stderr
    plan = json.loads(stdout)
    assert list(plan["program"]["files"]) == ["train_gpt.py"]
    assert plan["program"]["files"]["train_gpt.py"] == sha256(MARCH.read_bytes()).hexdigest()
    assert plan["notes"]


# --- bad input
SMALL = (
    'import os\nd = os.environ.get("DATA_PATH")\ns = os.environ.get("SEED", 1)\nn = os.environ.get("ITERATIONS", 5)\n'
)


def write_program(folder: Path, text: str = SMALL, name: str = "train_gpt.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def several(folder: Path) -> Path:
    write_program(folder, name="one.py")
    return write_program(folder, name="two.py")


def without_seed(folder: Path) -> Path:
    return write_program(folder, SMALL.replace("SEED", "OTHER"))


def too_large(folder: Path) -> Path:
    write_program(folder, SMALL + 'open("table.bin", "rb")\n')
    (folder / "table.bin").touch()
    os.truncate(folder / "table.bin", (64 << 20) + 1)
    return folder


def link_out(folder: Path) -> Path:
    write_program(folder, SMALL + "import helper\n")
    (folder.parent / "outside.py").write_text("x = 1\n")
    (folder / "helper.py").symlink_to(folder.parent / "outside.py")
    return folder


def path_out(folder: Path) -> Path:
    write_program(folder)
    (folder / "program.toml").write_text('artifact = "../../model.ptz"\n')
    return folder


def not_short(folder: Path) -> Path:
    return write_program(folder, SMALL.replace("ITERATIONS", "WIDTH"))


def needy(folder: Path) -> Path:
    return write_program(folder, SMALL + "import no_such_module_anywhere\n")


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda folder: folder / "missing.py", (), ("missing.py", "give")),
        (several, (), ("one.py", "two.py", "give the path")),
        (without_seed, (), ("train_gpt.py", "SEED", "program.toml")),
        (write_program, ("--set", "ITERATION=3"), ("ITERATION", "ITERATIONS")),
        (needy, (), ("no_such_module_anywhere",)),
        (too_large, (), ("table.bin", "MiB")),
        (link_out, (), ("helper.py", "link")),
        (path_out, (), ("program.toml", "../../model.ptz")),
        (not_short, (), ("train_gpt.py", "ITERATIONS", "[trial]")),
        (write_program, ("--preset", "tiny"), ("preset", "--program")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_said_before_anything_is_written(make, options, said, tiny_data: Dataset, tmp_path: Path) -> None:
    program = str(make(tmp_path / "mine"))
    code, stdout, stderr = here(
        record_command(TRACK, tiny_data, tmp_path / "runs", "--program", program, "--against", "9.0,9.1", *options)
    )
    assert code == 2, stderr
    assert not stdout
    assert all(word in stderr.replace("\n", " ") for word in said), stderr
    assert not (tmp_path / "runs").exists()


def test_options_of_programs_need_one(tiny_data: Dataset, tmp_path: Path) -> None:
    code, _, stderr = here(record_command(TRACK, tiny_data, tmp_path / "runs", "--env", "A=1"))
    assert code == 2
    assert "--env" in stderr
    assert "--program" in stderr
    assert not (tmp_path / "runs").exists()
