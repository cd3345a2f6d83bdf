"""The trainer's arithmetic again, slow and obvious: what tests/trainer/ holds pgolf.trainer to.

Written from the description of the records, not from pgolf.trainer: one head, one parameter, one column, one
window at a time. Plain functions of tensors; parameters come as dictionaries of tensors, so that float64 copies
of a model's parameters give a reference that is more exact than what it judges.
"""
