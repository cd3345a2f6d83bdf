"""What the project says of itself: one version, the files that other people's tools read, and the workflow."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

import pgolf

REPOSITORY = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert citation["version"] == newest[1] == pgolf.__version__


def test_changes_of_a_release_are_added_changed_or_fixed() -> None:
    headings = re.findall(r"^(#+) (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == ("#", "Changes")
    assert {title for level, title in headings if level == "###"} <= {"Added", "Changed", "Fixed"}
    assert {level for level, _ in headings[1:]} == {"##", "###"}


def test_citation_agrees_with_the_package() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert (citation["title"], citation["license"]) == (PROJECT["name"], PROJECT["license"])
    assert citation["abstract"] == PROJECT["description"]
    assert citation["authors"] == PROJECT["authors"]
    assert PROJECT["authors"][0]["name"].removeprefix("The ") in (REPOSITORY / "LICENSE").read_text()


def test_every_extra_and_dependency_is_pinned() -> None:
    pins = (REPOSITORY / "constraints.txt").read_text().splitlines()[1:]
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[<>=\[]", line)[0].lower().replace("_", "-") for line in wanted} - {"pgolf"}
    assert names <= pinned
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


def test_workflow_runs_the_tests_on_every_python_that_is_named() -> None:
    (workflow,) = WORKFLOWS
    job = yaml.safe_load(workflow.read_text())["jobs"]["test"]
    named = {match[1] for c in PROJECT["classifiers"] if (match := re.search(r":: (3\.\d+)$", c))}
    assert set(job["strategy"]["matrix"]["python"]) == named
    assert min(named, key=lambda version: int(version[2:])) == PROJECT["requires-python"].removeprefix(">=")
    assert "make test" in [step.get("run") for step in job["steps"]]


def test_commands_of_the_workflow_and_of_ci_exist() -> None:
    """`make` of a target that is gone, or a script that cannot be started, would show only once it is pushed."""
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    steps = [s for w in WORKFLOWS for job in yaml.safe_load(w.read_text())["jobs"].values() for s in job["steps"]]
    runs = [step["run"] for step in steps if "run" in step]
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    wanted = [word for run in [*runs, script.read_text()] for word in re.findall(r"^make ([a-z]+)$", run, re.MULTILINE)]
    assert set(wanted) == {"test"} <= targets
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)


def test_workflow_may_only_read_and_ends() -> None:
    for workflow in WORKFLOWS:
        content = yaml.safe_load(workflow.read_text())
        assert content["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] <= 60 for job in content["jobs"].values())
