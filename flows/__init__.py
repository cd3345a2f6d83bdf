"""Prefect only: what runs when, what is retried, cached and shown. The work is done by `pgolf`.

The defaults below keep Prefect quiet unless it has something to say; the environment overrides them. They work only
if this package is imported before Prefect, as `pgolf record` does.
"""

import os

for name, value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pgolf",  # what the library logs during a flow run is kept with the run
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the CLI prints pgolf's lines itself
}.items():
    os.environ.setdefault(name, value)
