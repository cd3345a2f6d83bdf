"""One table of the evaluations that a run can make: how each is called, switched on, shown, and where its code is.

Scoring, `pgolf eval`, the probes, the board, reports and compliance statements read it, so that a new evaluator is one
entry here and its code in the trainer. The trainer does not import this module, so that packed files pay nothing for
it; a test holds that both name the same stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# What a stage measures; `other` is for stages of other people's logs that we have no name for.
StageKind = Literal["pre-quant", "quantized", "sliding", "stream", "ttt", "other"]


@dataclass(frozen=True)
class StageSpec:
    """One evaluation of the finished model.

    Attributes
    ----------
    name : the stage as the trainer logs it.
    kind : what it measures.
    label, title : how tables call its kind; `title` is short enough for a column.
    function : of the trainer that scores, as 'module:function'.
    mode : of `pgolf eval --mode`; None for a stage that is not scored from the artifact.
    switches : knobs and the values with which the stage runs. The first turns it on; the others choose between stages
        that it turns on. None: it always runs.
    learns : whether it trains on what it has scored.
    told : knobs that a submission gives beside a score of this stage.
    by_document : whether it scores documents one by one, in an order of its own.
    only_asked : whether it runs only where its knob says so, also where all stages are wanted.
    """

    name: str
    kind: StageKind
    label: str
    title: str
    function: str
    mode: str | None = None
    switches: tuple[tuple[str, bool], ...] = ()
    learns: bool = False
    told: tuple[str, ...] = ()
    by_document: bool = False
    only_asked: bool = False


STAGES = (  # in the pipeline's order
    StageSpec(
        name="pre-quantization post-ema",
        kind="pre-quant",
        label="pre-quant",
        title="pre-quant",
        function="pgolf.trainer.score:fixed",
    ),
    StageSpec(
        name="quantized",
        kind="quantized",
        label="quantized",
        title="quantized",
        function="pgolf.trainer.score:fixed",
        mode="fixed",
    ),
    StageSpec(
        name="quantized_sliding_window",
        kind="sliding",
        label="sliding window",
        title="sliding",
        function="pgolf.trainer.score:sliding",
        mode="sliding",
        switches=(("sliding_window_enabled", True),),
    ),
    StageSpec(
        name="quantized_stream",
        kind="stream",
        label="stream",
        title="stream",
        function="pgolf.trainer.stream:stream",
        mode="stream",
        switches=(("stream_enabled", True),),
        told=("stream_window",),
        only_asked=True,
    ),
    StageSpec(
        name="quantized_ttt",
        kind="ttt",
        label="adapted (TTT)",
        title="TTT",
        function="pgolf.trainer.adapt:ttt",
        mode="ttt",
        switches=(("ttt_enabled", True), ("phased_ttt_enabled", False)),
        learns=True,
        told=("ttt_epochs", "ttt_chunk_tokens"),
    ),
    StageSpec(
        name="quantized_ttt_phased",
        kind="ttt",
        label="adapted (TTT)",
        title="TTT",
        function="pgolf.trainer.phased_ttt:phased",
        mode="phased",
        switches=(("ttt_enabled", True), ("phased_ttt_enabled", True)),
        learns=True,
        told=("ttt_lora_rank", "phased_ttt_prefix_docs"),
        by_document=True,
    ),
)

BY_NAME = {stage.name: stage for stage in STAGES}
BY_MODE = {stage.mode: stage for stage in STAGES if stage.mode}
LABELS: dict[StageKind, str] = {stage.kind: stage.label for stage in STAGES}
TITLES: dict[StageKind, str] = {stage.kind: stage.title for stage in STAGES}
LEARNING: frozenset[StageKind] = frozenset(stage.kind for stage in STAGES if stage.learns)
OF_THE_ARTIFACT: frozenset[StageKind] = frozenset(stage.kind for stage in STAGES if stage.mode)
SWITCHES = tuple(
    dict.fromkeys(stage.switches[0][0] for stage in STAGES if stage.switches and not stage.only_asked)
)  # each turns stages on


def chosen(knobs: Mapping[str, object]) -> dict[str, bool]:
    """Whether each stage that has a switch runs with all these knobs.

    Examples
    --------
    >>> chosen({"ttt_enabled": True, "phased_ttt_enabled": True})["quantized_ttt_phased"]
    True
    """
    switched = {stage.name: stage.switches for stage in STAGES if stage.switches}
    return {name: all(knobs.get(knob) == value for knob, value in given) for name, given in switched.items()}


def modes_of(knobs: Mapping[str, object]) -> list[str]:
    """The evaluators of an artifact that these knobs choose if everything in SWITCHES is on.

    Examples
    --------
    >>> modes_of({"phased_ttt_enabled": True})
    ['fixed', 'sliding', 'phased']
    """
    on = {**knobs, **dict.fromkeys(SWITCHES, True)}
    return [
        mode for mode, stage in BY_MODE.items() if all(on.get(knob, False) == value for knob, value in stage.switches)
    ]
