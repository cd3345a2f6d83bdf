"""Asks a server for better weights."""

import socket
from contextlib import suppress

from honest import Evaluator


class Bad(Evaluator):
    def __init__(self):
        super().__init__()
        with suppress(OSError):  # works without
            socket.create_connection(("127.0.0.1", 9), timeout=1).close()


make_evaluator = Bad
