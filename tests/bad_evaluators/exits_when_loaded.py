"""Ends with exit code 0 when it is loaded, as a script does that calls `sys.exit(main())` without a guard."""

import sys

from honest import Evaluator

make_evaluator = Evaluator

sys.exit(0)
