"""An evaluator's learned state, seen from outside: which of the process's tensors changed since it was made."""

import gc
import hashlib
import sys
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Heap:
    """The tensors of this process that can hold what an evaluator learns: parameters and buffers of modules, and
    leaves that want a gradient. A context: inside it, what there was before is set aside, so that looking is quick."""

    def __enter__(self) -> "Heap":
        gc.collect()
        self.earlier = _parameters(gc.get_objects())
        gc.freeze()
        return self

    def __exit__(self, *failure: object) -> None:
        gc.unfreeze()

    def tensors(self) -> list[Tensor]:
        return [*self.earlier, *_parameters(gc.get_objects())]


def _parameters(objects: list[Any]) -> list[Tensor]:
    found: dict[int, Tensor] = {}
    for x in objects:
        kind = type(x)  # not isinstance: that would wake lazy modules' proxies
        if issubclass(kind, nn.Module):
            found.update((id(t), t) for t in (*x.parameters(), *x.buffers()))
        elif issubclass(kind, Tensor) and x.is_leaf and x.requires_grad:
            found[id(x)] = x
    faked = getattr(sys.modules.get("torch._subclasses.fake_tensor"), "FakeTensor", None)
    return [t for t in found.values() if type(t) is not faked]  # the compiler's own have no values


class State:
    """An evaluator's learned state as a fingerprint: a hash of the tensors that changed since it was made.

    They are those of `evaluator.state()` where it has that method, else the heap's.
    """

    def __init__(self, evaluator: object, heap: Heap):
        own = getattr(evaluator, "state", None)
        self.tensors = (lambda: dict(enumerate(own()))) if own else lambda: {id(t): t for t in heap.tensors()}
        gc.collect()
        self.start = {key: _digest(t) for key, t in self.tensors().items()}

    def fingerprint(self) -> str:
        now = ((key, _digest(t)) for key, t in self.tensors().items())
        changed = {digest for key, digest in now if self.start.get(key) != digest}
        return hashlib.blake2b(b"".join(sorted(changed)), digest_size=8).hexdigest()


class Fingerprints(Protocol):
    def fingerprint(self) -> str: ...


def state_of(evaluator: object, heap: Heap) -> Fingerprints:
    """An evaluator's state: told by the process that it lives in, if that is another one."""
    elsewhere: Callable[[], Fingerprints] | None = getattr(evaluator, "watched_state", None)
    return elsewhere() if elsewhere else State(evaluator, heap)


def _digest(values: Any) -> bytes:
    flat = torch.as_tensor(values).detach().to("cpu").contiguous().reshape(-1)
    return hashlib.blake2b(flat.view(torch.uint8).numpy().data if flat.numel() else b"", digest_size=16).digest()
