"""As many seeds as are asked for and claimed, each what its name says, none run twice."""

from itertools import combinations

from pgolf.audit.checks.review import Findings, Review
from pgolf.audit.measures import Status
from pgolf.evidence.entry import counts
from pgolf.evidence.fingerprint import first_losses, same_run_again
from pgolf.evidence.run import Evidence
from pgolf.phrases import counted


def seed_count(review: Review, findings: Findings) -> str:
    """There are logs of as many seeds as the track asks for, and of all that are claimed."""
    claims, least = review.entry.claims, review.track.policy.min_seeds
    seeds = {r.seed.value for r in review.runs if r.seed}
    count = len(seeds) + sum(r.seed is None for r in review.runs)
    if count < least:
        findings.fail(f"logs of {count} seed{'s' * (count != 1)}, the track asks for {least}")
    if claims.n and claims.n > count:
        status: Status = "fail" if review.track.record else "warn"  # elsewhere nobody asks for each seed's log
        findings.add(status, f"claims {counted(claims.n, 'seed')}, there are logs of {count}")
    if not review.runs:
        findings.unknown("there is no log of a run")
    for run in review.entry.extras:
        seed = f" of seed {run.seed.value}" if run.seed else ""
        score = f", val_bpb {run.final.val_bpb:.{run.final.decimals}f}" if run.final else ""
        findings.warn(f"{review.name_of(run)} is a run{seed} that is not among the claimed ones{score}", run.seed)
    findings.show(*(r.seed for r in review.runs))
    return f"logs of {counted(count, 'seed')} ({', '.join(map(str, sorted(seeds)))})"


def seed_matches_name(review: Review, findings: Findings) -> str:
    """The seed in a log is the one that its file's name and submission.json give."""
    claimed = set(review.entry.claims.seeds)
    ran = [r.seed.value for r in review.runs if r.seed]
    names = sorted({n for r in review.runs if (n := review.entry.named_seed(r)) is not None})
    counted = counts(names) and len(ran) == len(review.runs) and not set(ran) & set(names)
    for run in review.runs:
        named = None if counted else review.entry.named_seed(run)  # the first, second and third run
        if run.seed is None:
            findings.unknown(f"{review.name_of(run)} does not log its seed")
        elif named is not None and named != run.seed.value:
            findings.fail(f"{review.name_of(run)} ran seed {run.seed.value}", run.seed)
        elif claimed and run.seed.value not in claimed:
            listed = ", ".join(map(str, sorted(claimed)))
            findings.fail(f"{review.name_of(run)} ran seed {run.seed.value}, the claimed ones are {listed}", run.seed)
        findings.show(run.seed)
    return "every log ran the seed that its name and submission.json give"


def seeds_distinct(review: Review, findings: Findings) -> str:
    """No seed is another one run again: seed numbers, initial weights, first losses and scores differ."""
    claims, runs = review.entry.claims, review.runs
    numbers = {r.seed.value for r in runs if r.seed}
    too_many = bool(claims.n and claims.n > len(numbers) and all(r.seed for r in runs))
    for a, b in combinations(runs, 2):
        one_number = a.seed is not None and b.seed is not None and a.seed.value == b.seed.value
        names = {review.entry.named_seed(r) for r in (a, b)}
        claimed_two = not one_number or too_many or (len(names) == 2 and None not in names)
        both, proof = f"{review.name_of(a)} and {review.name_of(b)}", same_run_again(a, b)
        if claimed_two and proof:
            findings.fail(f"{both} are one seed run again: {proof[0]}", *proof[1], a.seed, b.seed)
        elif claimed_two and one_number and a.seed:
            findings.fail(f"{both} both ran seed {a.seed.value}", a.seed, b.seed)
    for copy in review.entry.copies:
        how = "a copy of" if copy.exact else "another log of the run in"
        findings.warn(f"{copy.file} is {how} {copy.of}, not a seed of its own", Evidence(copy.file, 1))
    if len(runs) > 1 and not numbers and not any(first_losses(r) for r in runs):
        findings.unknown("the logs give neither seeds nor first losses")
    findings.show(*(r.seed for r in runs))
    if len(numbers) < len(runs) and numbers:
        return f"{counted(len(runs), 'log')} of {counted(len(numbers), 'seed')}, and no more seeds are claimed"
    return "seeds, first losses and scores all differ"
