"""A speedrun's submission: what is in it, that an audit of it agrees with it, and the report where it is no record."""

import hashlib
import json
import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from speedruns import BASELINE, NEW, log_text

from pgolf import tracks
from pgolf.audit.target import audit_target
from pgolf.errors import BadInput
from pgolf.evidence.plan import Attempt
from pgolf.program import Program, Variable
from pgolf.report.runs_inputs import PlannedRun, RunsInputs
from pgolf.report.runs_submission import as_written, judge_runs, write_runs_submission
from pgolf.report.target_rows import variant_rows

SHORT = tracks.load("nanogpt_short")
SCRIPT = b"print('train')\n"


@pytest.fixture
def inputs(tmp_path):
    source = tmp_path / "runs" / "mine" / "program"
    source.mkdir(parents=True)
    (source / "train_gpt.py").write_bytes(SCRIPT)
    program = Program("mine", False, {"train_gpt.py": SCRIPT}, "train_gpt.py", ("train_gpt.py",))
    runs = []
    for n, (new, base) in enumerate(zip(NEW, BASELINE, strict=True)):
        for variant, (loss, seconds) in (("this_pr", new), ("baseline", base)):
            number = len(runs) + 1
            log = tmp_path / "runs" / "mine" / f"{number}.log"
            log.write_text(log_text(loss, seconds, seed=n))
            tried = Attempt(
                number, 1, "finished", f"variants/{variant}/{number}/attempt-1", "2026-07-17T10:00:00+00:00"
            )
            runs.append(PlannedRun(number, variant, log, (tried,), "pod-a: 8x H100"))
    return RunsInputs(
        record_id="nanogpt_short-mine-12345678",
        name="Mine",
        author="somebody",
        github_id="somebody",
        date="2026-07-17",
        track=SHORT,
        plan={"record_id": "mine", "order": [r.variant for r in runs], "sha256": "ab" * 32},
        created="2026-07-17T09:59:00+00:00",
        runs=tuple(runs),
        program=program,
        source=source,
        baseline=Program("old", False, {"train_gpt.py": b"x = 1\n"}, "train_gpt.py", ("train_gpt.py",)),
        baseline_name="2026-07-02_Last",
        summary="A faster down projection",
        nproc=8,
        again="pgolf record --track nanogpt_short --program train_gpt.py --runs 5 --baseline last/train_gpt.py",
    )


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs" / "mine"


def failing(inputs, *numbers, **attempt):
    """The inputs with runs that never finished."""
    runs = []
    for run in inputs.runs:
        if run.number in numbers:
            (tried,) = run.attempts
            run = replace(run, log=None, attempts=(replace(tried, outcome="failed", **attempt),))
        runs.append(run)
    return replace(inputs, runs=tuple(runs))


def test_folder_has_the_logs_the_program_the_plan_the_curves_and_the_words(inputs, out):
    folder = write_runs_submission(inputs, out)
    assert folder == out / "records" / "nanogpt_short" / "2026-07-17_Mine"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    logs = {f"{variant}/run0{n}.txt" for variant in ("this_pr", "baseline") for n in range(1, 6)}
    assert files == {"README.md", "curves.png", "plan.json", "train_gpt.py"} | logs
    assert json.loads((folder / "plan.json").read_text()) == inputs.plan
    assert (folder / "train_gpt.py").read_bytes() == SCRIPT
    assert all((folder / inputs.log_name(run)).read_bytes() == run.log.read_bytes() for run in inputs.runs)
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not [p for p in folder.parent.iterdir() if p != folder]


def test_audit_of_the_folder_agrees_with_its_readme(inputs, out):
    folder = write_runs_submission(inputs, out)
    audit, readme = audit_target(folder, SHORT), (folder / "README.md").read_text()
    assert not audit.failed
    for row in variant_rows(audit):
        (line,) = [line for line in readme.splitlines() if line.startswith(f"| `{row.name}` | 5 |")]
        figures = (row.seconds, row.seconds_std, row.seconds_gain, row.seconds_p, row.loss, row.loss_std)
        assert all(figure in line for figure in (*figures, row.loss_gap, row.loss_p))
    assert variant_rows(audit)[1].p_range in readme
    for check in audit.checks:
        listed = check.status != "does not apply" and not check.id.startswith("stated-")
        assert (f"| `{check.id}` | {check.status} |" in readme) == listed
    assert {c.status for c in audit.checks} <= {"pass", "unknown", "does not apply"}


def test_readme_without_a_summary_begins_without_a_gap(inputs, out):
    readme = (write_runs_submission(replace(inputs, summary=""), out) / "README.md").read_text()
    assert readme.startswith(f"# {inputs.name}\n\n**79.") and "\n\n\n" not in readme


def test_the_verdict_is_of_the_folder_that_was_written(inputs, out):
    given = replace(inputs, summary="Its losses have mean 3.2700")
    verdict = judge_runs(given)
    folder = write_runs_submission(given, out)
    told = as_written(verdict, folder)
    assert told.positive and told.audit.as_json() == audit_target(folder, SHORT).as_json()
    assert told.audit.check("stated-mean").message != "the README gives no mean"
    assert any(w.startswith("stated-mean") for w in told.warnings) == (
        told.audit.check("stated-mean").status in ("warn", "fail")
    )


def test_the_verdict_of_a_report_names_its_folder_and_no_check_of_a_readme(inputs, out):
    given = failing(inputs, 5, reason="out of memory")
    folder = write_runs_submission(given, out)
    said = as_written(judge_runs(given), folder).audit.as_json()
    assert said["folder"] == str(folder)
    assert not [c for c in said["checks"] if c["id"].startswith("stated-")]


def test_readme_has_every_attempt_and_the_order(inputs, out):
    first = inputs.runs[2]
    lost = replace(first.attempts[0], outcome="lost", reason="the machine | went away")
    again = replace(first.attempts[0], number=2)
    runs = (*inputs.runs[:2], replace(first, attempts=(lost, again)), *inputs.runs[3:])
    readme = (write_runs_submission(replace(inputs, runs=runs), out) / "README.md").read_text()
    assert "11 attempts in all: 10 finished, 1 lost." in readme
    html = MarkdownIt().enable("table").render(readme)
    (table,) = [t for t in re.findall(r"<table>.*?</table>", html, re.S) if "attempt</th>" in t]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert [(row[0], row[1], row[2], row[3]) for row in rows[:4]] == [
        ("1", "this_pr", "1", "finished"),
        ("2", "baseline", "1", "finished"),
        ("3", "this_pr", "1", "lost"),
        ("3", "this_pr", "2", "finished"),
    ]
    assert rows[2][-1] == "the machine | went away"


def readme_of(inputs, out):
    return (write_runs_submission(inputs, out) / "README.md").read_text()


def test_runs_that_differ_in_steps_are_told(inputs, out):
    steps = replace(inputs, track=tracks.load("nanogpt_optimization"))
    for run in inputs.of("this_pr"):
        steps_of(run, 1380)
    assert "all runs of a variant have as many, and there is no test" in readme_of(steps, out)
    steps_of(inputs.of("this_pr")[0], 1300)
    assert "runs differ in steps; the largest number counts" in readme_of(steps, out)


def steps_of(run, steps):
    """Give a run's log fewer steps."""
    run.log.write_text(log_text(3.2777, 79.5 + run.number / 50, seed=run.number, steps=steps))


def test_commands_say_where_the_data_is_and_name_only_what_is_imported(inputs, out):
    script = b"import os\nos.listdir(os.environ['DATA_PATH'])\n"
    (inputs.source / "train_gpt.py").write_bytes(script)
    program = replace(
        inputs.program,
        files={"train_gpt.py": script},
        command=("python", "{script}"),
        data={"DATA_PATH": "{data}"},
    )
    for run in inputs.runs:
        run.log.write_text(run.log.read_text().replace("Running PyTorch", "Running"))
    given = replace(inputs, program=program, environment={"DATA_PATH": "data"}, reads=("fineweb10B",))
    readme = readme_of(given, out)
    assert "DATA_PATH=data python train_gpt.py" in readme
    assert "`data/` must hold `fineweb10B`." in readme
    assert "pip install" not in readme
    assert "must hold" not in readme_of(replace(given, reads=None), out)


def test_settings_are_told_and_keys_are_not(inputs, out):
    known = {"LR": Variable("LR", "0.1", "train_gpt.py", 1)}
    program = replace(inputs.program, environment={"LR": "0.2", "MY_TOKEN": "abc12"}, variables=known)
    baseline = replace(inputs.baseline, environment={"MY_TOKEN": "abc12"})
    readme = readme_of(replace(inputs, program=program, baseline=baseline), out)
    assert "| `train_gpt.py` | `LR=0.2`, `MY_TOKEN=…` |" in readme
    assert "LR=0.2 MY_TOKEN=… torchrun" in readme
    assert "abc12" not in readme


def test_the_file_of_ones_own_track_is_in_the_folder(inputs, out):
    own = replace(SHORT, name="tiny", title='A "tiny" track')
    folder = write_runs_submission(replace(inputs, track=own), out)
    assert "`pgolf audit . --track ./tiny.toml`" in (folder / "README.md").read_text()
    assert tracks.load(str(folder / "tiny.toml")) == own
    assert "`pgolf audit . --track nanogpt_short`" in readme_of(inputs, out)


@pytest.mark.parametrize(("outcome", "said"), [("stopped", True), ("lost", False)])
def test_a_run_that_was_made_again_after_somebody_stopped_it_is_told(outcome, said, inputs, out):
    first = inputs.runs[2]
    attempts = (replace(first.attempts[0], outcome=outcome), replace(first.attempts[0], number=2))
    runs = (*inputs.runs[:2], replace(first, attempts=attempts), *inputs.runs[3:])
    readme = (write_runs_submission(replace(inputs, runs=runs), out) / "README.md").read_text()
    assert ("whoever ended it could see its losses" in readme) == said


def test_a_run_that_was_made_again_is_a_warning(inputs):
    assert not [w for w in judge_runs(inputs).warnings if "made again" in w]
    first = inputs.runs[2]
    attempts = (replace(first.attempts[0], outcome="lost"), replace(first.attempts[0], number=2))
    runs = (*inputs.runs[:2], replace(first, attempts=attempts), *inputs.runs[3:])
    verdict = judge_runs(replace(inputs, runs=runs))
    assert verdict.positive
    assert verdict.warnings[0] == "1 run was stopped or lost, and made again"


def test_nothing_of_this_machine_gets_out(inputs, out, tmp_path):
    folder = write_runs_submission(inputs, out)
    written = (folder / "README.md").read_text() + (folder / "plan.json").read_text()
    assert str(tmp_path) not in written


def test_hashes_are_those_of_the_files(inputs, out):
    folder = write_runs_submission(inputs, out)
    said = re.findall(r"^\| `([^`]+)` \| [\d,]+ \| `([0-9a-f]{64})` \|$", (folder / "README.md").read_text(), re.M)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name != "README.md"}
    assert dict(said) == {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items()}


def test_same_inputs_make_the_same_folder_and_replace_the_old_one(inputs, out):
    folder = write_runs_submission(inputs, out)
    (folder / "old").write_text("x")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    write_runs_submission(inputs, out)
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert before.pop("old") and before == after


def test_what_is_unknown_is_said(inputs, out):
    readme = (write_runs_submission(inputs, out) / "README.md").read_text()
    for words in ("normal", "independent", "validation data", "mathematics"):
        assert words in readme.split("**Unknown**")[1].split("\n\n")[0]
    assert "take turns, so that a drift" in readme
    blocks = tuple(sorted(inputs.runs, key=lambda r: r.variant))
    readme = (write_runs_submission(replace(inputs, runs=blocks), out) / "README.md").read_text()
    assert "do not take turns" in readme
    two = tuple(replace(r, machine="pod-b") if r.number > 6 else r for r in inputs.runs)
    readme = (write_runs_submission(replace(inputs, runs=two), out) / "README.md").read_text()
    assert "How much the machines differ is unknown" in readme and "pod-b: 4 runs" in readme


def test_run_that_did_not_finish_is_no_record(inputs, out):
    given = failing(inputs, 5, reason="out of memory")
    verdict, folder = judge_runs(given), write_runs_submission(given, out)
    assert verdict.reasons == ("run 5 (this_pr) was planned and did not finish (out of memory)",)
    assert folder == out / "report" and {p.name for p in folder.iterdir()} == {"README.md", "curves.png"}
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# NOT A RECORD: Mine") and f"- {verdict.reasons[0]}" in readme.replace("\\_", "_")
    assert "4 and 5 finished" in readme


def test_run_that_was_never_started_and_few_runs_are_said_in_right_words(inputs):
    numbers = [run.number for run in inputs.runs if run.variant == "this_pr"][1:]
    given = failing(inputs, *numbers, reason="out of memory")
    runs = tuple(replace(r, attempts=()) if r.number == numbers[-1] else r for r in given.runs)
    reasons = judge_runs(replace(given, runs=runs)).reasons
    assert f"run {numbers[-1]} (this_pr) was planned and was not started" in reasons
    assert not [r for r in reasons if "1 runs" in r], reasons


def test_no_run_at_all_is_no_record(inputs, out):
    given = failing(inputs, *range(1, 11), reason="no GPU")
    folder = write_runs_submission(given, out)
    assert judge_runs(given).audit is None and {p.name for p in folder.iterdir()} == {"README.md"}
    assert (folder / "README.md").read_text().count("no GPU") >= 10


@pytest.mark.parametrize(
    ("losses", "seconds", "words"),
    [
        ([3.2795, 3.2801, 3.2797, 3.2803, 3.2798], 79.0, "target-loss|below 3.28"),
        ([3.2775, 3.2779, 3.2783, 3.2781, 3.2779], 80.703, "gain|faster than the baseline"),
    ],
)
def test_undecided_is_no_record(inputs, out, losses, seconds, words):
    new = [run for run in inputs.runs if run.variant == "this_pr"]
    for n, (run, loss) in enumerate(zip(new, losses, strict=True)):
        run.log.write_text(log_text(loss, seconds + n * 0.0193, seed=n))
    verdict = judge_runs(inputs)
    assert len(verdict.reasons) == 1 and re.search(words, verdict.reasons[0])
    assert write_runs_submission(inputs, out).name == "report"


def test_reasons_of_the_record_count(inputs):
    given = replace(inputs, reasons=("the machines have not as many runs of each variant",))
    assert judge_runs(given).reasons == given.reasons


def test_program_that_has_changed_is_refused(inputs, out):
    (inputs.source / "train_gpt.py").write_text("print('other')\n")
    with pytest.raises(BadInput, match="not what the runs ran"):
        write_runs_submission(inputs, out)
    assert not (out / "records").exists() and not (out / "report").exists()


@pytest.mark.parametrize("name", ["README.md", "plan.json", "this_pr/a.py", "Baseline/x.py", "../x.py", "curves.png"])
def test_program_file_without_a_place_is_refused(inputs, out, name):
    program = replace(inputs.program, files={**inputs.program.files, name: b""})
    with pytest.raises(BadInput, match=r"program's file"):
        write_runs_submission(replace(inputs, program=program), out)


def test_hostile_words(inputs, out):
    evil = "<b>|x|`@all\x1b[2J\n# [a](http://b)"
    runs = tuple(replace(r, machine=evil) for r in inputs.runs)
    given = replace(inputs, author=evil, summary=evil, baseline_name=evil, runs=runs, again=f"pgolf ```{evil}")
    readme = (write_runs_submission(given, out) / "README.md").read_text()
    html = MarkdownIt().enable("table").render(readme)
    assert "\x1b" not in readme and "<b>" not in html and "<a " not in html and html.count("<h1>") == 1


def test_killed_writing_leaves_no_half_folder(inputs, out, monkeypatch):
    folder = write_runs_submission(inputs, out)
    monkeypatch.setattr("pgolf.report.runs_figures.save_png", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_runs_submission(replace(inputs, summary="other"), out)
    assert "A faster down projection" in (folder / "README.md").read_text()
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
