"""Whether two logs are of one seed: what a seed leaves behind that no edited line hides."""

import math
import re

from pgolf.evidence.run import Evidence, Run, Stage

SAME_LOSS = 2e-4  # relative; in the first losses reruns of a seed agree to 5e-5, two seeds differ by 1e-3 somewhere
FIRST_STEPS, FEWEST_LOSSES = 20, 5  # which losses are a fingerprint, and how many it takes
INFORMATIVE = 0.1  # relative range of those losses; flatter ones hardly depend on the seed
EXACT_DIGITS = 6  # printed digits of a score that two runs do not share by chance
OF_A_CACHE = re.compile(r"n[-_ ]?gram|cache|ppm|phrase")
LEAST_OF_A_MODEL = 0.5  # bpb; below it a cache decides


def same_run_again(a: Run, b: Run) -> tuple[str, list[Evidence]] | None:
    """The proof that two logs are of one seed, and where it stands; None if nothing shows that.

    Equal step-0 losses alone show nothing: honest seeds agree there to four digits. Hence the first losses have to
    agree too, five or more, all of them, and they have to move.
    """
    x, y = a.final, b.final
    if x and y and _one_score(x, y):
        return f"the same score, {x.val_bpb:.{x.decimals}f}, or one result given twice", [x.at, y.at]
    v, w = a.weights_fingerprint, b.weights_fingerprint
    if v and w and v.value == w.value:
        return "the same initial weights", [v.at, w.at]
    ours, theirs = first_losses(a), first_losses(b)
    shared = sorted(ours.keys() & theirs.keys())
    losses = [ours[s][0] for s in shared if s > 0]
    if len(losses) < FEWEST_LOSSES or max(losses) / min(losses) < 1 + INFORMATIVE:
        return None
    if any(abs(ours[s][0] / theirs[s][0] - 1) > SAME_LOSS for s in shared):
        return None
    where = [e for s in shared[:FEWEST_LOSSES] for e in (ours[s][1], theirs[s][1])]
    return f"the same {len(losses)} first losses to {SAME_LOSS:g}", where


def _one_score(x: Stage, y: Stage) -> bool:
    """Whether two scores are one to more digits than two runs share by chance. A cache of n-grams decides a score
    whatever the model is, so that there even equal digits show nothing."""
    digits = x.decimals + math.floor(math.log10(x.val_bpb)) + 1
    same = x.val_bpb == y.val_bpb and x.val_loss == y.val_loss and digits >= EXACT_DIGITS
    return same and not (OF_A_CACHE.search(x.name.lower()) or x.val_bpb < LEAST_OF_A_MODEL)


def first_losses(run: Run) -> dict[int, tuple[float, Evidence]]:
    """The first training losses by step, and the validation loss of step 0."""
    points = [*(p for p in run.val_curve if p.step == 0), *(p for p in run.train_curve if 0 < p.step <= FIRST_STEPS)]
    return {p.step: (p.loss, p.at) for p in points if math.isfinite(p.loss) and p.loss > 0}
