"""The fifth probe: does an evaluator count the bytes of the text?"""

from functools import partial
from itertools import pairwise

import torch

from pgolf.data.opening import open_tokenizer
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.subject import Subject

# Text that byte counts have got wrong: spaces that lead, follow and repeat, characters of 1 to 4 bytes, and characters
# that no vocabulary holds.
SAMPLES = (
    "Plain words, and then some more of them.",
    " a space leads",
    "two  spaces,   three; tab\tand\nnew\n\n lines ",
    "naïve façade – “quoted” … 10 €",
    "Привет, κόσμε, 世界, שלום",
    "🏌️‍♀️ 𝔤𝔬𝔩𝔣 \u2581 ﷽",
    "x" * 300,
)


def byte_exact(subject: Subject) -> ProbeResult:
    """Compare the bytes that an evaluator counts for each document with the UTF-8 length of the decoded document.

    A document is the tokens between two control tokens: of `subject.text`, or of SAMPLES if `subject` has no text.
    """
    result = partial(ProbeResult, "byte-exact", subject.name, deterministic=None)
    if subject.byte_counts is None or subject.tokenizer is None:
        lacks = "byte_counts" if subject.byte_counts is None else "tokenizer"
        return result(passed=None, power=f"Not run: the evaluator has no `{lacks}`.")
    sp = open_tokenizer(subject.tokenizer)
    tokens = subject.text
    if tokens is None:
        bos = max(sp.bos_id(), 0)
        ids = [i for text in SAMPLES for i in (bos, *sp.encode(text))]
        tokens = torch.tensor([*ids, bos])
    sizes = [0, *torch.as_tensor(subject.byte_counts(tokens)).tolist()]
    ids = tokens.tolist()
    cuts = [i for i, token in enumerate(ids) if sp.is_control(token)]
    spans = list(pairwise(cuts))
    texts = sp.decode([ids[a:b] for a, b in spans]) if spans else []
    example, total = None, 0
    for (a, b), text in zip(spans, texts, strict=True):
        counted, length = sum(sizes[a + 1 : b + 1]), len(text.encode())
        total += length
        if counted != length:
            what = f"tokens {a + 1} to {b - 1} count {counted} bytes, their text {text[:40]!r} has {length}"
            example = CounterExample(what, a + 1, before=length, after=counted)
            break
    if not spans:
        return result(passed=None, power="Not run: no whole document between two control tokens.")
    power = (
        f"{len(spans)} whole documents of {total} bytes were decoded and measured, each by itself; the cut ones at "
        "both ends were left out."
    )
    return result(passed=example is None, power=power, positions=len(ids) - 1, counter_example=example)
