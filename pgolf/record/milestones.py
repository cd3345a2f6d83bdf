"""Which moments of running seeds are worth a message: quarters of the training, the first score of each stage, a limit
that is going to be missed."""

import threading
from collections.abc import Callable, Iterable, Sequence

from pgolf.ledger import StandingRecord
from pgolf.phrases import signed
from pgolf.record.early_stop import Judge, evaluation_end, training_end
from pgolf.record.heading import heading_of, loss_gain, scored
from pgolf.record.news import News
from pgolf.record.progress import Progress
from pgolf.record.rows import Row
from pgolf.record.time_left import whole_left
from pgolf.tracks import EarlyStop, Limits

QUARTERS = (25, 50, 75)
MOST_RUNS = 6  # runs of which a message at a quarter says where they stand


class Milestones:
    """Tells the chat of milestones. Fed by several threads, twice a second, with each run's progress. No dataclass:
    Prefect would look through its fields when a run starts, while another run changes them.

    Attributes
    ----------
    labels : all runs of the record; `over` those that have come to their end before, and count as trained.
    judge : the limits, with what the plan ends early, and the record to beat where training losses at the same step
        compare with its; None where no limits are known, as of speedruns.
    standing : the record to beat, whatever its losses.
    rows : the board's, which tell how long all of it may still take.
    """

    def __init__(
        self,
        news: News,
        labels: Sequence[str],
        over: Iterable[str] = (),
        judge: Judge | None = None,
        standing: StandingRecord | None = None,
        rows: Callable[[], Sequence[Row]] = tuple,
    ) -> None:
        self.news, self.labels, self.over = news, list(labels), set(over)
        self.judge, self.standing, self.rows = judge, standing, rows
        self.seen: dict[str, Progress] = {}
        self.lock = threading.Lock()

    def update(self, label: str, progress: Progress) -> None:
        """Tell what is new of a run."""
        with self.lock:
            self.seen[label] = progress
            if label.startswith("seed "):
                self._stage(label, progress)
                self._limits(label, progress)
            self._quarters()

    @property
    def losses_compare(self) -> bool:
        """Whether training losses at the same step compare with the standing record's."""
        return self.judge is not None and self.judge.standing is not None

    def failed(self, label: str, why: str) -> None:
        """Tell that a run has failed or was ended early; its training counts as done."""
        with self.lock:
            self.over.add(label)
            self.news.tell(f"{label} has failed", why, when="now")

    def _stage(self, label: str, p: Progress) -> None:
        """The score of a stage, of the first seed that reaches it; the others' are told when they are done."""
        for stage, bpb in list(p.scores.items()):
            mark = f"stage {stage}"
            if mark in self.news.told or mark in self.news.waiting:
                continue
            here = scored(stage, bpb, self.standing)
            line = f"{label}: {here.stage} {bpb:.5f} bpb"
            if self.standing and here.gain is not None:
                line += f" (gain over {self.standing.name} there {signed(here.gain, 4)})"
            heading = heading_of(p, self.standing, self.losses_compare) if stage == next(reversed(p.scores)) else None
            self.news.tell(
                mark, line + (f"; heading for about {heading.val_bpb:.4f}, if that stays" if heading else "")
            )

    def _limits(self, label: str, p: Progress) -> None:
        """A limit that this seed misses, or is going to, where the plan does not end it for that."""
        if self.judge is None or "limits" in self.judge.rules:
            return
        for what, reason in self.judge.limits_missed(p):
            self.news.tell(f"{label} over {what}", f"{label}: LIMIT: {reason}", when="now")

    def _quarters(self) -> None:
        """The latest quarter of all training that has been reached."""
        done = 100 * sum(1.0 if each in self.over else trained(self.seen.get(each)) for each in self.labels)
        reached = [quarter for quarter in QUARTERS if done >= quarter * len(self.labels)]
        if not reached or (mark := f"{reached[-1]} %") in self.news.told or mark in self.news.waiting:
            return
        self.news.pass_over(*(f"{quarter} %" for quarter in reached[:-1]))
        left = whole_left(self.rows())
        said = f"{reached[-1]} % of the training is done" + (f", {left.words}" if left and left.words else "")
        running = [(each, p) for each in self.labels if (p := self.seen.get(each)) and p.stage == "train" and p.step]
        lines = [self.where(each, p) for each, p in running[:MOST_RUNS]]
        self.news.tell(mark, "\n".join([said, *lines]))

    def where(self, label: str, p: Progress) -> str:
        """Where a run in training stands, and what it is heading for."""
        of = f" of {p.total:,}" if p.total else ""
        words = [f"step {p.step or 0:,}{of}"]
        words += [f"loss {p.loss:.4f}"] if p.loss is not None else []
        if self.standing and self.losses_compare and (gain := loss_gain(p, self.standing)) is not None:
            words[-1] += f" (gain over {self.standing.name} in the last steps {signed(gain, 4)})"
        if heading := heading_of(p, self.standing, self.losses_compare):
            words.append(f"heading for about {heading.val_bpb:.4f} bpb, if that stays")
        if self.judge:
            words += projected_seconds(p, self.judge.limits, self.judge.policy)
        return f"{label}: {', '.join(words)}"


def projected_seconds(p: Progress, limits: Limits, policy: EarlyStop) -> Iterable[str]:
    """What training, or the passes so far and the running one, will have taken, beside the limit."""
    for what, end, limit in (
        ("training", within_clock(training_end(p, policy), p.clock), limits.train_seconds),
        ("evaluation", evaluation_end(p, policy), limits.eval_seconds),
    ):
        if end is not None:
            yield f"{what} about {end:,.0f} of {limit:g} s"


def within_clock(end: float | None, clock: float | None) -> float | None:
    """When training ends that a program's own clock may end sooner."""
    return min(end, clock) if end and clock else end


def trained(p: Progress | None) -> float:
    """How much of a run's training is done, in [0, 1]: by its steps, or by its own clock where that ends it sooner."""
    if p is None or "train" not in p.begun:
        return 1.0 if p is not None and p.stage == "done" else 0.0
    if p.stage != "train":
        return 1.0
    by_clock = (p.train_seconds or 0.0) / p.clock if p.clock else 0.0
    return min(1.0, max(p.fraction, by_clock))
