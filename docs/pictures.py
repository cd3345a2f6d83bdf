"""The pictures of docs/images, and beside each the words in it: `make pictures`.

They show the record of the smoke preset that lies in tests/recorded/smoke, so that tests/docs/test_pictures.py can tell
in a moment whether they would say something else today. `make pictures RECORD=<a submission's folder>` puts another one
there first. The picture of an archive's leaderboard needs the archive: `ARCHIVE=<a folder of record folders>`.
tests/flows/test_deployment.py takes those of Prefect's UI, which is a matter of minutes; `PREFECT=` leaves them.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.console import Console

from pgolf.audit.archive import record_folders
from pgolf.audit.audit import Audit, audit, audit_folders
from pgolf.record.board import Board
from pgolf.record.progress import Progress
from pgolf.report import figures, leaderboard
from pgolf.report import page as pages
from pgolf.report.tables import seed_rows, verdict_markdown
from pgolf.report.verdict import Verdict

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
FLOWS = ROOT / "flows"
RECORD = ROOT / "tests" / "recorded" / "smoke"
KEPT = ("submission.json", "plan.json", "probes.jsonl", "dataset.json", "README.md", "train_gpt.py", "train_seed*")
SHARES = (0.3, 0.62, 0.86)  # of each seed's events: how far the live view has come
ARCHIVE, OF_PREFECT = "archive.png", ("prefect-run.png", "prefect-verdict.png")
ALONG_AXES = re.compile(r"[\d.,−]+")  # numbers of which the width of a font decides how many there are
SHOWN = 'id="r1-training"'  # where a page goes on below its picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path, nargs="?", help="a submission's folder, to take the place of the one kept")
    parser.add_argument("--prefect", action="store_true", help="take the pictures of Prefect's UI, too")
    parser.add_argument("--archive", type=Path, help="a folder of record folders, for the picture of its leaderboard")
    arguments = parser.parse_args()
    if arguments.record:
        keep(arguments.record, RECORD)
    found = audit(RECORD, against="cpu_smoke-base")
    assert isinstance(found, Audit)
    for name, (title, figure) in plots(found).items():
        figures.save_png(figure, IMAGES / name, title)
    (IMAGES / "live.svg").write_text(live_view(found)[0])
    told = words(found)
    if arguments.prefect:
        taken = [sys.executable, "-m", "pytest", "-q", "tests/flows/test_deployment.py", "-k", "browser"]
        subprocess.run(taken, cwd=ROOT, env=os.environ | {"PGOLF_PICTURES": str(IMAGES)}, check=True)
    else:
        told = {name: text for name, text in told.items() if name not in OF_PREFECT}
    if arguments.archive:
        audits = audit_folders(record_folders(arguments.archive))
        board = leaderboard.page(f"Leaderboard of {arguments.archive.resolve().name}", audits, arguments.archive)
        photograph({ARCHIVE: (board, "light", 1000)})
    else:
        del told[ARCHIVE]
        print(f"{ARCHIVE} is left as it is: its archive was not named with ARCHIVE=<a folder of record folders>")
    page = pages.page(pages.report_of_audit(found))
    photograph({"report.png": (page, "light", 1080), "report-dark.png": (page, "dark", 1080)})
    for name, text in told.items():
        path_of(name).write_text(text)


def path_of(name: str) -> Path:
    """Where the words of a picture are kept."""
    return IMAGES / f"{name.rsplit('.', 1)[0]}.txt"


def words(found: Audit) -> dict[str, str]:
    """The words of each picture that is drawn from the record, by its file's name."""
    page = pages.page(pages.report_of_audit(found))
    assert SHOWN in page, "the page has no section of training any more: say in SHOWN where its picture ends"
    report = seen(page[: page.index(SHOWN)])
    board = leaderboard.page("Leaderboard", [found], RECORD.parent)
    return {
        **{name: "\n".join([title, *texts(figure)]) + "\n" for name, (title, figure) in plots(found).items()},
        "live.svg": live_view(found)[1],
        "report.png": report,
        **dict(zip(OF_PREFECT, words_of_prefect(found), strict=True)),
        # what stands around the rows, whichever records they are
        ARCHIVE: masked(seen(re.sub(r"<tbody>.*?</tbody>|<svg.*?</svg>", "", board, flags=re.DOTALL))),
    }


def words_of_prefect(found: Audit) -> tuple[str, str]:
    """What pgolf gives Prefect to show: the names of runs and artifacts with the table's columns, and the verdict."""
    scores = pages.report_of_audit(found).scores
    given = r"\b(flow_run_name|task_run_name|key|description)=(f?\"[^\"]+\")"
    named = {m for name in ("record", "tasks", "show") for m in re.findall(given, (FLOWS / f"{name}.py").read_text())}
    lines = [f"{kind}: {text}" for kind, text in sorted(named)] + [f"column: {name}" for name in seed_rows(scores)[0]]
    verdict = Verdict(True, found.comparison, tuple(found.checks), ())
    page = verdict_markdown(verdict, scores, RECORD).replace(ROOT.as_uri(), "…").replace(str(ROOT), "…")
    return "\n".join(lines) + "\n", page.rstrip() + "\n"


def plots(found: Audit) -> dict[str, tuple[str, Figure]]:
    """The two that a submission's README has, each with its title."""
    report = pages.report_of_audit(found)
    assert report.standing
    stages = figures.stage_waterfall(report.stages, report.title, report.standing.name)
    return {
        "loss_curves.png": ("Training loss", figures.loss_curves(report.scores, report.standing)),
        "stages.png": ("Score by stage", stages),
    }


def texts(figure: Figure) -> list[str]:
    """What is written in a figure, without the numbers along its axes."""
    figure.draw_without_rendering()
    along = {id(text) for axes in figure.axes for text in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    named = [t.get_text() for axes in figure.axes for t in axes.get_xticklabels() if re.search("[a-z]", t.get_text())]
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and id(text) not in along]
    lines = [text.get_text() for text in found if text.get_visible()] + named
    return [line.replace("\n", " ") for line in lines if line and not ALONG_AXES.fullmatch(line)]


def live_view(found: Audit) -> tuple[str, str]:
    """What a terminal of 120 columns shows, the seeds as they stood at SHARES of their events: as SVG, and as text."""
    screen = Console(record=True, width=120, file=io.StringIO(), force_terminal=True)
    seeds = [run.seed.value for run in found.runs if run.seed]
    board = Board([f"seed {seed}" for seed in seeds], screen, found.previous, found.track.limits)
    for seed, share in zip(seeds, SHARES, strict=True):
        text, progress = (found.folder / f"train_seed{seed}.events.jsonl").read_text(), Progress()
        progress.feed(text[: round(share * len(text))])
        progress.elapsed = progress.heard
        board.update(f"seed {seed}", progress)
    screen.print(board.view())
    drawn = re.sub(r"@font-face \{.*?\}", "", screen.export_svg(title="pgolf record", clear=False), flags=re.DOTALL)
    text = "\n".join(line.rstrip() for line in screen.export_text().splitlines())
    return drawn, text + "\n"  # without fonts that would be fetched from elsewhere


class Words(HTMLParser):
    """The words of a page, a block a line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self.hidden, self.drawing = [""], 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "script", "title")
        self.drawing += tag == "svg"
        if tag not in ("a", "b", "strong", "code", "span", "tspan"):
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script", "title")
        self.drawing -= tag == "svg"

    def handle_data(self, data: str) -> None:
        if not self.hidden and not (self.drawing and ALONG_AXES.fullmatch(data.strip())):
            self.lines[-1] += data


def seen(page: str) -> str:
    """The words of a page in their order, without what shows on hovering."""
    parser = Words()
    parser.feed(page)
    return "\n".join(line for line in (" ".join(line.split()) for line in parser.lines) if line) + "\n"


def masked(text: str) -> str:
    """A text without what differs from one record to the next: its numbers."""
    return re.sub(r"\d+(?:[.,:]\d+)*", "0", text)


def photograph(wanted: dict[str, tuple[str, str, int]]) -> None:
    """Take the upper part of pages, each in a colour scheme and of a height in pixels."""
    from playwright.sync_api import sync_playwright

    browsers = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(filter(None, browsers), None), args=["--no-sandbox"])
        for name, (page, scheme, height) in wanted.items():
            file = Path(temporary) / "page.html"
            file.write_text(page)
            tab = browser.new_page(
                viewport={"width": 1180, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
            )
            tab.goto(file.as_uri())
            tab.screenshot(path=IMAGES / name)
        browser.close()


def keep(record: Path, target: Path) -> None:
    """Copy a submission, its data where anybody's would be: no path of the machine that made it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(p for pattern in KEPT for p in record.glob(pattern)):
        text = path.read_bytes()
        for folder in set(re.findall(rb"(/[^\s\"':]*/)data/", text)):
            text = text.replace(folder + b"data/", b"data/")
        (target / path.name).write_bytes(text)


if __name__ == "__main__":
    main()
