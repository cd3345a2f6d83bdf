"""Bad input to `pgolf record`: what is said, and that nothing is started or written."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from seconds import TINY, record_here

from pgolf import cli, ledger
from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.plan import read_plans
from pgolf.files import write_atomic
from pgolf.flows.tasks import pack_trainer
from pgolf.record.folder import Record, describe_record, other_text, scored_sha256, working_on
from pgolf.record.preflight import check_disk, check_size
from pgolf.record.programs import own_program, write_files
from pgolf.record.request import check_request

TRACK = str(TINY / "tiny_track.toml")
ASKED = ((None, None), (True, None), (False, None), (None, True))  # of a seed's early end: by limits, by its loss


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--track", "cpu_smok"], "did you mean cpu_smoke"),
        (["--preset", "smoke-bass"], "did you mean smoke-base"),
        (["--set", "TTT_EPOCH=5"], "ttt_epochs"),
        (["--set", "TTT_EPOCHS=five"], "'five' is not a valid int"),
        (["--set", "TTT_EPOCHS"], "write KNOB=VALUE"),
        (["--set", "TTT_LR=1", "--set", "ttt_lr=2"], "given twice"),
        (["--set", "SEED=7"], "a record sets this itself"),
        (["--set", "TRAIN_BATCH_TOKENS=1000"], "TRAIN_BATCH_TOKENS 1000 is no multiple of 1 rank ×"),
        (["--set", "GRAD_ACCUM_STEPS=-8"], "GRAD_ACCUM_STEPS -8 is below 0"),
        (["--seeds", "42,314,42"], "[42] are given more than once"),
        (["--seeds", "42,314,99.5"], "'99.5' is no seed"),
        (["--seeds", "42,314,-1"], "'-1' is no seed"),
        (["--seeds", "42,314"], "at least 3"),
        (["--seeds", ""], "--seeds is empty"),
        (["--name", "???"], "name '???'"),
    ],
)
def test_bad_input_is_exit_2_and_leaves_nothing(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pgolf", "record", "--runs-dir", str(tmp_path / "runs"), *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_ranks_of_a_track_that_do_not_divide_are_refused_but_for_a_program_of_the_users(tmp_path: Path) -> None:
    track = tmp_path / "track.toml"
    text = Path(TRACK).read_text().replace("nproc = 1", "nproc = 3").replace('"tiny', f'"{TINY}/tiny')
    track.write_text(text)
    with pytest.raises(BadInput, match="TRAIN_BATCH_TOKENS 1024 is no multiple of 3 ranks"):
        check_request(str(track))
    track.write_text(text.replace('baseline_preset = "', '# "'))
    program = Path(__file__).parents[1] / "programs" / "march"
    assert check_request(str(track), program=str(program)).track.nproc == 3
    own = shutil.copytree(program, tmp_path / "own")
    source = (own / "train_gpt.py").read_text()
    (own / "train_gpt.py").write_text(f"{source}\nif 8 % args.world_size != 0:\n    raise ValueError\n")
    with pytest.raises(BadInput, match=r"train_gpt\.py runs only on ranks that divide 8, and here there would be 3"):
        check_request(str(track), program=str(own))
    with pytest.raises(BadInput, match="no multiple of 3 ranks"):
        check_request(str(track))


@pytest.mark.usefixtures("shared_server")
def test_missing_dataset_is_exit_2_and_no_record(tiny_data: Dataset, tmp_path: Path) -> None:
    code, _, stderr = record_here(Path(TRACK), tiny_data, tmp_path / "runs", "--data-dir", str(tmp_path / "nowhere"))
    assert code == 2
    assert str(tmp_path / "nowhere") in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "runs").exists()


def described(
    data: Dataset,
    runs_dir: Path,
    record_id: str | None = None,
    seeds: tuple[int, ...] = (42, 314, 999),
    **overrides: str,
) -> Record:
    request = check_request(TRACK, seeds=seeds, overrides=overrides)
    return describe_record(runs_dir, request, data, own_program(b"program", "tiny", {}), record_id)


def test_record_is_named_after_its_inputs(tiny_data: Dataset, tmp_path: Path) -> None:
    one, other = described(tiny_data, tmp_path), described(tiny_data, tmp_path, ttt_lr="0.001")
    assert one.id.startswith("tiny_track-tiny-")
    assert one.id == described(tiny_data, tmp_path).id
    assert one.id != other.id


def test_other_seeds_or_rules_make_a_record_of_their_own(tiny_data: Dataset, tmp_path: Path) -> None:
    one, other = described(tiny_data, tmp_path), described(tiny_data, tmp_path, seeds=(1, 2, 3))
    with working_on(one), working_on(other):  # an equal record is there
        assert read_plans(other.folder)[0].seeds == (1, 2, 3)
    request, program = check_request(TRACK), own_program(b"program", "tiny", {})
    names = {describe_record(tmp_path, request, tiny_data, program, None, rules).id for rules in ASKED}
    assert len(names) == len(ASKED) and one.id in names


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 101])
def test_record_id_that_is_no_folder_name_is_refused(name: str, tiny_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--id"):
        described(tiny_data, tmp_path, name)


def test_id_of_a_record_with_other_inputs_is_refused_and_that_record_unharmed(
    tiny_data: Dataset, tmp_path: Path
) -> None:
    with working_on(described(tiny_data, tmp_path, "mine")):
        pass
    before = {p.name: p.read_bytes() for p in (tmp_path / "mine").iterdir()}
    with pytest.raises(BadInput, match="knobs"), working_on(described(tiny_data, tmp_path, "mine", ttt_lr="0.001")):
        pass
    assert {p.name: p.read_bytes() for p in (tmp_path / "mine").iterdir()} == before


def test_gains_over_a_record_on_other_text_are_none(tiny_data: Dataset, tmp_path: Path) -> None:
    this = described(tiny_data, tmp_path)
    there = ledger.load("cpu_smoke-base")
    assert "were scored on different validation text" in (other_text(this, there) or "")
    assert other_text(this, replace(there, scored_sha256=scored_sha256(this))) is None
    assert other_text(this, replace(there, val_bytes=None)) is None
    assert other_text(this, None) is None


def test_two_at_one_record_is_one_too_many(tiny_data: Dataset, tmp_path: Path) -> None:
    this = described(tiny_data, tmp_path)
    with working_on(this), pytest.raises(BadInput, match="another process is at"), working_on(this):
        pass
    with working_on(this):  # free again
        pass


def test_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    with pytest.raises(BadInput, match=r"0\.01 GB free, 3 seeds need"):
        check_disk(check_request(TRACK), tmp_path / "runs" / "deep")
    assert not list(tmp_path.iterdir())


def test_model_that_cannot_fit_is_noticed_before_it_is_trained() -> None:
    assert check_size(check_request(TRACK), code_bytes=15_000) < 200_000
    with pytest.raises(RunFailed, match="over the 200,000 of track tiny_track"):
        check_size(check_request(TRACK, overrides={"model_dim": "256"}), code_bytes=15_000)


@pytest.mark.record
def test_presets_are_read_once_and_an_edit_afterwards_changes_nothing(tiny_data: Dataset, tmp_path: Path) -> None:
    for name in ("tiny_track.toml", "tiny.toml", "tiny_base.toml"):
        shutil.copy(TINY / name, tmp_path / name)
    request = check_request(str(tmp_path / "tiny_track.toml"))
    assert request.baseline and request.baseline["iterations"] == 2

    def recorded() -> tuple[object, ...]:
        program, baseline = pack_trainer.fn(request.knobs), pack_trainer.fn(request.baseline)
        check_disk(request, tmp_path)
        described = describe_record(tmp_path, request, tiny_data, own_program(program, "tiny", request.knobs))
        return program, baseline, check_size(request, 15_000), described

    before = recorded()
    (tmp_path / "tiny.toml").write_text("[knobs]\nnum_layers = 3\n")
    assert recorded() == before
    (tmp_path / "tiny.toml").unlink()  # whoever reads it now fails
    assert recorded() == before


def test_track_file_with_a_typo_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    write_atomic(path, Path(TRACK).read_text().replace("min_seeds", "min_seed"))
    with pytest.raises(BadInput, match="min_seed"):
        check_request(str(path))


def test_preset_and_track_files_name_others_relative_to_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = check_request(TRACK, preset=str(TINY / "tiny_base.toml"))
    assert (request.knobs["iterations"], request.knobs["model_dim"]) == (2, 64)
    assert check_request(TRACK).preset == str(TINY / "tiny.toml")


def test_script_that_cannot_be_packed_is_named_as_the_user_has_it(tmp_path: Path) -> None:
    text = 'import os\nDATA, SEED, N = (os.environ[name] for name in ("DATA_PATH", "SEED", "ITERATIONS"))\n'
    (tmp_path / "train_gpt.py").write_text(text + "print(__file__)\n")
    with pytest.raises(BadInput, match=r"^--pack: train_gpt\.py:3: __file__"):
        check_request(TRACK, program=str(tmp_path), packed=True)
    (tmp_path / "train_gpt.py").write_text(text + "print(SEED)\n")
    theirs = check_request(TRACK, program=str(tmp_path), packed=True).theirs
    assert theirs and theirs.files["train_gpt.py"].startswith(b"#coding:l1")


SCORE = "def score():\n    return 'from beside'\n"


@pytest.mark.parametrize(
    ("line", "helper", "kept"),
    [
        ("import helper; print(helper.score())", SCORE, False),
        ("exit(print(open('helper.py').read()))", SCORE.replace("return", "return  # from beside"), True),
        ("import subprocess, sys; subprocess.run([sys.executable, 'helper.py'])", "print('from beside')\n", True),
        ("print('from beside')", "from train_gpt import *\n", True),  # it could not be packed, and need not be
    ],
)
def test_modules_that_a_packed_script_imports_are_in_it_and_others_stay(
    line: str, helper: str, kept: bool, tmp_path: Path
) -> None:
    text = 'import os\nDATA, SEED, N = (os.environ[name] for name in ("DATA_PATH", "SEED", "ITERATIONS"))\n'
    (tmp_path / "train_gpt.py").write_text(text + line + "\n")
    (tmp_path / "helper.py").write_text(helper)
    theirs = check_request(TRACK, program=str(tmp_path), packed=True).theirs
    assert theirs
    assert set(theirs.files) == set(theirs.code) == {"train_gpt.py"} | ({"helper.py"} if kept else set())
    write_files(theirs, folder := tmp_path / "run")
    environment = {"DATA_PATH": "", "SEED": "1", "ITERATIONS": "1"}
    done = subprocess.run([sys.executable, "train_gpt.py"], cwd=folder, env=environment, capture_output=True, text=True)
    assert "from beside" in done.stdout


def test_import_of_a_folder_cannot_be_packed(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/helper.py").write_text(SCORE)
    text = 'import os\nDATA, SEED, N = (os.environ[name] for name in ("DATA_PATH", "SEED", "ITERATIONS"))\n'
    (tmp_path / "train_gpt.py").write_text(text + "from lib.helper import score\n")
    with pytest.raises(BadInput, match=r"^--pack: train_gpt\.py:3: import of 'lib\.helper'"):
        check_request(TRACK, program=str(tmp_path), packed=True)


def test_a_preset_that_names_no_vocabulary_has_the_trainers(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[knobs]\nttt_epochs = 4\n")
    request = check_request("10min_16mb", str(tmp_path / "mine.toml"))
    assert request.knobs["vocab_size"] == 8192
