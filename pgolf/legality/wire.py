"""Messages between pgolf and the process of a stranger's evaluator: a header in JSON, then the bytes of tensors.

A message is two lengths (header, bytes; little-endian), the header, and the tensors' values one after the other. The
header's "tensors" has their types and shapes. Nothing is unpickled.
"""

import json
import math
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

LENGTHS = struct.Struct("<IQ")
MOST_HEADER = 1 << 16  # bytes
MOST_SIZE = 1 << 40  # of a tensor in one direction
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*FLOATS, *INTEGERS)}
Receive = Callable[[memoryview], None]  # fills it whole


class Garbled(Exception):
    """A message that is not one of ours, or larger than it may be."""


def pack(header: dict[str, Any], tensors: Sequence[Tensor] = ()) -> list[Any]:
    """The parts of a message, to be sent one after the other."""
    flat = [t.detach().to("cpu").contiguous() for t in tensors]
    kinds = [{"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape)} for t in flat]
    text = json.dumps({**header, "tensors": kinds}).encode()
    values = [t.reshape(-1).view(torch.uint8).numpy().data for t in flat if t.numel()]
    return [LENGTHS.pack(len(text), sum(len(v) for v in values)) + text, *values]


def unpack(receive: Receive, most: int) -> tuple[dict[str, Any], list[Tensor]]:
    """The next message, whose tensors have at most `most` bytes; Garbled if it is anything else."""
    lengths = bytearray(LENGTHS.size)
    receive(memoryview(lengths))
    of_header, of_values = LENGTHS.unpack(lengths)
    if of_header > MOST_HEADER or of_values > most:
        raise Garbled(f"a reply of {of_header + of_values:,} bytes, where at most {most:,} can be")
    text = bytearray(of_header)
    receive(memoryview(text))
    try:
        header = json.loads(text)
        kinds = [(DTYPES[k["dtype"]], [int(size) for size in k["shape"]]) for k in header["tensors"]]
    except (ValueError, LookupError, TypeError, RecursionError) as e:
        raise Garbled(f"a reply that is no message: {type(e).__name__}") from None
    if len(kinds) > 4 or any(len(shape) > 4 or any(not 0 <= size <= MOST_SIZE for size in shape) for _, shape in kinds):
        raise Garbled("a reply with tensors of impossible shapes")
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in kinds]
    if sum(sizes) != of_values:
        raise Garbled("a reply whose tensors do not have the bytes that it announces")
    tensors = []
    for (dtype, shape), size in zip(kinds, sizes, strict=True):
        values = torch.empty(size, dtype=torch.uint8)
        if size:
            receive(values.numpy().data)
        tensors.append(values.view(dtype).reshape(shape) if size else torch.zeros(shape, dtype=dtype))
    return header, tensors


def send(to: socket.socket, header: dict[str, Any], tensors: Sequence[Tensor] = ()) -> None:
    for part in pack(header, tensors):
        to.sendall(part)


def receiver(of: socket.socket) -> Receive:
    """Reads from a socket, as long as it takes; EOFError at its end."""

    def receive(into: memoryview) -> None:
        while into:
            got = of.recv_into(into)
            if not got:
                raise EOFError("the other side has closed")
            into = into[got:]

    return receive
