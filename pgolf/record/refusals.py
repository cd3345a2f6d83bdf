"""What a record needs beside its rules: its folder, room on the disk, a dataset, a key.

Told in a moment, before anything is started or written, and as far as it goes before anything heavy is imported.
`pgolf record`, the flows and `pgolf doctor` ask here, so that they refuse the same.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgolf import presets
from pgolf.data.present import check_present, find_dataset
from pgolf.errors import BadInput
from pgolf.evidence.plan import Kind, check_plan, make_plan, make_plan_of_runs, read_plans
from pgolf.phrases import counted
from pgolf.pods.places import Wanted, check_key, key_of_environment
from pgolf.record.disk import check_room, check_writable, existing
from pgolf.record.request import Request, rules_of
from pgolf.record.runs_request import RunsRequest
from pgolf.untrusted import hash_file

LOG_BYTES = 20_000_000  # logs and events of a seed, generously
SPARE_BYTES = 200_000_000  # left free for everything else on this disk
GIVEN = ("artifact", "checkpoint")  # files that a sweep may start from
MOST_GIVEN = 1 << 40  # bytes of one
OF_PREFECT = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")


def check_start(
    request: Request,
    wanted: Wanted,
    runs_dir: Path,
    data_dir: Path,
    record_id: str | None = None,
    rules: Sequence[bool | None] = (None, None),
) -> None:
    """All that would stop a record later, and can be told now; `rules` are those of `describe_record`.

    Raises
    ------
    BadInput : an id that is no name, or of another record; a folder that cannot be written; too little room on its
        disk; no dataset, or one that is not whole; no key for pods; what a program of the user's lacks here.
    """
    check_folder(runs_dir, record_id)
    check_same_plan(request, runs_dir, record_id, rules)
    _check_key(wanted)
    check_data(request, data_dir)
    seeds = len(request.seeds)
    check_room(runs_dir, seeds * LOG_BYTES + SPARE_BYTES, f"{counted(seeds, 'seed')} need{'s' * (seeds == 1)}")
    from pgolf.record.preflight import check_disk, check_here  # import torch: all that needs no model is checked

    check_disk(request, runs_dir)
    check_here(request, wanted)


def check_runs_start(request: RunsRequest, wanted: Wanted, runs_dir: Path, record_id: str | None = None) -> None:
    """The same for a speedrun, whose programs and data are checked elsewhere."""
    check_folder(runs_dir, record_id)
    if record_id and (plans := read_plans(runs_dir / record_id)):
        names = request.track.name, request.program.name
        inputs = {**plans[-1].inputs, **request.inputs}  # of the data, the flow compares them
        plan = make_plan_of_runs(record_id, *names, request.order, request.seeds, inputs)
        check_plan(runs_dir / record_id, plan)
    _check_key(wanted)
    check_room(runs_dir, 2 * request.runs * LOG_BYTES + SPARE_BYTES, f"{2 * request.runs} runs need")


def check_sweep_start(
    request: Request,
    kind: Kind,
    runs_dir: Path,
    data_dir: Path,
    sweep_id: str | None = None,
    given: Mapping[Any, Path] | None = None,
) -> None:
    """The same for a sweep or an ablation, which keep little and run here; `given` are files that it starts from."""
    check_folder(runs_dir, sweep_id)
    check_same_plan(request, runs_dir, sweep_id, given=given, kind=kind)
    check_data(request, data_dir)
    check_room(runs_dir, LOG_BYTES + SPARE_BYTES, "its runs need")


def check_same_plan(
    request: Request,
    runs_dir: Path,
    record_id: str | None,
    rules: Sequence[bool | None] = (None, None),
    given: Mapping[Any, Path] | None = None,
    kind: Kind = "record",
) -> None:
    """BadInput if a folder of this name holds another plan, as far as that can be told before data and program are
    made: the flow compares all of it."""
    if not record_id or not (plans := read_plans(runs_dir / record_id)):
        return
    last = plans[-1]
    before = {name: sha256 for name, sha256 in last.inputs.items() if name not in GIVEN}
    inputs = {**before, **request.inputs, **{name: hash_file(path, MOST_GIVEN) for name, path in (given or {}).items()}}
    ended = rules_of(plans[0].early_stop, *rules)
    names = record_id, request.track.name, request.label
    plan = make_plan(*names, request.seeds, inputs, early_stop=ended, kind=kind)
    check_plan(runs_dir / record_id, plan)


def check_planned(request: Request, runs_dir: Path, data_dir: Path, record_id: str | None) -> None:
    """What a plan that nobody starts is refused for: folders that cannot be used, and an id of another record."""
    check_folder(runs_dir, record_id)
    check_same_plan(request, runs_dir, record_id)
    if request.track.corpus == "pydocs":
        check_writable(data_dir, "--data-dir")
    elif not existing(data_dir).is_dir():
        raise BadInput(f"{existing(data_dir)} is no folder; name another one with --data-dir")


def check_id(given: str | None) -> None:
    """BadInput for a name of a record's folder that is none."""
    if given is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", given):
        raise BadInput(f"--id {given!r}: give letters, digits, '.', '_' and '-', up to 100 of them")


def check_folder(runs_dir: Path, record_id: str | None = None) -> None:
    """BadInput if a record's folder, or Prefect's, cannot be made or written."""
    check_id(record_id)
    check_writable(runs_dir, "--runs-dir")
    if record_id:
        check_writable(runs_dir / record_id, "--id")
    if home := os.environ.get("PREFECT_HOME"):
        check_writable(Path(home), "PREFECT_HOME")


def check_data(request: Request, data_dir: Path) -> None:
    """BadInput unless the track's text is there and whole by its files' sizes, or can be made in `data_dir`."""
    if request.track.corpus == "pydocs":
        check_writable(data_dir, "--data-dir")
        if not any(data_dir.glob("pydocs-*")):
            check_room(data_dir, SPARE_BYTES, "the dataset needs", "--data-dir")
        return
    config = presets.config_of(request.knobs)
    caseops = config.caseops_enabled and not request.theirs
    check_present(find_dataset(data_dir, config.vocab_size, caseops), config.vocab_size, caseops)


def _check_key(wanted: Wanted) -> None:
    """BadInput if pods are to be rented, and there is no key. With a server of Prefect's, a block there may have it."""
    profiles = Path("~/.prefect/profiles.toml").expanduser()
    if wanted.kind == "runpod" and not profiles.exists() and not any(os.environ.get(name) for name in OF_PREFECT):
        check_key(key_of_environment())
