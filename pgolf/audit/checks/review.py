"""The review that every check looks at, and the findings that it reports."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from pgolf.audit.measures import Status
from pgolf.errors import BadInput
from pgolf.evidence.claims import Claim
from pgolf.evidence.entry import Entry
from pgolf.evidence.fingerprint import same_run_again
from pgolf.evidence.run import Evidence, Run, Sourced, Stage
from pgolf.ledger import StandingRecord
from pgolf.stats.comparison import Comparison, compare
from pgolf.stats.sample import Sample, from_seeds
from pgolf.tracks import Track

Place = Evidence | Sourced[Any] | Stage | Claim | None
SEVERITY: tuple[Status, ...] = ("fail", "warn", "unknown")
SAID, SHOWN = 8, 24  # findings that a message spells out, and lines that it points at


@dataclass(frozen=True)
class Check:
    """The outcome of one check: a sentence, and the lines that it rests on. `of_papers`: where it fails, it does so for
    what the folder says or holds beside its logs alone, and the scores are the logs' all the same."""

    id: str
    status: Status
    message: str
    evidence: tuple[Evidence, ...] = ()
    of_papers: bool = False

    def as_json(self) -> dict[str, Any]:
        """As a dictionary for JSON, evidence as file and line."""
        evidence = [{"file": e.file, "line": e.line} for e in self.evidence]
        return {"id": self.id, "status": self.status, "message": self.message, "evidence": evidence}


@dataclass
class Findings:
    """The reports of one check, and the lines that show them. `of_papers`: none of its failures is a run's."""

    findings: list[tuple[Status, str, tuple[Evidence, ...]]] = field(default_factory=list)
    shown: list[Evidence] = field(default_factory=list)
    of_papers: bool = False
    of_a_run: bool = False  # whether a failure is

    def add(self, status: Status, text: str, *places: Place) -> None:
        self.of_a_run |= status == "fail" and not self.of_papers
        self.findings.append((status, text, tuple(_places(places))))

    def fail(self, text: str, *places: Place) -> None:
        self.add("fail", text, *places)

    def fail_papers(self, text: str, *places: Place) -> None:
        """A failure of what the folder says or holds beside its logs, in a check that is of the runs, too."""
        self.findings.append(("fail", text, tuple(_places(places))))

    def warn(self, text: str, *places: Place) -> None:
        self.add("warn", text, *places)

    def unknown(self, text: str, *places: Place) -> None:
        self.add("unknown", text, *places)

    def show(self, *places: Place) -> None:
        """Name the lines that the check rests on if it finds nothing."""
        self.shown += _places(places)

    def check(self, name: str, otherwise: str) -> Check:
        """The outcome: the worst finding, or `otherwise` if there is none."""
        if not self.findings:
            return Check(name, "pass", otherwise, tuple(self.shown[:SHOWN]))
        order = sorted(self.findings, key=lambda f: SEVERITY.index(f[0]))
        texts = [text for _, text, _ in order]
        more = f"; and {len(texts) - SAID} more" if len(texts) > SAID else ""
        evidence = dict.fromkeys(e for _, _, places in order for e in places)
        of_papers = order[0][0] == "fail" and not self.of_a_run
        return Check(name, order[0][0], "; ".join(texts[:SAID]) + more, tuple(evidence)[:SHOWN], of_papers)


def _places(places: Iterable[Place]) -> list[Evidence]:
    return [p if isinstance(p, Evidence) else p.at for p in places if p is not None]


@dataclass
class Review:
    """The things that checks look at: an entry, the rules of its track, and the record that it wants to beat, if named.

    `comparison` is None where `no_comparison` says why.
    """

    entry: Entry
    track: Track
    previous: StandingRecord | None = None
    comparison: Comparison | None = field(init=False, default=None)
    no_comparison: str = field(init=False, default="no previous record was named (--against)")
    other_text: bool = field(init=False, default=False)  # whether `previous` was scored on other text

    def __post_init__(self) -> None:
        sample, policy = self.sample(), self.track.policy
        if self.previous is not None and sample is None:
            self.no_comparison = "not every log has a final score"
        elif self.previous is not None and sample is not None:
            try:
                self.comparison = compare(sample, self.previous.sample(), policy.margin_nats, policy.alpha)
            except BadInput as e:
                self.no_comparison, self.other_text = str(e), True

    @property
    def runs(self) -> list[Run]:
        return self.entry.runs

    @property
    def scored(self) -> list[tuple[Run, Stage]]:
        """The runs that have a final score, with it."""
        return [(r, r.final) for r in self.runs if r.final]

    def name_of(self, run: Run) -> str:
        """How a message names a run: by its log, and by its seed where one log has several."""
        shared = run.seed and sum(r.log == run.log for r in self.runs) > 1
        return self.entry.name_of(run) + (f" (seed {run.seed.value})" if run.seed and shared else "")

    def sample(self) -> Sample | None:
        """The final scores as one side of a comparison; None if a run has none."""
        finals = [s for _, s in self.scored]
        if not finals or len(finals) < len(self.runs):
            return None
        losses = [s.val_loss for s in finals if s.val_loss is not None]
        seeds = [r.seed.value for r in self.runs if r.seed]
        first = self.runs[0]
        sample = from_seeds(
            self.entry.path.resolve().name,
            [s.val_bpb for s in finals],
            loss=losses if len(losses) == len(finals) else (),
            seeds=seeds if len(seeds) == len(finals) else (),
            decimals=min(s.decimals for s in finals),
            scored_sha256=first.scored_sha256.value if first.scored_sha256 else None,
            val_bytes=first.val_bytes.value if first.val_bytes else None,
            doubts=self._doubts(),
        )
        if sample.val_bytes is None and first.val_tokens and sample.bytes_per_token:
            sample = replace(sample, val_bytes=round(first.val_tokens.value * sample.bytes_per_token))
        return sample

    def _doubts(self) -> tuple[str, ...]:
        """Why no significance rests on these runs: one of them is another one's seed again."""
        for a, b in combinations(self.runs, 2):
            if (a.seed and b.seed and a.seed.value == b.seed.value) or same_run_again(a, b):
                return (f"{self.name_of(a)} and {self.name_of(b)} are of one seed",)
        return ()


CheckFunction = Callable[[Review, Findings], str]
