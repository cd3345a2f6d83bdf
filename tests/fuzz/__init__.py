"""Damaged and hostile inputs for every reader of a stranger's file: `make fuzz`, or `python tests/fuzz/run.py --help`.

A loop of our own: atheris needs clang, and Hypothesis keeps no bound on the memory of an input and outlives no crash.
"""
