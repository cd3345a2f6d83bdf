"""A Python for machines whose programs need no torch, which each bootstrap imports for a second and a half.

Bootstrap with torch itself is tested in tests/pods/test_bootstrap.py, and by all records on pods.
"""

import sys
from pathlib import Path

TORCH = """from importlib.metadata import version as version_of
from types import SimpleNamespace

__version__, version = version_of("torch"), SimpleNamespace(cuda=None)
"""


def light_python(folder: Path) -> str:
    """Make it in `folder`: this one, with a torch that has its version and nothing else."""
    (folder / "torch").mkdir(parents=True, exist_ok=True)
    (folder / "torch/__init__.py").write_text(TORCH)
    python = folder / "python"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
    return str(python)
