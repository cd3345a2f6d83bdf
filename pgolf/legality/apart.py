"""Evaluators of a stranger's file, each in a process of its own: `Proxy` stands for one, with the interface of
`watch.Evaluator`. Whatever that process does ends in RunFailed, whose message says it plainly, or in BadInput where the
file has no such function."""

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import pgolf
from pgolf.errors import BadInput, RunFailed
from pgolf.legality.copies import own_code
from pgolf.legality.process import Bounds, NotMade, Process, shared_server
from pgolf.legality.sealed import spec_of
from pgolf.legality.tried import offences
from pgolf.legality.watch import Make
from pgolf.python_source import MOST_BYTES, Unreadable, parse
from pgolf.untrusted import read_bytes

MOST_VOCAB = 1 << 20  # of an evaluator that does not say its own
MOST_POSITION = 1 << 31
WIDEST = 8  # bytes of a number
MOST_NAME = 4096  # characters of a path
MOST_TRIED = 1000  # lines of what one pass tries
CLOSE_S = 10.0  # that an evaluator may take to close a pass that is stopped early


class Apart:
    """Makes evaluators of a file, each in a process of its own; a context, at whose end all are gone.

    Parameters
    ----------
    spec : path/to/file.py:make_evaluator.
    environment : variables for the evaluator.
    bounds : of its time and memory.
    allowed : what it may read beside its own code, Python's libraries, and the tokenizer that it names.

    Raises
    ------
    BadInput : there is no such file, it is no Python, it cannot be loaded, or there is no such function in it.
    NotMade : the first evaluator cannot be made, since the function raises an exception.
    """

    def __init__(
        self,
        spec: str,
        environment: Mapping[str, str] | None = None,
        bounds: Bounds | None = None,
        allowed: Sequence[Path] = (),
    ):
        path, _, self.name = spec.rpartition(":")
        if not path or not Path(path).is_file():
            raise BadInput(f"{spec}: no file {path or spec}; write path/to/file.py:make_evaluator")
        self.file = Path(path).resolve()
        try:
            parse(read_bytes(self.file, MOST_BYTES))  # before a process is started, and whatever the file is
        except Unreadable as e:
            raise BadInput(f"{path}{f':{e.line}' if e.line else ''}: {e.reason}") from None
        self.environment, self.bounds = dict(environment or {}), bounds or Bounds()
        self.proxies: weakref.WeakSet[Proxy] = weakref.WeakSet()
        self.allowed = [Path(p) for p in allowed]
        self.means: list[str] = []  # of sealing, in the last process
        self.offences: dict[str, None] = {}  # what any pass tried and was not allowed
        self.server, self.made = shared_server(), False

    def __enter__(self) -> "Apart":
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgolf-probe-")))
            self.allowed += self._tokenizer()
            own = [*self.allowed, *own_code(self.file)]
            self.seal = stack.enter_context(spec_of(own, [Path(pgolf.__file__).parent]))
            (self.folder / "seal.json").write_text(json.dumps(self.seal))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        for proxy in list(self.proxies):
            proxy.close()
        self.stack.close()

    def _tokenizer(self) -> list[Path]:
        """The tokenizer that an evaluator names when it is not sealed yet, if it can be made so."""
        try:
            proxy = self.plain()
        except NotMade:
            raise
        except RunFailed:  # the probe `sealed` tells of that
            return []
        proxy.close()
        return [Path(proxy.tokenizer)] if proxy.tokenizer and Path(proxy.tokenizer).is_file() else []

    def make(self) -> "Proxy":
        """An evaluator as the probes judge it: in an empty folder, with no variables but its own, told nothing of
        pgolf."""
        own = Path(tempfile.mkdtemp(dir=self.folder))
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")}
        env = {**keep, "HOME": str(own), "TMPDIR": str(own), **self.environment}
        return self._made(env, own, [str(self.file)], str(self.folder / "seal.json"))

    def plain(self) -> "Proxy":
        """An evaluator as the user would run it: in this folder, with all variables. It can see that pgolf runs it."""
        env = {**os.environ, **self.environment}
        return self._made(env, Path.cwd(), ["pgolf", "probe", f"{self.file}:{self.name}"], None)

    def after(self, tokens: Tensor) -> Make:
        """Makes evaluators whose process has let another one score a stream before."""

        def make() -> Proxy:
            proxy = self.make()
            when = f"when a first stream of {len(tokens) - 1} positions is scored before the one that counts"
            proxy.process.ask({"do": "before", "want_logp": False}, [tokens], when=when)
            proxy.remake()
            return proxy

        return make

    def _made(self, env: dict[str, str], folder: Path, argv: list[str], seal: str | None) -> "Proxy":
        job = {"spec": f"{self.file}:{self.name}", "env": env, "folder": str(folder), "argv": argv, "seal": seal}
        at_end = partial(self._ended, folder=folder if seal else None)
        process = Process(self.server, {**job, "threads": torch.get_num_threads()}, self.bounds, at_end)
        try:
            self._hello(process)
            process.ask({"do": "load"}, when=f"When {self.file.name} is loaded,")
            proxy = Proxy(process)
        except (NotMade, BadInput) as e:
            # once it could be made, it is no mistake in the file or in its variables any more
            raise RunFailed(str(e)) if self.made else type(e)(str(e)) from None
        except BaseException:
            process.close()
            raise
        self.made = True
        self.proxies.add(proxy)
        return proxy

    def _hello(self, process: Process) -> None:
        """Hear by which means the process is sealed; nothing of the stranger's has run there yet."""
        try:
            means, _ = process.ask({"do": "hello"}, when="When a process is sealed off,")
        except RunFailed as e:
            raise NotMade(str(e)) from None
        self.means = [str(m) for m in means["means"]] or self.means

    def _ended(self, process: Process, folder: Path | None) -> None:
        """Keep what a sealed process tried, and nothing that it wrote."""
        if folder:
            tried = offences(process.reported.splitlines()[:MOST_TRIED], self.seal)
            self.offences |= dict.fromkeys(tried)
            shutil.rmtree(folder, ignore_errors=True)


class Proxy:
    """An evaluator in another process; it scores one stream, at whose end that process is killed."""

    def __init__(self, process: Process):
        self.process = process
        self.vocab_size = 0
        self.document_start: int | None = None
        self.tokenizer: str | None = None
        self.remake()

    def remake(self) -> None:
        """Make the evaluator (anew), and learn which attributes it has."""
        has, _ = self.process.ask({"do": "make"}, when="When the evaluator is made,")
        size, start, tokenizer, can = (has.get(k) for k in ("vocab_size", "document_start", "tokenizer", "can"))
        if not isinstance(size, int) or not 0 <= size < MOST_POSITION or not isinstance(can, list):
            raise self.process.failure("When the evaluator is made,", f"has a vocab_size of {str(size)[:40]}")
        self.vocab_size = size
        self.document_start = start if isinstance(start, int) else None
        self.tokenizer = tokenizer[:MOST_NAME] if isinstance(tokenizer, str) else None
        for name, ask in (("order", self._order), ("byte_counts", self._byte_counts)):
            if name in can:
                setattr(self, name, ask)

    def __call__(self, tokens: Tensor, want_logp: bool = False) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        n, next_position = len(tokens) - 1, 1
        given: list[Tensor] = []
        ended, failed = False, False
        width = min(2 * self.vocab_size + 1024, MOST_VOCAB) if self.vocab_size else MOST_VOCAB
        most = WIDEST * (n + 1) * (1 + (width if want_logp else 0))
        try:
            stream = f"On a stream of {n} positions,"
            self.process.ask({"do": "start", "want_logp": want_logp}, [tokens], when=stream)
            while True:
                when = stream + (f" where {next_position} comes next," if next_position <= n else " after the last,")
                header, values = self.process.ask({"do": "next"}, most=most, when=when)
                if header.get("end") is True:
                    ended = True
                    self._change(given, values)
                    return
                start = header.get("start")
                if not isinstance(start, int) or abs(start) > MOST_POSITION or not 1 <= len(values) <= 2:
                    raise self.process.failure(when, f"gives a piece at position {str(start)[:40]}")
                if len(values[0]) > n:
                    raise self.process.failure(when, f"gives {len(values[0])} losses in one piece")
                next_position = start + len(values[0])
                given.append(values[0])
                yield start, values[0], values[1] if len(values) > 1 else None
        except RunFailed:
            failed = True
            raise
        finally:
            if not ended and not failed:  # stopped early
                with suppress(RunFailed):
                    _, values = self.process.ask({"do": "close"}, most=most, when="", silence_s=CLOSE_S)
                    self._change(given, values)
            self.close()

    def _change(self, given: list[Tensor], values: list[Tensor]) -> None:
        """Put what became of losses into the tensors that were yielded: `watch` sees if they are other than then."""
        if len(values) != 2 or values[0].ndim != 1 or values[1].ndim != 1:
            return
        at = 0
        for i in values[0].tolist():
            if not isinstance(i, int) or not 0 <= i < len(given) or at + len(given[i]) > len(values[1]):
                return
            given[i].copy_(values[1][at : at + len(given[i])])
            at += len(given[i])

    def _order(self, tokens: Tensor) -> Tensor:
        return self._numbers("order", tokens)

    def _byte_counts(self, tokens: Tensor) -> Tensor:
        return self._numbers("byte_counts", tokens)

    def _numbers(self, name: str, tokens: Tensor) -> Tensor:
        when = f"When it is asked for `{name}` of {len(tokens)} tokens,"
        _, values = self.process.ask({"do": name}, [tokens], most=2 * WIDEST * (len(tokens) + 1), when=when)
        if len(values) != 1:
            raise self.process.failure(when, "gives no numbers")
        return values[0]

    def watched_state(self) -> "Proxy":
        """From here on `fingerprint` tells what the evaluator has learnt."""
        self.process.ask({"do": "watch state"}, when="When its state is looked at,")
        return self

    def fingerprint(self) -> str:
        answer, _ = self.process.ask({"do": "state"}, when="When its state is looked at,")
        return str(answer.get("state"))[:64]

    def close(self) -> None:
        self.process.close()

    def __del__(self) -> None:
        self.close()
