"""Tells a chat how a record goes: one POST to PGOLF_WEBHOOK_URL, as Slack, Discord and Mattermost take it.

No record waits for the chat, or fails with it. The address is a secret: it is never logged, not even in errors.
"""

import logging
import os
import threading

import httpx

log = logging.getLogger(__name__)
VARIABLE = "PGOLF_WEBHOOK_URL"
TIMEOUT_S = 10.0
MAX_MESSAGE_CHARS = 1900  # characters: Discord refuses more than 2000
_sending: set[threading.Thread] = set()


def notify(text: str) -> None:
    """Send `text` to the webhook, if there is one, without waiting for it. Never raises."""
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        return
    thread = threading.Thread(target=_send, args=(url, text[:MAX_MESSAGE_CHARS]), daemon=True)
    _sending.add(thread)
    thread.start()


def _send(url: str, text: str) -> None:
    try:
        answer = httpx.post(url, json={"text": text, "content": text}, timeout=TIMEOUT_S)
        if not answer.is_success:
            log.warning("%s: the webhook answers %s", VARIABLE, answer.status_code)
    except Exception as e:  # whatever it is, and its message may name the address
        log.warning("%s: cannot be told (%s)", VARIABLE, type(e).__name__)
    finally:
        _sending.discard(threading.current_thread())


def flush() -> None:
    """Wait until all is sent, but no longer than a request may take."""
    for thread in list(_sending):
        thread.join(TIMEOUT_S)
