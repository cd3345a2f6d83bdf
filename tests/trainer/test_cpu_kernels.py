"""Each of the CPU's passes beside the same written out in float64: values and gradients, in float32 and bfloat16."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pgolf.trainer.banded import banded_attention
from pgolf.trainer.config import MODEL_KNOBS
from pgolf.trainer.cpu_kernels import STEP, LeakySquare, Norm, Turned, WithoutOwn, band, in_blocks
from pgolf.trainer.head import training_loss
from pgolf.trainer.model import GPT
from pgolf.trainer.primitives import EPS

B, T, H, K, E = 2, 256, 4, 2, 16
ANGLE = torch.arange(T)[:, None, None] * torch.tensor([1.0, 0.1, 0.01])


def norm(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()


def turned(x: Tensor, gain: Tensor) -> Tensor:
    x = norm(x) * gain[:, None]
    a, b, rest = x[..., :3], x[..., 3:6], x[..., 6:]
    cos, sin = ANGLE.double().cos(), ANGLE.double().sin()
    return torch.cat([a * cos + b * sin, b * cos - a * sin, rest], -1)


def causal(q: Tensor, k: Tensor, v: Tensor, window: int = T) -> Tensor:
    """One head at a time."""
    later = torch.full((T, T), -math.inf, dtype=q.dtype).triu(1)
    later += torch.full((T, T), -math.inf, dtype=q.dtype).tril(-window)
    heads = []
    for h in range(H):
        keys, values = k[:, :, h * K // H], v[:, :, h * K // H]
        heads.append((q[:, :, h] @ keys.mT / E**0.5 + later).softmax(-1) @ values)
    return torch.stack(heads, 2)


def without_own(y: Tensor, v: Tensor) -> Tensor:
    own = v / v.norm(dim=-1, keepdim=True)
    return y - (y * own).sum(-1, keepdim=True) * own


def leaky_square(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.5) ** 2


heads = (B, T, H, E), (B, T, K, E), (B, T, K, E)
KERNELS = {
    "norm": (lambda x: Norm.apply(x, 0.7), lambda x: norm(x) * 0.7, [(B, T, E)]),
    "turned": (lambda x, gain: Turned.apply(x, gain, ANGLE.cos(), ANGLE.sin()), turned, [(B, T, H, E), (H,)]),
    "causal": (partial(in_blocks, 0), causal, heads),
    "causal within 1": (partial(in_blocks, 1), partial(causal, window=1), heads),
    "causal within 100": (partial(in_blocks, 100), partial(causal, window=100), heads),
    "causal within 200": (partial(in_blocks, 200), partial(causal, window=200), heads),
    "banded": (partial(banded_attention, 100), partial(causal, window=100), heads),
    "without own": (WithoutOwn.apply, without_own, [(B, T, K, H // K, E), (B, T, K, 1, E)]),
    "leaky square": (LeakySquare.apply, leaky_square, [(B, T, E)]),
}


def results(f: Callable, inputs: list[Tensor], weight: Tensor) -> list[Tensor]:
    """The value, and the gradient of each input."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    y = f(*inputs)
    (y * weight.to(y.dtype)).sum().backward()
    return [y, *(x.grad for x in inputs)]


@pytest.mark.parametrize("dtype, most", [(torch.float32, 2e-6), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_what_it_says(name, dtype, most):
    ours, exact, shapes = KERNELS[name]
    torch.manual_seed(0)
    inputs = [torch.randn(shape).to(dtype) for shape in shapes]
    inputs[0] = inputs[0].repeat_interleave(2, -1)[..., ::2]  # as a part of something larger, not contiguous
    weight = torch.randn(shapes[0]).to(dtype)
    found = results(ours, inputs, weight)
    for a, b in zip(found, results(exact, [x.double() for x in inputs], weight.double()), strict=True):
        assert a.shape == b.shape and (a.double() - b).norm() <= most * b.norm()
    assert [x.dtype for x in found] == [dtype] * len(found)


def test_attention_in_blocks_sees_nothing_that_is_later():
    torch.manual_seed(0)
    q, k, v = (torch.randn(shape, requires_grad=True) for shape in heads)
    for at in (5, STEP - 1, STEP, T - 1):
        again = [x.detach().clone() for x in (k, v)]
        for x in again:
            x[:, at] += 1
        before, after = in_blocks(0, q, k, v), in_blocks(0, q, *again)
        assert torch.equal(before[:, :at], after[:, :at])
        assert not torch.isclose(before[:, at:], after[:, at:]).all(-1).any()


@pytest.mark.parametrize("window", [1, 3, 100, 256, 10**9])
@pytest.mark.parametrize("queries", [1, 127, 200, 256])
def test_the_band_of_a_stream_is_causal_attention_over_a_window(window, queries):
    q, k, v = (torch.randn(B, T, heads, E, dtype=torch.float64) for heads in (H, K, K))
    found = band(window, *(x.float() for x in (q[:, T - queries :], k, v)))
    torch.testing.assert_close(found.double(), causal(q, k, v, min(window, T))[:, T - queries :], rtol=1e-5, atol=1e-6)


def test_rows_of_zeros_stay_zeros_and_have_the_gradient_of_rms_norm():
    x, g = torch.randn(3, 8), torch.randn(3, 8)
    x[1] = 0
    mine, theirs = (x.clone().requires_grad_() for _ in range(2))
    y = Norm.apply(mine, 1.0)
    y.backward(g)
    F.rms_norm(theirs, (8,), eps=EPS).backward(g)
    assert not y[1].any()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_model_learns_the_same_with_them_and_without(config):
    """Sequences that attention takes in blocks."""
    found = []
    for kernels in (0, 1):
        cfg = config(cpu_kernels=kernels, attn_out_gate_enabled=1)
        torch.manual_seed(0)
        model = GPT(cfg)
        model.load_state_dict({k: p + 0.1 * torch.randn(p.shape) for k, p in model.state_dict().items()})
        model.looping = True
        x, y = torch.randint(cfg.vocab_size, (2, 2, T))
        loss = training_loss(model, model(x), y)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    rounding = 1e-6 * torch.cat([g.flatten() for g in found[0]]).norm()
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() <= 2e-5 * a.norm() + rounding
    assert any((a != b).any() for a, b in zip(*found, strict=True)), "the kernels must have been used"


def test_an_artifact_does_not_say_how_its_model_was_computed():
    """A packed file, which has no such knob, could not read it."""
    assert "cpu_kernels" not in MODEL_KNOBS
