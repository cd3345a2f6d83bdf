"""report.html: one page that stands alone, says what the logs say, and lets nothing of them run."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from good_entry import BPB, SEEDS, Folder
from pages import Reader
from typer.testing import CliRunner

from pgolf.audit.audit import audit
from pgolf.cli import app
from pgolf.errors import BadInput
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.ledger import load
from pgolf.report.page import page, report_of_audit, write_report

PUBLIC = Path(__file__).parents[3] / "shared" / "public-records"
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\" style='x' ]]>&amp;\x1b[31m\u202e"


@pytest.fixture
def entry(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "2026-04-25_Something")
    folder.write()
    return folder


def read(folder: Path, against: str | None = "pr1493") -> Reader:
    return Reader(page(report_of_audit(audit(folder, against=against))))


def test_page_shows_the_seeds_the_comparison_and_every_check(entry):
    found = audit(entry.path, against="pr1493")
    words = read(entry.path).words()
    for seed in SEEDS:
        assert f"{BPB[seed]:.8f}" in words
    assert f"{found.mean_val_bpb:.8f}" in words
    for name, text in found.comparison.rows():
        if name != "verdict":
            assert f"{name} {text}" in words
    assert found.comparison.verdict[1:] in words
    for check in found.checks:
        assert f"{check.id} " in words and " ".join(check.message.split()) in words


def test_page_loads_nothing_and_runs_nothing(entry):
    tags = read(entry.path).tags
    assert not {name for name, _ in tags} & {"script", "img", "link", "iframe", "object", "form", "base"}
    targets = [v or "" for _, attrs in tags for k, v in attrs.items() if k in ("src", "href", "xlink:href", "action")]
    assert targets and all(t.startswith("#") for t in targets)
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'") and "script-src 'none'" in policy


def test_page_is_small_and_the_same_every_time(entry):
    first, again = (page(report_of_audit(audit(entry.path, against="pr1493"))) for _ in range(2))
    assert first == again
    assert len(first.encode()) < 2_000_000


def test_a_screen_reader_finds_its_way(entry):
    tags = read(entry.path).tags
    ids = {a["id"] for _, a in tags if "id" in a}
    for name, attrs in tags:
        for target in (attrs.get("href"), attrs.get("aria-labelledby")):
            assert target is None or target.removeprefix("#") in ids
        if name == "svg":
            assert attrs["role"] == "img" and "the table below has the figures" in attrs["aria-label"]
        if attrs.get("role") == "region":
            assert attrs["tabindex"] == "0" and attrs["aria-label"]
    levels = [int(t[1]) for t, _ in tags if re.fullmatch("h[1-6]", t)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    assert all("scope" in a for t, a in tags if t == "th")


def test_every_dot_says_what_it_is(entry):
    text = page(report_of_audit(audit(entry.path, against="pr1493")))
    titles = re.findall("<title>([^<]*)</title>", text)
    previous = load("pr1493")
    for seed in SEEDS:
        assert f"seed {seed}: {BPB[seed]:.8f} bpb" in titles
        assert f"seed {seed} · step 500 · loss 3.33{seed % 100:02d}" in titles
    for score in previous.seeds:
        assert f"pr1493: {score.val_bpb:.8f} bpb" in titles


def test_charts_take_their_colours_from_the_page(entry):
    charts = re.findall("<svg.*?</svg>", page(report_of_audit(audit(entry.path, against="pr1493"))), re.S)
    assert len(charts) == 4
    defined = set(re.findall(r"(--[\w-]+):", page(report_of_audit(audit(entry.path)))))
    for chart in charts:
        assert not re.findall(r"#[0-9a-f]{6}\b", chart)
        assert set(re.findall(r"var\((--[\w-]+)\)", chart)) <= defined


def test_hostile_words_are_only_text(entry):
    entry.claim(name=HOSTILE, author=HOSTILE, track="10min_16mb")
    entry.edit_logs("ttt_epochs: 3", f"ttt_epochs: 3\n  {HOSTILE}: {HOSTILE}")
    (entry.path / "<b onclick=x>.log").write_text(entry.log(42).read_text())
    found = audit(entry.path, against="pr1493")
    report = report_of_audit(found)
    hostile = replace(
        report,
        standing=replace(report.standing, name=HOSTILE + "$x_1$", title=HOSTILE, source=HOSTILE),
        reasons=(HOSTILE,),
        positive=False,
        summary=HOSTILE,
    )
    for text in (page(hostile), page(report)):
        reader = Reader(text)
        names = {name for name, _ in reader.tags}
        assert not names & {"script", "img", "b"}
        assert not any(k.startswith("on") for _, attrs in reader.tags for k in attrs)
        for bad in ("<script", "\x1b", "\u202e"):
            assert bad not in text
        assert "alert(1)" in reader.words()


def test_probes_are_shown_with_what_they_tried(entry):
    good = ProbeResult("causal", "sliding", True, True, "64 positions of 2 streams")
    found = CounterExample("the loss at 7 moved by 0.5", 7)
    bad = ProbeResult("one pass", "ttt", False, True, "a count of calls", counter_example=found)
    lines = [{"seed": 42, "artifact": "ab" * 32, "program": "cd" * 32}, good.as_json(), bad.as_json()]
    (entry.path / "probes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = read(entry.path).words()
    assert "causal sliding ● yes 64 positions of 2 streams" in words
    assert "one pass ttt ✗ no the loss at 7 moved by 0.5. a count of calls" in words
    (entry.path / "probes.jsonl").write_text("{}")
    with pytest.raises(BadInput, match=r"probes\.jsonl"):
        read(entry.path)


def test_without_a_previous_record_it_says_so(entry):
    words = read(entry.path, None).words()
    assert "Not compared: no previous record was named" in words
    assert "No previous record was named to compare with." in words


def test_logs_without_scores_still_make_a_page(entry):
    for seed in SEEDS:
        log = entry.log(seed)
        log.write_text(log.read_text().split("pre-quantization")[0])
    words = read(entry.path).words()
    assert "No log here reaches a final score." in words
    assert "log-complete ✗ fail" in words


def test_tokens_of_another_length_are_said_not_to_compare(entry):
    report = report_of_audit(audit(entry.path, against="pr1493"))
    assert "heights do not compare" not in page(report)
    other = replace(report, standing=replace(report.standing, bytes_per_token=3.1))
    assert "heights do not compare" in page(other)


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public records are not beside this repository")
def test_every_public_record_makes_a_page(tmp_path):
    folders = sorted(p.parent for p in PUBLIC.glob("*/submission*.json"))
    audits = [audit(folder, against="pr1493") for folder in folders[::4]]
    reader = Reader(write_report(audits, tmp_path / "all.html").read_text())
    assert sum(t == "article" for t, _ in reader.tags) == len(audits)


def test_command_writes_the_page_and_exits_0_whatever_it_says(entry, tmp_path):
    (entry.path / "README.md").unlink()  # a check fails; the page is made all the same
    out = tmp_path / "out" / "page.html"
    done = CliRunner().invoke(app, ["report", str(entry.path), str(entry.path), "--against", "pr1493", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert [a.get("id") for t, a in Reader(out.read_text()).tags if t == "article"] == ["r1", "r2"]
    assert str(out) in done.output


def test_bad_folder_leaves_nothing(entry, tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        CliRunner().invoke(
            app,
            ["report", str(entry.path), str(tmp_path / "gone"), "-o", str(tmp_path / "p.html")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "p.html").exists()
