"""The seeds of a record as a table, the same in the terminal, in Prefect's UI and wherever else."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pgolf.audit.measures import Measure
from pgolf.ledger import SeedScore
from pgolf.phrases import counted, signed
from pgolf.report.columns import Columns
from pgolf.report.verdict import Verdict
from pgolf.report.words import code, escape
from pgolf.stages import TITLES
from pgolf.stats.comparison import Comparison


def seed_rows(scores: Sequence[SeedScore]) -> list[dict[str, str]]:
    """One row a seed: bits per byte after each stage that is scored and at the end, loss in nats, bytes, seconds."""
    scored = {stage.kind for score in scores for stage in score.stages}
    return [
        {
            "seed": str(score.seed),
            **{title: _bpb(score, kind) for kind, title in TITLES.items() if kind in scored},
            "val_bpb": f"{score.val_bpb:.5f}",
            "val_loss": "" if score.val_loss is None else f"{score.val_loss:.5f}",
            "bytes": "" if score.artifact_bytes is None else f"{score.artifact_bytes:,}",
            "training, s": "" if score.train_seconds is None else f"{score.train_seconds:.1f}",
            "evaluation, s": "" if score.eval_seconds is None else f"{score.eval_seconds:.1f}",
        }
        for score in scores
    ]


def _bpb(score: SeedScore, kind: str) -> str:
    return next((f"{s.val_bpb:.5f}" for s in reversed(score.stages) if s.kind == kind), "")


def seed_table(scores: Sequence[SeedScore]) -> Columns:
    """`seed_rows` for a terminal, the final score first, without columns that nobody fills; last their means."""
    rows = [{"seed": row["seed"], "val_bpb": row["val_bpb"], **row} for row in seed_rows(scores)]
    if len(scores) > 1:
        rows.append(dict.fromkeys(rows[0], "") | {"seed": "mean"} | _means(scores))
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    cells = [[row[name] for name in names] for row in rows]
    return Columns(cells, names, range(len(names)), headed=True, title="bits per byte by stage")


def _means(scores: Sequence[SeedScore]) -> dict[str, str]:
    """Of each stage that every seed has, and of the final scores."""
    kinds = [{s.kind: s.val_bpb for s in score.stages} for score in scores]
    stages = {
        title: f"{sum(k[kind] for k in kinds) / len(kinds):.5f}"
        for kind, title in TITLES.items()
        if all(kind in k for k in kinds)
    }
    return {**stages, "val_bpb": f"{sum(score.val_bpb for score in scores) / len(scores):.5f}"}


def comparison_table(comparison: Comparison) -> Columns:
    """The comparison with the standing record for a terminal."""
    return Columns(comparison.rows(), title=f"against {comparison.old.label}")


def verdict_markdown(verdict: Verdict, scores: Sequence[SeedScore], where: Path) -> str:
    """The verdict for a page: what speaks against it, the seeds, the comparison, the checks by outcome, the files."""
    lines = [
        f"# {'A record' if verdict.positive else 'A non-record submission' if verdict.non_record else 'No record'}",
        "",
    ]
    lines += [f"- {escape(reason)}" for reason in verdict.against]
    lines += [f"- warning: {escape(warning)}" for warning in verdict.warnings]
    rows = seed_rows(scores)
    lines += ["", *_markdown([list(row) for row in rows[:1]] + [list(row.values()) for row in rows])]
    if verdict.comparison:
        heading = ["comparison", f"against {verdict.comparison.old.label}"]
        lines += ["", *_markdown([heading, *map(list, verdict.comparison.rows())])]
    counts = Counter(check.status for check in verdict.checks)
    lines += ["", "Checks: " + ", ".join(f"{n} {status}" for status, n in counts.items()), "", f"In {code(where)}:", ""]
    lines += [f"- {code(p.name)}" for p in sorted(where.iterdir()) if p.is_file()]  # a page links to no local file
    return "\n".join(lines)


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(map(escape, row))} |" for row in rows]
    return [head, "|---" * len(rows[0]) + "|", *body]


def seed_news(score: SeedScore, limits: Sequence[Measure]) -> str:
    """A finished seed in a line, the limits that it misses, and those that it crosses inside the grace."""
    text = f"seed {score.seed} is done: val_bpb {score.val_bpb:.5f}"
    for word, status in (("LIMIT MISSED", "fail"), ("warning", "warn")):
        if found := [f"{m.what} {m.said}" for m in limits if m.status == status]:
            text += f"; {word}: {', '.join(found)}"
    return text


def verdict_news(verdict: Verdict, scores: Sequence[SeedScore]) -> str:
    """The verdict in a line or two."""
    text = f"{_kind(verdict)}: {_scored(verdict, scores)}"
    return "\n".join([text, *(f"- {r}" for r in verdict.against), *(f"- warning: {w}" for w in verdict.warnings)])


def verdict_line(verdict: Verdict, scores: Sequence[SeedScore]) -> str:
    """The verdict in one line: with the first reason why it is no record, unless the comparison's words are that."""
    compared = verdict.comparison.verdict if verdict.comparison else None
    against = [] if compared in verdict.reasons else verdict.against[:1]
    return f"{_kind(verdict)}: {'; '.join([*against, _scored(verdict, scores)])}"


def _kind(verdict: Verdict) -> str:
    return "A RECORD" if verdict.positive else "a non-record submission" if verdict.non_record else "no record"


def _scored(verdict: Verdict, scores: Sequence[SeedScore]) -> str:
    mean = sum(s.val_bpb for s in scores) / len(scores)
    said = _compared(verdict.comparison) if verdict.comparison else "not compared"
    return f"val_bpb {mean:.5f} over {counted(len(scores), 'seed')}, {said}"


def _compared(comparison: Comparison) -> str:
    """The gain over the standing record, and the claim that the figures allow, with its p."""
    return f"gain over {comparison.old.label} {signed(comparison.delta_bpb, 5)} bpb, {comparison.verdict}"
