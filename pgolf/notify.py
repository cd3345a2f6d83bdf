"""Tells a chat how a record goes: one POST to PGOLF_WEBHOOK_URL, as Slack, Discord and Mattermost take it.

No record waits for the chat, or fails with it. The address is a secret: it is never logged, not even in errors.
"""

import logging
import os
import threading
from queue import Full, Queue

import httpx

log = logging.getLogger(__name__)
VARIABLE = "PGOLF_WEBHOOK_URL"
TIMEOUT_S = 10.0
MAX_MESSAGE_CHARS = 1900  # characters: Discord refuses more than 2000
MOST_WAITING = 50  # messages for a chat that does not answer; later ones are dropped
QUIET = "\u200b"  # after it, '@everyone' and '<!channel>' call nobody: a stranger's words may hold them
SENDER = "pgolf-notify"  # the thread that sends
logging.getLogger("httpx").addFilter(lambda record: record.threadName != SENDER)  # it logs each address that it asks
_waiting: Queue[tuple[str, str]] = Queue(MOST_WAITING)
_idle = threading.Condition()  # notified when all is sent
_left = 0  # messages that wait or are being sent


def address() -> str:
    """The webhook of the environment; '' where nobody is to be told."""
    return os.environ.get(VARIABLE, "").strip()


def notify(text: str) -> None:
    """Send `text` to the webhook, if there is one, after what was sent before and without waiting. Never raises."""
    global _left
    if not (url := address()):
        return
    calm = text.replace("@", f"@{QUIET}").replace("<!", f"<{QUIET}!")
    with _idle:
        try:
            _waiting.put_nowait((url, calm[:MAX_MESSAGE_CHARS]))
        except Full:
            log.warning("%s: a message is dropped: %d wait already", VARIABLE, MOST_WAITING)
            return
        _left += 1
        if _left == 1:
            threading.Thread(target=_send_all, name=SENDER, daemon=True).start()


def _send_all() -> None:
    """Send what waits, in order, until nothing does."""
    global _left
    while True:
        _send(*_waiting.get())
        with _idle:
            _left -= 1
            if not _left:
                _idle.notify_all()
                return


def _send(url: str, text: str) -> None:
    try:
        answer = httpx.post(url, json={"text": text, "content": text}, timeout=TIMEOUT_S)
        if not answer.is_success:
            log.warning("%s: the webhook answers %s", VARIABLE, answer.status_code)
    except Exception as e:  # whatever it is, and its message may name the address
        log.warning("%s: cannot be told (%s)", VARIABLE, type(e).__name__)


def flush() -> None:
    """Wait until all is sent, but no longer than a request may take."""
    with _idle:
        _idle.wait_for(lambda: not _left, TIMEOUT_S)
