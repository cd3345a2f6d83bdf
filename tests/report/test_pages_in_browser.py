"""The pages in a real Chromium: nothing is fetched, nothing overflows, no script complains, and the sorting sorts; on a
phone as on a desk no column is a letter wide, and every table and plot says what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import chromium
from good_entry import BPB, Folder, log_text
from playwright.sync_api import Browser, Page
from speedruns import BASELINE, NEW, write_speedrun

from pgolf.audit.audit import audit_folders
from pgolf.evidence.probes import ProbeResult
from pgolf.report.leaderboard import write_leaderboard
from pgolf.report.page import write_report, write_report_of_all

PUBLIC = Path(__file__).parents[3] / "shared" / "public-records"
MADE = Path(__file__).parents[1] / "recorded" / "smoke"
WIDTHS = (390, 768, 1280)
LONG = "NoSpaceAtAll" * 17  # 204 characters
SEEN = """() => {
  const room = (e) => e.clientWidth - parseFloat(getComputedStyle(e).paddingLeft) -
    parseFloat(getComputedStyle(e).paddingRight);
  const shown = (e) => e.getClientRects().length > 0;
  const all = (what) => [...document.querySelectorAll(what)].filter(shown);
  const size = (e) => parseFloat(getComputedStyle(e).fontSize);
  return {
    over: document.documentElement.scrollWidth - innerWidth,
    narrow: all("th, td").filter((e) => e.innerText.trim().length > 6 && room(e) < 3 * size(e))
      .map((e) => [room(e), e.innerText.slice(0, 40)]),
    height: document.documentElement.scrollHeight, text: document.body.innerText.length,
    figures: all("svg").reduce((sum, e) => sum + e.clientHeight, 0),
    boxes: all(".wide").filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length,
    nameless: all("table").filter((e) => !e.caption?.textContent || !e.tHead?.rows.length).length,
    silent: all("svg").filter((e) => e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")).length,
    plots: all("svg").length,
  };
}"""


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


def check_layout(browser: Browser, path: Path, widths: tuple[int, ...] = WIDTHS) -> None:
    """The page as it must be on every screen; its height in pixels is bounded by its characters and its figures."""
    for width in widths:
        page, trouble = opened(browser, path, width, "light")
        seen = page.evaluate(SEEN)
        assert trouble == [] and seen["over"] <= 0, (width, seen)
        assert seen["narrow"] == [], (width, "about six characters have to fit a cell")
        assert seen["height"] <= 2000 + seen["figures"] + 1.2 * seen["text"], (width, seen)
        assert seen["boxes"] == seen["nameless"] == seen["silent"] == 0, (width, seen)
        page.close()


def with_probes(folder: Folder) -> Path:
    """Long texts in the last of four columns, which a phone once showed as columns of three letters."""
    folder.write()
    power = "Streams of 2187 positions were changed from 6 positions on, 2 of them at borders, by random tokens. " * 8
    probe = ProbeResult("causal", "sliding of final_model.int6.ptz", True, True, power).as_json()
    head = {"seed": 42, "artifact": "ab" * 32, "program": "cd" * 32}
    (folder.path / "probes.jsonl").write_text("\n".join(map(json.dumps, [head, *[probe] * 12])))
    return folder.path


def with_long_words(folder: Folder) -> Path:
    """Names and values of two hundred characters without a space, wherever a folder may have them."""
    folder.write()
    folder.claim(name=LONG, author=LONG)
    folder.edit_logs("ttt_epochs: 3", f"ttt_epochs: 3\n  {LONG}: {LONG}")
    folder.log(42).rename(folder.path / f"{LONG}.log")
    (folder.path / f"{LONG}2.log").write_text(log_text(42, 1.2))
    return folder.path


def with_many_seeds(folder: Folder) -> Path:
    """Twelve seeds, all of them claimed."""
    folder.write()
    more = list(range(1000, 1009))
    folder.claim(seeds=[*BPB, *more], seed_results=None)
    for seed in more:
        folder.log(seed).write_text(log_text(seed, 1.079 + seed / 1e6, (12.1, 11.1, 9.4, 8.3 + seed / 1e4)))
    return folder.path


def without_logs(folder: Folder) -> Path:
    folder.write()
    for seed in BPB:
        folder.log(seed).unlink()
    return folder.path


ODD: dict[str, Callable[[Folder], Path]] = {
    "probes": with_probes,
    "long words": with_long_words,
    "many seeds": with_many_seeds,
    "no logs": without_logs,
}


@pytest.mark.parametrize("case", ODD)
def test_reports_are_readable_at_every_width(browser, tmp_path, case):
    (audit,) = audit_folders([ODD[case](Folder(tmp_path / "2026-04-20_It"))], against="pr1493")
    check_layout(browser, write_report([audit], tmp_path / "report.html"))


def test_leaderboard_and_the_page_of_many_are_readable_at_every_width(browser, tmp_path):
    odd = [make(Folder(tmp_path / f"2026-04-2{n}_{name}")) for n, (name, make) in enumerate(ODD.items())]
    audits = [*audit_folders(odd), *audit_folders(speedruns(tmp_path))]
    assert write_report_of_all(audits, tmp_path / "all.html") == []
    check_layout(browser, tmp_path / "all.html", (390, 1280))


def test_many_records_on_one_page_are_reached_from_its_table(browser, folders, tmp_path):
    path = write_report(audit_folders(folders), tmp_path / "all.html")
    page, trouble = opened(browser, path, 390, "dark")
    assert page.locator("article h1").count() == page.locator("tbody th a").count() == 3
    page.locator("tr", has_text="2026-04-25_Worse").first.get_by_role("link").click()
    (shown,) = [a for a in page.locator("article").all() if a.bounding_box()["y"] == pytest.approx(0, abs=2)]
    assert f"{sum(BPB.values()) / 3 + 0.01:.8f}" in shown.inner_text()
    page.get_by_role("button", name="day").click()
    assert trouble == []


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public records are not beside this repository")
def test_public_records_are_readable_at_every_width(browser, tmp_path):
    audits = audit_folders(sorted(PUBLIC.glob("2026-04-*")))
    check_layout(browser, write_report(audits[-1:], tmp_path / "report.html"))
    check_layout(browser, write_leaderboard("Public", audits, tmp_path / "board.html"))


def test_report_of_a_record_of_pgolf_is_readable_at_every_width(browser, tmp_path):
    check_layout(browser, write_report(audit_folders([MADE], against="cpu_smoke-base"), tmp_path / "report.html"))
