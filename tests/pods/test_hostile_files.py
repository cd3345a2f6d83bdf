"""Files that pgolf keeps of machines, in a record's folder where somebody else has put another thing in their place."""

import os
import threading

import pytest

from pgolf.errors import BadInput
from pgolf.pods.remote import RemotePlace
from pgolf.pods.slots import machine_facts, read_slot


class NoSlots:
    def before(self):
        return []


@pytest.mark.parametrize("text", ["", "[1]", "7", "[" * 100_000, '{"price": ', "9" * 400, "\0"])
def test_a_slot_that_pgolf_did_not_write(tmp_path, text):
    (tmp_path / "pods").mkdir()
    (tmp_path / "pods" / "pod-1.json").write_text(text)
    with pytest.raises(BadInput, match=r"pod-1\.json: "):
        machine_facts(tmp_path)


def test_a_slot_that_is_a_pipe_or_a_link(tmp_path):
    (tmp_path / "pods").mkdir()
    os.mkfifo(tmp_path / "pods" / "a.json")
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "pods" / "b.json").symlink_to(tmp_path / "secret")
    for name in ("a.json", "b.json"):
        with pytest.raises(BadInput, match=r"a pipe|leads out of"):
            read_slot(tmp_path / "pods" / name)
    assert read_slot(tmp_path / "pods" / "c.json") == {}


@pytest.mark.parametrize("text", ["{}", "[]", '{"slot": 7, "folder": "x"}', '{"slot": "a"}', "[" * 100_000])
def test_a_place_that_pgolf_did_not_write(tmp_path, text):
    attempt = tmp_path / "seeds" / "42" / "attempt-1"
    attempt.mkdir(parents=True)
    (attempt / "place.json").write_text(text)
    with pytest.raises(BadInput, match=r"place\.json: "):
        RemotePlace(tmp_path, NoSlots(), threading.Event(), 1, None)
