"""The commands by which a reader runs one seed of a submission again, inside its folder."""

import re
import shlex
from collections.abc import Iterator, Mapping

from pgolf.evidence.run import Run
from pgolf.ledger import value
from pgolf.program import TORCHRUN, Program
from pgolf.program.environment import HIDDEN, published
from pgolf.report.inputs import RecordInputs
from pgolf.report.runs_inputs import RunsInputs
from pgolf.requirements import packages_of

IMPORTS_TORCH = re.compile(rb"^\s*(?:import|from)\b.*\btorch\b", re.M)
NAMES_TORCH = re.compile(rb"^\s*torch\b", re.M)  # in a requirements.txt


def to_reproduce(inputs: RecordInputs, run: Run) -> list[str]:
    """Install what the program needs, make the data, run one seed; `run` says with which torch."""
    return [
        *_installing(inputs, run),
        *([inputs.prepare] if inputs.prepare else []),
        _run(inputs, _first_seed(inputs)),
    ]


def _first_seed(inputs: RecordInputs) -> dict[str, str]:
    """The variable of the first seed; none where the program is not known to read one, or no log tells of a seed."""
    seeds = inputs.plans[-1].seeds if inputs.plans else [run.seed for run in inputs.runs if run.seed is not None]
    return {inputs.program.seed: str(seeds[0])} if inputs.program.seed and seeds else {}


def to_run_again(inputs: RunsInputs, run: Run) -> list[str]:
    """The same for one run of a speedrun, which has no seed."""
    return [*_installing(inputs, run), *([inputs.prepare] if inputs.prepare else []), _run(inputs, {})]


def _run(inputs: RecordInputs | RunsInputs, seed: Mapping[str, str]) -> str:
    """The line that runs the program; the reader has to fill in a value that is not published."""
    variables = {**seed, **inputs.environment, **published(inputs.program)}
    words = (f"{name}={text if text == HIDDEN else shlex.quote(text)}" for name, text in variables.items())
    return " ".join([*words, starting(inputs)])


def starting(inputs: RecordInputs | RunsInputs) -> str:
    """The words that start the program, as people write them."""
    words = inputs.program.start(inputs.nproc)
    module = list(TORCHRUN[:3])
    return shlex.join(["torchrun", *words[3:]] if words[:3] == module else words)


def _installing(inputs: RecordInputs | RunsInputs, run: Run) -> Iterator[str]:
    program, version = inputs.program, value(run.torch_version)
    torch = [f"torch=={version.split('+')[0]}"] if version else ["torch"] if _needs_torch(program) else []
    if program.ours:
        knobs = {name: knob.value for name, knob in run.hyperparameters.items()}
        yield shlex.join(["pip", "install", *torch, *packages_of(knobs)])
        return
    needs = program.requires
    if needs.requirements:
        named = NAMES_TORCH.search(program.files.get(needs.requirements, b"")) is not None
        yield shlex.join(["pip", "install", *([] if named else torch), "--requirement", needs.requirements])
    elif packages := [*torch, *needs.packages]:
        yield shlex.join(["pip", "install", *packages])
    if needs.setup:
        yield shlex.join(["bash", needs.setup])


def _needs_torch(program: Program) -> bool:
    """Whether a program starts with torchrun, or its source says that it takes torch."""
    words = " ".join(program.start(1))
    sources = [content for name, content in program.files.items() if name.endswith(".py")]
    named = any(IMPORTS_TORCH.search(content) for content in sources)
    return program.ours or named or "torchrun" in words or TORCHRUN[2] in words or program.requires.cuda is not None
