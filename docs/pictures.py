"""The pictures of docs/images, from a real record: `make pictures RECORD=<its submission> [ARCHIVE=<record folders>]`.

The pictures of Prefect's UI are taken by tests/flows/test_deployment.py, where PGOLF_PICTURES names the folder.
"""

import argparse
import io
import re
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import Audit, audit, audit_folders
from pgolf.record.board import Board
from pgolf.record.progress import Progress
from pgolf.report import figures
from pgolf.report.leaderboard import write_leaderboard
from pgolf.report.page import report_of_audit, write_report

IMAGES = Path(__file__).parent / "images"
SHARES = (0.3, 0.62, 0.86)  # of each seed's events: how far the live view has come


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path)
    parser.add_argument("--archive", type=Path)
    arguments = parser.parse_args()
    found = audit(arguments.record)
    draw_plots(found)
    draw_live_view(found)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = write_report([found], Path(temporary) / "report.html")
        take(browser, page, "report.png", "light", 1080)
        take(browser, page, "report-dark.png", "dark", 1080)
        if arguments.archive:
            title = f"Leaderboard of {arguments.archive.resolve().name}"
            audits = audit_folders(record_folders(arguments.archive))
            take(
                browser, write_leaderboard(title, audits, page.with_name("archive.html")), "archive.png", "light", 1000
            )
        browser.close()


def draw_plots(found: Audit) -> None:
    """The two that a submission's README has."""
    report = report_of_audit(found)
    assert report.standing
    figures.save_png(figures.loss_curves(report.scores, report.standing), IMAGES / "loss_curves.png", "Training loss")
    stages = figures.stage_waterfall(report.stages, report.title, report.standing.name)
    figures.save_png(stages, IMAGES / "stages.png", "Score by stage")


def draw_live_view(found: Audit) -> None:
    """What a terminal of 120 columns shows, the seeds as they stood at SHARES of their events."""
    screen = Console(record=True, width=120, file=io.StringIO(), force_terminal=True)
    seeds = [run.seed.value for run in found.runs if run.seed]
    board = Board([f"seed {seed}" for seed in seeds], screen, found.previous, found.track.limits)
    for seed, share in zip(seeds, SHARES, strict=True):
        text, progress = (found.folder / f"train_seed{seed}.events.jsonl").read_text(), Progress()
        progress.feed(text[: round(share * len(text))])
        progress.elapsed = progress.heard
        board.update(f"seed {seed}", progress)
    screen.print(board.view())
    picture = re.sub(r"@font-face \{.*?\}", "", screen.export_svg(title="pgolf record"), flags=re.DOTALL)
    (IMAGES / "live.svg").write_text(picture)  # without fonts that would be fetched from elsewhere


def take(browser: Browser, page: Path, name: str, scheme: str, height: int) -> None:
    """The upper part of a page."""
    tab = browser.new_page(viewport={"width": 1180, "height": height}, color_scheme=scheme)
    tab.goto(page.as_uri())
    tab.screenshot(path=IMAGES / name)


if __name__ == "__main__":
    main()
