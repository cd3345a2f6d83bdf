"""Records of a user's program with the real command: what they leave, what is reused, and what is refused."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import seconds
from fakes.sshd import MISSING, SSHD, Sshd
from seconds import Made, here, record_command, record_here

from pgolf import tracks
from pgolf.audit.audit import audit_folders
from pgolf.data.dataset import Dataset
from pgolf.evidence.logs import read_run
from pgolf.files import sha256_file
from pgolf.pods.machine import ensure_key
from pgolf.pods.versions import versions_here

pytestmark = [pytest.mark.usefixtures("shared_server"), pytest.mark.record]
PROGRAMS = Path(__file__).parent.parent / "programs"
TRACK, MARCH = PROGRAMS / "track.toml", PROGRAMS / "march/train_gpt.py"
SEEDS = (42, 314, 999)
HOW = ("--program", str(MARCH), "--set", "ITERATIONS=20", "--against", "9.0,9.1,9.05", "--name", "foreign")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd | None]:
    """A machine that is reached by SSH; None where there is no sshd."""
    folder = tmp_path_factory.mktemp("there")
    server = Sshd(folder / "home", ensure_key(folder / "id_ed25519")) if SSHD else None
    yield server
    if server:
        server.stop()


@pytest.fixture(scope="module")
def how(there: Sshd | None) -> tuple[str, ...]:
    """The options of a record of the March program, whose seeds run on that machine; where there is none, here."""
    pods = there.pods_file(there.home.with_name("pods.toml")) if there else None
    return (*HOW, *(("--pods", "ssh", "--pods-file", str(pods)) if pods else ()))


@pytest.fixture(scope="module")
def theirs(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Dataset, prefect_server: str, how: tuple[str, ...]
) -> Made:
    """A record of the March program, three seeds on two ranks each."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seconds, "SERVER", prefect_server)
        code, made, stderr = record_here(TRACK, tiny_data, tmp_path_factory.mktemp("runs"), *how)
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


@pytest.mark.skipif(SSHD is None, reason=MISSING)
def test_the_seeds_ran_there_with_the_program_its_knobs_and_the_data(theirs: Made, there: Sshd) -> None:
    (data,) = (there.home / "work/data").iterdir()
    for seed in SEEDS:
        attempt = theirs.folder / f"seeds/{seed}/attempt-1"
        assert json.loads((attempt / "pod.json").read_text())["place"] == "there"
        remote = there.home / "work" / json.loads((attempt / "place.json").read_text())["folder"]
        assert (remote / "train_gpt.py").read_bytes() == MARCH.read_bytes()
        log = attempt / f"logs/seed{seed}.txt"
        run = read_run(log)
        assert run.steps and run.steps.value == 20
        assert run.seed and run.seed.value == seed
        assert f"val_loader:shards pattern={data}/datasets/" in log.read_text()
    assert not list((there.home / ".pgolf/unfetched").iterdir())


@pytest.mark.skipif(SSHD is None, reason=MISSING)
def test_the_manifest_lists_what_came_home_and_the_versions_there(theirs: Made) -> None:
    manifest = json.loads((theirs.folder / "manifest.json").read_text())
    listed = {f"seeds/{seed}/attempt-1/{name}" for seed in SEEDS for name in ("final_model.int8.ptz", "train.log")}
    assert listed | {"program/train_gpt.py"} <= manifest["files"].keys()
    assert all(sha256_file(theirs.folder / name) == sha256 for name, sha256 in manifest["files"].items())
    versions = manifest["machines"]["there"]["versions"]
    assert versions == versions_here(["numpy", "sentencepiece", "torch"])
    assert versions.keys() == {"python", "numpy", "sentencepiece", "torch"}


def test_the_same_command_starts_nothing_again(theirs: Made, tiny_data: Dataset, how: tuple[str, ...]) -> None:
    before = written(theirs.folder)
    code, again, stderr = record_here(TRACK, tiny_data, theirs.runs_dir, *how)
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
