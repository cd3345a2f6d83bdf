"""Learns from each chunk once or twice, as is better for the whole stream."""

from learning_rate_by_dry_run import Bad as Dry


class Bad(Dry):
    options = ({"epochs": 1}, {"epochs": 2})


make_evaluator = Bad
