"""What packed files' bytes are spent on: by module, and by compressor; or how many scripts of others can be packed.

python bench/pack.py [--preset pr1812] [--json]
python bench/pack.py --scripts FOLDER [--allow NAME ...] [--json]
"""

import argparse
import ast
import json
import time
from pathlib import Path

from pgolf.errors import BadInput
from pgolf.pack import pack
from pgolf.pack.wrapper import COMPRESSORS, unwrap, wrap
from pgolf.presets import load
from pgolf.python_source import Unreadable, parse


def measure(preset: str) -> dict:
    started = time.perf_counter()
    packed = pack(load(preset))
    seconds = time.perf_counter() - started
    specialised = pack(load(preset), specialise=True)
    return {
        "preset": preset,
        "bytes": len(packed.code),
        "bytes_specialised": len(specialised.code),
        "readable_bytes": len(packed.readable.encode()),
        "minified_bytes": len(packed.minified.encode()),
        "by_module": packed.bytes_by_module,
        "by_compressor": {name: len(wrap(packed.minified, "", c)) for name, c in COMPRESSORS.items()},
        "ascii_bytes": len(wrap(packed.minified, "", COMPRESSORS[packed.compressor], ascii_only=True)),
        "seconds": round(seconds, 2),
    }


def measure_scripts(folder: Path, allow: list[str]) -> dict:
    """Pack each train*.py below a folder, with the modules beside it that it imports. Nothing of them is run.

    `same` counts the packed files that hold the tree of the minified program, which is all that a run reads of them.
    """
    scripts = sorted(path for path in folder.rglob("train*.py") if path.is_file())
    refused, sizes, same = {}, [], 0
    for script in scripts:
        try:
            packed = pack(source=script, extra=_beside(script), allow=allow)
        except BadInput as e:
            refused[str(script.relative_to(folder))] = str(e).replace(f"{script.parent}/", "")
            continue
        sizes.append((script.stat().st_size, len(packed.code)))
        same += ast.dump(ast.parse(unwrap(packed.code)[1])) == ast.dump(ast.parse(packed.minified))
    return {
        "scripts": len(scripts),
        "packed": len(sizes),
        "same": same,
        "bytes_before": sum(before for before, _ in sizes),
        "bytes": sum(after for _, after in sizes),
        "refused": refused,
    }


def _beside(script: Path) -> list[Path]:
    """The modules in a script's folder that it imports, and that these import."""
    found: list[Path] = []
    waiting = [script]
    while waiting:
        try:
            tree = parse(waiting.pop().read_bytes())
        except Unreadable:
            continue
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for path in (script.parent / f"{name.split('.')[0]}.py" for name in names):
                if path.is_file() and path not in (script, *found):
                    found.append(path)
                    waiting.append(path)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="pr1812")
    parser.add_argument("--scripts", type=Path, metavar="FOLDER", help="pack each train*.py below this folder")
    parser.add_argument("--allow", action="append", default=[], help="as for `pgolf pack`; repeatable")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure_scripts(args.scripts, args.allow) if args.scripts else measure(args.preset)
    if args.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for name, figure in rows:
            print(f"{key:18} {name:28} {figure:>10}")


if __name__ == "__main__":
    main()
