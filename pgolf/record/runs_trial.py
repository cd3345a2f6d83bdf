"""Before a speedrun spends hours: is all there that its programs need, and do they run, if they can be made short?"""

from dataclasses import replace

import torch

from pgolf.errors import BadInput
from pgolf.pods.places import Wanted
from pgolf.program import Program
from pgolf.program.check import missing_here, not_set
from pgolf.record.job import Job
from pgolf.record.runs_folder import RunsRecord, run_job
from pgolf.record.runs_request import RunsRequest
from pgolf.record.short import shortened


def check_programs(request: RunsRequest, wanted: Wanted) -> None:
    """BadInput for a program that fails without a variable which nobody sets, or for whose runs this machine is to be
    used and lacks something."""
    for variant, program in request.programs.items():
        lacks = not_set(program) + ([] if wanted.remote else missing_here(program, torch.cuda.is_available()))
        if lacks:
            raise BadInput(f"{variant}: {'; '.join(lacks)}. Install or set it, or run elsewhere with --pods")


def short_settings(program: Program) -> dict[str, str] | None:
    """The variables that make a trial of a program short; None: it reads none that is known to."""
    try:
        return shortened(program)
    except BadInput:
        return None


def trial_of_run(record: RunsRecord, variant: str) -> Job | None:
    """The job of a trial: the program on its data, made short; None where it cannot be."""
    short = short_settings(record.request.programs[variant])
    if short is None:
        return None
    job = run_job(record, variant)
    folder = record.folder / "preflight" / variant
    named = f"preflight of {variant}, run"
    return replace(job, name=named, folder=folder, environment={**job.environment, **short}, retry_failed=True)
