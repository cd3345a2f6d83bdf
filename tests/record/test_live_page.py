"""The page about a record that runs: what it says, to whom it links, and what a real Chromium makes of it."""

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import chromium
from playwright.sync_api import Browser, Page

from pgolf.record.live import Live, LiveFile, Said, State, write_live
from pgolf.record.live_page import PAGE, chart_of, live_page
from pgolf.record.rows import Row, Scored, Used

HOSTILE = '<script>alert("1")</script>"><img src=x onerror=alert(2)>' + "very-long-" * 30
CURVE = tuple((step, 9.0 if not step else 4.0 - step / 1000) for step in range(0, 1001, 50))
ROW = Row(
    "seed 42",
    stage="quantized_ttt",
    done=20,
    total=80,
    share=0.25,
    loss=3.01,
    gain=-0.0123,
    val_bpb=1.09,
    elapsed=800.0,
    left=195.0,
    basis="runs",
    used=(Used("size", "bytes", 16_000_000, 15_990_000, "pass"), Used("train", "s", 600.0, 600.8, "warn")),
    scores=(Scored("quantized", 1.09, 0.0035),),
    heading=1.0771,
    rests_on="pr1493's 1.08100, if the gain at this stage stays",
    curve=CURVE,
)


def live(state: State = "running", ago_s: float = 0.0, **more: object) -> Live:
    """A record with one run of each kind, last written of so many seconds ago."""
    now = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="seconds")
    rows = (
        ROW,
        Row("seed 314"),
        Row("seed 999", stage="train", error=HOSTILE),
        Row("seed 1", stage="done", val_bpb=1.1),
    )
    said = Live("r-1", "10min_16mb", "Mine", now, now, state, "seeds", rows, 195.0, ("$7.50 spent so far",))
    changed = {"standing": "pr1493", "standing_curve": CURVE, "news": (Said(now, "25 % of the training is done"),)}
    return replace(said, **{**changed, **more})  # type: ignore[arg-type]


def test_page_says_where_each_run_stands(tmp_path: Path) -> None:
    text = live_page(live(), tmp_path)
    for words in (
        "running: seeds",
        "1 of 4",
        "about 3:15 left",
        "adapted (TTT) 20 of 80",
        "3.0100",
        "-0.0123",
        "1.09000",
        "<strong>1.10000</strong>",  # of the seed that is done
        "+0.00350",
        "about 1.0771",
        "if the gain at this stage stays",
        "15.990 of 16.000 MB",
        "601 of 600 s",
        "$7.50 spent so far",
        "25 % of the training is done",
        "— pr1493",
    ):
        assert words in text, words
    assert text.count("<polyline") == 2
    assert "1000,1000" in text and ",0 " in text  # from the first settled loss to the last


def test_lowest_loss_is_inside_the_chart_also_where_the_standing_record_is_longer() -> None:
    row = Row("seed 42", stage="train", curve=((0, 9.0), (100, 3.5), (150, 3.294), (200, 3.31)))
    chart = chart_of(live(rows=(row,), standing_curve=((0, 9.0), (500, 3.6), (4000, 3.4))))
    assert chart and (chart.least, chart.most, chart.last) == (3.294, 3.6, 4000)
    heights = [float(point.partition(",")[2]) for line in chart.lines for point in line.points.split()]
    assert max(heights) == 1000


def test_time_left_is_that_of_all_runs_and_of_the_probes(tmp_path: Path) -> None:
    rows = (replace(ROW, left=60.0), Row("seed 314", left=1200.0, basis="runs"))
    assert "about 21:00 left" in live_page(live(rows=rows, left=1260.0), tmp_path)
    assert "21:00" not in live_page(live(rows=rows, left=None), tmp_path)


def test_words_of_a_stranger_are_only_words(tmp_path: Path) -> None:
    row = Row(HOSTILE, stage=HOSTILE, total=2, scores=(Scored(HOSTILE, 1.0),), rests_on=HOSTILE, curve=CURVE)
    said = Live(*[HOSTILE] * 5, doing=HOSTILE, rows=(row,), notes=(HOSTILE,), news=(Said(HOSTILE, HOSTILE),))
    text = live_page(replace(said, verdict=HOSTILE, standing=HOSTILE, standing_curve=CURVE), tmp_path)
    assert "<img" not in text
    assert text.count("<script>") == 1  # the page's own


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_run_in_its_midst_is_stopped_where_the_record_has_ended(state: State, tmp_path: Path) -> None:
    text = live_page(live(state), tmp_path)
    assert ">stopped</span>" in text and ">running</span>" not in text
    assert "13:20" in text and " left<" not in text  # the time that it took, and none that it will take
    assert ">running</span>" in live_page(live("left"), tmp_path)


@pytest.mark.parametrize("state", ["running", "finished", "failed", "stopped", "left"])
def test_any_state_and_any_figure_can_be_drawn(state: State, tmp_path: Path) -> None:
    odd = Row("seed 1", "train", 5, 0, math.inf, math.nan, math.nan, math.nan, None, 1e12)
    odd = replace(odd, curve=((0, 1.0), (0, 1.0)), used=(Used("eval", "s", None, 7.0, "pass"),))
    for rows in ((), (odd,), (odd,) * 20):
        assert state in live_page(live(state, rows=rows, started="once", left=None), tmp_path)


def test_finished_page_links_to_the_report_beside_it(tmp_path: Path) -> None:
    report = tmp_path / "records" / "10min_16mb" / "2026-11-29_Mine & <Co>" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("the report")
    link = 'href="records/10min_16mb/2026-11-29_Mine%20%26%20%3CCo%3E/report.html"'
    assert link in live_page(live("finished", verdict="A RECORD"), tmp_path)
    assert link not in live_page(live("running"), tmp_path)


def test_page_is_written_with_the_file_and_at_the_end(tmp_path: Path) -> None:
    file = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    file.show("preflight")
    assert "running: preflight" in (tmp_path / PAGE).read_text()
    file.say("started\nat once")
    file.runs([ROW], ["$7.50 spent so far"])
    assert "at once" in (tmp_path / PAGE).read_text()
    file.end("failed", "no seed finished")
    text = (tmp_path / PAGE).read_text()
    assert 'data-state="failed"' in text and "no seed finished" in text and "running:" not in text
    assert {path.name for path in tmp_path.iterdir()} == {"live.json", PAGE}


def test_a_long_step_is_told_from_a_process_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgolf.record.live.BEAT_S", 0.01)
    file = LiveFile(tmp_path, "r", "cpu_smoke", "mine")
    with file.beating():
        file.show("verdict")
        written = file.written
        deadline = time.monotonic() + 20
        while file.written == written and time.monotonic() < deadline:
            time.sleep(0.01)
        assert file.written > written
        file.end("finished", "A RECORD")
        written = file.written
        time.sleep(0.1)
    assert file.written == written  # the page of an end keeps its time


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as it:
        yield it


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, ThreadingHTTPServer]]:
    """A folder, and the server that `python -m http.server` is, over it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path, server
        server.shutdown()
        thread.join()


def opened(browser: Browser, url: str, width: int = 390, scheme: str = "dark") -> tuple[Page, list[str]]:
    """The page, and everything that it complained of, or fetched from elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    trouble: list[str] = []
    page.on("request", lambda r: None if r.url == url else trouble.append(r.url))
    page.on("console", lambda m: trouble.append(m.text))
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.goto(url)
    return page, trouble


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_page_fits_a_phone_and_a_desk_as_a_file(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    write_live(tmp_path, live(news=(Said("x", HOSTILE),), name=HOSTILE, verdict=HOSTILE, notes=(HOSTILE,)))
    page, trouble = opened(browser, (tmp_path / PAGE).as_uri(), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heights = page.evaluate("[...document.querySelectorAll('.run')].map(e => e.getBoundingClientRect().width)")
    assert min(heights) > 250  # a card is no column of three letters
    tops = page.evaluate("[...document.querySelectorAll('.run')].map(e => e.getBoundingClientRect().top)")
    assert len(set(tops)) == (4 if width == 390 else 2)  # cards of a row begin at one height
    assert trouble == []


def test_page_follows_the_record_and_greys_when_nobody_writes_it(
    browser: Browser, served: tuple[Path, ThreadingHTTPServer]
) -> None:
    folder, server = served
    write_live(folder, live())
    page, trouble = opened(browser, f"http://127.0.0.1:{server.server_port}/{PAGE}")
    assert not page.locator("#silence").is_visible()
    write_live(folder, live(name="Another name"))
    page.evaluate("again()")
    page.get_by_role("heading", name="Another name").wait_for()
    assert trouble == []
    write_live(folder, live(ago_s=200.0))
    page.evaluate("again()")
    page.get_by_text("No word for 3 min").wait_for()
    assert page.evaluate("getComputedStyle(document.querySelector('.runs').parentElement).opacity") != "1"
    write_live(folder, live("failed", ago_s=200.0))  # it has ended, and says so: nothing is missing
    page.evaluate("again()")
    page.get_by_text("failed", exact=True).first.wait_for()
    assert not page.locator("#silence").is_visible()
    (folder / PAGE).unlink()  # or the tunnel is gone: what was known stays
    page.evaluate("again()")
    assert page.get_by_text("failed", exact=True).first.is_visible()
