"""Show how a record goes: to Prefect's UI, to a chat, and, when it is done, to whoever asked for it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from pgolf.audit.measures import measures_of
from pgolf.evidence.logs import read_run
from pgolf.ledger import seed_score
from pgolf.record.board import Board
from pgolf.record.folder import Record
from pgolf.record.milestones import Milestones
from pgolf.record.news import News
from pgolf.record.outcome import Outcome
from pgolf.record.progress import Progress
from pgolf.record.results import LOG, read_result
from pgolf.report.tables import seed_news, seed_rows, verdict_markdown, verdict_news

log = logging.getLogger("pgolf.record")
UI_EVERY_S = 3.0  # between updates of a seed's progress in Prefect's UI


def publish(outcome: Outcome, news: News) -> None:
    """Put the seeds and the verdict into Prefect's UI, and tell the webhook."""
    scores, verdict = outcome.scores, outcome.verdict
    key = artifact_key(outcome.record_id)
    create_table_artifact(seed_rows(scores), key=f"{key}-seeds", description="Bits per byte of each seed by stage")
    page = verdict_markdown(verdict, scores, outcome.path)
    create_markdown_artifact(page, key=f"{key}-verdict", description="The verdict")
    news.verdict(verdict_news(verdict, scores))


def tell_seed(record: Record, label: str, attempt: Path, news: News) -> None:
    """Tell the webhook of a finished seed, and of the limits that it misses or crosses inside the grace."""
    result = read_result(attempt)
    run = read_run(attempt / (result.log if result else LOG))
    if run.final:
        news.tell(f"{label} is done", seed_news(seed_score(run), measures_of(run, record.request.track.limits)))


def show(board: Board, label: str, within: str, milestones: Milestones | None = None) -> Callable[[Progress], None]:
    """Return a function that shows the progress of a run of the record, or sweep, `within`: on the board at once, in
    Prefect's UI now and then and at its end, its milestones in a chat."""
    artifact: Any = None
    shown, reached = -UI_EVERY_S, 0.0

    def watch(progress: Progress) -> None:
        nonlocal artifact, shown, reached
        board.update(label, progress)
        if milestones:
            milestones.update(label, progress)
        ended = progress.stage == "done" and reached < 100
        if time.monotonic() - shown < UI_EVERY_S and not ended:
            return
        shown = time.monotonic()
        reached = max(reached, 100 * board.share(label, progress))  # an estimate may go back, a bar does not
        text = f"{label}: {board.line(label, progress)}"
        try:
            if artifact is None:
                key = artifact_key(f"{within}-{label}")
                artifact = create_progress_artifact(reached, key=key, description=text)
            else:
                update_progress_artifact(artifact, reached, description=text)
        except Exception as e:  # a UI that can't be told harms no run
            log.debug("%s: no progress to Prefect: %r", label, e)

    return watch


def artifact_key(text: str) -> str:
    """Turn text into a key of Prefect's artifacts: lower-case letters, digits and dashes."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
