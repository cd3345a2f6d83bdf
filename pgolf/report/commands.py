"""The commands by which a reader runs one seed of a submission again, inside its folder."""

import re
import shlex
from collections.abc import Iterator

from pgolf.evidence.run import Run
from pgolf.ledger import value
from pgolf.program import TORCHRUN
from pgolf.report.inputs import RecordInputs
from pgolf.report.runs_inputs import RunsInputs
from pgolf.requirements import packages_of

NAMES_TORCH = re.compile(rb"^\s*torch\b", re.M)  # in a requirements.txt


def to_reproduce(inputs: RecordInputs, run: Run) -> list[str]:
    """Install what the program needs, make the data, run one seed; `run` says with which torch."""
    variables = {str(inputs.program.seed): str(inputs.plans[-1].seeds[0]), **inputs.environment}
    return [
        *_installing(inputs, run),
        *([inputs.prepare] if inputs.prepare else []),
        " ".join([*(f"{k}={shlex.quote(v)}" for k, v in variables.items()), starting(inputs)]),
    ]


def to_run_again(inputs: RunsInputs, run: Run) -> list[str]:
    """The same for one run of a speedrun, which has no seed."""
    return [
        *_installing(inputs, run),
        *([inputs.prepare] if inputs.prepare else []),
        " ".join([*(f"{k}={shlex.quote(v)}" for k, v in inputs.environment.items()), starting(inputs)]),
    ]


def starting(inputs: RecordInputs | RunsInputs) -> str:
    """The words that start the program, as people write them."""
    words = inputs.program.start(inputs.nproc)
    module = list(TORCHRUN[:3])
    return shlex.join(["torchrun", *words[3:]] if words[:3] == module else words)


def _installing(inputs: RecordInputs | RunsInputs, run: Run) -> Iterator[str]:
    program, version = inputs.program, value(run.torch_version)
    torch = f"torch=={version.split('+')[0]}" if version else "torch"
    if program.ours:
        knobs = {name: knob.value for name, knob in run.hyperparameters.items()}
        yield shlex.join(["pip", "install", torch, *packages_of(knobs)])
        return
    needs = program.requires
    if needs.requirements:
        named = NAMES_TORCH.search(program.files.get(needs.requirements, b"")) is not None
        yield shlex.join(["pip", "install", *([] if named else [torch]), "--requirement", needs.requirements])
    else:
        yield shlex.join(["pip", "install", torch, *needs.packages])
    if needs.setup:
        yield shlex.join(["bash", needs.setup])
