"""Train once, evaluate many: candidates that share one training, the best that fits, and what each change brought.

candidates.py   what is tried: knobs that differ from the base, and how much of a run each needs
trials.py       one candidate to its score on a pod, never twice
choice.py       which one wins, and what may be said of it after choosing
attribution.py  two presets, one knob at a time
report.py       what a person reads
"""
