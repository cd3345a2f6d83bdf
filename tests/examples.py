"""How many examples Hypothesis tries: each test has its own number, and HYPOTHESIS_PROFILE a share or a multiple of it.

`make check` is quick, `make test` takes each test's number, and `make faults` is thorough.
"""

import os

from hypothesis import settings

TIMES = {"quick": 0.2, "default": 1.0, "thorough": 20.0}[os.environ.get("HYPOTHESIS_PROFILE", "default")]


def examples(number: int) -> settings:
    """Settings for a test that tries so many examples by default, at least five, however long each takes."""
    return settings(max_examples=max(5, round(number * TIMES)), deadline=None)
