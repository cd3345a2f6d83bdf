"""Signs and plurals are written by pgolf/phrases.py alone, in every table, page, plot and message."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgolf.phrases import counted, ended, signed, signed_percent

ROOT = Path(__file__).parents[1]
TRAINER = ROOT / "pgolf" / "trainer"  # imports nothing of pgolf, and prints no difference
MODULES = [p for room in ("pgolf", "flows") for p in (ROOT / room).rglob("*.py") if TRAINER not in p.parents]
TEMPLATES = list((ROOT / "pgolf").rglob("*.j2"))
NOUNS = r"(seed|run|record|check|knob|file|log|attempt|variant|trial|candidate|stage)"


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-9, -1e-9])
def test_nothing_has_no_sign(value):
    assert signed(value, 5) == "0.00000" and signed(value, 0) == "0" and signed_percent(value) == "0.00%"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.00012, 5, "+0.00012"), (-0.00012, 5, "-0.00012"), (-1234.5, 1, "-1,234.5"), (math.inf, 2, "+inf")],
)
def test_a_difference_has_its_sign(value, digits, text):
    assert signed(value, digits) == text


def test_what_is_not_a_number_is_no_zero():
    assert "nan" in signed(math.nan, 3)


def test_a_count_agrees_with_its_noun():
    assert [counted(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert [counted(n, "entry", "entries") for n in (1, 1000)] == ["1 entry", "1,000 entries"]


@pytest.mark.parametrize("said", ["it would", "it would.", "it would..", "it would. "])
def test_a_sentence_ends_once(said):
    assert ended(said) == "it would."


@pytest.mark.parametrize("said", ["why?", "no!", "and more …"])
def test_a_question_is_left_one(said):
    assert ended(said) == said


def formats(tree: ast.AST) -> Iterator[ast.FormattedValue]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec)


def test_no_other_code_writes_a_sign():
    wrong = []
    for path in MODULES:
        if path == ROOT / "pgolf" / "phrases.py":
            continue
        for node in formats(ast.parse(path.read_text())):
            if "+" in "".join(str(part.value) for part in ast.walk(node.format_spec) if isinstance(part, ast.Constant)):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong, "use pgolf.phrases.signed: it leaves no sign before a zero"


def test_no_template_writes_a_sign():
    wrong = [f"{p.name}: {found}" for p in TEMPLATES for found in re.findall(r'"%\+[^"]*"', p.read_text())]
    assert not wrong, "use the filter `signed`"


def test_no_count_is_followed_by_a_plural_of_its_own():
    """`counted` knows that it is one seed, and two seeds."""
    text = {p: p.read_text() for p in (ROOT / "pgolf" / "report").rglob("*") if p.suffix in (".py", ".j2")}
    pattern = re.compile(rf"(?:len\([^{{}}]*\)|\| length) ?\}}+ {NOUNS}s\b")
    wrong = [f"{p.relative_to(ROOT)}: {m[0]}" for p, words in text.items() for m in pattern.finditer(words)]
    assert not wrong, "use `counted`"
