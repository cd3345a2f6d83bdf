"""Has a dataclass, and annotations that are evaluated late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from base import Evaluator


@dataclass
class Settings:
    rates: list[float] = field(default_factory=lambda: [0.5, 0.25])
    decay: float | None = None
    known: ClassVar[Settings | None] = None


@dataclass
class Good(Evaluator):
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        super().__init__()

    def learn(self, tokens, first, last):
        self.rate = self.settings.rates[first // 64 % 2]
        super().learn(tokens, first, last)


make_evaluator = Good
