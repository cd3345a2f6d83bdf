"""A speedrun's record that nobody has started: its order, commands, limits, machines and dollars."""

import shlex
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from pgolf.errors import BadInput
from pgolf.evidence.variants import read_variants, result_of
from pgolf.pods.estimate import Estimate, check_bounds, estimate
from pgolf.pods.places import Wanted
from pgolf.program.check import missing_here
from pgolf.record.runs_data import RunsData, reads_below
from pgolf.record.runs_request import RunsRequest
from pgolf.record.runs_trial import short_settings
from pgolf.report.runs_inputs import BASELINE, NEW

AROUND_S = 600.0  # of a run beside the time of its clock: starting, compiling, warming up, validating


@dataclass(frozen=True)
class PlannedRuns:
    """A speedrun's record that nobody has started. `lacks` is what this machine lacks for the programs, by variant."""

    request: RunsRequest
    data: RunsData | None
    wanted: Wanted
    hours: float | None  # that a run on a pod is expected to take; None: the runs are on this machine
    costs: Estimate | None  # None: the runs are on this machine, which costs nothing
    lacks: dict[str, list[str]]

    def command(self, number: int, variant: str) -> str:
        """The command line of a run, as a shell takes it; DATA stands for the data's folder."""
        program = self.request.programs[variant]
        settings = {**program.settings("DATA", "DATA", "DATA"), **program.of_run(number, f"run{number}")}
        words = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        return " ".join([*words, shlex.join(program.start(self.request.track.nproc))])

    @property
    def trials(self) -> dict[str, dict[str, str] | None]:
        """By variant the variables of its trial; None: none is made."""
        here = not self.wanted.remote
        return {variant: short_settings(p) if here else None for variant, p in self.request.programs.items()}

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        request = self.request
        return {
            "track": request.track.name,
            "name": request.name,
            "target": asdict(request.target),
            "runs": request.runs,
            "order": list(request.order),
            "seeds": list(request.seeds),
            "baseline": request.baseline_name,
            "programs": {variant: program.as_json() for variant, program in request.programs.items()},
            "commands": [self.command(number, variant) for number, variant in enumerate(request.order, start=1)],
            "data": {"folder": str(self.data.root), "bytes": sum(self.data.sizes.values())} if self.data else None,
            "trials": self.trials,
            "lacks": self.lacks,
            "most_seconds": request.target.most_seconds,
            "pods": self.wanted.kind,
            "costs": self.costs.as_json() if self.costs else None,
            "notes": self.notes(),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """(name, value) of each line for people."""
        request, target = self.request, self.request.target
        yield "track", f"{request.track.name}: {request.track.title}"
        least = "training time" if target.least == "train_seconds" else "steps"
        yield (
            "record",
            f"mean val_loss below {target.loss:g}, p < {target.alpha:g}, and less {least} than the baseline",
        )
        for variant, program in request.programs.items():
            what = f"{program.name}, started as {program.script}"
            yield variant, what + (", the standing record" if variant == BASELINE else "")
            for name, sha256 in program.hashes.items():
                yield "", f"{len(program.files[name]):>11,} bytes  {sha256[:16]}  {name}"
            yield "", self.command(1 if variant == NEW else 2, variant)
        yield "runs", f"{request.runs} of each variant, one at a time, on one machine; all of them count"
        yield "order", " ".join(request.order)
        yield "seeds", ", ".join(map(str, request.seeds)) or "none: no program reads one"
        yield "data", self._data()
        for variant, short in self.trials.items():
            how = "no trial is made" if short is None else " ".join(f"{name}={value}" for name, value in short.items())
            yield "trial", f"{variant}: {how}"
        yield "limits", f"a run is ended {target.most_seconds:,.0f} s after its start, if it has not ended by itself"
        for number, line in enumerate(self.costs.lines() if self.costs else ["none: all runs are on this machine"]):
            yield "" if number else "pods", line
        for number, note in enumerate(self.notes()):
            yield "" if number else "notes", note
        for variant, lacks in self.lacks.items():
            yield from (("lacks here", f"{variant}: {lack}") for lack in lacks)

    def _data(self) -> str:
        if self.data is None:
            return "none is needed"
        linked = [v for v, program in self.request.programs.items() if reads_below(program) is not None]
        how = f"; `data` in each run's folder is a link to it ({', '.join(linked)})" if linked else ""
        size = sum(self.data.sizes.values())
        return f"{len(self.data.sizes):,} files, {size:,} bytes in {self.data.root}, or there on a pod, as DATA{how}"

    def notes(self) -> list[str]:
        """What is to be said of the plan, a sentence each."""
        said = [f"{v}: {note}" for v, program in self.request.programs.items() for note in program.notes]
        nets, all_hours = self.wanted.settings.runpod.nets, 2 * self.request.runs * (self.hours or 0.0)
        if self.wanted.kind == "runpod" and 3600 * all_hours > nets.lifetime_s:
            said.append(
                f"all runs may take {all_hours:.1f} hours, and a pod ends after {nets.lifetime_s / 3600:.1f}; "
                "times of two machines compare only if each has as many runs of both variants: set lifetime_s under "
                "[runpod.nets] in pods.toml"
            )
        return said


def plan_runs(request: RunsRequest, wanted: Wanted, data: RunsData | None) -> PlannedRuns:
    """Plan a speedrun's record; nothing is started or written."""
    hours = run_hours(request) if wanted.remote else None
    costs = None if hours is None else estimate(wanted, 2 * request.runs, hours, request.track.nproc)
    lacks = {v: missing_here(program, torch.cuda.is_available()) for v, program in request.programs.items()}
    return PlannedRuns(request, data, wanted, hours, costs, {v: found for v, found in lacks.items() if found})


def one_at_a_time(wanted: Wanted) -> Wanted:
    """The same with one pod; BadInput where more were asked for, or a rehearsal."""
    if wanted.at_once not in (None, 1):
        raise BadInput(f"--pods-at-once {wanted.at_once}: the runs of a speedrun go one at a time, on one machine")
    if wanted.rehearse:
        raise BadInput("--rehearse is for the seeds of other tracks: times on a small pod say nothing of a speedrun")
    return replace(wanted, at_once=1) if wanted.remote else wanted


def run_hours(request: RunsRequest) -> float:
    """Hours that a run is expected to take: by the logs beside the baseline, else until it would be ended."""
    try:
        found = read_variants(request.baseline_folder).variants
    except BadInput:
        found = []
    seconds = [r.seconds for v in found for run in v.runs if (r := result_of(run)) and r.seconds is not None]
    most = request.target.most_seconds
    return min(most, statistics.median(seconds) + AROUND_S if seconds else most) / 3600


def check_runs_costs(request: RunsRequest, wanted: Wanted) -> None:
    """BadInput if pods would be rented without bounds that the user has given, or has waived with --no-bound."""
    if wanted.missing_bounds:
        check_bounds(wanted, 2 * request.runs, run_hours(request), request.track.nproc)
