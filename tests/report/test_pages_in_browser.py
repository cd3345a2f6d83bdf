"""The pages in a real Chromium: nothing is fetched, nothing overflows, no script complains, and the sorting sorts."""

from pathlib import Path

import pytest
from browser import chromium
from good_entry import BPB, Folder, log_text
from playwright.sync_api import Browser, Page
from speedruns import BASELINE, NEW, write_speedrun

from pgolf.audit.audit import audit_folders
from pgolf.report.leaderboard import write_leaderboard
from pgolf.report.page import write_report


@pytest.fixture(scope="module")
def browser():
    with chromium() as it:
        yield it


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A good record, a worse and later one, and one of a single seed."""
    good, worse, one = (Folder(tmp_path / name) for name in ("2026-04-20_Good", "2026-04-25_Worse", "2026-04-22_One"))
    for folder in (good, worse, one):
        folder.write()
    for seed, bpb in BPB.items():
        worse.log(seed).write_text(log_text(seed, bpb + 0.01))
    one.log(314).unlink()
    one.log(999).unlink()
    return [good.path, worse.path, one.path]


def speedruns(root: Path) -> list[Path]:
    """A good record, one with a very long name above the target, and one run alone."""
    track = root / "track_1_short"
    names = ("2026-07-01_Good", f"2026-07-03_{'VeryLong' * 20}", "2026-07-02_Single")
    good = {"baseline": BASELINE, "this_pr": tuple((loss - 0.001, seconds) for loss, seconds in NEW)}
    above = {"": tuple((loss + 0.003, seconds / 9) for loss, seconds in NEW)}
    all_runs = (good, above, {"": NEW[:1]})
    return [write_speedrun(track / name, runs) for name, runs in zip(names, all_runs, strict=True)]


def opened(browser: Browser, path: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """The page, and everything that it fetched besides itself or complained of."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("request", lambda r: trouble.append(r.url) if r.url != path.as_uri() else None)
    page.on("console", lambda m: trouble.append(m.text))
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.goto(path.as_uri())
    return page, trouble


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_pages_stand_alone_and_fit_the_screen(browser, folders, tmp_path, width, scheme):
    audits = audit_folders(folders, against="pr1493")
    for path in (
        write_report(audits, tmp_path / "report.html"),
        write_leaderboard("All", audits, tmp_path / "leaderboard.html"),
        write_leaderboard("All", audit_folders(speedruns(tmp_path)), tmp_path / "speedruns.html"),
    ):
        page, trouble = opened(browser, path, width, scheme)
        assert trouble == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (brightness(paper) > brightness(ink)) == (scheme == "light")
        chart_text = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
        assert abs(brightness(chart_text) - brightness(paper)) > 300  # of 765: text of a chart is legible on the page


def brightness(color: str) -> int:
    return sum(int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])


def test_table_sorts_by_mouse_and_by_keyboard(browser, folders, tmp_path):
    path = write_leaderboard("All", audit_folders(folders), tmp_path / "leaderboard.html")
    page, trouble = opened(browser, path, 1280, "light")

    def names() -> list[str]:
        return [text.split("2026-")[1][6:].split(" ")[0] for text in page.locator("tbody th").all_inner_texts()]

    assert names() == ["One", "Good", "Worse"]
    page.get_by_role("button", name="day").click()
    assert names() == ["Good", "One", "Worse"]
    page.get_by_role("button", name="day").press("Enter")
    assert names() == ["Worse", "One", "Good"]
    assert page.locator("th[aria-sort]").all_inner_texts() == ["day"]
    page.get_by_role("button", name="± 95 %").click()
    assert names()[-1] == "One"  # unknown comes last
    page.get_by_role("button", name="± 95 %").click()
    assert names()[-1] == "One"
    assert trouble == []


def test_speedruns_sort_by_every_column(browser, tmp_path):
    path = write_leaderboard("All", audit_folders(speedruns(tmp_path)), tmp_path / "leaderboard.html")
    page, trouble = opened(browser, path, 1280, "light")

    def order() -> str:
        return "".join(text.split()[0][0] for text in page.locator("tbody th").all_inner_texts())

    assert order() == "VSG"  # by time
    for column, expected in (("day", "GSV"), ("record", "GSV"), ("mean loss", "GSV")):
        page.get_by_role("button", name=column).click()
        assert order() == expected, column
    page.get_by_role("button", name="gain, s").click()
    assert order()[0] == "G"  # the others have no baseline, and so no gain: unknown comes last
    assert trouble == []
