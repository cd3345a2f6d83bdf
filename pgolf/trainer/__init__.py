"""All that runs on a GPU, and nothing else: `pgolf pack` flattens this package into one train_gpt.py.

Imports only torch, numpy, sentencepiece, brotli and the standard library; constriction where it is used. Every line
of it is paid for in the 16 MB, after docstrings, comments and annotations are dropped.
"""
