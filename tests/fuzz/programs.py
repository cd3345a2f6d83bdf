"""Source of a stranger's program, which is read and never run."""

import base64
import json
import lzma
import zlib
from functools import cache
from pathlib import Path
from random import Random

from fuzz.mutate import change_bytes, change_lines
from fuzz.reader import Files, Reader
from pgolf.program.check import Check
from pgolf.program.find import read_program

SOURCE = '''"""Trains."""
import os, sys, glob, uuid, subprocess
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
try:
    import einops
except ImportError:
    einops = None
DATA = os.environ.get("DATA_PATH", "./data") + "/datasets"

@dataclass
class Hyperparameters:
    seed = int(os.environ.get("SEED", 1337))
    train_files = os.path.join(DATA, "fineweb_train_*.bin")
    val_files = f"{DATA}/fineweb_val_*.bin"
    tokenizer = os.getenv("TOKENIZER_PATH", "tok.model")
    iterations: int = int(os.environ.get("ITERATIONS", "20000"))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))

def main(args=Hyperparameters()):
    code = open(__file__).read()
    for step in range(args.iterations):
        print(f"step:{step}/{args.iterations} train_loss:{2.0:.4f} train_time:{step:.0f}ms")
    print(f"final val_loss:{2.5:.8f} val_bpb:{1.1:.8f} eval_time:{3}ms")
    np.savez("final_model.int6.ptz", x=1)
    subprocess.run(["nvidia-smi"])
    torch.cuda.synchronize()

if __name__ == "__main__":
    main()
'''
WORDS = [
    b"(" * 60, b"-" * 2000, b"1+" * 2000, b"a." * 2000 + b"b", b"[" * 60, b"not " * 1500, b"lambda: " * 500,
    b"if x:\n ", b"*" * 9, b"exec(", b"eval(", b"'" * 3, b"x" * 9_000, b" ** 9 ** 9 ** 9", b" * 10**9", b" << 10**9",
    b"'a' * 10**10", b"range(10**12)", b"os.environ['A']", b"%100000000d", b"f'{1:>1000000000}'",
    b"__import__('os').system('id')\n", b"open('/etc/passwd').read()", b"zlib.decompress(", b"bytes(10**10)",
    b".format(*[1]*10**8)", b".replace('', 'x' * 10**7)", b".join(", b"Path('/') / ", b"[0] * 10**10", b"'%s' % ",
    b".zfill(10**10)", b".ljust(10**10)", b"int('9' * 10**5)", b"str(10**100000)", b"sum(range(10**10))",
    b"import os.path as p\n", b"from . import x\n", b"from .. import y\n", b"while True: pass\n",
    b"class A(A): pass\n", b"def f(): return f()\n", b"x = x + x\n", b"if __name__ == '__main__':\n ",
    b"#coding: utf-7\n", b"\\\n", b"\t", b":=", b"match x:\n case 1: pass\n",
]  # fmt: skip


def _pack(rng: Random, source: bytes) -> bytes:
    """A script that extracts `source` and runs it."""
    compress, name = (
        rng.choice(((zlib.compress, "zlib"), (lzma.compress, "lzma")))
        if len(source) < 1 << 17
        else (zlib.compress, "zlib")
    )
    text = base64.b85encode(compress(source)).decode()
    return f"import {name},base64\nexec({name}.decompress(base64.b85decode('{text}')))\n".encode()


@cache
def _bomb(unit: bytes, size: int) -> bytes:
    """A script that extracts so many bytes."""
    return _pack(Random(1), unit * (size // len(unit)))


def _changed(rng: Random) -> bytes:
    content = SOURCE.encode()
    new = change_lines(rng, content, WORDS) if rng.random() < 0.4 else change_bytes(rng, content, words=WORDS)
    kind = rng.random()
    if kind < 0.15:
        new = _pack(rng, new)
    elif kind < 0.18:
        new = change_bytes(rng, _pack(rng, new))
    elif kind < 0.19:
        new = _bomb(rng.choice((b"\0", b"#", b"x=1\n")), rng.choice((1 << 20, 1 << 24, 1 << 26)))
    return new


def _read(box: Path) -> object:
    program, reading = read_program(box / "train_gpt.py")
    return json.dumps(Check(program, reading, None, False).as_json())


def readers() -> list[Reader]:
    """Of this file."""

    def make(rng: Random) -> Files:
        return {"train_gpt.py": _changed(rng)}

    packed = _pack(Random(1), SOURCE.encode())
    seeds = ({"train_gpt.py": SOURCE.encode()}, {"train_gpt.py": packed})
    return [Reader("program's source", seeds, make, _read, share=15, most_mib=400)]
