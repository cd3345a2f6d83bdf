"""CaseOps: the public format, given back exactly, however it is cut; and bytes counted of the text that was there."""

import io
import math
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st
from reference import caseops as reference

from pgolf.data import caseops
from pgolf.data.caseops import ALLCAPS, CAPNEXT, ESC, OPERATORS, TITLE, Decoder, decode, encode, encode_stream
from pgolf.errors import BadInput

# Few characters in many orders find more than many characters in few.
DENSE = st.text(alphabet="aAbBzZ éÉǅßİ1." + OPERATORS + "\ue000\ue005\U0001f600\u0301", max_size=40)
ANY = st.text(alphabet=st.characters(), max_size=60)  # all of Unicode, lone surrogates too
MANY = examples(2000)


@pytest.mark.parametrize(
    "text, coded",
    [
        ("the", "the"),
        ("The", TITLE + "the"),
        ("THE", ALLCAPS + "the"),
        ("A", TITLE + "a"),
        ("AB", ALLCAPS + "ab"),
        ("iPhone OpenAI A", f"i{CAPNEXT}phone {TITLE}open{CAPNEXT}a{CAPNEXT}i {TITLE}a"),
        ("ABc aBC", f"{TITLE}a{CAPNEXT}bc a{CAPNEXT}b{CAPNEXT}c"),
        ("É ǅ ß İ éA x\u0301A", f"É ǅ ß İ é{TITLE}a x\u0301{TITLE}a"),
        (f"x{TITLE}Y{ESC}\ue000", f"x{ESC}{TITLE}{TITLE}y{ESC}{ESC}\ue000"),
        ("HTTP2Server_ID", f"{ALLCAPS}http2{TITLE}server_{ALLCAPS}id"),
    ],
)
def test_the_public_format(text, coded):
    assert encode(text) == coded and decode(coded) == text


@pytest.mark.parametrize(
    "coded",
    [
        *OPERATORS,
        TITLE + "1",
        CAPNEXT * 2 + "a",
        f"a{TITLE}b",
        f"a{ALLCAPS}b",
        f"{TITLE}{TITLE}a",
        f"{TITLE}{ALLCAPS}a",
        f"{ALLCAPS} a",
        ESC + "a",
        f"{TITLE}{ESC}{TITLE}",
        f"{ALLCAPS}ab{CAPNEXT}1",
    ],
)
def test_what_is_no_transformed_text_is_refused(coded):
    with pytest.raises(BadInput, match="at character"):
        decode(coded)
    with pytest.raises(ValueError):
        reference.decode(coded)


@MANY
@given(DENSE | ANY)
@example("".join(map(chr, range(0x250))))
def test_every_text_comes_back(text):
    coded = encode(text)
    assert coded == reference.encode(text)
    assert decode(coded) == text == reference.decode(coded)
    assert not any("A" <= c <= "Z" for c in coded)


def test_all_of_unicode_in_every_neighbourhood():
    """Millions of characters: each code point alone, among small letters, among capitals, and behind an operator."""
    points = [chr(i) for i in range(0x110000)]
    for left, right in (("", ""), ("A", "b"), (ESC, TITLE)):
        text = " ".join(f"{left}{c}{right}" for c in points)
        assert decode(encode(text)) == text
    normal = unicodedata.normalize("NFD", "".join(c for c in points if not 0xD800 <= ord(c) < 0xE000))
    assert decode(encode(normal)) == normal


@MANY
@given(DENSE, st.lists(st.integers(0, 60)))
def test_a_text_in_blocks_is_the_text(text, cuts):
    coded = encode(text)
    assert "".join(encode_stream(blocks(text, cuts))) == coded
    decoder = Decoder()
    assert "".join(map(decoder.feed, blocks(coded, cuts))) + decoder.feed("", final=True) == text


@MANY
@given(DENSE, st.lists(st.integers(0, 60)))
def test_any_text_is_decoded_or_refused_as_the_rules_say(text, cuts):
    """Of texts that nobody encoded: all operators at all places, whole and in blocks."""
    try:
        expected = reference.decode(text)
    except ValueError:
        expected = None
    decoder = Decoder()
    for way in (lambda: decode(text), lambda: fed(decoder, blocks(text, cuts))):
        try:
            assert way() == expected
        except BadInput:
            assert expected is None


def fed(decoder, parts):
    return "".join(map(decoder.feed, parts)) + decoder.feed("", final=True)


def blocks(text, cuts):
    at = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(at)]


# of an A a thousand times, so many thousand times, and an end: what encoding it takes of memory, and what comes out
LONG_RUN = """
import sys, tracemalloc
from pgolf.data import caseops
caseops.BLOCK = 1 << 12
kilobytes, end = int(sys.argv[1]), sys.argv[2]
count, first = 0, ""
tracemalloc.start()
for part in caseops.encode_stream([*["A" * 1024] * kilobytes, end]):
    count, first = count + len(part), first or part
print(tracemalloc.get_traced_memory()[1], count, first.encode().hex())
"""


def test_a_long_run_of_capitals_takes_no_more_memory_than_a_short_one():
    for end, begins in (("", ALLCAPS + "a"), ("b", TITLE + "a" + CAPNEXT)):
        peaks = []
        for kilobytes in (1 << 7, 1 << 10):
            command = [sys.executable, "-c", LONG_RUN, str(kilobytes), end]  # other threads of pytest allocate, too
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peak, count, first = done.stdout.split()
            peaks.append(int(peak))
            assert begins.startswith(bytes.fromhex(first).decode())
            assert int(count) == 1024 * kilobytes * (2 if end else 1) + 1
        assert peaks[1] < 1.2 * peaks[0], peaks


def test_filter(tmp_path):
    pgolf = [str(Path(sys.executable).with_name("pgolf")), "data", "caseops"]
    text = ("Ünïcode THE iPhone\r\n\0" + OPERATORS + "😀") * 20_000
    coded = subprocess.run([*pgolf, "encode"], input=text.encode(), capture_output=True, check=True).stdout
    assert coded.decode() == encode(text)
    assert subprocess.run([*pgolf, "decode"], input=coded, capture_output=True, check=True).stdout == text.encode()
    for way, given_, reason in (("encode", b"abc\xff", b"UTF-8"), ("decode", "\ue001 ".encode(), b"U+E001")):
        done = subprocess.run([*pgolf, way], input=given_, capture_output=True)
        assert done.returncode == 2 and reason in done.stderr and b"Traceback" not in done.stderr


def test_a_cut_character_at_the_end_is_no_utf8():
    with pytest.raises(BadInput, match="UTF-8"):
        caseops.encode_file(io.BytesIO("é".encode()[:1]), io.BytesIO())


# --- bytes


def test_bytes_of_a_token_are_those_of_the_original_text():
    text = f"Ünder THE {TITLE}😀 iP"
    coded = encode(text)
    each = np.array([(i, i + 1) for i in range(len(coded))])
    counted = dict(zip(enumerate(coded), caseops.count_bytes(coded, each).tolist(), strict=True))
    assert [n for (_, c), n in counted.items() if c in OPERATORS] == [0, 0, 3, 0], "ALLCAPS, ESC, TITLE, CAPNEXT"
    assert sum(counted.values()) == len(text.encode())


@MANY
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40) | DENSE, st.lists(st.integers(0, 80)))
def test_bytes_add_up_however_a_text_is_cut_into_tokens(text, cuts):
    coded = encode(text)
    at = [0, *sorted(min(c, len(coded)) for c in cuts), len(coded)]
    offsets = np.array(list(pairwise(at)))
    assert caseops.count_bytes(coded, offsets).sum() == len(text.encode())


def test_bpb_on_a_transformed_text_is_that_of_an_equally_good_model_on_the_plain_one():
    """A model gives every text one probability; operators may not change what a bit is divided by."""
    text = "The iPhone and THE OpenAI"
    coded, rng = encode(text), np.random.default_rng(0)
    plain_losses = rng.random(len(text))  # nats, a token each character
    offsets = np.array([(i, i + 1) for i in range(len(coded))])
    coded_losses = rng.random(len(coded))
    coded_losses *= plain_losses.sum() / coded_losses.sum()  # equally good: the same nats for the same text
    plain = plain_losses.sum() / math.log(2) / len(text.encode())
    counted = caseops.count_bytes(coded, offsets)
    assert math.isclose(coded_losses.sum() / math.log(2) / counted.sum(), plain)
    naive = coded_losses.sum() / math.log(2) / len(coded.encode())
    assert naive < 0.7 * plain, "bytes of the transformed text would have flattered it"
