"""What a log tells of a model that has seen the validation text before it is scored there.

Score-first adaptation scores each token before it learns from it, chunk by chunk. A model that is adapted or calibrated
on the text before it is quantised, that goes over the whole text several times first, or that scores its tokens again,
scores what it has seen.
"""

import re

from pgolf.evidence.run import Evidence, Run, Sourced

BEFORE_QUANTISING = re.compile(
    r".{0,40}?(?<![a-z])pre[-_ ]?quant(?:ization|isation)?[-_ ]{0,2}(?:\w{1,8}[-_ ])?(?:ttt|tta|adapt\w{0,6})\W{1,4}"
    r"(?:start|begin|epoch|step|done|train|finish)"
)
EPOCHS = re.compile(r".{0,40}?(?<![a-z])ttt[a-z_ ]{0,10}?[-_: ]{0,3}epoch\s?[:=]?\s?(\d{1,4})\s?/\s?(\d{1,4})(?!\d)")
OF_A_PART = re.compile(r"chunk|doc|batch|skip|disab|train[-_ ]?(?:set|data|shard)")  # of the text, or of another one


CALIBRATES_ON_IT = re.compile(r".{0,40}?gptq.{0,60}\bsource\s?[=:]\s?val(?:id|idation)?\b")
SCORES_AGAIN = re.compile(
    r".{0,60}?(?<![a-z])(?:re-?scoring (?:all|first|every|the)\b|(?:two|2)[-_ ]?pass.{0,40}rescore)"
)


def note_adaptation(run: Run, low: str, at: Evidence) -> None:
    """Note in the run what a lower-cased line says of such adaptation."""
    if not ("epoch" in low or "quant" in low or "gptq" in low or "scor" in low):
        return
    if CALIBRATES_ON_IT.match(low):
        run.calibrated_on_validation = at
    elif SCORES_AGAIN.match(low):
        run.scored_again = at
    elif run.adapted_unquantised is None and BEFORE_QUANTISING.match(low) and not OF_A_PART.search(low[:60]):
        run.adapted_unquantised = at
    elif (found := EPOCHS.match(low)) and int(found[2]) > 1 and not OF_A_PART.search(low):
        run.adapted_epochs = Sourced(int(found[2]), at)
