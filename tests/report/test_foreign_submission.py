"""Records of programs that are not pgolf's: all their files, the logs' numbers, else *unknown*."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from foreign import APRIL, DATASET, MARCH, MODELS, RECORDED, SEEDS, record_of, with_program

from pgolf.audit.audit import audit
from pgolf.errors import BadInput
from pgolf.evidence.probes import ProbeResult
from pgolf.files import sha256_file
from pgolf.ledger import load
from pgolf.program import Requires
from pgolf.record.request import read_program
from pgolf.report.inputs import RecordInputs
from pgolf.report.submission import judge, write
from pgolf.report.verdict import describe

DIALECTS = ("march", "april")


def written(inputs: RecordInputs, out: Path) -> Path:
    verdict = judge(inputs)
    assert verdict.positive, verdict.reasons
    return write(inputs, verdict, out)


def answers(inputs: RecordInputs, folder: Path) -> dict[str, bool | None]:
    """The answer to every statement by its sentence."""
    return {s.text: s.holds for _, many in describe(inputs, folder).sections for s in many}


def answer(inputs: RecordInputs, folder: Path, words: str) -> bool | None:
    found = {text: holds for text, holds in answers(inputs, folder).items() if words in text}
    assert len(found) == 1, found
    return next(iter(found.values()))


def section(folder: Path, title: str) -> str:
    return (folder / "README.md").read_text().split(f"## {title}")[1].split("\n## ")[0]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_audit_of_a_written_folder_fails_nothing(dialect, tmp_path):
    inputs = record_of(dialect, tmp_path)
    found = audit(written(inputs, tmp_path / "out"))
    status = {c.id: c.status for c in found.checks if c.status != "pass"}
    against = ("delta-disclosed", "attribution", "claimed-significance")  # a reviewer has to name the record to beat
    expected = dict.fromkeys(("hardware", *against), "unknown")
    named = {"required-files": "warn"} if dialect == "april" else {}  # train.py is not called train_gpt.py
    assert status == expected | named


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_file_of_the_program_is_there_as_it_ran(dialect, tmp_path):
    inputs = record_of(dialect, tmp_path)
    folder = written(inputs, tmp_path / "out")
    readme = (folder / "README.md").read_text()
    for name, content in inputs.program.files.items():
        assert (folder / name).read_bytes() == content
        assert f"| `{name}` | {len(content):,} | `{inputs.program.hashes[name]}` |" in readme
        assert inputs.program.hashes[name] in (folder / "report.html").read_text()
    for run in inputs.runs:
        assert sha256_file(folder / f"train_seed{run.seed}.log") == sha256_file(run.log)
    assert not list(folder.glob("*events*"))


@pytest.mark.parametrize(
    "name", ["README.md", "readme.MD", "plan-2.json", "train_seed42.log", "submission.json/x.py", "events.jsonl"]
)
def test_a_file_called_like_one_of_the_submission_is_refused(name, tmp_path):
    inputs = record_of("march", tmp_path)
    program = replace(MARCH, files={**MARCH.files, name: b"theirs"})
    with pytest.raises(BadInput, match="called like a file of the submission"):
        judge(replace(inputs, program=program))


def test_such_a_file_is_refused_before_anything_is_started(tmp_path):
    shutil.copytree(RECORDED.parent / "programs" / "april", tmp_path / "april")
    (tmp_path / "april" / "README.md").write_text("theirs")
    (tmp_path / "april" / "program.toml").write_text('files = ["README.md"]')
    with pytest.raises(BadInput, match="called like a file of the submission"):
        read_program(str(tmp_path / "april"), None, {}, {}, False, None)


@pytest.mark.parametrize("name", ["../train.py", "/etc/train.py", "a//b.py", "a\\b.py", "./x.py"])
def test_a_file_never_leaves_the_submissions_folder(name, tmp_path):
    inputs = record_of("march", tmp_path)
    with pytest.raises(BadInput, match="has no place in a submission"):
        judge(replace(inputs, program=replace(MARCH, files={**MARCH.files, name: b"theirs"})))


def test_a_file_that_was_changed_since_is_refused(tmp_path):
    inputs = record_of("march", tmp_path)
    (inputs.source / "train_gpt.py").write_bytes(b"!" * len(MARCH.files["train_gpt.py"]))
    with pytest.raises(BadInput, match="is not what the seeds ran any more"):
        judge(inputs)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_claimed_that_only_our_trainer_is_known_to_do(dialect, tmp_path):
    inputs = record_of(dialect, tmp_path)
    folder = written(inputs, tmp_path / "out")
    found = answers(inputs, folder)
    known = [text for text, holds in found.items() if holds]
    for words in (
        "adapt",
        "decodes",
        "weights",
        "the code is that of",
        "is scored before",
        "sealed",
        "UTF-8",
        "token by",
    ):
        assert not [text for text in known if words in text], words
    flags = json.loads((folder / "submission.json").read_text())["compliance"]
    assert {k for k, v in flags.items() if v is None} == {
        "no_pre_quant_ttt",
        "no_slot",
        "no_etlb",
        "no_ngram",
        "score_first_ttt",
    }
    readme = (folder / "README.md").read_text()
    for words in ("pgolf unpack", "pgolf probe", "All knobs of the record", "its bytes per token, decodes"):
        assert words not in readme


def test_adaptation_before_quantisation_that_a_log_shows_is_said(tmp_path):
    inputs = record_of("april", tmp_path)
    runs = []
    for run in inputs.runs:
        log, adapted = tmp_path / f"{run.seed}.log", "pre-quantization"
        text = run.log.read_text()
        line = next(n for n in text.splitlines() if n.startswith("quantized_ttt"))
        log.write_text(text.replace(f"{adapted} val_loss", f"{line}\n{adapted} val_loss", 1))
        runs.append(replace(run, log=log))
    inputs = replace(inputs, runs=tuple(runs))
    draft = describe(inputs, write(inputs, judge(inputs), tmp_path / "out"))
    assert draft.flags["no_pre_quant_ttt"] is False


def test_loss_and_score_are_held_against_the_bytes_of_the_text(tmp_path):
    inputs = record_of("march", tmp_path)
    folder = written(inputs, tmp_path / "out")
    words = "fit together by the bytes per token"
    assert answer(inputs, folder, words) is True
    assert answer(replace(inputs, dataset=DATASET | {"val_bytes": 18_000}), folder, words) is False
    assert answer(replace(inputs, dataset={}), folder, words) is None


def test_sizes_are_those_of_the_log_and_those_of_the_files(tmp_path):
    inputs = record_of("march", tmp_path)
    two = replace(MARCH, files={**MARCH.files, "more.py": b"#" * 5_000}, code=("train_gpt.py", "more.py"))
    inputs = with_program(inputs, two)
    folder = written(inputs, tmp_path / "out")
    draft = describe(inputs, folder)
    log, ours = draft.limits[:2]
    assert (log.value, ours.value, ours.seed) == (13_838 + MODELS["march"][314], 18_838 + MODELS["march"][314], 314)
    assert answer(inputs, folder, "(18,838 bytes): they count 13,838") is False
    row = next(line for line in section(folder, "Results").splitlines() if line.startswith("| 314 "))
    assert row.endswith("| 79,027 | 84,027 |")
    content = json.loads((folder / "submission.json").read_text())
    assert content["code_bytes"] == 18_838 and content["code"] == ["train_gpt.py", "more.py"]
    assert content["seed_results"]["314"]["artifact_bytes"] == 79_027
    assert content["seed_results"]["314"]["counted_bytes"] == 84_027
    assert "84,027" in (folder / "report.html").read_text()
    assert not [c for c in audit(folder).checks if c.status == "fail"]


def test_the_larger_size_is_held_against_the_cap(tmp_path):
    inputs = record_of("march", tmp_path)
    two = replace(MARCH, files={**MARCH.files, "more.py": b"#" * 5_000}, code=("train_gpt.py", "more.py"))
    inputs = with_program(inputs, two)
    limits = replace(inputs.track.limits, artifact_bytes=80_000)
    inputs = replace(inputs, track=replace(inputs.track, limits=limits))
    verdict = judge(inputs)
    assert verdict.reasons == ("code and model, as pgolf counts the files of seed 314: 84,027 bytes of 80,000, over",)
    draft = describe(inputs, write(inputs, replace(verdict, positive=True), tmp_path / "out"))
    assert draft.flags["artifact_under_0_08mb"] is False


def test_a_log_that_counts_compressed_code_is_told_from_the_files(tmp_path):
    inputs = record_of("march", tmp_path)
    larger = replace(MARCH, files={"train_gpt.py": b"#" * 40_000})
    inputs = with_program(inputs, larger)
    folder = written(inputs, tmp_path / "out")
    assert answer(inputs, folder, "(40,000 bytes): they count 13,838") is False
    found = audit(folder)
    assert not [c for c in found.checks if c.status == "fail"]
    assert "the files that submission.json counts have 40,000 bytes" in found.check("code-bytes").message
    smaller = with_program(inputs, replace(MARCH, files={"train_gpt.py": b"#" * 13_000}))
    assert any(r.startswith("code-bytes") for r in judge(smaller).reasons)  # more code ran than is here


def test_a_log_without_sizes_leaves_pgolfs_count(tmp_path):
    inputs = record_of("april", tmp_path)
    runs = []
    for run in inputs.runs:
        log = tmp_path / f"{run.seed}.log"
        lines = run.log.read_text().splitlines()
        log.write_text("\n".join(n for n in lines if " bytes" not in n))
        runs.append(replace(run, log=log))
    inputs = replace(inputs, runs=tuple(runs))
    folder = written(inputs, tmp_path / "out")
    draft = describe(inputs, folder)
    assert draft.limits[0].value is None and draft.flags["artifact_under_2mb"] is True
    assert answer(inputs, folder, "at most 37,200 as pgolf counts the files, unknown by the logs") is True
    assert answer(inputs, folder, "they give no size of the code") is None
    status = {c.id: c.status for c in audit(folder).checks}
    assert status["artifact-bytes"] == status["code-bytes"] == "unknown"


def command(folder: Path) -> list[str]:
    return section(folder, "Reproduce").split("```bash\n")[1].split("\n```")[0].splitlines()


def test_commands_start_it_as_its_author_would(tmp_path):
    march, april = (written(record_of(d, tmp_path / d), tmp_path / d / "out") for d in made(tmp_path))
    install, run = command(march)
    assert install == "pip install torch==2.13.0 numpy sentencepiece"
    assert shlex.split(run) == [
        "SEED=42",
        "DATA_PATH=data/shards",
        "TOKENIZER_PATH=my data/bpe.model",
        "ITERATIONS=40",
        *("torchrun", "--standalone", "--nproc_per_node=2", "train_gpt.py"),
    ]
    assert command(april) == [
        "pip install --requirement requirements.txt",
        "SEED=42 DATA_DIR=data ITERATIONS=60 torchrun --standalone --nproc_per_node=2 train.py",
    ]


def made(tmp_path: Path) -> tuple[str, ...]:
    for dialect in DIALECTS:
        (tmp_path / dialect).mkdir()
    return DIALECTS


def test_commands_of_a_program_with_a_setup_and_a_start_of_its_own(tmp_path):
    files = {**MARCH.files, "requirements.txt": b"numpy\n", "setup.sh": b"apt-get install lrzip\n"}
    program = replace(
        MARCH,
        files=files,
        seed="RNG",
        command=("python", "-u", "{script}", "--ranks", "{nproc}"),
        requires=Requires(requirements="requirements.txt", setup="setup.sh"),
    )
    install, setup, run = command(written(with_program(record_of("march", tmp_path), program), tmp_path / "out"))
    assert install == "pip install torch==2.13.0 --requirement requirements.txt"
    assert setup == "bash setup.sh"
    assert run.startswith("RNG=42 ") and run.endswith("python -u train_gpt.py --ranks 2")


def test_without_a_dump_the_knobs_are_the_variables_that_were_set(tmp_path):
    inputs = replace(record_of("march", tmp_path), standing=replace(load("pr1493"), val_bytes=None, track="cpu_smoke"))
    runs = []
    for run in inputs.runs:
        log = tmp_path / f"{run.seed}.log"
        parts = run.log.read_text().partition("step:1/40")
        log.write_text(f"seed:{run.seed}\n{''.join(parts[1:])}")
        runs.append(replace(run, log=log))
    inputs = replace(inputs, runs=tuple(runs))
    draft = describe(inputs, write(inputs, replace(judge(inputs), positive=True, reasons=()), tmp_path / "out"))
    assert draft.runs[0].hyperparameters.keys() == {"seed"}
    assert (
        "The logs here hold no dump of hyperparameters; these are the variables that were set" in draft.knobs.sentence
    )
    assert [(k.knob, k.old, k.new) for k in draft.knobs.rows] == [("ITERATIONS", "60", "40")]
    assert draft.knobs.heading == "default in train_gpt.py"
    assert draft.knobs.sentence.endswith("how else knobs differ from those of pr1493 is unknown.")


def test_a_variable_that_the_dump_leaves_out_is_in_the_delta(tmp_path):
    inputs = record_of("april", tmp_path)
    inputs = replace(
        inputs,
        program=replace(APRIL, environment={"ITERATIONS": "60", "NCCL_NET": "Socket"}),
        standing=replace(load("pr1493"), val_bytes=None),
    )
    draft = describe(inputs, write(inputs, replace(judge(inputs), positive=True, reasons=()), tmp_path / "out"))
    knobs = {k.knob: (k.old, k.new) for k in draft.knobs.rows}
    assert knobs["NCCL_NET"] == (None, "Socket")
    assert knobs["iterations"] == ("20000", "60") and "ITERATIONS" not in knobs
    assert "From both dumps of hyperparameters, and from the variables that were set" in draft.knobs.sentence


def test_keys_and_paths_that_were_set_are_not_published(tmp_path):
    inputs = record_of("april", tmp_path)
    secret = {"ITERATIONS": "60", "HF_HOME": "/home/me/hf", "MY_TOKEN": "abc12"}
    folder = written(replace(inputs, program=replace(APRIL, environment=secret), environment=secret), tmp_path / "out")
    assert "ITERATIONS=60 HF_HOME=… MY_TOKEN=… torchrun" in command(folder)[-1]
    text = "".join(p.read_text() for p in folder.rglob("*") if p.suffix in (".md", ".json"))
    assert "/home/me" not in text and "abc12" not in text


@pytest.mark.parametrize("against", ["mean=4.8,std=0.01,n=3", "4.8"])
def test_numbers_to_beat_make_a_whole_report(against, tmp_path):
    inputs = record_of("april", tmp_path, against)
    verdict = judge(inputs)
    assert verdict.positive == ("mean" in against)
    folder = write(inputs, verdict, tmp_path / "out")
    assert "No knobs are known of the given numbers" in section(folder, "What is different")
    assert "| not scored | 3.67112411 |" in section(folder, "Where the gain comes from")
    page = (folder / "report.html").read_text()
    assert f"the given numbers: {against}.</p>" in page and "the logs of the given numbers" not in page.lower()


def test_a_program_that_logs_no_losses_has_no_picture_of_them(tmp_path):
    inputs = record_of("april", tmp_path)
    runs = []
    for run in inputs.runs:
        log = tmp_path / f"{run.seed}.log"
        log.write_text("\n".join(n for n in run.log.read_text().splitlines() if "train_loss" not in n))
        runs.append(replace(run, log=log))
    folder = written(replace(inputs, runs=tuple(runs)), tmp_path / "out")
    assert not (folder / "loss_curves.png").exists() and "loss_curves" not in (folder / "README.md").read_text()


def test_logs_that_the_program_brings_are_no_seeds(tmp_path):
    inputs = record_of("march", tmp_path)
    old = (RECORDED / "march" / "42.log").read_text().replace("3.71819023", "2.00000000")
    program = replace(MARCH, files={**MARCH.files, "old/train_seed42.log": old.encode()})
    inputs = with_program(inputs, program)
    folder = written(inputs, tmp_path / "out")
    assert [r.seed.value for r in describe(inputs, folder).runs] == list(SEEDS)
    assert "2.0" not in section(folder, "Results")
    assert not [c for c in audit(folder).checks if c.status == "fail"]


def test_an_evaluator_that_its_author_gives_is_named_with_what_it_showed(tmp_path):
    inputs = record_of("april", tmp_path)
    inputs = replace(inputs, program=replace(APRIL, evaluator="mine.py:make_evaluator"))
    about = {
        "seed": 42,
        "artifact": sha256_file(inputs.runs[0].artifact),
        "program": inputs.program.hashes["train.py"],
    }
    names = ("causal", "score before update", "normalised", "one pass")
    results = [ProbeResult(name, "mine.py:make_evaluator", True, True, "Tried.", 9, 4).as_json() for name in names]
    probes = tmp_path / "probes.jsonl"
    probes.write_text("\n".join(map(json.dumps, (about, *results))))
    inputs = replace(inputs, probes=probes)
    folder = written(inputs, tmp_path / "out")
    assert answer(inputs, folder, "scored before any update on it: tested at 9 positions or more, at least 4") is True
    assert answer(inputs, folder, "A document's bytes are the UTF-8 length of its text: no probe has tried it") is None
    assert "by the probes of mine.py:make\\_evaluator, which the author gives" in section(folder, "Compliance")
    assert json.loads((folder / "submission.json").read_text())["compliance"]["score_first_ttt"] is True
    assert "by `mine.py:make_evaluator`. A probe that passes" in section(folder, "Legality probes")


@pytest.mark.parametrize("passed", [True, None])
def test_a_program_that_scored_its_artifact_sealed_off_is_named(tmp_path, passed):
    inputs = record_of("april", tmp_path)
    inputs = replace(inputs, program=replace(APRIL, eval_only={"EVAL_ONLY": "{artifact}"}))
    about = {
        "seed": 42,
        "artifact": sha256_file(inputs.runs[0].artifact),
        "program": inputs.program.hashes["train.py"],
        "eval_only": {"EVAL_ONLY": "{artifact}"},
    }
    result = ProbeResult("sealed", "train.py with final_model.int6.ptz", passed, None, "Tried.").as_json()
    probes = tmp_path / "probes.jsonl"
    probes.write_text("\n".join(map(json.dumps, (about, result))))
    inputs = replace(inputs, probes=probes)
    folder = written(inputs, tmp_path / "out")
    sealed = "train.py gave the same score sealed off, in the probes of seed 42" if passed else "no network: not shown"
    assert answer(inputs, folder, sealed) is passed
    assert answer(inputs, folder, "A document's bytes are the UTF-8 length of its text: no evaluator of") is None
    assert json.loads((folder / "submission.json").read_text())["compliance"]["score_first_ttt"] is None
    assert "by `train.py`. A probe that passes" in section(folder, "Legality probes")


def test_a_submission_depends_on_hashes_and_not_on_contents(tmp_path):
    inputs = record_of("march", tmp_path)
    key = json.dumps(inputs.depends(), sort_keys=True, default=str)
    assert inputs.program.hashes["train_gpt.py"] in key and "####" not in key
    other = replace(inputs, program=replace(MARCH, files={"train_gpt.py": b"other"}))
    assert json.dumps(other.depends(), sort_keys=True, default=str) != key


def test_whether_validation_text_is_in_training_text_is_said(tmp_path):
    inputs = record_of("march", tmp_path)
    folder = written(inputs, tmp_path / "out")
    words = "Validation text was kept out of the training text"
    near = {"val_documents_near_train": 3, "train_documents_compared": 400, "train_documents_near_train": 70}
    for dataset, expected in (
        (DATASET | near, True),
        (DATASET | near | {"val_documents_near_train": 18}, False),
        (DATASET | {"val_documents_in_train": 1}, None),  # an older manifest
        ({}, None),
    ):
        assert answer(replace(inputs, dataset=dataset), folder, words) is expected, dataset


def test_a_program_s_non_record_claims_no_p(tmp_path):
    inputs = replace(record_of("march", tmp_path, against="4.0001,4.0103,4.0202"), non_record=True)
    verdict = judge(inputs)
    assert verdict.non_record and "but p = " in verdict.reasons[0]
    folder = write(inputs, verdict, tmp_path / "out")
    audited = audit(folder)
    assert audited.track.name == "non_record_16mb" and not audited.failed
    assert audited.check("claimed-significance").message == "no significance is claimed"
    assert "- it is not shown that the mean is better by more than the bar\n" in (folder / "README.md").read_text()
    assert '<span class="pill warn">non-record submission</span>' in (folder / "report.html").read_text()
