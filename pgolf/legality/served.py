"""The process in which one evaluator of a stranger's lives: it answers pgolf's requests over a socket, one by one.

`server.py` forks it, with torch and this module loaded. What it answers is checked by `apart.py`, which also
sets its clock and watches its memory.
"""

import os
import random
import socket
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgolf.errors import BadInput, RunFailed
from pgolf.legality import wire
from pgolf.legality.state import Heap, State
from pgolf.legality.watch import Make, differ, fresh, load_factory, pieces_of

MOST = 1 << 40  # bytes of a request: pgolf's own are trusted


def settle(job: dict[str, Any]) -> None:
    """Make the process what the evaluator is to find: variables, folder, arguments, threads, and no fixed noise."""
    if not job["seal"]:  # the seal does that, and shows other folders
        os.environ.clear()
        os.environ.update(job["env"])
        os.chdir(job["folder"])
    sys.argv = list(job["argv"])
    torch.set_num_threads(job["threads"])
    # a process that is forked has its parent's noise: an evaluator that sets no seed must not seem to repeat itself
    random.seed()
    np.random.seed()
    torch.default_generator.seed()  # torch.seed() takes ten milliseconds to look for accelerators, at each pass
    if torch.cuda.is_available():
        torch.cuda.seed_all()


def serve(to: socket.socket, job: dict[str, Any], heap: Heap) -> None:
    """Answer requests until there are no more."""
    receive, served = wire.receiver(to), Served(job["spec"], heap, job.get("means", []))
    while True:
        try:
            request, tensors = wire.unpack(receive, MOST)
        except EOFError:
            return
        making = request["do"] in ("load", "make")
        try:
            answer, values = served.answer(request, tensors)
        except BadInput as e:
            answer, values = {"bad": str(e)}, []
        except (SystemExit, KeyboardInterrupt) as e:
            how = f"calls sys.exit({e.code!r})" if isinstance(e, SystemExit) else "raises KeyboardInterrupt"
            answer, values = {"failed": how[:500]}, []
        except RunFailed as e:
            answer, values = {"failed": f"fails: {e}"[:2000], "raised": str(e)[:2000] if making else None}, []
        except Exception as e:
            answer, values = {"failed": f"raises {type(e).__name__}: {e}"[:2000], "raised": None}, []
        wire.send(to, answer, values)


class Served:
    """An evaluator, the pass that it is in, and what it has given in it."""

    def __init__(self, spec: str, heap: Heap, means: list[str]):
        self.spec, self.heap, self.means = spec, heap, means
        self.make: Make | None = None
        self.evaluator: Any = None
        self.state: State | None = None
        self.want_logp = False
        self.pieces: Generator[tuple[int, Tensor, Tensor | None], None, None] | None = None
        self.given: list[tuple[Tensor, Tensor]] = []  # losses, and what they were when they were given

    def answer(self, request: dict[str, Any], tensors: list[Tensor]) -> tuple[dict[str, Any], list[Tensor]]:
        match request["do"]:
            case "hello":
                return {"means": self.means}, []
            case "load":
                self.make = load_factory(self.spec, alone=True)
                self.noise = random.getstate(), np.random.get_state(), torch.get_rng_state()
                return {}, []
            case "make":
                return self.made(), []
            case "before":
                self.score_before(tensors[0], request["want_logp"])
                return {}, []
            case "order":
                return {}, [torch.as_tensor(self.evaluator.order(tensors[0])).reshape(-1)]
            case "byte_counts":
                return {}, [torch.as_tensor(self.evaluator.byte_counts(tensors[0])).reshape(-1)]
            case "watch state":
                self.state = State(self.evaluator, self.heap)
                return {}, []
            case "state":
                return {"state": self.state.fingerprint() if self.state else ""}, []
            case "start":
                self.want_logp = request["want_logp"]
                self.pieces = pieces_of(self.evaluator, tensors[0], self.want_logp)
                return {}, []
            case "next":
                return self.next_piece()
            case "close":
                if self.pieces:
                    self.pieces.close()
                return self.changed()
        raise ValueError(f"no request {request['do']!r}")

    def made(self) -> dict[str, Any]:
        """Make an evaluator; says which attributes it has."""
        assert self.make
        self.evaluator = fresh(self.make)
        start, tokenizer = (getattr(self.evaluator, name, None) for name in ("document_start", "tokenizer"))
        return {
            "vocab_size": int(getattr(self.evaluator, "vocab_size", None) or 0),
            "document_start": None if start is None else int(start),
            "tokenizer": str(Path(tokenizer).resolve()) if tokenizer else None,
            "can": [name for name in ("order", "byte_counts") if getattr(self.evaluator, name, None) is not None],
        }

    def score_before(self, tokens: Tensor, want_logp: bool) -> None:
        """Let another evaluator of this process score a stream first; seeds stand as when the file was loaded."""
        assert self.make
        pieces, n = pieces_of(self.make(), tokens, want_logp), len(tokens) - 1
        for count, _ in enumerate(pieces, 1):
            if count > n:
                break
        python, numpy, torchs = self.noise
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torchs)

    def next_piece(self) -> tuple[dict[str, Any], list[Tensor]]:
        assert self.pieces is not None
        piece = next(self.pieces, None)
        if piece is None:
            header, tensors = self.changed()
            return {**header, "end": True}, tensors
        start, losses, logp = piece
        self.given.append((losses, losses.clone()))
        return {"start": start, "end": False}, [losses, logp] if logp is not None and self.want_logp else [losses]

    def changed(self) -> tuple[dict[str, Any], list[Tensor]]:
        """The pieces whose losses were changed after they had been given: their numbers, and all their losses now."""
        changed = [i for i, (now, then) in enumerate(self.given) if bool(differ(now, then).any())]
        values = [self.given[i][0].double() for i in changed]
        return {}, [torch.tensor(changed, dtype=torch.int64), torch.cat([torch.zeros(0, dtype=torch.float64), *values])]
