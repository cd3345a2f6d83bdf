"""What is scored from the artifact, stage by stage."""

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from pgolf.trainer.adapt import ttt
from pgolf.trainer.config import Config
from pgolf.trainer.model import GPT
from pgolf.trainer.score import Scored, fixed, sliding

Evaluator = Callable[..., Iterator[Scored]]  # of (model, tokens, want_logp, rank, world)


def stages(
    cfg: Config,
    say: Callable[[str], None],
    count: Callable[[Tensor], Tensor],
    load: Callable[[], GPT],
) -> Iterator[tuple[str, Evaluator]]:
    """(name, evaluator) of each stage that the knobs turn on, in the order in which they run. A new evaluator is one
    more entry here. `say` hears the log lines of those that have any; `count` gives the bytes of tokens, and `load` the
    artifact's model again, to one that adapts it."""
    yield "quantized", fixed
    if cfg.sliding_window_enabled:
        yield "quantized_sliding_window", sliding
    if cfg.stream_enabled:
        from pgolf.trainer.stream import stream

        yield "quantized_stream", stream
    if cfg.ttt_enabled and cfg.phased_ttt_enabled:
        from pgolf.trainer.phased_ttt import phased_anew

        yield "quantized_ttt_phased", partial(phased_anew, load, say, count)
    elif cfg.ttt_enabled:
        yield "quantized_ttt", partial(ttt, say=say)
