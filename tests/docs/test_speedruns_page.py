"""docs/speedruns.md shows what pgolf prints: its example is made again from the runs that it shows."""

import re
from pathlib import Path

from speedruns import log_text
from typer.testing import CliRunner

from pgolf import tracks
from pgolf.audit.checks.speedrun import SPEEDRUN_CHECKS
from pgolf.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "speedruns.md").read_text()
README = "# Example\n\nLosses of this_pr: [{losses}]\n"


def shown() -> str:
    """The tables of the page's example, all but that of the checks."""
    (block,) = re.findall(r"```text\n(.*?)\n…\n```", PAGE, re.S)
    return str(block)


def test_example_is_what_an_audit_prints(tmp_path, monkeypatch):
    folder, variant, losses = tmp_path / "track_1_short" / "2026-08-01_Example", "", []
    for line in shown().splitlines():
        if title := re.fullmatch(r"runs of (\w+)", line):
            variant = title[1]
        elif found := re.fullmatch(r"(run(\d))\s+(\S+)\s+(\d+)\s+(\S+)", line):
            log = folder / variant / f"{found[1]}.txt"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(log_text(float(found[3]), float(found[5]), int(found[4]), int(found[2])))
            losses += [found[3]] * (variant == "this_pr")
    (folder / "README.md").write_text(README.format(losses=", ".join(losses)))
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(app, ["audit", str(folder.relative_to(tmp_path))], env={"COLUMNS": "80"}).stdout
    lines = [line.rstrip() for line in printed.splitlines()]
    assert "\n".join(lines).startswith(shown() + "\n\n● pass  target-loss ")


def test_page_names_every_check_and_every_track():
    for check in SPEEDRUN_CHECKS:
        assert f"`{check.__name__.replace('_', '-')}`" in PAGE
    for name in tracks.names():
        target = tracks.load(name).target
        assert target is None or re.search(rf"\| `{name}` \| .* \| {target.loss:g} \|", PAGE)
