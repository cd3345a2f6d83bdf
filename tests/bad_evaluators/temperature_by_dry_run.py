"""Takes the temperature that is best for the last third of the stream."""

from learning_rate_by_dry_run import Bad as Dry


class Bad(Dry):
    options = ({"temperature": 1.0}, {"temperature": 0.9}, {"temperature": 1.1})

    def measure(self, losses):
        return losses[-(len(losses) // 3) :].sum()


make_evaluator = Bad
