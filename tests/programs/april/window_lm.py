"""The model of `train_gpt.py`, and its form in the artifact: six bits a weight, in brotli."""

import json
import struct

import brotli
import torch
import torch.nn.functional as F
from torch import nn


class WindowLM(nn.Module):
    """Predicts a token from the `width` tokens before it."""

    def __init__(self, vocab_size, dim, hidden, width):
        super().__init__()
        self.width = width
        self.embed = nn.Embedding(vocab_size, dim)
        self.mix = nn.Linear(width * dim, hidden)
        self.out = nn.Linear(hidden, dim)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        nn.init.normal_(self.embed.weight, std=0.3)

    def forward(self, contexts):
        """Logits (n, vocab) of contexts (n, width)."""
        x = F.gelu(self.mix(self.embed(contexts).flatten(1)))
        return self.out(x) @ self.embed.weight.T + self.bias


def contexts_of(tokens, width):
    """(n, width): the tokens up to each position of `tokens`, itself included; zeros before the beginning."""
    padded = F.pad(tokens, (width - 1, 0))
    return padded.unfold(0, width, 1)


def pack(state):
    """Tensors as bytes: symmetric six-bit integers with a scale a row; vectors in half precision."""
    index, blocks = [], []
    for name, value in state.items():
        index.append([name, list(value.shape)])
        if value.dim() == 2:
            scale = (value.abs().amax(1, keepdim=True) / 31).clamp_min(1e-6).half()
            blocks.append(scale.numpy().tobytes())
            blocks.append((value / scale.float()).round().clamp(-31, 31).to(torch.int8).numpy().tobytes())
        else:
            blocks.append(value.half().numpy().tobytes())
    head = json.dumps(index).encode()
    return brotli.compress(struct.pack("<I", len(head)) + head + b"".join(blocks), quality=9)


def unpack(blob):
    """`pack`'s tensors."""
    raw = bytearray(brotli.decompress(blob))
    (length,) = struct.unpack_from("<I", raw)
    index, at, state = json.loads(raw[4 : 4 + length]), 4 + length, {}
    for name, shape in index:
        count = torch.Size(shape).numel()
        if len(shape) == 2:
            scale = torch.frombuffer(raw[at : at + 2 * shape[0]], dtype=torch.float16).float()
            at += 2 * shape[0]
            levels = torch.frombuffer(raw[at : at + count], dtype=torch.int8).float()
            at += count
            state[name] = levels.view(shape) * scale[:, None]
        else:
            state[name] = torch.frombuffer(raw[at : at + 2 * count], dtype=torch.float16).float().view(shape)
            at += 2 * count
    return state
