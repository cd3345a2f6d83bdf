"""Legality of evaluation, tested instead of asserted: six probes of any evaluator. See docs/legality.md.

probe_artifact(path, train_gpt, data_dir, knobs)      all evaluators of an artifact of ours, and its packed trainer
probe_file("their_eval.py:make_evaluator")            any evaluator that offers the interface of `Evaluator`
probe(subject_of("mine", make_evaluator))             the five that need no process of their own
"""

from pgolf.evidence.probes import CounterExample, ProbeResult
from pgolf.legality.artifact import probe_artifact
from pgolf.legality.probes import probe
from pgolf.legality.results import HEADINGS, table
from pgolf.legality.subject import Subject, subject_of
from pgolf.legality.target import probe_file, probe_target
from pgolf.legality.watch import Evaluator, load_factory

__all__ = [
    "HEADINGS",
    "CounterExample",
    "Evaluator",
    "ProbeResult",
    "Subject",
    "load_factory",
    "probe",
    "probe_artifact",
    "probe_file",
    "probe_target",
    "subject_of",
    "table",
]
