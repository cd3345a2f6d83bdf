"""The examples in the docstrings of the library are true."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

from pgolf import audit, evidence, ledger, record, report, stats

ROOMS = (evidence, stats, ledger, audit, report, record)


@pytest.mark.parametrize(
    "name", [m.name for room in ROOMS for m in walk_packages(room.__path__, f"{room.__name__}.")] + ["pgolf.ledger"]
)
def test_examples(name):
    assert doctest.testmod(import_module(name)).failed == 0
