"""The sizes that a log prints, and which of them is the artifact's.

A size is a number of bytes beside words for what it is. Headroom, limits, estimates, memory and sizes before
compression are not the artifact's; a model and its code on one line are parts of it, their total is the whole.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pgolf.evidence.dialect import whole
from pgolf.evidence.run import Evidence, Sourced

# 'artifact' is what a log calls so: the total, or the compressed model where the code is named beside it
Kind = Literal["total", "artifact", "model", "raw", "code", "source", "other"]

NUMBER = re.compile(
    r"(?<![\w.+-])(\d{1,3}(?:[,_]\d{3})+|\d+(?:\.\d+)?)(?:\s*(bytes?|b|[kmg]i?b)(?![a-z0-9]))?(?!\w|\.\d)"
)
SAYS_SIZE = re.compile(r"bytes|size|code|total|budget|artifact|\d ?m?b\b")
OF_LIMIT = re.compile(r"\s*/\s*16[\d,_]{6,8}(?!\d)")  # 'size check: 12499612 / 16,000,000'
# of what is no part of the artifact, or no part of the one that counts
NO_PART = re.compile(
    r"loaded|loading|extracted|read|cache|buffers?|limit|cap|headroom|remaining|margin|left|free|room|slack"
    r"|unused|target|payload|pickle|peak|memory|allocated|reserved|params|parameters|param|estimated|estimate"
    r"|est|max|min|threshold|tokens|token|tok|shape|vocab|batch|block|layer|layers|under|below|above|over"
    r"|exceeds|exceed|diff|delta|savings|saving|reduction|overhead|prune|pruned|pruning|probe|try|tried|trying"
    r"|candidate|comparison|compare|baseline|reference|undershoot|dataset|download|downloaded|prompt|sequence"
    r"|seq|rank|tensor|passthrough|budget|unpaid|per|used|hidden"
)
TRIED = {"prune", "pruning", "probe", "try", "trying", "search", "candidate"}  # the first words of a search's lines
RAW = {"raw", "uncompressed", "unquantized", "fp32", "float32", "bf16", "fp16", "float", "pre", "before", "original"}
NEEDS_NO_UNIT = {"bytes", "size", "submission", "artifact"}
OF_DATA = {"tokens", "loader", "shards", "val"}
CODE = {"code", "script", "source", "py"}
TOTAL = {"total", "submission", "combined", "overall", "sum"}
MODEL = {"model", "weights", "weight", "serialized", "checkpoint", "state"}
OTHER = {"tokenizer", "ngram", "table", "tables", "prior", "prefix", "lookup", "lut", "dictionary", "trie", "sidecar"}
COMPRESSED = re.compile(
    r"int\d|fp\d$|fp8|nf4|quant|zlib|zstd|lzma|brotli|ternary|binary|compressed|packed|ptz|gptq|rans|huffman|export|xz$"
)
ONLY_SIZE = re.compile(r"\W*+(?:final|file|archive|total)?[ _]*+size[ _]*+(?:in[ _]|\()?(?:bytes\)?)?\W*")
WORD = re.compile(r"[a-z]+\d*")
TAG = re.compile(r"int\d|fp8|zlib|zstd|lzma|brotli|ternary|binary")
DEFAULT_TAGS = {"int8", "zlib"}  # that the public trainer puts into names whatever it does


class Size(NamedTuple):
    """Bytes of `kind`; `words` are all those of its line, `beside_code` tells whether it gives the code's size, too."""

    kind: Kind
    value: int
    words: frozenset[str]
    beside_code: bool


@dataclass
class Sizes:
    """All sizes that one run has printed so far, each with the line it was read from."""

    found: list[tuple[Size, Evidence]] = field(default_factory=list)

    def add(self, sizes: Collection[Size], at: Evidence) -> None:
        """Remember the sizes of a line; of very many only the last."""
        self.found += [(size, at) for size in sizes]
        del self.found[:-200]

    def last(self, *kinds: Kind) -> Sourced[int] | None:
        """The last size of one of these kinds."""
        return next((Sourced(size.value, at) for size, at in reversed(self.found) if size.kind in kinds), None)

    def model(self, parameters: int) -> Sourced[int] | None:
        """Bytes of the compressed model: with fewer than 1.9 bytes a parameter it is that, whatever it is called."""
        raw, model = self.last("raw"), self.last("model")
        return raw if not model and raw and raw.value < 1.9 * parameters else model

    def artifact(self, stage: str, parameters: int) -> Sourced[int] | None:
        """Bytes of code, compressed model and what else belongs to it; None where the log does not tell.

        `stage` is the final score's name: of totals of several compressors, the one counts whose words it has.
        `parameters` is their number, 0 if unknown.
        """
        model, code = self.model(parameters), self.last("code")
        raw = None if model == self.last("raw") else self.last("raw")
        totals = [(s, at) for s, at in self.found if s.kind == "total" and not (raw and raw.value <= s.value)]
        if totals:
            tags = _tags(WORD.findall(stage.lower())) - DEFAULT_TAGS
            size, at = ([t for t in totals if tags & _tags(t[0].words)] or totals)[-1]
            return Sourced(size.value, at)
        named = [(s, at) for s, at in self.found if s.kind == "artifact" and not (raw and raw.value <= s.value)]
        if named:
            size, at = named[-1]
            parts = (model.value, model.value + code.value) if model and code else ()
            if size.value not in parts[:1] and (not size.beside_code or size.value in parts[1:]):
                return Sourced(size.value, at)
            if not model:
                return None  # it may be the model alone, or both
        if not model or not code:
            return None
        others = {s.value for s, _ in self.found if s.kind == "other"}
        return Sourced(model.value + code.value + sum(others), model.at)


def _tags(words: Collection[str]) -> set[str]:
    return {found[0] for w in words if (found := TAG.match(w))}


def read_sizes(low: str, heading: str = "") -> list[Size]:
    """The sizes on a lower-cased line; `heading` is the title above it."""
    if not SAYS_SIZE.search(low):
        return []
    parts: list[tuple[frozenset[str], str, int, bool, bool]] = []  # words, label, value, with a unit, beside the limit
    end, coarse = 0, ""
    for found in NUMBER.finditer(low):
        label, unit = low[end : found.start()], found[2] or ""
        named = label.rstrip("~ ").endswith((":", "="))
        if not unit and not named:
            continue
        if not label.strip(" (=~") and coarse:
            label = coarse  # 'size 5.64 MB (5,645,856 bytes)'
        coarse = label if unit[:1] in ("k", "m", "g") else ""
        end = found.end()
        value = whole(found[1])
        if value is None or coarse:
            continue
        label = re.split(r"[|;]|, |  +(?=\S)", label.rstrip(" "))[-1]
        words = frozenset(WORD.findall(label))
        parts.append((words, label, value, bool(unit), OF_LIMIT.match(low, end) is not None))
    if parts and parts[0][0] & TRIED:
        return []
    in_parts = "artifact" in low or "model" in low
    told = [p for p in parts if p[3] or p[4] or p[0] & NEEDS_NO_UNIT or (in_parts and p[0] == {"code"})]
    kinds = {_kind(words, label, limit) for words, label, _, _, limit in parts}
    if "total" in kinds and kinds & {"model", "raw", "artifact", "code"}:
        told = parts  # 'model:N code:M total:T' needs no unit
    of_line = frozenset().union(*(p[0] for p in parts), WORD.findall(heading))
    sizes = []
    for words, label, value, _, limit in told:
        kind = _kind(words, label, limit)
        if kind == "raw" and "total" in kinds and not words & RAW:
            kind = "model"
        if kind == "total" and of_line & OF_DATA:
            continue
        if kind and value:
            sizes.append(Size(kind, value, of_line, "code" in kinds))
    return sizes


def _kind(words: frozenset[str], label: str, of_limit: bool) -> Kind | None:
    if of_limit and words & {"size", "budget", "total", "submission", "artifact", "bytes"}:
        return "total"
    if any(NO_PART.fullmatch(word) for word in words):
        return None
    code, model = words & CODE, words & MODEL
    whole_of = words & {"submission", "artifact"} or (code and model)
    if words & TOTAL and (whole_of or not code | model):
        return "total"
    if code and model:
        return "total"
    if code:
        return "source" if words & RAW else "code"
    if words & OTHER and not model:
        return "other"
    if words & RAW:
        return "raw" if model or COMPRESSED.search(label) else None
    if "artifact" in words or ONLY_SIZE.fullmatch(label):
        return "artifact"
    if any(COMPRESSED.search(w) for w in words):
        return "model"
    return "raw" if model else None
