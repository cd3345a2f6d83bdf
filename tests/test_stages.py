"""The table of stages is of the trainer's stages, and each entry holds together."""

import ast
import re
from pathlib import Path
from pkgutil import resolve_name

from pgolf import trainer
from pgolf.evidence.run import stage_kind
from pgolf.knobs import KNOBS
from pgolf.stages import BY_NAME, LABELS, LEARNING, OF_THE_ARTIFACT, STAGES, SWITCHES, TITLES, modes_of


def test_the_trainer_has_the_stages_of_the_table() -> None:
    source = "\n".join(path.read_text() for path in Path(trainer.__path__[0]).glob("*.py"))
    texts = {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert {text for text in texts if re.fullmatch(r"(?:pre-quantization|quantized)[a-z_ -]*", text)} == BY_NAME.keys()


def test_every_entry_names_what_there_is() -> None:
    for stage in STAGES:
        assert callable(resolve_name(stage.function))
        assert {*stage.told, *(knob for knob, _ in stage.switches)} <= KNOBS.keys()
        assert (LABELS[stage.kind], TITLES[stage.kind]) == (stage.label, stage.title), "one kind, one name"
        assert stage_kind(stage.name) == stage.kind


def test_what_others_read_from_the_table() -> None:
    assert {"ttt"} == LEARNING and {"quantized", "sliding", "stream", "ttt"} == OF_THE_ARTIFACT
    assert SWITCHES == ("sliding_window_enabled", "ttt_enabled")
    off = dict.fromkeys(SWITCHES, False)
    assert modes_of(off | {"phased_ttt_enabled": False}) == ["fixed", "sliding", "ttt"]
    assert modes_of(off | {"phased_ttt_enabled": True}) == ["fixed", "sliding", "phased"]
    streamed = off | {"phased_ttt_enabled": False, "stream_enabled": True}
    assert modes_of(streamed) == ["fixed", "sliding", "stream", "ttt"], "a stream runs only where it is asked for"
