"""Drafts of speedruns from logs that pgolf did not run: their audit finds what one of the logs' own folder does."""

import json
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from speedruns import BASELINE, NEW, log_text, write_speedrun
from typer.testing import CliRunner

from pgolf import tracks
from pgolf.audit.audit import audit
from pgolf.audit.target import TargetAudit, audit_target
from pgolf.cli import app
from pgolf.errors import BadInput
from pgolf.files import hash_folder
from pgolf.report.from_logs import About
from pgolf.report.runs_from_logs import DraftedRuns, draft_runs
from pgolf.report.target_rows import variant_rows

PUBLIC = Path(__file__).parents[3] / "shared" / "speedrun-records"
FOLDERS = sorted({log.parent for log in PUBLIC.rglob("*") if log.suffix in (".txt", ".log")})
RECORDS = sorted({f.parent if f.name in ("this_pr", "baseline") else f for f in FOLDERS})
SHORT = tracks.load("nanogpt_short")
ABOUT = About("Mine", "somebody", "somebody", "2026-07-17", SHORT, "A faster down projection")
OF_THE_FOLDER = re.compile("stated-|runs-left-out")  # its README, and the numbers in the names of its logs


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train_gpt.py"
    path.write_text("print('train')\n")
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_speedrun(tmp_path / "2026-07-17_Theirs")


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


def drafted(runs: Path, script: Path, about: About = ABOUT, **more: object) -> DraftedRuns:
    target = script.parent / "out" / "2026-07-17_Mine"
    return draft_runs(logs(runs / "this_pr"), [runs / "baseline"], script, about, target, **more)


def figures(found: TargetAudit, names: dict[str, str]) -> dict[str, tuple[object, ...]]:
    """What an audit says of each variant, by the name that it has in a draft."""
    return {
        names[v.variant.name]: (v.loss, sorted(v.seconds), v.steps, v.gain, len(v.results))
        for v in found.variants
        if v.variant.name in names
    }


def test_the_draft_has_the_runs_their_figures_and_the_script(runs, script):
    found = drafted(runs, script)
    files = set(hash_folder(found.folder))
    names = {f"{variant}/run0{n}.txt" for variant in ("this_pr", "baseline") for n in range(1, 6)}
    assert files == {"README.md", "curves.png", "train_gpt.py"} | names
    readme = (found.folder / "README.md").read_text()
    (row,) = [row for row in variant_rows(found.audit) if row.name == "this_pr"]
    (line,) = [line for line in readme.splitlines() if line.startswith("| `this_pr` | 5 |")]
    assert all(figure in line for figure in (row.seconds, row.seconds_gain, row.seconds_p, row.loss, row.loss_p))
    assert "from logs of runs that pgolf did not make" in readme and "were planned on" not in readme
    assert "made for this record" not in readme and "whether the number of runs was set before" in readme
    assert (
        "\n\n\n" not in readme
        and len(re.findall("<table>", MarkdownIt("commonmark").enable("table").render(readme))) == 5
    )
    assert {c.status for c in audit_target(found.folder, SHORT).checks} <= {"pass", "unknown", "does not apply"}
    for log in logs(runs / "this_pr"):
        assert log.name in readme and log.read_bytes() in {(found.folder / n).read_bytes() for n in names}


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no records of speedruns here")
@pytest.mark.parametrize("folder", RECORDS, ids=lambda f: f.name)
def test_an_audit_of_the_draft_agrees_with_one_of_the_public_record(folder, script):
    original = audit(folder)
    assert isinstance(original, TargetAudit)
    (new,) = original.new
    old = original.baseline
    given = [sorted({run.log for run in v.variant.runs}) if v else [] for v in (new, old)]
    about = About("Mine", "", "", "2026-07-17", original.track)
    found = draft_runs(given[0], given[1], script, about, script.parent / "2026-07-17_Mine")
    seen = audit_target(found.folder, original.track)
    names = {new.variant.name: "this_pr"} | ({old.variant.name: "baseline"} if old else {})
    assert figures(seen, {"this_pr": "this_pr", "baseline": "baseline"}) == figures(original, names)
    for check in original.checks:
        if not OF_THE_FOLDER.match(check.id):
            assert seen.check(check.id).status == check.status, check
    assert not [c for c in seen.checks if c.id.startswith("stated-") and c.status in ("warn", "fail")]


def test_without_a_baseline_nothing_is_said_of_a_gain(runs, script):
    found = draft_runs(logs(runs / "this_pr"), [], script, ABOUT, script.parent / "2026-07-17_Mine")
    readme = (found.folder / "README.md").read_text()
    assert found.audit.check("gain").status == "unknown" and "there are none here" in readme
    assert not (found.folder / "baseline").exists()


def test_what_is_no_log_of_a_run_of_its_own_is_refused_and_nothing_written(runs, script, tmp_path):
    notes, copy = runs / "this_pr" / "zz.txt", runs / "baseline" / "zz.txt"
    notes.write_text("a note\n")
    with pytest.raises(BadInput, match=r"zz\.txt: tells of no run"):
        drafted(runs, script)
    notes.unlink()
    copy.write_bytes(logs(runs / "baseline")[0].read_bytes())
    with pytest.raises(BadInput, match="tell of one run: give it once"):
        drafted(runs, script)
    copy.unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no log in it"):
        draft_runs(logs(runs / "this_pr"), [tmp_path / "empty"], script, ABOUT, tmp_path / "out" / "x")
    assert not (tmp_path / "out").exists()


def test_only_a_draft_is_replaced_and_only_when_asked(runs, script):
    found = drafted(runs, script)
    assert found.new and not drafted(runs, script).new
    logs(runs / "this_pr")[0].write_text(log_text(3.2770, 79.5))
    with pytest.raises(BadInput, match="--force"):
        drafted(runs, script)
    assert drafted(runs, script, force=True).new
    (found.folder / "README.md").write_text("# A record\n")
    with pytest.raises(BadInput, match="did not write"):
        drafted(runs, script, force=True)


def test_a_run_that_ended_early_is_said(runs, script):
    log = logs(runs / "this_pr")[0]
    log.write_text(re.sub(r"step:(1000|1200|1400)/.*\n", "", log.read_text()))
    found = drafted(runs, script)
    assert any("1 run of this_pr not counted" in remark for remark in found.remarks)
    assert "4 of 5" in (found.folder / "README.md").read_text()


def test_the_command_drafts_a_speedrun_and_refuses_what_has_no_meaning_there(runs, script, tmp_path):
    out = tmp_path / "records" / "track_1_short" / "2026-08-01_Mine"
    words = ["draft", *map(str, logs(runs / "this_pr")), "--program", str(script), "-o", str(out)]
    ran = CliRunner().invoke(app, [*words, "--baseline-logs", str(runs / "baseline"), "--json"])
    assert ran.exit_code == 0, ran.output
    content = json.loads(ran.stdout)
    assert {v["name"]: v["n"] for v in content["variants"]} == {"baseline": len(BASELINE), "this_pr": len(NEW)}
    ran = CliRunner().invoke(app, [*words, "--baseline-logs", str(runs / "baseline")])
    assert "there already, the same" in ran.output and "3.27814" in ran.output
    for more, said in ((["--against", "auto"], "counts runs"), (["--stage", "x"], "counts runs")):
        ran = CliRunner().invoke(app, [*words, *more])
        assert isinstance(ran.exception, BadInput) and said in str(ran.exception)
    seeds = ["draft", "x.log", "--program", "x.py", "--name", "x", "--track", "10min_16mb", "--baseline-logs", "y"]
    ran = CliRunner().invoke(app, seeds)
    assert isinstance(ran.exception, BadInput) and "counts seeds" in str(ran.exception)
