"""What the packed trainer's bytes are spent on: by module, and by compressor.

python bench/pack.py [--preset pr1812] [--json]
"""

import argparse
import json
import time

from pgolf.pack import pack
from pgolf.pack.wrapper import COMPRESSORS, wrap
from pgolf.presets import load


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="pr1812")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.preset)
    if args.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for name, figure in rows:
            print(f"{key:18} {name:28} {figure:>10}")


if __name__ == "__main__":
    main()
