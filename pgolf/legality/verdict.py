"""The verdict on a stranger's evaluator whatever it did, with the probe `sealed`."""

from collections.abc import Sequence

from torch import Tensor

from pgolf.errors import RunFailed
from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.apart import Apart
from pgolf.legality.budget import OutOfTime
from pgolf.legality.sealed import Sealed, digest, result
from pgolf.legality.watch import watch

FIVE = ("causal", "normalised", "score before update", "one pass", "byte-exact")
NO_END = "Not run: the evaluator does not score a stream to its end"
NOT_SEALED = "not sealed, and seeing that pgolf probes it, it fails"


def unfinished(apart: Apart, tokens: Tensor, why: str, seeds: Sequence[int] = ()) -> list[ProbeResult]:
    """The results of an evaluator that does not score a stream to its end: `one pass` fails, nothing else was run.

    Where it scores `tokens` to their end without the seal, `sealed` is what fails.
    """
    name = apart.file.name
    sealed = sealed_passes(apart, tokens)
    if sealed.passed is False and not _fails_unsealed(sealed):
        return [*(ProbeResult(probe, name, None, None, f"{NO_END} where it is sealed.") for probe in FIVE), sealed]
    one_pass = ProbeResult(
        "one pass", name, False, None, "A pass did not come to its end.", 0, 0, tuple(seeds), CounterExample(why)
    )
    others = {probe: ProbeResult(probe, name, None, None, f"{NO_END}.") for probe in (*FIVE, "sealed")}
    return [*(others | {"one pass": one_pass}).values()]


def _fails_unsealed(sealed: ProbeResult) -> bool:
    return sealed.counter_example is not None and sealed.counter_example.what.startswith(NOT_SEALED)


def sealed_passes(apart: Apart, tokens: Tensor) -> ProbeResult:
    """Compare a pass in the seal with one without; and tell what any pass tried that it was not allowed."""
    name, n = apart.file.name, len(tokens) - 1
    failure, same = "", False
    try:
        expected = digest(watch(apart.plain, tokens, want_logp=False))
    except OutOfTime:
        return ProbeResult("sealed", name, None, None, "Not run: there was no time for a pass without the seal.")
    except RunFailed as e:
        what = f"{NOT_SEALED}: {e}"
        return ProbeResult("sealed", name, False, None, what, counter_example=CounterExample(what))
    try:
        same = digest(watch(apart.make, tokens, want_logp=False)) == expected
    except OutOfTime:
        return ProbeResult("sealed", name, None, None, "Not run: there was no time for a pass in the seal.")
    except RunFailed as e:
        failure = str(e)
    run = Sealed(bool(failure), failure, tuple(apart.means), tuple(apart.offences))
    return result(name, run, same, f"all {n} losses of a stream", n, runs="Every pass of the probes")
