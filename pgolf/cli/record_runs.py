"""`pgolf record` on a track with a target: a program and its baseline, run in turns."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pgolf.cli.outcome import show_outcome
from pgolf.cli.output import show_rows
from pgolf.errors import BadInput
from pgolf.tracks import Track

if TYPE_CHECKING:
    from pgolf.program import Program

INSTEAD = {  # options that belong to seeds, and what there is in their place
    "--preset": "a speedrun runs a program of your own: name it with --program",
    "--seeds": "its runs have no seeds: --runs says how many there are",
    "--parallel": "its runs go one at a time",
    "--pods-at-once": "its runs go one at a time, on one machine",
    "--rehearse": "times on a small pod say nothing of it",
    "--stop-early": "no limit ends a run but the track's most_seconds",
    "--stop-hopeless": "all runs of the plan count",
    "--pack": "the size of its code does not count",
    "--evaluator": "nothing is probed of it",
    "--no-probe": "nothing is probed of it",
    "--non-record": "the contest has no track for runs that are no record",
    "--against": "--baseline names the program to beat, which runs beside it",
}


def check_options(track: Track, given: Mapping[str, Any], of_runs: Mapping[str, Any]) -> None:
    """BadInput for an option that the track has no use for: `given` are of tracks with seeds, `of_runs` of others."""
    if track.target is None:
        if lonely := [option for option, value in of_runs.items() if value is not None]:
            raise BadInput(f"{lonely[0]} is for speedruns, and track {track.name} has seeds and a score to beat")
        return
    for option, value in given.items():
        if value not in (None, False):
            raise BadInput(f"{option} does not apply to the speedrun of track {track.name}: {INSTEAD[option]}")


def record_speedrun(
    track: str,
    rules: Track,
    program: str | None,
    baseline: str | None,
    settings: Sequence[str],
    env: Sequence[str],
    agreed: Callable[[Path, "Program"], bool],
    *,
    runs: int | None,
    about: Mapping[str, str | None],
    pods: Mapping[str, Any],
    folders: Mapping[str, Any],
    plan: bool,
    foreground: bool | None,
    as_json: bool,
) -> None:
    """Make a speedrun's record, or with `plan` only print what it would be; exit 0 or 1 by its verdict.

    `agreed` asks whether a program from a record's folder may run. Raises BadInput before anything is started.
    """
    from pgolf.pods.places import check_wanted
    from pgolf.program.environment import parse_variables
    from pgolf.record.refusals import check_folder, check_id, check_runs_start
    from pgolf.record.runs_data import find_data
    from pgolf.record.runs_request import check_runs

    check_id(folders["record_id"])
    variables, more = parse_variables(settings), parse_variables(env, "--env")
    request = check_runs(rules, program, baseline, runs, variables, more, **about)  # type: ignore[arg-type]
    file = pods["pods_file"]
    asked = check_wanted(pods["pods"], None, False, pods["max_cost"], pods["max_hours"], file, pods["no_bound"])
    data = find_data(request, folders["data_dir"])
    if plan:
        check_folder(folders["runs_dir"], folders["record_id"])
    else:
        check_runs_start(request, asked, folders["runs_dir"], folders["record_id"])
    from pgolf.record.runs_folder import check_plan_of_runs  # these import torch
    from pgolf.record.runs_planned import check_runs_costs, one_at_a_time, plan_runs
    from pgolf.record.runs_trial import check_programs

    wanted = one_at_a_time(asked)
    if plan:
        check_plan_of_runs(Path(folders["runs_dir"]), request, data, folders["record_id"])
        planned = plan_runs(request, wanted, data)
        if as_json:
            typer.echo(json.dumps(planned.as_json(), indent=2, allow_nan=False))
        else:
            show_rows([*planned.rows()])
        return
    check_runs_costs(request, wanted)
    check_programs(request, wanted)
    theirs = ((str(program), request.program), (str(baseline), request.baseline))
    trusted = [agreed(Path(path), one) for path, one in theirs]  # each is asked for
    parameters: dict[str, Any] = {
        "track": track,
        "program": program,
        "baseline": baseline,
        "runs": runs,
        "settings": variables,
        "env": more,
        "trust_program": any(trusted),
        **about,
        **{**pods, "pods_file": str(file) if file else None},
        **{name: value if value is None else str(value) for name, value in folders.items()},
    }
    from pgolf.cli.detached import make_record

    outcome = make_record(foreground, "pgolf.flows.record_runs", "record_runs", parameters, request.inputs)
    raise typer.Exit(show_outcome(outcome, as_json))
