"""The versions of what a program runs with: one file that needs nothing but the standard library.

    python3 versions.py MODULE…

It is copied to a machine like `agent.py`, and answers in JSON.
"""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable

MOST_CHARS = 100  # of a version


def versions_here(modules: Iterable[str]) -> dict[str, str]:
    """Versions by name of Python, torch, and the modules that are installed here; imports none of them.

    Examples
    --------
    >>> sorted(versions_here(["numpy", "no_such_module"]))
    ['numpy', 'python', 'torch']
    """
    of_module = importlib.metadata.packages_distributions()
    found = {"python": platform.python_version()}
    for module in ("torch", *modules):
        name = module.split(".")[0]
        for package in of_module.get(name, [name]):
            try:
                found[module] = importlib.metadata.version(package)[:MOST_CHARS]
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


if __name__ == "__main__":
    print(json.dumps(versions_here(sys.argv[1:])))
