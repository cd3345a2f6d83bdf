"""The examples in the docstrings of the record library are true."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

from pgolf import record


@pytest.mark.parametrize("name", [m.name for m in walk_packages(record.__path__, "pgolf.record.")])
def test_examples(name):
    assert doctest.testmod(import_module(name)).failed == 0
