"""The action that audits a pull request: its own steps, run as GitHub would run them, on a made-up repository."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from good_entry import Folder, log_text
from good_speedrun import Folder as Speedrun

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / ".github/actions/audit/action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SOURCES = (".github", "pgolf", "flows", "runpod", "pyproject.toml", "setup.py", "README.md", "LICENSE")
LIGHT = ("requirements-audit.txt", "constraints.txt")
RECORDS = "records/track_10min_16mb"


def test_no_script_has_an_expression_in_it() -> None:
    """An input in a script would be a command: it must come as a variable."""
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]


def test_every_input_is_used_and_described() -> None:
    text = (ROOT / ".github/actions/audit/action.yml").read_text()
    for name, said in ACTION["inputs"].items():
        assert f"${{{{ inputs.{name} }}}}" in text and len(said["description"]) > 20


def test_the_workflow_in_the_docs_uses_the_action_as_it_is() -> None:
    text = (ROOT / "docs/audit.md").read_text()
    workflow = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    checkout, action = workflow["jobs"]["audit"]["steps"]
    assert action["uses"].partition("/pgolf/")[2] == ".github/actions/audit@main"
    assert action["with"].keys() <= ACTION["inputs"].keys() and checkout["with"]["fetch-depth"] == 2
    for name, said in ACTION["inputs"].items():
        assert f"| `{name}` | `{said['default']}` |" in text or not said["default"]


def value(text: str, context: dict[str, str]) -> str:
    """A text with its expressions replaced, as far as this action has any."""
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: context[found[1]], text)


@dataclass
class Job:
    """What a run of the action left: the exit code of its last script, what it printed, its files."""

    code: int = 0
    printed: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    report: Path = Path()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """The action's checkout, and the folder in which its step of installing has worked: nothing is downloaded, since
    the packages that these tests run with are there already."""
    folder = tmp_path_factory.mktemp("action")
    checkout, temp, packages = folder / "checkout", folder / "temp", folder / "packages"
    checkout.mkdir(), temp.mkdir(), packages.mkdir()
    for name in (*SOURCES, *LIGHT):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, checkout / name)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"_*(pgolf|editable)|pip", entry.name.lower()):
            (packages / entry.name).symlink_to(entry)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RUNNER_TEMP": str(temp),
        "GITHUB_ACTION_PATH": str(checkout / ".github/actions/audit"),
        "PYTHONPATH": str(packages),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the value of build-isolation
    }
    (install,) = (step for step in STEPS if step.get("name", "").startswith("Install"))
    script(install, env | {"PYTHON": sys.executable}, folder)
    return checkout, temp, env


def script(
    step: dict[str, Any], env: dict[str, str], cwd: Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does."""
    assert step["shell"] == "bash"
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def act(installed: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> Callable[..., Job]:
    """Run the steps after the installation in a checkout, with these inputs."""
    _, temp, env = installed

    def act(workspace: Path, event_base: str = "", **inputs: str) -> Job:
        job = Job(report=temp / "pgolf-report/report.html")
        shutil.rmtree(job.report.parent, ignore_errors=True)
        output, summary = tmp_path / "output", tmp_path / "summary"
        output.write_text(""), summary.write_text("")
        given = {name: inputs.get(name.replace("-", "_"), said["default"]) for name, said in ACTION["inputs"].items()}
        context = {f"inputs.{name}": text for name, text in given.items()}
        context |= {"github.event.pull_request.base.sha": event_base}
        paths = {"GITHUB_WORKSPACE": workspace, "GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary}
        for step in STEPS[2:]:
            if "run" not in step or job.code:
                continue
            if step.get("if") == "steps.touched.outputs.count != '0'" and job.outputs["count"] == "0":
                continue
            own = {name: value(text, context) for name, text in step["env"].items()}
            done = script(step, {**env, **{k: str(v) for k, v in paths.items()}, **own}, workspace, check=False)
            job.code, job.printed = done.returncode, job.printed + done.stdout + done.stderr
            job.outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        job.summary = summary.read_text()
        return job

    return act


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A commit")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A contest's repository: two records, of which nobody is to hear, a trainer, and other texts."""
    folder = tmp_path / "contest"
    for name in ("2026-04-01_Old", "2026-04-02_Broken"):
        Folder(folder / RECORDS / name).write()
    (folder / RECORDS / "2026-04-02_Broken/submission.json").write_text("{")
    (folder / "train_gpt.py").write_text("print()\n")
    (folder / "README.md").write_text("# A contest\n")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit(folder)
    return folder


def test_a_pull_request_is_audited_where_it_touches_records(act, repository):
    base = git(repository, "rev-parse", "HEAD")
    wrong = Folder(repository / RECORDS / "2026-04-25_Wrong")
    wrong.write()
    wrong.claim(val_bpb=1.0)
    bare = repository / RECORDS / "2026-04-26_Bare"
    (bare / "logs").mkdir(parents=True)
    (bare / "logs/train_seed42.log").write_text(log_text(42))
    (bare / "train_gpt.py").write_text("print()\n")
    (repository / "notes").mkdir()
    (repository / "notes/words.txt").write_text("no log\n")
    commit(repository)
    job = act(repository, base)
    assert job.outputs == {"count": "2"} and job.code == 1
    line = 1 + (wrong.path / "submission.json").read_text().splitlines().index('  "val_bpb": 1.0,')
    assert (
        f"::error file={RECORDS}/2026-04-25_Wrong/submission.json,line={line},title=pgolf%3A claimed-mean"
        in job.printed
    )
    assert f"::error file={RECORDS}/2026-04-26_Bare/train_gpt.py,title=pgolf%3A required-files" in job.printed
    assert "Old" not in job.printed and "Broken" not in job.printed
    assert "| `2026-04-25_Wrong` | 1.07905 |" in job.summary and "### `2026-04-26_Bare`" in job.summary
    assert "Against `pr1736`" in job.summary  # pr1787 trained 603 s, which the rules do not admit
    page = job.report.read_text()
    assert "claimed-mean" in page and "2026-04-26_Bare" in page


def test_a_speedrun_is_one_record_with_its_variants(act, repository):
    base = git(repository, "rev-parse", "HEAD")
    folder = Speedrun(repository / "records/track_1_short/2026-07-17_Faster")
    folder.write()
    shutil.copy(folder.name("baseline", 2), folder.name("this_pr", 9))
    commit(repository)
    job = act(repository, base)
    assert job.outputs == {"count": "1"} and job.code == 1
    place = "records/track_1_short/2026-07-17_Faster/this_pr/this_pr-09.txt"
    assert f"::error file={place},line=1,title=pgolf%3A runs-distinct" in job.printed
    assert "### `2026-07-17_Faster`" in job.summary and "| `this_pr` | 6 |" in job.summary
    assert "2026-07-17_Faster" in job.report.read_text()


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("warn", 1), ("nonsense; touch x", 2)])
def test_inputs_reach_the_command(act, repository, fail_on, code):
    base = git(repository, "rev-parse", "HEAD")
    folder = Folder(repository / "mine/2026-04-25_Mine")
    folder.write()
    (folder.path / "copy.log").write_bytes(folder.log(42).read_bytes())
    (repository / RECORDS / "2026-04-01_Old/README.md").write_text("# Changed\n")
    commit(repository)
    job = act(repository, base, paths=" mine/ \n./none\n", fail_on=fail_on, against="pr1493", track="10min_16mb")
    assert job.code == code and job.outputs == {"count": "1"}
    assert not (repository / "x").exists()
    assert code == 2 or "Against `pr1493`" in job.summary


def test_nothing_touched_is_a_pass_that_says_so(act, repository):
    base = git(repository, "rev-parse", "HEAD")
    (repository / "README.md").write_text("# Another title\n")
    shutil.rmtree(repository / RECORDS / "2026-04-02_Broken")
    commit(repository)
    job = act(repository, base)
    assert (job.code, job.outputs) == (0, {"count": "0"}) and "no record folder is touched" in job.summary


def test_a_checkout_of_one_merge_commit_is_compared_with_what_it_merges_into(act, repository, tmp_path):
    """As actions/checkout leaves it; the event's base is older than main, on which others' records came meanwhile."""
    stale = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "theirs")
    Folder(repository / RECORDS / "2026-04-25_Theirs").write()
    commit(repository)
    git(repository, "checkout", "--quiet", "main")
    (repository / RECORDS / "2026-04-01_Old/README.md").write_text("# By others\n")
    commit(repository)
    git(repository, "merge", "--quiet", "--no-ff", "--message", "Merge", "theirs")
    git(repository, "branch", "merged")
    git(repository, "reset", "--quiet", "--hard", "main^1")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=merged", repository.as_uri(), str(shallow))
    job = act(shallow, stale)
    assert job.outputs == {"count": "1"} and "2026-04-25_Theirs" in job.summary and job.code == 0


def test_without_a_commit_to_compare_with_it_says_what_to_do(act, repository):
    job = act(repository)
    assert job.code == 1 and "::error::this is no pull request: give the input base" in job.printed


def test_names_are_a_strangers(act, repository, tmp_path):
    """Names that a shell, a runner or Markdown would obey, a link out of the repository, and a folder of commands."""
    base = git(repository, "rev-parse", "HEAD")
    outside = Folder(tmp_path / "outside/2026-04-25_Secret")
    outside.write()
    for name in ("$(touch x)", "a\n::error::b", "-rf", "`touch x`; touch x", "<b>@all", "%0A::warning::c"):
        Folder(repository / RECORDS / name).write()
    (repository / RECORDS / "link").symlink_to(outside.path)
    (repository / "sitecustomize.py").write_text("open('x', 'w')\n")
    (repository / "pgolf.py").write_text("open('x', 'w')\n")
    commit(repository)
    job = act(repository, base, fail_on="never")
    assert job.outputs == {"count": "6"} and job.code == 0
    assert not (repository / "x").exists() and "Secret" not in job.printed + job.summary
    lines = job.printed.splitlines()
    assert all(re.match(r"::(error|warning) (file|title)=|pgolf: 6 records", line) for line in lines), lines
    assert "<b>" not in re.sub(r"`[^`\n]*`", "", job.summary)
