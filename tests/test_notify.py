"""Notifications reach a real server on this machine, and nothing that it does harms whoever sends them."""

import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from chat import Chat

from pgolf.notify import VARIABLE, flush, notify


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A webhook on this machine."""
    with Chat() as server:
        yield server


def test_slack_and_discord_both_find_their_key(chat, monkeypatch):
    monkeypatch.setenv(VARIABLE, chat.url)
    notify("r1: seed 42 is done")
    flush()
    (body,) = chat.told
    assert body["text"] == body["content"] == "r1: seed 42 is done"


def test_without_an_address_nothing_is_sent(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before = threading.active_count()
    notify("anything")
    assert threading.active_count() == before


def test_a_long_text_is_cut_to_what_discord_takes(chat, monkeypatch):
    monkeypatch.setenv(VARIABLE, chat.url)
    notify("x" * 5000)
    flush()
    assert len(chat.told[0]["content"]) <= 2000


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("trouble", ["refuses", "gone", "no address"])
def test_trouble_is_a_warning_that_keeps_the_address_secret(chat, monkeypatch, caplog, trouble):
    chat.answer = 403
    port = closed_port() if trouble == "gone" else chat.server_port
    address = f"http://127.0.0.1:{port}/SECRET" if trouble != "no address" else "SECRET"
    monkeypatch.setenv(VARIABLE, address)
    with caplog.at_level(logging.DEBUG, "pgolf"):
        notify("anything")
        flush()
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("pgolf")]
    assert len(lines) == 1 and VARIABLE in lines[0]
    assert "SECRET" not in lines[0]
