"""Drafts from logs that pgolf did not run: the logs' numbers, else *unknown*; nothing is overwritten unasked."""

import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from foreign import MODELS, RECORDED, SEEDS
from typer.testing import CliRunner

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.cli import app
from pgolf.errors import BadInput
from pgolf.evidence.lines import MOST_BYTES
from pgolf.files import hash_folder
from pgolf.ledger.against import standing_of
from pgolf.report.from_logs import About, Drafted, draft_from_logs
from pgolf.untrusted import Untrusted

TESTS = Path(__file__).parents[1]
PUBLIC = TESTS.parents[1] / "shared" / "public-records"
MARCH = TESTS / "programs" / "march" / "train_gpt.py"
APRIL = TESTS / "programs" / "april"
LOGS = [RECORDED / "march" / f"{seed}.log" for seed in SEEDS]
ABOUT = About("A name", "An Author", "author", "2026-05-02", tracks.load("cpu_smoke"), "What is new.")
RANK = {"does not apply": 0, "pass": 0, "unknown": 1, "warn": 2, "fail": 3}


def drafted(tmp_path: Path, logs: list[Path], program: Path | None = None, about: About = ABOUT, **more) -> Drafted:
    """A draft in `tmp_path`/out, of a script of a line unless one is given: reading a real one takes a second."""
    if program is None:
        program = tmp_path / "train_gpt.py"
        program.write_text("print('no seed is read here')\n")
    return draft_from_logs(logs, program, about, tmp_path / "out" / "2026-05-02_A_name", **more)


@pytest.mark.parametrize(("dialect", "program"), [("march", MARCH), ("april", APRIL)])
def test_a_draft_says_what_the_logs_say_and_no_check_of_it_fails(dialect, program, tmp_path):
    logs = [RECORDED / dialect / f"{seed}.log" for seed in SEEDS]
    found = drafted(tmp_path, logs, program)
    seen = audit(found.folder)
    assert not seen.failed, [c for c in seen.checks if c.status == "fail"]
    assert (seen.mean_val_bpb, seen.std_val_bpb) == (found.mean, found.std)
    assert [seed for seed, _ in found.scores] == sorted(SEEDS)
    for seed, log in zip(SEEDS, logs, strict=True):
        assert (found.folder / f"train_seed{seed}.log").read_bytes() == log.read_bytes()
    readme = (found.folder / "README.md").read_text()
    assert "- **unknown** — Seeds were named before the first run" in readme
    assert "from logs that pgolf did not run" in readme
    claims = json.loads((found.folder / "submission.json").read_text())
    assert [claims[k] for k in ("plans", "attempts", "significance", "previous_record")] == [None] * 4
    assert claims["val_bpb"] == round(found.mean, 8)


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public records here")
@pytest.mark.parametrize(
    "name",
    [
        "2026-03-18_FP16Embed_WD3600",
        "2026-03-24_74M_Ternary_UNet_FP8_10L_8192BPE_YaRN_NeoMuon",
        "2026-04-09_SP8192_3LayerRecur_ParResid_QK525_LegalTTT",
    ],
)
def test_a_reviewer_finds_nothing_worse_in_the_draft_of_a_public_record(name, tmp_path):
    original = audit(PUBLIC / name)
    about = replace(ABOUT, track=original.track)
    found = drafted(tmp_path, [run.log for run in original.runs], about=about)
    seen = audit(found.folder)
    assert (seen.mean_val_bpb, seen.std_val_bpb) == (original.mean_val_bpb, original.std_val_bpb)
    before = {c.id: c.status for c in original.checks}
    own = ("code-bytes", "hardware")  # the script is not theirs; what only submission.json said of the hardware is gone
    worse = [c for c in seen.checks if RANK[c.status] > RANK[before[c.id]] and c.id not in own]
    assert not worse


def test_one_log_has_no_spread_and_a_script_without_a_seed_no_command(tmp_path):
    found = drafted(tmp_path, LOGS[:1])
    assert found.std is None
    assert json.loads((found.folder / "submission.json").read_text())["val_bpb_std"] is None
    readme = (found.folder / "README.md").read_text()
    assert "(one seed, sample std unknown)" in readme
    assert "By which variable it takes a seed is unknown" in readme
    assert (found.folder / "train_gpt.py").read_bytes() == (tmp_path / "train_gpt.py").read_bytes()
    assert any("train_gpt.py" in remark and "unknown" in remark for remark in found.remarks)


def test_the_command_of_a_draft_calls_a_tokenizer_no_data(tmp_path):
    program = tmp_path / "train_gpt.py"
    program.write_text("import os\nos.environ['SEED'], os.environ['DATA_PATH'], os.environ['TOKENIZER_PATH']\n")
    readme = (drafted(tmp_path, LOGS[:1], program).folder / "README.md").read_text()
    assert "DATA_PATH=path/to/data TOKENIZER_PATH=path/to/tokenizer.model" in readme


def test_a_log_without_a_final_score_is_named_and_nothing_written(tmp_path):
    cut = tmp_path / "cut_short.log"
    cut.write_text("".join(line for line in LOGS[1].read_text().splitlines(True) if "final" not in line))
    with pytest.raises(BadInput, match=r"cut_short\.log: no final score"):
        drafted(tmp_path, [LOGS[0], cut])
    assert not (tmp_path / "out").exists()


def test_a_copied_log_is_refused_and_a_seed_run_twice_is_said(tmp_path):
    copy, again = tmp_path / "314.log", tmp_path / "again.log"
    copy.write_bytes(LOGS[0].read_bytes())
    with pytest.raises(BadInput, match="tell of one run"):
        drafted(tmp_path, [LOGS[0], copy])
    again.write_text(LOGS[1].read_text().replace("seed:314", "seed:42"))
    found = drafted(tmp_path, [LOGS[0], again])
    assert [seed for seed, _ in found.scores] == [42, 42]
    assert any("again.log is the same seed once more" in r for r in found.remarks)
    assert (found.folder / "train_seed42_run2.log").is_file()
    assert audit(found.folder).check("seeds-distinct").status == "fail"
    assert "not all of them of seeds of their own" in (found.folder / "README.md").read_text()


def test_hostile_logs_are_refused_without_a_wait(tmp_path):
    pipe, binary, huge, link = (tmp_path / n for n in ("pipe.log", "binary.log", "huge.log", "link.log"))
    os.mkfifo(pipe)
    binary.write_bytes(os.urandom(4096))
    with huge.open("wb") as f:
        f.truncate(MOST_BYTES + 1)
    link.symlink_to(LOGS[0])
    for log in (pipe, huge, link):
        with pytest.raises(Untrusted, match=log.name):
            drafted(tmp_path, [log])
    with pytest.raises(BadInput, match=r"binary\.log: tells of no run"):
        drafted(tmp_path, [binary])
    assert not (tmp_path / "out").exists()


def test_only_a_draft_is_replaced_and_only_when_asked(tmp_path):
    found = drafted(tmp_path, LOGS[:1])
    before = hash_folder(found.folder)
    assert not drafted(tmp_path, LOGS[:1]).new
    (found.folder / "README.md").write_text("hours of work")
    with pytest.raises(BadInput, match="--force"):
        drafted(tmp_path, LOGS[:1])
    assert (found.folder / "README.md").read_text() == "hours of work"
    assert drafted(tmp_path, LOGS[:1], force=True).new
    assert hash_folder(found.folder) == before
    (found.folder / "submission.json").write_text("{}")
    with pytest.raises(BadInput, match="did not write"):
        drafted(tmp_path, LOGS[:1], force=True)
    with pytest.raises(BadInput, match="lies in"):
        drafted(tmp_path, [found.folder / "train_seed42.log"], force=True)
    elsewhere = tmp_path / "link"
    elsewhere.symlink_to(tmp_path)
    with pytest.raises(BadInput, match="not a folder"):
        draft_from_logs(LOGS, MARCH, ABOUT, elsewhere, force=True)


def test_a_full_disk_is_told_as_one_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_source, target, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError) as told:
        drafted(tmp_path, LOGS)
    assert told.value.errno == errno.ENOSPC
    assert not list((tmp_path / "out").iterdir())


def test_another_evaluation_counts_where_it_is_named(tmp_path):
    final = next(line for line in LOGS[0].read_text().splitlines() if line.startswith("final_"))
    log = tmp_path / "log.txt"
    worse = re.sub(r"val_bpb:\S+", "val_bpb:5.12345678", final.replace(final.split()[0], "final_later_ttt"))
    log.write_text(f"{LOGS[0].read_text()}\n{worse}\n")
    with pytest.raises(BadInput, match=r"no evaluation of the artifact is called 'sliding'; there are: .*later_ttt"):
        drafted(tmp_path, [log], about=replace(ABOUT, stage="sliding"))
    assert drafted(tmp_path, [log]).mean == 5.12345678
    stage = audit(tmp_path / "out" / "2026-05-02_A_name").runs[0].stages[-2]
    found = drafted(tmp_path, [log], about=replace(ABOUT, stage=stage.name), force=True)
    assert found.mean == audit(found.folder).mean_val_bpb == stage.val_bpb != 5.12345678


def test_artifacts_are_weighed_and_a_record_that_is_named_tested_against(tmp_path):
    models = [tmp_path / f"{seed}.ptz" for seed in SEEDS]
    for seed, model in zip(SEEDS, models, strict=True):
        model.write_bytes(b"m" * MODELS["march"][seed])
    standing = standing_of("4.8001,4.8103,4.8202", ABOUT.track)
    found = drafted(tmp_path, LOGS, about=replace(ABOUT, standing=standing), artifacts=models)
    claims = json.loads((found.folder / "submission.json").read_text())
    assert claims["significance"]["p_one_sided"] < 0.01
    assert "Against `the given numbers`" in (found.folder / "README.md").read_text()
    results, size = claims["seed_results"], (tmp_path / "train_gpt.py").stat().st_size
    assert {s: results[str(s)]["counted_bytes"] for s in SEEDS} == {s: MODELS["march"][s] + size for s in SEEDS}
    assert all(results[str(seed)]["artifact_sha256"] for seed in SEEDS)
    assert not any(model.name in hash_folder(found.folder) for model in models)
    with pytest.raises(BadInput, match="one for each log"):
        drafted(tmp_path, LOGS, artifacts=models[:2])


def test_the_command_takes_name_day_and_track_from_the_folder(tmp_path):
    folder = tmp_path / "records" / "cpu_smoke" / "2026-05-02_Wider"
    logs = [str(log) for log in LOGS]
    script = tmp_path / "train_gpt.py"
    script.write_text("print()")
    ran = CliRunner().invoke(app, ["draft", *logs, "--program", str(script), "-o", str(folder), "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["folder"] == str(folder)
    claims = json.loads((folder / "submission.json").read_text())
    assert [claims[k] for k in ("name", "date", "track")] == ["Wider", "2026-05-02", "cpu_smoke"]
    checked = CliRunner().invoke(app, ["audit", "--draft", str(folder)])
    assert checked.exit_code == 1 and "fail code-bytes" in checked.output


def test_auto_is_a_record_that_the_rules_of_the_track_admit(tmp_path):
    """pr1787 is better than pr1736, and earlier than the draft's day; it trained for 603 s."""
    log, script = tmp_path / "a.log", tmp_path / "train_gpt.py"
    log.write_bytes(LOGS[0].read_bytes())
    script.write_text("print()")
    out = tmp_path / "2026-04-24_Mine"
    ran = CliRunner().invoke(app, ["draft", str(log), "--program", str(script), "-o", str(out), "--against", "auto"])
    assert ran.exit_code == 0, ran.output
    assert json.loads((out / "submission.json").read_text())["previous_record"] == "pr1736"
    early = tmp_path / "2026-03-18_Mine"
    ran = CliRunner().invoke(app, ["draft", str(log), "--program", str(script), "-o", str(early), "--against", "auto"])
    assert isinstance(ran.exception, BadInput) and "from before 2026-03-18 that its rules admit" in str(ran.exception)
    assert not early.exists()


def test_the_program_of_a_record_is_found_in_its_folder(tmp_path):
    record = RECORDED / "smoke"
    found = drafted(tmp_path, sorted(record.glob("train_seed*.log")), record)
    assert (found.folder / "train_gpt.py").read_bytes() == (record / "train_gpt.py").read_bytes()
    assert not list(found.folder.glob("*.jsonl")), "what was said of its own runs stays there"
