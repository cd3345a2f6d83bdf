"""The remedy for each check: what an author does before submitting, in the order in which a reviewer minds."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgolf.audit.checks import Check
from pgolf.audit.measures import Status


@dataclass(frozen=True)
class Remedy:
    """What to do where a check fails or warns (`mend`), and where no log says (`show`)."""

    mend: str
    show: str


# The order is of gravity: what makes a result worthless, what breaks a hard limit, what is claimed wrongly, what lacks.
REMEDIES: dict[str, Remedy] = {
    "score-before-update": Remedy(
        "Score every token before the model adapts to it, run all seeds again, and submit those logs.",
        "Log when validation text is scored and when the model adapts to it.",
    ),
    "train-val-disjoint": Remedy(
        "Take the validation documents, and all that is nearly like them, out of training, and train all seeds again.",
        "Put the dataset's manifest into the folder: dataset.json, with the counts of documents in both splits.",
    ),
    "seeds-distinct": Remedy(
        "Claim one run a seed: take copies out, and run a seed that is missing.",
        "Let each run log its seed and its first training losses.",
    ),
    "seed-matches-name": Remedy(
        "Name each log by the seed that it ran, and list those seeds in submission.json; or run the claimed seeds.",
        "Let each run print its seed, as in `seed: 42`, among its knobs.",
    ),
    "loss-bpb-consistent": Remedy(
        "Look for a digit that was changed: put the logs there as the runs wrote them, or evaluate again.",
        "Print loss and bpb together for each evaluation.",
    ),
    "same-data": Remedy(
        "Score all seeds on one validation text, the one that the record before was scored on.",
        "Let each run log the number of its validation tokens and, best, their SHA-256.",
    ),
    "artifact-bytes": Remedy(
        "Make code and model smaller until both together fit the cap, and claim the total that the log gives.",
        "Log the bytes of the code, of the compressed model, and of both together.",
    ),
    "train-seconds": Remedy(
        "Stop training earlier, and run the seed again; the limit is on the training clock of each seed.",
        "Log the time of training when it stops.",
    ),
    "train-plus-calibration-seconds": Remedy(
        "Stop training earlier, so that the pass over training data for quantisation fits the limit too.",
        "Log how long the pass over training data for quantisation takes.",
    ),
    "eval-seconds": Remedy(
        "Make the evaluation faster, or leave passes out: all passes that are scored from the artifact count together.",
        "Log the time of every evaluation, as in `eval_time:1234ms`.",
    ),
    "hardware": Remedy(
        "Run the seeds on the track's hardware, or submit to a track that allows other hardware.",
        "Log the accelerator's name and the number of ranks.",
    ),
    "seed-count": Remedy(
        "Run the seeds that are missing, or claim fewer; say in the README why other runs lie in the folder.",
        "Put a log of each seed into the folder.",
    ),
    "log-complete": Remedy(
        "Put the whole log of each run there, to its final score; run a seed again that failed or ended early.",
        "Put the whole log of each run there.",
    ),
    "same-config": Remedy(
        "Run all seeds with the same knobs and the same code.",
        "Let each run print its knobs before it trains.",
    ),
    "code-bytes": Remedy(
        "Put the train_gpt.py there that the logs ran, to the byte, or run the seeds again with this one.",
        "Let the trainer log the size of its own code, and put the code into the folder.",
    ),
    "claimed-mean": Remedy(
        "Claim the mean over the seeds of their final scores, as the logs give them.",
        "Claim the mean in submission.json, as `val_bpb`, and put a log with a final score of each seed there.",
    ),
    "claimed-seed-values": Remedy(
        "Copy each seed's figures from its log into submission.json and the README.",
        "Put a log with a final score of each claimed seed there.",
    ),
    "claimed-std": Remedy(
        "Claim the sample standard deviation over the seeds, which divides by n − 1.",
        "Put a log with a final score of each claimed seed there.",
    ),
    "claimed-significance": Remedy(
        "Take the claim out, or compute it again: pgolf compare FOLDER RECORD.",
        "Name the record that you compare with, so that the test can be checked: --against RECORD.",
    ),
    "units": Remedy(
        "Give bpb as bpb and nats as nats: 1 bpb is ln 2 times the bytes per token, in nats per token.",
        "Print loss and bpb together for each evaluation, so that the bytes per token are known.",
    ),
    "delta-disclosed": Remedy(
        "Name every knob that you changed in the README, with its old and its new value.",
        "Let the runs print their knobs, and name the record that you built on: --against RECORD.",
    ),
    "attribution": Remedy(
        "Say in the README what the score is before adaptation, and how much of the gain is there already.",
        "Name the record that you compare with: --against RECORD.",
    ),
    "required-files": Remedy(
        "Put README.md, submission.json, train_gpt.py and a log of each seed into the folder, under these names.",
        "Put README.md, submission.json, train_gpt.py and a log of each seed into the folder.",
    ),
}
SPEEDRUN_REMEDIES: dict[str, Remedy] = {  # of a folder on a track with a target loss
    "runs-distinct": Remedy(
        "Take copies and repeated runs out, let every run draw its own chance, and make the runs that are missing.",
        "Log a validation loss with its time several times in each run.",
    ),
    "target-loss": Remedy(
        "Make more runs of the same program, as many as a plan names before they start, or more steps in each.",
        "Make several runs of the new program: one has no spread, and shows no p.",
    ),
    "gain": Remedy(
        "Run the standing record and the new program in turn on one machine, and submit both, or make fewer steps.",
        "Run the standing record on the same machine too, and put its logs into a sub-folder, baseline/.",
    ),
    "stated-losses": Remedy(
        "Let README.md list the last validation loss of every run, as the logs give them.",
        "Put the log of every run that README.md lists into the folder.",
    ),
    "stated-times": Remedy(
        "Let README.md list the training time of every run, as the logs give them.",
        "Put the log of every run that README.md lists into the folder.",
    ),
    "stated-mean": Remedy(
        "Work out mean and standard deviation (n − 1) of all runs again, and correct README.md.",
        "Put the log of every run that README.md counts into the folder.",
    ),
    "stated-p": Remedy(
        "Work out the one-sided p of all runs again, and correct README.md.",
        "Put the log of every run that README.md counts into the folder.",
    ),
    "run-count": Remedy(
        "Make as many runs of each variant as the track asks for, also of the baseline.",
        "Put the logs of the new program into the folder, beside those of the baseline.",
    ),
    "runs-left-out": Remedy(
        "Put the whole log of every run into the folder, or say in README.md which runs do not count, and why.",
        "Put the log of every run into the folder.",
    ),
    "log-complete": Remedy(
        "Make the runs that did not end again, and submit their whole logs.",
        "Submit whole logs, to the last validation loss.",
    ),
    "same-steps": Remedy(
        "Let all runs of a variant make the same number of steps; put others into a folder of their own.",
        "Let each run log its steps, as step:N/M.",
    ),
    "same-program": Remedy(
        "Run one program for all runs of a variant; put others into a folder of their own.",
        "Let each log begin with the whole source of the program.",
    ),
    "same-versions": Remedy(
        "Run the baseline and the new program with one version of torch.",
        "Let each run log its version of torch.",
    ),
    "hardware": Remedy(
        "Run the baseline and the new program on one machine, of the kind that the track names.",
        "Let each run log nvidia-smi.",
    ),
}
GRAVITY: tuple[Status, ...] = ("fail", "warn", "unknown")


@dataclass(frozen=True)
class Point:
    """Something that a reviewer will say, and what to do about it."""

    check: Check
    remedy: str


def points(checks: Sequence[Check]) -> list[Point]:
    """What a reviewer will say, most serious first: failures, then warnings, then what no log shows."""
    remedies = REMEDIES if all(c.id in REMEDIES for c in checks) else SPEEDRUN_REMEDIES
    order = list(remedies)
    found = [c for c in checks if c.status in GRAVITY]
    found.sort(key=lambda c: (GRAVITY.index(c.status), order.index(c.id)))
    return [Point(c, remedies[c.id].show if c.status == "unknown" else remedies[c.id].mend) for c in found]
