"""The bill of a record's rented pods, in its manifest."""

import logging
from pathlib import Path

from pgolf.evidence.manifest import list_pods
from pgolf.pods.money import bills
from pgolf.pods.places import lock_if_free

log = logging.getLogger(__name__)


def list_costs(record: Path) -> None:
    """Put what rented pods have cost up to now into the manifest. The caller holds the record's lock."""
    if rows := bills(record):
        list_pods(record, [row.as_json() for row in rows])
        most = "at most " if any(row.at_most for row in rows) else ""
        log.info("pods: %s$%.2f for %d of them", most, sum(row.cost for row in rows), len(rows))


def list_costs_if_free(record: Path) -> None:
    """The same for a record whose pods were ended, unless it is not here, or another process works on it."""
    if record.is_dir():
        with lock_if_free(record) as free:
            if free:
                list_costs(record)
