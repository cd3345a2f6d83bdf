"""`python -m pgolf.unpacked`: the trainer unpacked, whose log has the size of the packed file train_gpt.py beside it.

An unpacked trainer would count its modules, which nobody submits. The trainer itself knows nothing of this: it measures
the file that its process says it runs.
"""

import os
import sys

from pgolf.trainer.__main__ import main

PACKED = "train_gpt.py"  # in the working directory

if __name__ == "__main__":
    sys.modules["__main__"].__file__ = os.path.abspath(PACKED)
    code = main()
    sys.stdout.flush()
    os._exit(code)  # as the trainer ends: a peer that died must not keep this rank waiting
