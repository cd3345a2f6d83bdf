"""Prints, as JSON, what a Progress holds while it is fed garbage: started as a process of its own, in which no other
thread allocates."""

import json
import tracemalloc
from collections.abc import Callable

from pgolf.evidence.lines import MAX_LINE_CHARS
from pgolf.record.progress import Progress

MUCH = 300_000  # characters: after as many a curve has grown to its bound and was thinned
GARBAGE: dict[str, Callable[[int], str]] = {
    "noise": lambda n: f"\x1b[3{n % 8}m{n} ¥#~ {str(n) * 40}\n",
    "machines": lambda n: f"gpu {n}: nvidia h100 {n}\n",
    "scores": lambda n: f"eval{n} val_bpb:1.{n} val_loss:2.{n}\n",
    "steps": lambda n: f"step:{n} train_loss:2.5 train_time:{n}ms\n",
    "runs": lambda n: (
        f"seed: {n}\nn{n}: 1\nstep:1 loss:2\na val_bpb:1.1\nerror: {n}\nseed: {n}\nm{n}: 1\nb val_bpb:1.2\n"
    ),
    "one line": lambda n: f"{n}\r" * 40,
}


def peaks(garbage: Callable[[int], str]) -> tuple[int, int]:
    """Bytes held at most while the first characters come, and while as many more do."""
    progress, found, number = Progress(), [], 0
    tracemalloc.start()
    for _ in range(2):
        fed = 0
        while fed < MUCH:
            progress.feed_log(piece := "".join(garbage(number + n) for n in range(500)))
            number, fed = number + 500, fed + len(piece)
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
    tracemalloc.stop()
    return found[0], found[1]


def peak_of_long_lines() -> int:
    """Bytes held at most while fifty megabytes come in lines of which every second one goes on without an end."""
    progress = Progress()
    tracemalloc.start()
    for n in range(800):
        progress.feed_log("\u00e9" * MAX_LINE_CHARS + "\n" * (n % 2))
    progress.feed_log("\nstep:5 train_loss:2.5 train_time:1ms\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert progress.step == 5
    return peak


if __name__ == "__main__":
    print(json.dumps({"long lines": peak_of_long_lines(), **{name: peaks(kind) for name, kind in GARBAGE.items()}}))
