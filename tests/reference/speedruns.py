"""A speedrun's log read in the obvious way: the last line of the file with a validation loss in it."""

import re
from pathlib import Path

LINE = re.compile(r"^step:(\d+)/(\d+) val_loss:(\S+) train_time:([\d.]+)(ms|s) ")


def last_loss(log: Path) -> tuple[float, float, int, int]:
    """(loss in nats per token, seconds, step, planned steps)."""
    found = [m for line in log.read_text().splitlines() if (m := LINE.match(line))][-1]
    seconds = float(found[4]) / (1000 if found[5] == "ms" else 1)
    return float(found[3]), seconds, int(found[1]), int(found[2])
