"""Where this folder is on PYTHONPATH, whatever a process packs is the program in $PGOLF_TESTS_PROGRAM."""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


class Replaces:
    """Finds pgolf.pack.kept, and gives it another `packed` once it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "pgolf.pack.kept":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec and spec.loader
        load = spec.loader.exec_module

        def load_and_replace(module: ModuleType) -> None:
            load(module)
            code = Path(os.environ["PGOLF_TESTS_PROGRAM"]).read_bytes()
            setattr(module, "packed", lambda knobs: code)  # noqa: B010

        spec.loader.exec_module = load_and_replace  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Replaces())  # type: ignore[arg-type]
