"""A submission's every number comes from its logs; a negative verdict makes a report; nothing hostile gets through.

The logs are of six real runs of the trainer at a toy size: three `new` ones, and three `old` ones to beat.
"""

import html
import json
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.audit.measures import evaluation, measures_of
from pgolf.errors import BadInput
from pgolf.evidence.logs import read_run
from pgolf.evidence.plan import Attempt, make_plan, write_plan
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.files import sha256_file
from pgolf.ledger import from_runs, seed_score
from pgolf.program import Program
from pgolf.record.early_stop import Judge
from pgolf.record.folder import records_alike
from pgolf.record.progress import Progress
from pgolf.report.compliance import flags
from pgolf.report.facts import Facts
from pgolf.report.inputs import RecordInputs, SeedRun
from pgolf.report.page import page, report_of
from pgolf.report.row import row_of
from pgolf.report.submission import judge, write
from pgolf.report.tables import seed_news, verdict_markdown, verdict_news
from pgolf.report.verdict import describe

RECORDED = Path(__file__).parents[1] / "recorded"
SEEDS = (42, 314, 999)
CODE_BYTES = 87_728


def standing(of: str = "old"):
    runs = [read_run(RECORDED / of / str(seed) / "train.log") for seed in SEEDS]
    return from_runs(
        runs, name="base", track="cpu_smoke", title="Base", date="2026-05-01", author="a", source="three runs"
    )


@pytest.fixture
def inputs(tmp_path: Path) -> RecordInputs:
    """Finished seeds of a record that clears the bar."""
    program = ours(b"#" * CODE_BYTES)
    (tmp_path / "train_gpt.py").write_bytes(program.files["train_gpt.py"])
    return RecordInputs(
        record_id="r1",
        name="A name",
        author="An Author",
        github_id="author",
        date="2026-05-02",
        track=tracks.load("cpu_smoke"),
        preset="smoke",
        plans=(make_plan("r1", "cpu_smoke", "smoke", SEEDS, {"data": "ab" * 32}, "2026-05-02T10:00:00+00:00"),),
        runs=tuple(seed_run(tmp_path, seed) for seed in SEEDS),
        program=program,
        source=tmp_path,
        standing=standing(),
        summary="What is new.",
        environment={"DATA_DIR": "my data"},
        prepare="pgolf data pydocs",
    )


def ours(code: bytes) -> Program:
    """pgolf's trainer, as far as a submission can tell."""
    return Program("smoke", True, {"train_gpt.py": code}, "train_gpt.py", ("train_gpt.py",), events=True)


def seed_run(folder: Path, seed: int, of: str = "new") -> SeedRun:
    """A recorded run, with an artifact whose hash its events give."""
    artifact, events = folder / f"{seed}.ptz", folder / f"{seed}.jsonl"
    artifact.write_bytes(f"weights of {seed}".encode())
    text = (RECORDED / of / str(seed) / "events.jsonl").read_text()
    events.write_text(re.sub(r'"sha256": "\w+"', f'"sha256": "{sha256_file(artifact)}"', text))
    attempt = Attempt(seed, 1, "finished", f"seeds/{seed}/attempt-1", "2026-05-02T10:00:01+00:00", None, 0)
    return SeedRun(seed, RECORDED / of / str(seed) / "train.log", events, artifact, (attempt,))


def written(inputs: RecordInputs, out: Path) -> Path:
    return write(inputs, judge(inputs), out)


def test_audit_of_a_written_folder_finds_nothing(inputs, tmp_path):
    folder = written(inputs, tmp_path / "out")
    assert folder == tmp_path / "out" / "records" / "cpu_smoke" / "2026-05-02_A_name"
    checks = audit(folder, inputs.track, inputs.standing).checks
    # these logs say nothing of the dataset's files
    assert {c.id: c.status for c in checks if c.status != "pass"} == {"train-val-disjoint": "unknown"}


def test_folder_holds_what_a_reviewer_needs_and_lists_it(inputs, tmp_path):
    folder = written(inputs, tmp_path / "out")
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "README.md",
        "submission.json",
        "plan.json",
        "report.html",
        "train_gpt.py",
        "loss_curves.png",
        "stages.png",
        *(f"train_seed{s}.log" for s in SEEDS),
        *(f"train_seed{s}.events.jsonl" for s in SEEDS),
    }
    readme = (folder / "README.md").read_text()
    for name in names - {"README.md"}:
        assert f"| `{name}` | {(folder / name).stat().st_size:,} | `{sha256_file(folder / name)}` |" in readme


def test_readme_without_a_summary_begins_without_a_gap(inputs, tmp_path):
    readme = (written(replace(inputs, summary=" "), tmp_path / "out") / "README.md").read_text()
    assert readme.startswith(f"# {inputs.name}\n\n**val_bpb ") and "\n\n\n" not in readme


def test_submission_json_has_the_communitys_keys_and_the_logs_numbers(inputs, tmp_path):
    content = json.loads((written(inputs, tmp_path / "out") / "submission.json").read_text())
    assert content["seeds"] == list(SEEDS)
    assert content["val_bpb"] == round((2.79097916 + 2.78881881 + 2.79022942) / 3, 8)
    assert content["seed_results"]["42"]["artifact_sha256"] == sha256_file(inputs.runs[0].artifact)
    assert content["plans"] == [inputs.plans[0].sha256]
    assert content["compliance"]["train_under_600s"] is True
    assert content["compliance"]["score_first_ttt"] is None  # nobody has probed it
    keys = {"author", "github_id", "name", "date", "track", "val_bpb_std", "hardware", "pytorch_version"}
    assert keys <= content.keys()


def test_readme_lists_the_whole_knob_delta(inputs, tmp_path):
    readme = (written(inputs, tmp_path / "out") / "README.md").read_text()
    table = readme.split("## What is different")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \| `([^`]*)` \| `([^`]*)`", table, re.M) == [
        ("ema_decay", "0.9", "0.8"),
        ("matrix_lr", "0.02", "0.04"),
    ]


def test_readme_says_of_a_stream_how_it_scores(inputs, tmp_path):
    assert "passes the model once" not in (written(inputs, tmp_path / "sliding") / "README.md").read_text()
    runs = []
    for run in inputs.runs:
        paths = tmp_path / f"{run.seed}.streamed.log", tmp_path / f"{run.seed}.streamed.jsonl"
        for path, old in zip(paths, (run.log, run.events), strict=True):
            path.write_text(old.read_text().replace("quantized_sliding_window", "quantized_stream"))
        runs.append(replace(run, log=paths[0], events=paths[1]))
    folder = written(replace(inputs, runs=tuple(runs)), tmp_path / "streamed")
    readme = (folder / "README.md").read_text()
    assert "| seed | pre-quant | quantized | stream |" in readme
    how = (
        "At the stage stream every token passes the model once, with keys and values of the tokens before it; "
        "adaptation scores its chunks like this, too."
    )
    assert how in readme
    assert how in (folder / "report.html").read_text()
    assert how in page(report_of(audit(folder))), "the same of the folder alone, as pgolf report has it"
    assert "passes the model once" not in next((tmp_path / "sliding").rglob("report.html")).read_text()


def test_readme_command_is_the_one_that_a_shell_reads(inputs, tmp_path):
    readme = (written(inputs, tmp_path / "out") / "README.md").read_text()
    command = readme.split("```bash\n")[1].split("```")[0].splitlines()[-1]
    assert shlex.split(command) == ["SEED=42", "DATA_DIR=my data", "python", "train_gpt.py"]


def test_readme_installs_what_the_codec_needs(inputs, tmp_path):
    def with_ans(run: SeedRun) -> SeedRun:
        log = tmp_path / f"{run.seed}.log"
        log.write_text(run.log.read_text().replace("  compressor: brotli", "  compressor: ans"))
        run.events.write_text(run.events.read_text().replace('"compressor": "brotli"', '"compressor": "ans"'))
        return replace(run, log=log)

    other = replace(inputs, runs=tuple(map(with_ans, inputs.runs)))
    install = (written(other, tmp_path / "out") / "README.md").read_text().split("```bash\n")[1].splitlines()[0]
    assert shlex.split(install)[3:] == ["numpy", "sentencepiece", "brotli", "constriction>=0.5,<0.6"]


def test_writing_again_gives_the_same_bytes(inputs, tmp_path):
    verdict = judge(inputs)
    first = write(inputs, verdict, tmp_path / "out")
    before = {p.name: p.read_bytes() for p in first.iterdir()}
    (first.parent / f".{first.name}.left").mkdir()  # of a process that was killed while writing
    assert write(inputs, verdict, tmp_path / "out") == first
    assert {p.name: p.read_bytes() for p in first.iterdir()} == before
    assert [p.name for p in first.parent.iterdir()] == [first.name]


def test_negative_verdict_writes_a_report_and_no_submission(inputs, tmp_path):
    inputs = replace(inputs, standing=standing("new"), runs=tuple(seed_run(tmp_path, s, "old") for s in SEEDS))
    verdict = judge(inputs)
    assert not verdict.positive and "no improvement" in verdict.reasons[0]
    folder = write(inputs, verdict, tmp_path / "out")
    assert folder == tmp_path / "out" / "report"
    assert {p.name for p in folder.iterdir()} == {"README.md", "report.html", "loss_curves.png", "stages.png"}
    assert (folder / "README.md").read_text().startswith("# NOT A RECORD: ")
    assert not (tmp_path / "out" / "records").exists()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda i, _: replace(i, runs=i.runs[:2]), "seed 999 was planned and did not finish"),
        (lambda i, t: replace(i, runs=(i.runs[0], i.runs[0], *i.runs[2:])), "seed 314 was planned"),
        (lambda i, t: tampered(i, t, "train_gpt.py"), "code-bytes"),
        (lambda i, t: tampered(i, t, "artifact"), "artifact of seed 42 is not the one"),
        (
            lambda i, t: replace(i, standing=replace(i.standing, scored_sha256="0" * 64, val_bytes=9)),
            "different validation",
        ),
        (lambda i, t: oversize(i), "artifact-bytes"),
    ],
)
def test_what_spoils_a_record(inputs, tmp_path, spoil, reason):
    verdict = judge(spoil(inputs, tmp_path))
    assert not verdict.positive
    assert any(reason in r for r in verdict.reasons), verdict.reasons


def test_no_gain_is_shown_over_a_record_that_was_scored_on_other_text(inputs, tmp_path):
    beaten = written(inputs, tmp_path / "same") / "README.md"
    assert "(gain +" in beaten.read_text()
    other = replace(inputs.standing, scored_sha256="0" * 64, val_bytes=9)
    folder = written(replace(inputs, standing=other), tmp_path / "other")
    readme, page = (folder / "README.md").read_text(), (folder / "report.html").read_text()
    assert "were scored on different validation text" in readme and "were scored on different validation text" in page
    for text in (readme, page):
        assert not re.search(r"\(gain [+-]|gain \(bpb\)|gain, bpb|in grey|The final gain is", text)


def tampered(inputs, folder, what):
    path = folder / ("other" if what == "artifact" else "train_gpt.py")
    path.write_bytes(b"something else")
    if what == "artifact":
        return replace(inputs, runs=(replace(inputs.runs[0], artifact=path), *inputs.runs[1:]))
    return replace(inputs, program=ours(b"something else"))


def oversize(inputs):
    limits = replace(inputs.track.limits, artifact_bytes=100_000)
    return replace(inputs, track=replace(inputs.track, limits=limits))


def test_report_is_the_readmes_page(inputs, tmp_path):
    folder = written(inputs, tmp_path / "out")
    text = (folder / "report.html").read_text()
    assert '<span class="pill pass">record</span>' in text
    for run in inputs.runs:
        assert sha256_file(run.artifact) in text
    for name in ("train_gpt.py", "submission.json", "plan.json", "train_seed42.log"):
        assert sha256_file(folder / name) in text
    assert inputs.plans[0].sha256 in text and "Score-first TTT" in text
    negative = write(inputs, replace(judge(inputs), positive=False, reasons=("too late",)), tmp_path / "out")
    text = (negative / "report.html").read_text()
    assert '<span class="pill fail">no record</span>' in text and "<li>too late</li>" in text


def test_seeds_added_later_are_said_to_be(inputs, tmp_path):
    first = make_plan("r1", "cpu_smoke", "smoke", SEEDS[:2], {}, "2026-05-02T10:00:00+00:00")
    inputs = replace(inputs, plans=(first, first.with_seeds([999], "2026-05-02T11:00:00+00:00")))
    folder = written(inputs, tmp_path / "out")
    assert (folder / "plan-2.json").is_file()
    readme = (folder / "README.md").read_text()
    assert "added after results had been seen: 999" in readme
    assert "seeds 999 were added" in json.loads((folder / "submission.json").read_text())["significance"]["verdict"]


def test_seeds_of_other_records_alike_are_said(inputs, tmp_path):
    runs = tmp_path / "runs"
    for name, seeds, program in (
        ("own", SEEDS, "a"),
        ("before", (1, 2), "a"),
        ("other", (3,), "b"),
        ("broken", (), ""),
    ):
        (runs / name / "seeds").mkdir(parents=True)
        if program:
            write_plan(runs / name, make_plan(name, "cpu_smoke", "smoke", seeds, {"program": program}))
        else:
            (runs / name / "plan.json").write_text("{")
    alike = tuple(records_alike(runs / "own", {"program": "a"}))
    assert alike == ("before: seeds 1, 2",)
    assert "other seeds" not in (written(inputs, tmp_path / "alone") / "README.md").read_text()
    inputs = replace(inputs, alike=alike)
    assert "ran with other seeds: before: seeds 1, 2" in judge(inputs).warnings[-1]
    readme = (written(inputs, tmp_path / "out") / "README.md").read_text()
    assert "No other seeds of this program were run (before: seeds 1, 2)." in readme


def test_every_attempt_is_in_the_record(inputs, tmp_path):
    failed = Attempt(42, 1, "lost", "seeds/42/attempt-1", "2026-05-02T10:00:01+00:00", reason="its machine went away")
    again = replace(inputs.runs[0].attempts[0], number=2)
    inputs = replace(inputs, runs=(replace(inputs.runs[0], attempts=(failed, again)), *inputs.runs[1:]))
    folder = written(inputs, tmp_path / "out")
    assert "| 42 | 1 | lost |" in (folder / "README.md").read_text()
    assert len(json.loads((folder / "submission.json").read_text())["attempts"]) == 4


HOSTILE = "</table><script>alert(1)</script> | [x](javascript:y) `a` ```\n\n# head $x_1$ @all \x1b[31m"


def test_hostile_names_are_only_text(inputs, tmp_path):
    inputs = replace(
        inputs,
        name=HOSTILE,
        author=HOSTILE,
        summary=HOSTILE,
        standing=replace(inputs.standing, name=HOSTILE, hyperparameters={HOSTILE: HOSTILE}),
    )
    folder = written(inputs, tmp_path / "out")
    assert re.fullmatch(r"2026-05-02_[\w.+-]+", folder.name)
    readme = (folder / "README.md").read_text()
    outside = re.sub(r"`[^`\n]*`", "", readme)  # a code span shows its content as it is
    assert "<script" not in outside and "](javascript" not in outside.replace("\\]", "")
    assert "\n# head" not in readme and "\x1b" not in readme
    rows = [line for line in readme.splitlines() if line.startswith("| ")]
    table = [len(re.findall(r"(?<!\\)\|", r)) for r in rows if "alert" in r]
    assert table and set(table) <= {3, 4, 5}  # two, three and four columns: no cell was ended early


@pytest.mark.parametrize(
    ("name", "date", "why"),
    [
        ("///", "2026-05-02", "makes no folder's name"),
        ("ok", "2026-5-2", "is no date"),
        ("ok", "2026-02-30", "is no date"),
        ("..", "2026-05-02", "makes no folder's name"),
    ],
)
def test_names_that_make_no_folder(inputs, name, date, why):
    with pytest.raises(BadInput, match=why):
        judge(replace(inputs, name=name, date=date))


def test_a_missing_log_is_bad_input_and_leaves_nothing(inputs, tmp_path):
    verdict = judge(inputs)
    gone = replace(inputs, runs=(replace(inputs.runs[0], log=tmp_path / "gone.log"), *inputs.runs[1:]))
    with pytest.raises(BadInput, match=r"gone\.log"):
        write(gone, verdict, tmp_path / "out")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file() or p.name.startswith(".")] == []


def probes_of(inputs: RecordInputs, folder: Path, **spoilt) -> Path:
    """What the probes of the first seed's artifact left, all passed, but for `spoilt` of the first result."""
    named = [("causal", "ttt"), ("score before update", "ttt"), ("normalised", "ttt"), ("one pass", "ttt")]
    named += [("byte-exact", "fixed"), ("sealed", "train_gpt.py")]
    tried = {"normalised": 2187, "one pass": 2187}
    results = [ProbeResult(p, f"{of} of final_model", True, True, "Tried.", tried.get(p, 9), 4) for p, of in named]
    results = [result.as_json() for result in results]
    results[0] |= spoilt
    hashes = {"artifact": sha256_file(inputs.runs[0].artifact), "program": inputs.program.hashes["train_gpt.py"]}
    lines = [json.dumps(entry) for entry in ({"seed": 42} | hashes, *results)]
    (folder / "probes.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "probes.jsonl"


def test_what_was_probed_is_claimed_and_names_its_lines(inputs, tmp_path):
    folder = written(replace(inputs, probes=probes_of(inputs, tmp_path)), tmp_path / "out")
    readme = (folder / "README.md").read_text()
    assert "**yes** — Each token is scored before any update on it: tested at 9 positions or more" in readme
    assert "(`probes.jsonl:2`, `probes.jsonl:3`)" in readme
    assert "2187" not in readme.partition("## Legality probes")[0]  # no more is claimed than every probe has tried
    assert readme.count("uses no network: train\\_gpt.py gave the same score sealed off") == 1
    assert json.loads((folder / "submission.json").read_text())["compliance"]["score_first_ttt"] is True
    assert (folder / "probes.jsonl").read_bytes() == (tmp_path / "probes.jsonl").read_bytes()


def test_a_submission_depends_on_what_the_probes_found(inputs, tmp_path):
    found, path = [], tmp_path / "probes.jsonl"
    for text in ("one result", "another one", "another one"):
        path.write_text(text)
        found.append(json.dumps(replace(inputs, probes=path).depends(), default=str))
    assert found[0] != found[1] == found[2] != json.dumps(inputs.depends(), default=str)


def test_a_probe_that_was_not_run_leaves_it_unknown(inputs, tmp_path):
    folder = written(replace(inputs, probes=probes_of(inputs, tmp_path, passed=None)), tmp_path / "out")
    assert folder.parent.name == "cpu_smoke"
    assert json.loads((folder / "submission.json").read_text())["compliance"]["score_first_ttt"] is None


def test_a_probe_that_fails_spoils_the_record(inputs, tmp_path):
    example = CounterExample("the loss at position 7 moves from 1 to 2", 7, 9, "token", 0, 1.0, 2.0)
    probes = probes_of(inputs, tmp_path, passed=False, counter_example=asdict(example))
    verdict = judge(replace(inputs, probes=probes))
    assert verdict.reasons == ("probe 'causal' of ttt of final_model fails: the loss at position 7 moves from 1 to 2",)
    assert "the loss at position 7 moves" in (write(inputs, verdict, tmp_path / "out") / "README.md").read_text()


def test_probes_of_another_artifact_prove_nothing(inputs, tmp_path):
    probes = probes_of(inputs, tmp_path)
    (tmp_path / "train_gpt.py").write_bytes(b"!" * CODE_BYTES)
    inputs = replace(inputs, program=ours(b"!" * CODE_BYTES))
    assert "what was probed is not what this record has made (SHA-256)" in judge(replace(inputs, probes=probes)).reasons


def taking(inputs: RecordInputs, folder: Path, what: str, seconds: float) -> RecordInputs:
    """The same record, but its second seed's training and calibration, or its evaluation, took so long."""
    run = inputs.runs[1]
    log, events = run.log.read_text(), run.events.read_text()
    if what == "training":
        ms = round(
            1000 * (seconds - json.loads(next(e for e in events.splitlines() if '"calibration"' in e))["seconds"])
        )
        log = re.sub(r"(training_done.* train_time: )\d+ms", rf"\g<1>{ms}ms", log)
        events = re.sub(r'("event": "stop".*"train_ms": )\d+', rf"\g<1>{ms}", events)
    else:
        passes = [json.loads(e) for e in events.splitlines() if '"stage": "quantized' in e]
        ms = round(1000 * seconds) - sum(e["eval_ms"] for e in passes[:-1])
        log = re.sub(r"(quantized_ttt val_loss.* eval_time:)\d+ms", rf"\g<1>{ms}ms", log)
        events = re.sub(r'("stage": "quantized_ttt".*"eval_ms": )\d+', rf"\g<1>{ms}", events)
    paths = folder / "edited.log", folder / "edited.events.jsonl"
    for path, text in zip(paths, (log, events), strict=True):
        path.write_text(text)
    return replace(inputs, runs=(inputs.runs[0], replace(run, log=paths[0], events=paths[1]), inputs.runs[2]))


@pytest.mark.parametrize(
    ("what", "seconds", "status"),
    [
        ("training", 599.9, "pass"),
        ("training", 600.05, "warn"),
        ("training", 600.5, "warn"),
        ("training", 601.01, "fail"),
        ("evaluation", 600.5, "warn"),
        ("evaluation", 601.01, "fail"),
    ],
)
def test_verdict_flag_statement_page_audit_news_and_board_agree_on_a_limit(inputs, tmp_path, what, seconds, status):
    inputs = taking(inputs, tmp_path, what, seconds)
    check, flag, number = {
        "training": ("train-plus-calibration-seconds", "train_under_600s", 2),
        "evaluation": ("eval-seconds", "eval_under_600s", 3),
    }[what]
    words = {"pass": "within", "warn": "inside the grace of 1 s", "fail": "over"}[status]
    said = f"{seconds:.3f} s of 600 s, {words}"
    verdict = judge(inputs)
    folder = write(inputs, verdict, tmp_path / "out")
    as_if = verdict if verdict.positive else replace(verdict, positive=True, reasons=())
    entry = folder if verdict.positive else write(inputs, as_if, tmp_path / "as if")
    draft = describe(inputs, entry)
    # the verdict and the audit
    assert next(c for c in verdict.checks if c.id == check).status == status
    assert verdict.positive == (status != "fail")
    assert [r.split(":")[0] for r in verdict.reasons if "seconds" in r][-1:] == [check] * (status == "fail")
    assert any(check in w and words in w for w in verdict.warnings) == (status == "warn")
    # the flags of submission.json: true to the letter, and none contradicts the verdict
    flags_said = {"pass": {flag: True}, "warn": {f"{flag}_plus_1s_grace": True}, "fail": {flag: False}}[status]
    assert {k: v for k, v in draft.flags.items() if k.startswith(flag)} == flags_said
    if verdict.positive:
        assert json.loads((folder / "submission.json").read_text())["compliance"] == draft.flags
    # the README and the page: the table of limits, and the compliance statement
    readme, page = (folder / "README.md").read_text(), html.unescape((folder / "report.html").read_text())
    row = next(line for line in readme.splitlines() if re.match(rf"\| {what}(?! \(s\))", line))
    assert [cell.strip() for cell in row.split("|")[3:7:3]] == [f"{seconds:.3f}", words]
    meter = re.search(rf"<th scope=\"row\">{what}(?! \(s\)).*?small (\w+)\">[\d.]+ %, ([^<]*)<", page, re.S)
    assert meter and meter.groups() == (status, words)
    times = next(many for title, many in draft.sections if title == "Time")
    holds, sentence = next((s.holds, s.text) for s in times if f"{seconds:.3f}" in s.text)
    assert holds == (status != "fail")
    assert sentence in re.sub(r"\s+", " ", page)
    assert (f"**yes** — {sentence.split(':')[0]}" in readme.replace("\\", "")) == (status != "fail")
    assert ("over the limit, inside the track's grace of 1 s" in sentence) == (status == "warn")
    # what a chat, Prefect and the archive's page say
    run = read_run(inputs.runs[1].log)
    news = seed_news(seed_score(run), measures_of(run, inputs.track.limits))
    assert ("LIMIT MISSED" in news) == (status == "fail")
    assert (said in news) == (status != "pass")
    for text in (verdict_news(verdict, [seed_score(run)]), verdict_markdown(verdict, [seed_score(run)], folder)):
        assert text.startswith(("A RECORD", "# A record")) == (status != "fail")
        assert (f"- warning: {check}" in text.replace("\\", "")) == (status == "warn")
    assert row_of(audit(entry, inputs.track, inputs.standing)).limits[number].status == status
    # and of the running seed: the board, and the rule that ends it
    progress = Progress()
    progress.feed(inputs.runs[1].events.read_text())
    assert progress.measures(inputs.track.limits)[number - 1].status == status
    ended = Judge(("limits",), inputs.track.limits, inputs.track.early_stop)(progress)
    assert (ended is not None) == (status == "fail")


def test_the_flag_of_a_limit_that_only_diagnostic_passes_cross_is_false(inputs, tmp_path):
    draft = describe(inputs, write(inputs, judge(inputs), tmp_path))
    runs = [
        replace(run, stages=[replace(s, eval_seconds=250.0, diagnostic=s.kind == "quantized") for s in run.stages])
        for run in draft.runs
    ]
    facts = Facts(
        track=inputs.track,
        runs=runs,
        standing=inputs.standing,
        comparison=draft.comparison,
        plans=inputs.plans,
        attempts=inputs.attempts,
        knobs=draft.knobs,
        stages=draft.stages,
        program=inputs.program,
    )
    assert {m.counted for m in (evaluation(run, inputs.track.limits) for run in runs)} == {500.0}
    assert flags(facts)["eval_under_600s"] is False  # the passes took 750 s


def test_seed_and_text_that_logs_leave_out_are_those_of_the_record(inputs: RecordInputs, tmp_path: Path) -> None:
    """A stranger's log may state neither its seed nor a loss beside its score."""
    folder = tmp_path / "folder"
    folder.mkdir()
    runs = []
    for run, bpb in zip(inputs.runs, (1.31, 1.30, 1.32), strict=True):
        log = folder / f"train_seed{run.seed}.log"
        log.write_text(f"step:2/2 train_loss:2.9{run.seed} train_time:200ms\nfinal_int8_zlib_roundtrip val_bpb:{bpb}\n")
        runs.append(replace(run, log=log, events=None))
    (folder / "train_gpt.py").write_bytes(inputs.program.files["train_gpt.py"])
    dataset = {"val_bytes": 3000, "val_tokens": 1001}
    draft = describe(replace(inputs, runs=tuple(runs), dataset=dataset), folder)
    assert [(score.seed, score.val_bpb) for score in draft.scores] == [(42, 1.31), (314, 1.30), (999, 1.32)]
    assert draft.comparison, draft.no_comparison
    assert draft.comparison.new.bytes_per_token == 3.0


@pytest.mark.parametrize(
    ("spreads", "said"),
    [
        ([0.00042], "- sample std of the one record of this track in the ledger: 0.00042000; with few seeds"),
        ([0.00042, 0.0011], "- sample std of the 2 records of this track in the ledger: 0.00042000 to 0.00110000,"),
        ([], None),
    ],
)
def test_spread_of_the_ledgers_records_is_told_by_their_number(spreads, said, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("pgolf.report.verdict.spreads", lambda track: spreads)
    readme = (written(inputs, tmp_path / "out") / "README.md").read_text()
    assert said in readme if said else "in the ledger" not in readme


def no_record(inputs, tmp_path, **changes):
    """Seeds that do not beat the standing record, asked to be submitted all the same."""
    runs = tuple(seed_run(tmp_path, s, "old") for s in SEEDS)
    return replace(inputs, standing=standing("new"), runs=runs, non_record=True, **changes)


def test_what_is_no_record_can_be_submitted_as_none(inputs, tmp_path):
    inputs = no_record(inputs, tmp_path)
    verdict = judge(inputs)
    assert not verdict.positive and verdict.non_record
    folder = write(inputs, verdict, tmp_path / "out")
    assert folder == tmp_path / "out" / "records" / "non_record_16mb" / "2026-05-02_A_name"
    audited = audit(folder)
    assert audited.track.name == "non_record_16mb" and not audited.failed
    same = audited.check("same-data")  # beside the text of its plan's track, not that of the contest's 16 MB
    assert (same.status, "by its plan it is of corpus pydocs" in same.message) == ("unknown", True)
    assert not any("validation split" in warning for warning in verdict.warnings)
    readme, content = (folder / "README.md").read_text(), json.loads((folder / "submission.json").read_text())
    assert readme.startswith("# Non-record submission: A name\n")
    assert "- no improvement: the new mean is not lower\n" in readme.split("## Results")[0]
    assert "## Significance" not in readme and "p(any" not in readme
    assert "- **yes** — No record is claimed, and no significance." in readme
    assert "- **no** — There is a gain, and it is not adaptation's alone: -0." in readme
    assert (content["track"], content["non_record"], content["significance"]) == ("non_record_16mb", True, None)
    assert content["compliance"]["record_claim"] is False and content["compliance"]["train_under_600s"] is True


def test_a_record_is_written_as_one_whatever_was_asked(inputs, tmp_path):
    asked = replace(inputs, non_record=True)
    assert judge(asked) == judge(inputs)
    assert written(asked, tmp_path / "out").parent.name == "cpu_smoke"


def test_a_non_record_may_miss_a_limit_of_the_record_s_track_and_says_so(inputs, tmp_path):
    limits = replace(inputs.track.limits, eval_seconds=0.01, grace_seconds=0.0)
    inputs = no_record(inputs, tmp_path, track=replace(inputs.track, limits=limits))
    folder = written(inputs, tmp_path / "out")
    readme = (folder / "README.md").read_text()
    assert "- eval-seconds: " in readme.split("## Results")[0] and "| over |" in readme
    assert json.loads((folder / "submission.json").read_text())["compliance"]["eval_under_0.01s"] is False
    assert not audit(folder).failed


def test_one_seed_is_a_non_record_without_a_spread(inputs, tmp_path):
    plan = make_plan("r1", "cpu_smoke", "smoke", SEEDS[:1], {}, "2026-05-02T10:00:00+00:00")
    inputs = no_record(inputs, tmp_path, plans=(plan,))
    folder = written(replace(inputs, runs=inputs.runs[:1]), tmp_path / "out")
    readme = (folder / "README.md").read_text()
    assert "(one seed, sample std unknown), track `non_record_16mb`" in readme
    assert json.loads((folder / "submission.json").read_text())["val_bpb_std"] is None
    assert not audit(folder).failed


@pytest.mark.parametrize("what", ["train_gpt.py", "artifact"])
def test_what_is_not_the_seeds_own_is_no_non_record_either(inputs, tmp_path, what):
    inputs = tampered(no_record(inputs, tmp_path), tmp_path, what)
    verdict = judge(inputs)
    assert verdict.unfit and not verdict.submitted
    folder = write(inputs, verdict, tmp_path / "out")
    assert folder == tmp_path / "out" / "report"
    assert "Nor can it be submitted as a non-record:" in (folder / "README.md").read_text()
    assert f"- not fit as a non-record: {verdict.unfit[0]}" in verdict_news(verdict, scores_of(inputs))


def scores_of(inputs):
    return [seed_score(read_run(run.log)) for run in inputs.runs]
