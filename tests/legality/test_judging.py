"""Information is told from rounding, and choices made on the whole stream are made to change."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pgolf.evidence.probes import CounterExample
from pgolf.legality import probe, subject_of
from pgolf.legality.compare import ROUNDING, Difference
from pgolf.legality.rounding import COARSEST, Rounding
from pgolf.legality.state import Heap, State
from pgolf.legality.streams import LARGE, keeping, replaced, special, synthetic

VOCAB = 32


def difference(size: float, typical: float) -> Difference:
    return Difference(CounterExample("the loss moves"), size, typical)


@pytest.mark.parametrize("kind", ["token", "random tokens", "one token repeated", "other text", *LARGE])
def test_every_change_keeps_the_beginning_and_changes_the_token(kind):
    tokens = synthetic(0, 301, VOCAB)
    for t in (1, 2, 150, 299, 300):
        for marks in ((), (1, 5)):
            other = replaced(tokens, t, kind, VOCAB, 0, marks=marks)
            assert len(other) == len(tokens) and torch.equal(other[:t], tokens[:t])
            assert int(other.min()) >= 0 and int(other.max()) < VOCAB
            assert kind != "token" or torch.equal(other[t + 1 :], tokens[t + 1 :])
            if int(tokens[t]) not in marks:
                assert other[t] != tokens[t]
            for mark in marks:
                assert torch.equal(other == mark, tokens == mark)


def test_nothing_can_be_changed_where_all_tokens_stay():
    tokens = torch.tensor([0, 1, 0, 1])
    assert torch.equal(keeping(tokens, 1 - tokens, (0, 1), 2), tokens)


def test_positions_where_an_evaluator_may_do_what_it_does_nowhere_else():
    tokens = synthetic(0, 701, VOCAB)
    found = special(tokens, 12, (1,), range(641, 701), 0)
    assert len(set(found)) == len(found) == 12
    assert any(tokens[t - 1] == 1 for t in found)
    assert any(t > 640 for t in found)
    passage = {t for t in range(438 + 32, 438 + 64) if torch.equal(tokens[t - 351 - 32 : t - 351], tokens[t - 32 : t])}
    assert passage & set(found)


@pytest.mark.parametrize(
    "moves, an_offence",
    [
        ([(1e-6, 5e-7)] * 5, False),
        ([(9e-5, 1e-7)], False),
        ([(2e-4, 1e-6)], True),
        ([(5e-2, 1e-2)] * 3, False),
        ([(5e-2, 1e-2)] * 3 + [(0.2, 1e-2)], True),
        ([(1e-6, 5e-7)] * 3 + [(1e-2, 1e-2)], True),
        ([(math.inf, math.inf)], True),
        ([(3.8e-3, 6e-5)], False),
        ([(6e-3, 6e-5)], True),
    ],
    ids=[
        *("float32", "floor", "one large", "bfloat16", "beyond all rounding", "one coarse pass", "other positions"),
        *("one step of bfloat16", "more than a step"),
    ],
)
def test_where_documents_begin_may_move_scores_by_rounding_only(moves, an_offence):
    """The limit is the evaluator's own, and one coarse pass among fine ones does not raise it."""
    rounding = Rounding(by_documents=[difference(*move) for move in moves])
    assert ROUNDING <= rounding.allowed <= COARSEST
    assert (rounding.example() is not None) is an_offence


def test_rounding_favours_no_token_and_a_leak_does():
    draw = torch.Generator().manual_seed(0)
    noise = (torch.randn(60, generator=draw) * 1e-6).tolist()
    assert Rounding(gains=noise).favoured(0) is None
    assert Rounding(gains=[x + 2e-6 for x in noise]).favoured(0)
    assert Rounding(gains=[x - 2e-6 for x in noise]).favoured(0) is None
    assert Rounding(gains=[2e-6] * 7).favoured(0) is None  # too few to tell
    assert Rounding(gains=[2e-6] * 8).favoured(0)


class Experts:
    """Rounds with the number of distinct tokens in its window, later ones among them."""

    vocab_size, amount = VOCAB, 1e-5

    def __call__(self, tokens, want_logp=False):
        table = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(0))
        for first in range(1, len(tokens), 64):
            last = min(first + 64, len(tokens))
            draw = torch.Generator().manual_seed(len(tokens[first:last].unique()))
            logits = table[tokens[first - 1 : last - 1]]
            logits += torch.randn(logits.shape, generator=draw) * self.amount
            logp = logits.log_softmax(-1)
            yield first, -logp.gather(1, tokens[first:last, None])[:, 0], logp


@pytest.mark.parametrize("amount, accused", [(1e-6, False), (1e-3, True)])
def test_shapes_that_follow_from_content_may_round_as_float32_does_and_no_more(amount, accused):
    make = type("Rounds", (Experts,), {"amount": amount})
    causal, *_ = probe(subject_of("experts", make, length=500), positions=12, seeds=(0,))
    assert (causal.passed is False) is accused
    assert accused or any("taken for rounding" in note for note in causal.notes)


def test_tensors_of_the_compiler_are_no_state():
    """They have a shape and no values, and stay where something was compiled in this process."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        faked = torch.nn.Linear(3, 3)
    with Heap() as heap:
        assert len(State(object(), heap).fingerprint()) == 16
    assert len(list(faked.parameters())) == 2


def test_the_length_of_the_stream_is_public():
    class Schedule(Experts):
        amount = 0.0

        def __call__(self, tokens, want_logp=False):
            for first, _, logp in super().__call__(tokens):
                logp = (logp * (1 + first / len(tokens))).log_softmax(-1)
                yield first, -logp.gather(1, tokens[first : first + len(logp), None])[:, 0], logp

    causal, *others = probe(subject_of("schedule", Schedule, length=500), positions=8, seeds=(0,))
    assert all(r.passed for r in (causal, *others[:3]))
    assert any("length of the stream" in note for note in causal.notes)


def test_the_result_says_which_changes_would_show_a_choice():
    class Plain(Experts):
        amount = 0.0

    causal, *_ = probe(subject_of("plain", Plain, length=500), positions=32, seeds=(0,))
    assert "whatever the change" in causal.power
    assert all(kind in causal.power for kind in LARGE)
