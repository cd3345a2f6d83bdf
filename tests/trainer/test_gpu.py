"""What only a GPU can show: its attention within documents, and the model compiled for it, beside the CPU's."""

import pytest
import torch
from torch import Tensor

from pgolf.trainer.config import BOS, Config
from pgolf.trainer.doc_attention import attend_within, one_by_one, segment_bounds
from pgolf.trainer.head import training_loss
from pgolf.trainer.model import GPT

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can see")

CFG = Config(
    vocab_size=512, num_layers=4, model_dim=256, num_heads=4, num_kv_heads=2, rope_train_seq_len=64, train_seq_len=64,
    eval_seq_len=64, loop_start=1, loop_end=2, parallel_residual_start=3, xsa_last_n=4, doc_attention_enabled=True,
)  # fmt: skip


def row(length: int) -> Tensor:
    """Text with documents of a few tokens and of hundreds."""
    tokens = torch.randint(CFG.vocab_size, (length,), generator=torch.Generator().manual_seed(0))
    tokens[tokens == BOS] = 0
    tokens[[0, 5, 6, 130, 300]] = BOS
    return tokens


def close(found: Tensor, exact: Tensor, most: float, name: str = "") -> None:
    difference = (found.float().cpu() - exact).norm() / exact.norm()
    assert difference < most, (name, difference)


def test_attention_within_documents_is_that_of_one_at_a_time():
    draw = torch.Generator().manual_seed(1)
    exact = [torch.randn(1, 1000, heads, 64, generator=draw).bfloat16().float() for heads in (4, 2, 2)]
    weight = torch.randn(1, 1000, 4, 64, generator=draw)
    bounds = segment_bounds(row(1000), CFG.eval_seq_len)
    theirs = [t.cuda().bfloat16().requires_grad_() for t in exact]
    for t in exact:
        t.requires_grad_()
    y = one_by_one(bounds, *exact)
    found = attend_within(bounds.cuda(), CFG.eval_seq_len, *theirs)
    close(found, y.detach(), 0.01)
    (y * weight).sum().backward()
    (found * weight.cuda()).sum().backward()
    for a, b in zip(theirs, exact, strict=True):
        close(a.grad, b.grad, 0.02)


@pytest.mark.parametrize("bounded", [False, True])
def test_the_compiled_model_learns_what_the_cpus_does(bounded):
    torch.manual_seed(2)
    model = GPT(CFG)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    model.looping = True
    on_gpu = GPT(CFG, torch.bfloat16).cuda()
    on_gpu.load_state_dict(model.state_dict())
    on_gpu.looping = True
    text, losses = row(1025), []
    x, y = (text[None, :-1], text[None, 1:]) if bounded else (text[:-1].view(-1, 64), text[1:].view(-1, 64))
    bounds = (segment_bounds(text[:-1], CFG.train_seq_len),) if bounded else ()
    for m, device in ((model, "cpu"), (torch.compile(on_gpu, dynamic=False), "cuda")):
        states = m(x.to(device), 0, *(b.to(device) for b in bounds))
        losses.append(training_loss(m, states, y.to(device)))
        losses[-1].backward()
    assert abs(losses[1].item() / losses[0].item() - 1) < 0.01
    for (name, p), q in zip(model.named_parameters(), on_gpu.parameters(), strict=True):
        if p.grad is not None and p.ndim == 2:
            close(q.grad, p.grad, 0.1, name)
