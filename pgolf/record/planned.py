"""A record that nobody has started: its files, commands, environment, limits, machines and dollars."""

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pgolf import presets
from pgolf.audit.belonging import NO_RECORD
from pgolf.errors import BadInput
from pgolf.evidence.plan import Rule
from pgolf.pack.kept import packed
from pgolf.pods.estimate import Estimate, check_bounds, estimate
from pgolf.pods.money import OVERHEAD_S
from pgolf.pods.places import Wanted
from pgolf.program import Program
from pgolf.program.check import missing_here
from pgolf.record.arrival import Arrival, arrival
from pgolf.record.programs import own_program
from pgolf.record.prospect import Prospect, prospect_of
from pgolf.record.refusals import check_data
from pgolf.record.request import Request, as_text, rules_of
from pgolf.record.short import shortened

SHOWN_LINES = 40  # of a script that would run on every machine


@dataclass(frozen=True)
class Planned:
    """A record that nobody has started. `lacks` is what this machine lacks for it."""

    request: Request
    program: Program
    wanted: Wanted
    rules: tuple[Rule, ...]
    prospect: Prospect
    costs: Estimate | None = None  # None: seeds run here, which costs nothing
    lacks: tuple[str, ...] = ()
    arrival: Arrival | None = None  # how the dataset comes to pods; None: seeds run here

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a seed, DATASET standing for the dataset's folder; the seed's own variables left out."""
        vocab = self.request.knobs["vocab_size"]
        shards, tokenizer = f"datasets/fineweb10B_sp{vocab}", f"tokenizers/fineweb_{vocab}_bpe.model"
        return self.program.settings("DATASET", f"DATASET/{shards}", f"DATASET/{tokenizer}")

    def command(self, seed: int) -> str:
        """The command line of a seed, as a shell takes it."""
        settings = {**self.program.of_run(seed, f"seed{seed}"), **self.environment}
        words = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        return " ".join([*words, shlex.join(self.program.start(self.request.track.nproc))])

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        request, program = self.request, self.program
        return {
            "track": request.track.name,
            "name": request.name,
            "against": self.prospect.name,
            **self.prospect.as_json(),
            "preset": None if request.theirs else request.preset,
            "changed": {} if request.theirs else dict(request.overrides),
            "seeds": list(request.seeds),
            "program": program.as_json() | {"bytes": {name: len(text) for name, text in program.files.items()}},
            "commands": {str(seed): self.command(seed) for seed in request.seeds},
            "environment": self.environment,
            "trial": None if program.ours else shortened(program),
            "requires": asdict(program.requires),
            "lacks": list(self.lacks),
            "limits": asdict(request.track.limits) | {"most_seconds": request.track.limits.most_seconds},
            "early_stop": list(self.rules),
            "pods": self.wanted.kind,
            "costs": self.costs.as_json() if self.costs else None,
            "arrival": self.arrival.as_json() if self.arrival else None,
            "notes": list(program.notes),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """(name, value) of each line for people."""
        request, program, limits = self.request, self.program, self.request.track.limits
        yield "track", f"{request.track.name}: {request.track.title}"
        for number, line in enumerate(self.prospect.lines()):
            yield "" if number else "to beat", line
        if self.prospect.warning:
            yield "no record", self.prospect.warning
        if request.non_record:
            yield "non-record", f"what is no record is written, too, as a submission to track {NO_RECORD}"
        if program.ours:
            yield "preset", request.preset
            before = presets.config_of(presets.load(request.preset))
            for number, (name, text) in enumerate(request.overrides.items()):
                was = as_text(getattr(before, name))
                yield "" if number else "changed", f"{name.upper()}={text} ({was} in the preset)"
        yield "program", f"{program.name}, started as {program.script}" + (" (pgolf's trainer, packed)" * program.ours)
        for name, content in sorted(program.files.items()):
            counted = "code" if name in program.code else "not counted"
            yield "", f"{len(content):>11,} bytes  {hashlib.sha256(content).hexdigest()[:16]}  {name} ({counted})"
        yield "code", f"{program.code_bytes:,} bytes of the {limits.artifact_bytes:,} for code and model"
        text = "docstrings" if request.track.corpus == "pydocs" else request.track.corpus
        yield (
            "dataset",
            f"{text}, {request.knobs['vocab_size']:,} tokens in its vocabulary; DATASET stands for its folder",
        )
        yield "seeds", ", ".join(map(str, request.seeds))
        yield "command", self.command(request.seeds[0])
        if not program.ours:
            yield "trial", " ".join(f"{name}={value}" for name, value in shortened(program).items())
        yield from self._needs()
        yield "limits", f"training {limits.train_seconds:g} s, evaluation {limits.eval_seconds:g} s"
        if not program.ours:
            yield "", f"ended {limits.most_seconds:,.0f} s after its start, if it has not ended by itself"
        yield "ended early", ", ".join(self.rules) or "no rule"
        for number, line in enumerate(self.costs.lines() if self.costs else ["none: the seeds run on this machine"]):
            yield "" if number else "pods", line
        for number, line in enumerate(self.arrival.lines() if self.arrival else []):
            yield "" if number else "dataset there", line
        for number, note in enumerate(program.notes):
            yield "" if number else "notes", note
        for number, lack in enumerate(self.lacks):
            yield "" if number else "lacks here", lack

    def _needs(self) -> Iterator[tuple[str, str]]:
        """What is required, and what would be run on every machine to get it."""
        needs = self.program.requires
        modules = [need.name for need in needs.modules if not need.optional]
        commands = [need.name for need in needs.commands if not need.optional]
        yield "requires", ", ".join(dict.fromkeys(["torch", *needs.packages, *modules, *commands]))
        for word, name in (("pip install -r", needs.requirements), ("bash", needs.setup)):
            if name:
                yield "on each pod" if self.wanted.remote else "by you", f"{word} {name}"
                text = self.program.files[name].decode(errors="replace").splitlines()
                for line in text[:SHOWN_LINES]:
                    yield "", f"    {line}"


def plan_record(
    request: Request,
    wanted: Wanted,
    limits_rule: bool | None,
    loss_rule: bool | None,
    runs_dir: Path = Path("runs"),
    data_dir: Path = Path("data"),
) -> Planned:
    """Plan a record; nothing is started or written."""
    rules = rules_of(("limits",) if wanted.kind == "runpod" else (), limits_rule, loss_rule)
    lacks = tuple(missing_here(request.theirs, torch.cuda.is_available())) if request.theirs else ()
    try:
        check_data(request, data_dir)
    except BadInput as e:
        lacks += (str(e),)
    program = request.theirs or own_program(packed(request.knobs), Path(request.preset).stem, request.knobs)
    costs = estimate(wanted, len(request.seeds), seed_hours(request), request.track.nproc) if wanted.remote else None
    there = arrival(request, wanted, costs.machines, runs_dir, data_dir) if costs else None
    return Planned(request, program, wanted, rules, prospect_of(request), costs, lacks, there)


def seed_hours(request: Request) -> float:
    """Hours that one seed is expected to take on a pod."""
    limits, theirs = request.track.limits, request.theirs
    return (limits.train_seconds + ((theirs and theirs.eval_seconds) or limits.eval_seconds) + OVERHEAD_S) / 3600


def check_costs(request: Request, wanted: Wanted) -> None:
    """BadInput if a record would rent pods without bounds that the user has given, or has waived with --no-bound."""
    check_bounds(wanted, len(request.seeds), seed_hours(request), request.track.nproc)
