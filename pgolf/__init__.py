"""pgolf: run a Parameter Golf record, verify it from its logs, and write it up."""

__version__ = "0.2.0"
