"""Notifications reach a real server on this machine, and nothing that it does harms whoever sends them."""

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from chat import Chat

import pgolf.notify as notify_module
from pgolf.notify import MOST_WAITING, VARIABLE, flush, notify


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


@pytest.mark.parametrize("trouble", ["none", "refuses", "gone", "no address"])
def test_trouble_is_a_warning_that_keeps_the_address_secret(chat, monkeypatch, caplog, trouble):
    chat.answer = 200 if trouble == "none" else 403
    port = closed_port() if trouble == "gone" else chat.server_port
    address = f"http://127.0.0.1:{port}/SECRET" if trouble != "no address" else "SECRET"
    monkeypatch.setenv(VARIABLE, address)
    with caplog.at_level(logging.DEBUG):
        notify("anything")
        flush()
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("pgolf")]
    assert len(lines) == (trouble != "none") and all(VARIABLE in line for line in lines)
    assert "SECRET" not in caplog.text  # nor does the library log it that sends


def test_messages_arrive_in_the_order_in_which_they_were_sent(chat, monkeypatch):
    monkeypatch.setenv(VARIABLE, chat.url)
    for number in range(20):
        notify(str(number))
    flush()
    assert [body["text"] for body in chat.told] == [str(number) for number in range(20)]


def test_chat_that_does_not_answer_holds_up_nobody_and_is_owed_a_bounded_number(chat, monkeypatch, caplog):
    answering = threading.Event()
    monkeypatch.setattr(notify_module, "_send", lambda *_: answering.wait(10))
    monkeypatch.setenv(VARIABLE, chat.url)
    try:
        began = time.monotonic()
        for number in range(MOST_WAITING + 2):
            notify(str(number))
        assert time.monotonic() - began < 1
        assert "dropped" in caplog.text
    finally:
        answering.set()
        flush()


def test_words_of_a_stranger_call_nobody(chat, monkeypatch):
    monkeypatch.setenv(VARIABLE, chat.url)
    notify("seed 1: @everyone <!channel> <@U1>")
    flush()
    assert not {"@everyone", "<!channel>", "<@U1>"} & set(chat.told[0]["text"].split())
