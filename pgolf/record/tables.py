"""The seeds of a record as a table, the same in the terminal, in Prefect's UI and wherever else."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from pgolf.record.ledger import SeedScore
from pgolf.record.stats import Comparison
from pgolf.record.submission import Verdict

STYLE: dict[str, Any] = {"box": SIMPLE, "pad_edge": False, "title_justify": "left", "title_style": "bold"}
KINDS = {"pre-quant": "pre-quant", "quantized": "quantized", "sliding": "sliding", "ttt": "TTT"}


def seed_rows(scores: Sequence[SeedScore]) -> list[dict[str, str]]:
    """One row a seed: bits per byte after each stage, final loss in nats, bytes, seconds."""
    return [
        {
            "seed": str(score.seed),
            **{title: _bpb(score, kind) for kind, title in KINDS.items()},
            "val_loss": "" if score.val_loss is None else f"{score.val_loss:.5f}",
            "bytes": "" if score.artifact_bytes is None else f"{score.artifact_bytes:,}",
            "train s": "" if score.train_seconds is None else f"{score.train_seconds:.1f}",
            "eval s": "" if score.eval_seconds is None else f"{score.eval_seconds:.1f}",
        }
        for score in scores
    ]


def _bpb(score: SeedScore, kind: str) -> str:
    return next((f"{s.val_bpb:.5f}" for s in reversed(score.stages) if s.kind == kind), "")


def seed_table(scores: Sequence[SeedScore]) -> Table:
    """`seed_rows` for a terminal."""
    table = Table(title="bits per byte by stage", **STYLE)
    rows = seed_rows(scores)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row.values())
    return table


def comparison_table(comparison: Comparison) -> Table:
    """The comparison with the standing record for a terminal."""
    table = Table(title=f"against {comparison.old.label}", show_header=False, **STYLE)
    for name, text in comparison.rows():
        table.add_row(name, text)
    return table


def verdict_markdown(verdict: Verdict, where: Path) -> str:
    """The verdict for a page: what speaks against it, the comparison, the checks by outcome, and the folder."""
    lines = [f"# {'A record' if verdict.positive else 'No record'}", ""]
    lines += [f"- {reason}" for reason in verdict.reasons]
    if verdict.comparison:
        lines += ["", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in verdict.comparison.rows())]
    counts = Counter(check.status for check in verdict.checks)
    lines += ["", "Checks: " + ", ".join(f"{n} {status}" for status, n in counts.items()), "", f"Folder: `{where}`"]
    return "\n".join(lines)
