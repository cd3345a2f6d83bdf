"""Every file that a stranger may put in a folder: read within bounds, or refused in one line, and never waited for."""

import hashlib
import json
import os
import socket
import tomllib
from pathlib import Path

import pytest

from pgolf import untrusted
from pgolf.errors import BadInput
from pgolf.untrusted import (
    MOST_DEPTH,
    Untrusted,
    hash_file,
    open_regular,
    parse_json,
    parse_toml,
    read_bytes,
    read_json,
    read_text,
    read_toml,
)

READERS = [read_bytes, read_text, read_json, read_toml, hash_file]
DEEP = 100_000


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "record").mkdir()
    return tmp_path / "record"


def pipe(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def link_out(path):
    outside = path.parent.parent / "secret"
    outside.write_text("{}")
    path.symlink_to(outside)


def circle(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def sparse(path):
    with path.open("wb") as f:
        f.truncate(200 << 30)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (pipe, "no plain file but a pipe"),
        (listening, "no plain file but a socket"),
        (lambda path: path.mkdir(), "no plain file but a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of"),
        (link_out, "leads out of"),
        (lambda path: path.symlink_to("gone"), "cannot be read: No such file or directory"),
        (circle, "a link that leads to itself|Too many levels"),
        (sparse, "over 1,000 bytes"),
        (lambda path: None, "cannot be read: No such file or directory"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_no_regular_one_of_the_folder_is_refused(folder, make, said, read):
    make(folder / "f")
    with pytest.raises(Untrusted, match=said) as refused:
        read(folder / "f", 1000, folder)
    assert str(folder / "f") in str(refused.value)


@pytest.mark.parametrize("name", ["sub/../../secret", "../secret"])
def test_a_name_that_leaves_the_folder_is_refused(folder, name):
    (folder / "sub").mkdir()
    (folder.parent / "secret").write_text("{}")
    with pytest.raises(Untrusted, match="leads out of"):
        read_bytes(folder / name, 1000, folder)


def test_a_folder_that_is_a_link_out_is_refused(folder):
    (folder.parent / "record2").mkdir()
    (folder.parent / "secret").write_text("{}")
    (folder / "logs").symlink_to(folder.parent / "record2")
    (folder.parent / "record2" / "f").write_text("{}")
    with pytest.raises(Untrusted, match="leads out of"):
        read_bytes(folder / "logs" / "f", 1000, folder)


def test_devices_are_refused_also_where_no_folder_is_given():
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(Untrusted, match="no plain file but a device"):
            read_bytes(Path(path), 1000)


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5000, "a/\0/b"])
def test_a_name_that_no_file_can_have_is_refused(folder, name):
    with pytest.raises(Untrusted) as refused:
        read_bytes(folder / name, 1000, folder)
    assert str(refused.value).isprintable() and len(str(refused.value)) <= untrusted.MOST_SHOWN


def test_a_link_that_stays_in_the_folder_is_followed(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "real").write_text("[1]")
    (folder / "f").symlink_to("sub/real")
    assert read_json(folder / "f", 1000, folder) == [1]


def test_a_folder_reached_by_a_link_is_the_folder(folder):
    (folder / "f").write_text("[1]")
    (folder.parent / "link").symlink_to(folder)
    assert read_json(folder.parent / "link" / "f", 1000, folder.parent / "link") == [1]
    assert read_json(folder.parent / "link" / "f", 1000) == [1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux has such a file")
@pytest.mark.parametrize("read", [read_bytes, hash_file])
def test_a_file_that_is_longer_than_its_size_says_is_refused(read):
    with pytest.raises(Untrusted, match="over 99 bytes"):  # its size is 0, as that of a file that grows once it is open
        read(Path("/proc/self/maps"), 99)


def test_a_reader_that_streams_is_given_the_same_files(folder):
    (folder / "f").write_text("[1]")
    with open_regular(folder / "f", folder) as f:
        assert f.read(1) == b"["
    pipe(folder / "pipe")
    with pytest.raises(Untrusted, match="no plain file but a pipe"):
        open_regular(folder / "pipe", folder)


def test_a_file_of_exactly_so_many_bytes_is_read(folder):
    (folder / "f").write_bytes(b"x" * 3_000_000)
    assert len(read_bytes(folder / "f", 3_000_000, folder)) == 3_000_000
    assert hash_file(folder / "f", 3_000_000, folder) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(Untrusted, match="over 2,999,999 bytes"):
        read_bytes(folder / "f", 2_999_999)


def test_an_unreadable_file_is_named(folder, monkeypatch):
    (folder / "f").write_text("{}")
    (folder / "f").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(Untrusted, match="cannot be read: Permission denied"):
        read_bytes(folder / "f", 10)


def test_text_is_utf_8_with_or_without_its_mark(folder):
    (folder / "f").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(folder / "f", 10) == "{}"
    assert read_json(folder / "f", 10) == {}
    (folder / "t.toml").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(folder / "t.toml", 10) == {"a": 1}
    (folder / "f").write_bytes(b"a\xff")
    with pytest.raises(Untrusted, match="not UTF-8 at byte 1"):
        read_text(folder / "f", 10)
    assert read_text(folder / "f", 10, errors="replace") == "a�"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * DEEP, "over 64"),
        ("[" * DEEP + "]" * DEEP, "over 64"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "over 64"),
        ("[[],{}," * DEEP, "over 64"),
        ('["' + '\\"' * DEEP, "not JSON: Unterminated"),
        ('"' * DEEP, "not JSON: Extra data"),
        ("9" * 400, "64 bits"),
        ("-9223372036854775809", "64 bits"),
        ("9" * 5000, "64 bits"),
        ("[1e999]", "no finite number"),
        ("NaN", "NaN is no finite number"),
        ('{"a": -Infinity}', "-Infinity is no finite number"),
        ('"\0"', "not JSON: Invalid control character"),
        (b"\xff", "not UTF-8"),
        ("", "not JSON"),
        ("{'a': 1}", "not JSON"),
    ],
)
def test_json_that_is_refused(text, said):
    with pytest.raises(Untrusted, match=said) as refused:
        parse_json(text, "submission.json")
    assert str(refused.value).startswith("submission.json: ")


def test_json_that_is_read():
    assert parse_json("[-9223372036854775808, 9223372036854775807, 1e308]", "x") == [-(2**63), 2**63 - 1, 1e308]
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(deep, "x") == json.loads(deep)
    assert parse_json('["' + "[" * DEEP + '\\"{{{"]', "x") == ["[" * DEEP + '"{{{']
    assert parse_json("[" + "[]," * DEEP + "[]]", "x") == [[]] * (DEEP + 1)


def test_half_a_character_can_be_written():
    found = parse_json('{"\\ud800": ["\\ud83d\\ude00", "a\\udfff"]}', "x")
    assert found == {"�": ["😀", "a�"]}
    json.dumps(found, ensure_ascii=False).encode()


def test_a_reader_may_make_its_own_numbers():
    assert parse_json("[1.0810, 7, NaN, -Infinity]", "x", number=str) == ["1.0810", "7", "NaN", "-Infinity"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * DEEP, "over 64"),
        ("a = " + "{a = " * DEEP + "1" + "}" * DEEP, "over 64"),
        ("a." * DEEP + "a = 1", "over 64"),
        ('"a" . ' * DEEP + "a = 1", "over 64"),
        ("[" + "a." * DEEP + "a]", "over 64"),
        ("[[" + "'a'." * DEEP + "a]]", "over 64"),
        ("a = {" + "b." * DEEP + "c = 1}", "over 64"),
        ("a = " + "9" * 400, "64 bits"),
        ("a = " + "9" * 5000, "not TOML"),
        ("a = [{b = 0x" + "f" * DEEP + "}]", "64 bits"),
        ("a = nan", "nan is no finite number"),
        ("a = -inf", "-inf is no finite number"),
        ("a = [1e999]", "no finite number"),
        ('a = """' + '""\\"' * DEEP, "not TOML"),
        ("a = '''" + "''x" * DEEP, "not TOML"),
        ('a = "\0"', "not TOML"),
        ('a = "\\ud800"', "not TOML"),
        (b"a = '\xff'", "not UTF-8 at byte 5"),
        ("a", "not TOML"),
    ],
)
def test_toml_that_is_refused(text, said):
    with pytest.raises(Untrusted, match=said) as refused:
        parse_toml(text, "track.toml")
    assert str(refused.value).startswith("track.toml: ")


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "1.5, " * 5000 + "]  # [[[" + "." * DEEP,
        f'a = \'{"[" * DEEP}\'\nb = "{"{." * DEEP}\\""\nc = \'\'\'{"[." * DEEP}\'\'\'\'\nd = """{"[" * DEEP}""""\n',
        "[a.b.c]\nd.e = 1\n",
        "[[x]]\ny = 1.5\n" * 500,
        "when = 2026-04-09T04:38:18.092Z\n",
    ],
)
def test_toml_that_is_read(text):
    assert parse_toml(text, "track.toml") == tomllib.loads(text)


def test_every_error_is_bad_input():
    assert issubclass(Untrusted, BadInput)


def test_a_message_cannot_move_the_cursor():
    assert str(Untrusted("\x1b[2J\nname")) == "�[2J�name"
