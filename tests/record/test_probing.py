"""The probes of a user's evaluator: it finds artifact and program, is sealed off from the rest, and is known again."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from pgolf.data.dataset import Dataset
from pgolf.errors import BadInput, RunFailed
from pgolf.evidence.manifest import list_files
from pgolf.evidence.probes import Probed, read_probes
from pgolf.files import sha256_file
from pgolf.program import Program
from pgolf.program.find import open_program
from pgolf.record.probing import evaluator_hashes, known_probes, probe_program
from pgolf.record.programs import dataset_config
from pgolf.record.request import check_request

pytestmark = pytest.mark.training
PROGRAMS = Path(__file__).parents[1] / "programs"
EVALUATOR = PROGRAMS / "april_evaluator.py"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an April program's model before it has learned anything."""
    sys.path.insert(0, str(PROGRAMS / "april"))
    try:
        import window_lm
    finally:
        sys.path.pop(0)
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("artifact") / "final_model.int6.ptz"
    path.write_bytes(window_lm.pack(window_lm.WindowLM(512, 8, 8, 2).state_dict()))
    return path


def opened(evaluator: Path) -> Program:
    return open_program(PROGRAMS / "april", evaluator=f"{evaluator}:make_evaluator")


def probed(folder: Path, artifact: Path, data: Dataset, evaluator: Path) -> Probed:
    config = dataset_config(data)
    return read_probes(probe_program(folder, 7, artifact, opened(evaluator), PROGRAMS / "april", config))


def test_an_honest_evaluator_passes_and_is_known_until_it_changes(tiny_data, artifact, tmp_path):
    evaluator = tmp_path / "their_eval.py"
    evaluator.write_text("import helper\n" + EVALUATOR.read_text())
    (tmp_path / "helper.py").write_text("")
    record = tmp_path / "record"
    results = probed(record, artifact, tiny_data, evaluator)
    passed = {r.probe: r.passed for r in results.results}
    assert passed == {
        **dict.fromkeys(("causal", "normalised", "score before update", "one pass", "sealed"), True),
        "byte-exact": None,  # it does not say how many bytes a token has
    }
    program = opened(evaluator)
    script = sha256_file(PROGRAMS / "april" / "train_gpt.py")
    assert (results.seed, results.artifact, results.program) == (7, sha256_file(artifact), script)
    assert set(results.evaluator) == {"their_eval.py", "helper.py"}
    assert known_probes(record, program) is None  # the record has made no such artifact
    list_files(record, record, {"final_model.int6.ptz": results.artifact})
    path = record / "probes.jsonl"
    assert known_probes(record, program) == path
    lines = path.read_text()
    failing = lines.replace('"passed": true', '"passed": false', 1)
    other = f'"prober": "{"0" * 64}"'
    assert results.prober and read_probes(path).failures == [] and (results.seconds or 0) > 0
    path.write_text(lines.replace(f'"prober": "{results.prober}"', other))
    assert known_probes(record, program) == path  # what passed is not tried again by another version of pgolf
    path.write_text(failing.replace(f'"prober": "{results.prober}"', other))
    assert len(read_probes(path).failures) == 1
    assert known_probes(record, program) is None  # what failed is: the failure may have been pgolf's own
    path.write_text(failing)
    assert known_probes(record, program) == path
    path.write_text(lines)
    (tmp_path / "helper.py").write_text("changed = True")
    assert known_probes(record, program) is None


def test_an_evaluator_is_another_one_when_a_package_beside_it_changes(tmp_path):
    (tmp_path / "eval.py").write_text("from net.model import SCALE\n")
    (tmp_path / "net/deep").mkdir(parents=True)
    for name in ("net/__init__.py", "net/model.py", "net/deep/more.py", "apart.py"):
        (tmp_path / name).write_text("SCALE = 1\n")
    before = evaluator_hashes(f"{tmp_path}/eval.py:make_evaluator")
    assert list(before) == ["eval.py", "net/__init__.py", "net/deep/more.py", "net/model.py"]
    (tmp_path / "net/model.py").write_text("SCALE = 2\n")
    after = evaluator_hashes(f"{tmp_path}/eval.py:make_evaluator")
    assert {name for name in after if after[name] != before[name]} == {"net/model.py"}


def test_an_evaluator_that_reads_training_text_is_seen_by_the_seal(tiny_data, artifact, tmp_path):
    evaluator = tmp_path / "their_eval.py"
    shard = next(tiny_data.data_dir.glob("datasets/*/fineweb_train_*.bin")).relative_to(tiny_data.data_dir)
    peek = f"\nPath(os.environ['DATA_DIR'], '{shard}').read_bytes()\n"
    evaluator.write_text(EVALUATOR.read_text() + peek)
    (failure,) = probed(tmp_path, artifact, tiny_data, evaluator).failures
    assert failure.startswith("probe 'sealed' of their_eval.py fails") and "fineweb_train_" in failure


def test_an_evaluator_that_fails_gives_no_result_and_its_reason(tiny_data, artifact, tmp_path):
    evaluator = tmp_path / "their_eval.py"
    evaluator.write_text("def make_evaluator():\n    raise ValueError('no such model')\n")
    with pytest.raises(RunFailed, match=r"the artifact of seed 7: .*cannot be made: ValueError: no such model"):
        probed(tmp_path, artifact, tiny_data, evaluator)
    assert not (tmp_path / "probes.jsonl").exists()


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [("gone.py:make_evaluator", "no file .*gone.py"), ("their_eval.py", "write path/to/file.py:make_evaluator")],
)
def test_an_evaluator_that_is_not_there_is_bad_input(evaluator, said, tmp_path):
    mine = shutil.copytree(PROGRAMS / "april", tmp_path / "mine")
    with pytest.raises(BadInput, match=said):
        check_request("cpu_smoke", program=str(mine), evaluator=f"{tmp_path}/{evaluator}")
