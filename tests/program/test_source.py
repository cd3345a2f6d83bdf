"""Sources as people write them, read and never run."""

import pytest

from pgolf.errors import BadInput
from pgolf.program.source import Reading, read_source


def read(source: str, /, **others: str) -> Reading:
    files = {"train_gpt.py": source.encode()}
    return read_source({**files, **{name: text.encode() for name, text in others.items()}}, "train_gpt.py")


def defaults(source: str) -> dict[str, str | None]:
    return {name: variable.default for name, variable in read(source).variables.items()}


BASELINE = """
import os
import uuid
class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    run_id = os.environ.get("RUN_ID", str(uuid.uuid4()))
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    tokenizer_path = os.environ.get("TOKENIZER_PATH", f"./data/tokenizers/fineweb_{vocab_size}_bpe.model")
    tie_embeddings = bool(int(os.environ.get("TIE_EMBEDDINGS", "1")))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524_288))
"""


def test_hyperparameters_in_a_class():
    assert defaults(BASELINE) == {
        "DATA_PATH": "./data/datasets/fineweb10B_sp1024",
        "RUN_ID": None,
        "SEED": "1337",
        "TIE_EMBEDDINGS": "1",
        "TOKENIZER_PATH": "./data/tokenizers/fineweb_1024_bpe.model",
        "TRAIN_BATCH_TOKENS": "524288",
        "VOCAB_SIZE": "1024",
    }


def test_a_script_that_is_not_python_is_refused_with_its_line():
    with pytest.raises(BadInput, match=r"train_gpt.py:2 is not Python"):
        read("import os\nif\n")


MARCH = """
import torch, sys, subprocess
def main():
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA is required")
    def log0(msg, console=True):
        print(msg)
    log0(f"seed:{args.seed}")
    log0(
        f"step:{step}/{args.iterations} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} "
        f"train_time:{training_time_ms:.0f}ms step_avg:{training_time_ms / max(step, 1):.2f}ms"
    )
    log0(f"Total submission size int8+zlib: {quant_file_bytes + code_bytes} bytes")
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{q_val_loss:.8f} val_bpb:{q_val_bpb:.8f}")
if __name__ == "__main__":
    main()
"""

APRIL = """
import torch
def log(msg):
    print(msg)
def timed_eval(label, fn):
    log(f"{label} val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f} eval_time:{elapsed_ms:.0f}ms")
def main():
    log("Hyperparameters:")
    for k, v in sorted(vars(type(h)).items()):
        log(f"  {k}: {v}")
    set_seed(h.seed)
    log(f"{step}/{h.iterations} train_loss: {train_loss.item():.4f} train_time: {t / 60000:.1f}m")
    timed_eval("pre-quantization post-ema", f)
    timed_eval("quantized_ttt", f)
    log(f"Serialized model quantized+{h.compressor}: {quant_file_bytes} bytes")
    log(f"Code size: {code_bytes} bytes")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
main()
"""


def test_prints_in_the_dialect_of_march():
    assert read(MARCH).prints == {"seed": 8, "step": 9, "time": 9, "size": 13, "final score": 14}


def test_prints_in_the_dialect_of_april():
    found = read(APRIL).prints
    assert found == {"hyperparameters": 8, "seed": 8, "time": 6, "step": 12, "final score": 6, "size": 16}


def test_a_score_before_quantisation_is_no_final_one():
    assert "final score" not in read(APRIL.replace("quantized_ttt", "pre-quantization")).prints


def test_cuda_is_needed_or_not_or_unknown():
    assert (read(MARCH).cuda, read(MARCH).cuda_line) == (True, 4)
    assert (read(APRIL).cuda, read(APRIL).cuda_line) == (False, 17)
    assert read("import torch\nx = torch.zeros(1).cuda()\n").cuda is None


HEAD = "import os\nfrom dataclasses import dataclass, field, fields\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('int(os.environ.get("A", 8 * 1024)), float(os.getenv("B", -1e-3))', {"A": "8192", "B": "-0.001"}),
        ('e = os.environ\ng = e.get\ng("A", "x"), e["B"], "C" in e', {"A": "x", "B": None, "C": None}),
        ('def env(name, default): return type(default)(os.environ.get(name, default))\nenv("A", 3)', {"A": "3"}),
        ('e = lambda k, d=None: os.environ.get(k, d)\ne("A", True), e(k="B")', {"A": "1", "B": None}),
        (
            'def flag(n, default=False):\n v = os.getenv(n)\n return default if v is None else v == "1"\nflag("A")',
            {"A": "0"},
        ),
        ('x = int(os.environ["A"]) if "A" in os.environ else 1024', {"A": "1024"}),
        ('os.environ.get("A") or os.environ.get("B", "") or "8"', {"A": "8", "B": "8"}),
        ('for k, v in {"A": 1, "B": 0.5}.items(): os.environ.get(k, v)', {"A": "1", "B": "0.5"}),
        ('for n, t, d in [("a", int, 1), ("b", float, 0.5)]: t(os.environ.get(n.upper(), d))', {"A": "1", "B": "0.5"}),
        (
            'P = "PG_"\nos.environ.get(P + "LR", f"{2 ** 10}")\nos.environ.get(f"{P}WD", 0)',
            {"PG_LR": "1024", "PG_WD": "0"},
        ),
        ('os.environ.setdefault("A", "1")\nos.environ["B"] = "2"', {"A": "1"}),
        (
            "@dataclass\nclass C:\n seed: int = 1337\n lr: float = 1e-3\n def __post_init__(self):\n"
            "  for f in fields(self):\n   if f.name.upper() in os.environ:\n    setattr(self, f.name, f.type())",
            {"SEED": "1337", "LR": "0.001"},
        ),
        (
            "class H:\n seed = 1\n def __init__(self):\n"
            "  for k, v in vars(type(self)).items(): os.environ.get(k.upper(), v)",
            {"SEED": "1"},
        ),
        (
            'seed = 1\nlr = 0.1\nkeys = [k for k, v in globals().items() if k[0] != "_"]\n'
            "for k in keys: globals()[k] = os.environ.get(k.upper())",
            {"SEED": "1", "LR": "0.1"},
        ),
        (
            "class Env:\n def __init__(self, name, default): self.name, self.default = name, default\n"
            " def __get__(self, o, t): return os.environ.get(self.name, self.default)\n"
            'class H:\n seed = Env("SEED", 1337)',
            {"SEED": "1337"},
        ),
        (
            'from pathlib import Path\nhere = Path(__file__).resolve().parent\nos.environ.get("A", here / "data")\n'
            'os.environ.get("B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "x", "y"))',
            {"A": "data", "B": "x/y"},
        ),
    ],
)
def test_variables_and_their_defaults(source, expected):
    assert defaults(HEAD + source) == expected
    assert read(HEAD + source).unclear == ()


def test_a_variable_is_required_where_nothing_stands_for_it():
    found = read(HEAD + 'os.environ["A"], os.environ["B"], os.environ["C"]\nos.environ.get("B")\n"C" in os.environ\n')
    assert [name for name, v in found.variables.items() if v.required] == ["A"]
    assert (found.variables["A"].file, found.variables["A"].line) == ("train_gpt.py", 3)


def test_a_computed_name_is_unclear_with_its_line():
    found = read("import os\nfor k, v in os.environ.items(): print(k)\nos.environ.get(input())\n")
    assert found.variables == {}
    assert found.unclear == (
        "train_gpt.py:2 goes through all environment variables",
        "train_gpt.py:3 reads an environment variable whose name is computed: input()",
    )


def test_wrappers_in_another_module():
    files = {"train_gpt.py": 'from lib.conf import env as E\nimport lib.conf\nE("A", 1), lib.conf.env("B", 2)\n'}
    files |= {"lib/conf.py": "import os\ndef env(n, d): return os.environ.get(n, d)\n", "lib/other.py": "import yaml"}
    found = read_source({k: v.encode() for k, v in files.items()}, "train_gpt.py")
    assert {k: v.default for k, v in found.variables.items()} == {"A": "1", "B": "2"}
    assert found.own == ("lib/conf.py",) and found.modules == ()


def test_modules_and_whether_it_can_do_without():
    source = """
import os, torch.nn, numpy as np
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import jaxtyping
try:
    import zstandard
except ImportError:
    zstandard = None
try:
    import brotli
except ImportError:
    raise SystemExit("pip install brotli")
def compress():
    import lz4.frame
def main():
    import sentencepiece
    if fast:
        import triton
    import helper
if __name__ == "__main__":
    main()
"""
    found = read(source, **{"helper.py": "import regex\n"})
    needed = {need.name: need.optional for need in found.modules}
    assert needed == {
        "numpy": False,
        "zstandard": True,
        "brotli": False,
        "lz4": True,
        "sentencepiece": False,
        "triton": True,
        "regex": False,
    }
    assert found.own == ("helper.py",) and found.cuda is not True


def test_commands():
    source = """
import os, shutil, subprocess, sys
subprocess.run(["nvidia-smi"], check=False)
cmd = ["lrzip", "-q", path]
subprocess.check_call(cmd)
os.system("cd /tmp && A=1 zstd -19 x | xz")
shutil.which("c++")
subprocess.run([sys.executable, "-m", "pip", "install", "x"])
subprocess.run(f"/usr/bin/git -C {here} status", shell=True)
subprocess.run([tool])
"""
    found = read(source)
    needed = {need.name: need.optional for need in found.commands}
    assert needed == {**dict.fromkeys(("nvidia-smi", "lrzip", "zstd", "xz", "git"), False), "c++": True}
    assert found.unclear == ("train_gpt.py:10 calls a command whose name is computed",)


def test_files_of_its_own_and_others():
    source = """
import os, torch, numpy as np
from pathlib import Path
here = Path(__file__).parent
vocab = int(os.environ.get("VOCAB_SIZE", 1024))
sp = load(here / "tokenizers" / f"x_{vocab}.model")
table = np.load("tables/caps.npy")
open("words.txt").read()
torch.save(state, "final_model.pt")
torch.load("final_model.pt")
open(os.environ.get("TOKENIZER_PATH", "./data/t.model"), "rb")
open("/proc/cpuinfo")
code = open(__file__).read()
kernels = here / f"kernel_{arch()}.cu"
"""
    others = dict.fromkeys(("tokenizers/x_1024.model", "tables/caps.npy", "kernel_a.cu", "notes.txt"), "")
    found = read(source, **others)
    assert found.own == ("kernel_a.cu", "tables/caps.npy", "tokenizers/x_1024.model")
    assert [(need.name, need.line) for need in found.reads] == [("words.txt", 8)]


@pytest.mark.parametrize(
    ("source", "cuda"),
    [
        ("import torch\nassert torch.cuda.is_available()", True),
        ("import torch, sys\nif torch.cuda.device_count() == 0 or x: sys.exit(1)", True),
        ("from flash_attn_interface import flash_attn_func", True),
        ("try:\n import triton\nexcept ImportError:\n triton = None\nimport torch\ntorch.cuda.synchronize()", None),
        ("import torch\ntorch.cuda.set_device(0)", True),
        ('import torch.distributed as dist\ndist.init_process_group("nccl")', True),
        ('import torch.distributed as dist\ndist.init_process_group(backend="nccl" if cuda else "gloo")', False),
        ('import torch\ndist.new_group(backend="gloo")\nx.cuda()', None),
        ('import os, torch\ndevice = os.environ.get("DEVICE", "cpu")\ntorch.cuda.synchronize()', False),
        ("import torch\ntorch.zeros(1)", False),
        ("import jax", None),
    ],
)
def test_whether_a_gpu_is_needed(source, cuda):
    assert read(source).cuda is cuda


@pytest.mark.parametrize(
    "source",
    [
        'print("final_quant val_loss:%.4f val_bpb:%.6f" % (a, b))',
        'print("final_quant val_loss:{:.4f} val_bpb:{}".format(a, b))',
        'logger.info("final_quant val_bpb: %f", b)',
        'print("val_bpb:", bpb)',
        'msg = f"final_quant val_loss:{a}"\nmsg += f" val_bpb:{b:.6f}"\nlog(msg)',
        'print(" ".join([f"final_quant", f"val_bpb:{b}"]))',
        'def p0(s):\n if rank == 0: print(s)\np0("final_quant val_bpb:" + str(b))',
        'import sys\nsys.stdout.write(f"first\\nfinal_quant val_bpb:{b:.5f}\\n")',
    ],
)
def test_ways_to_print_a_final_score(source):
    assert "final score" in read(source).prints


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError(f"final_quant val_bpb:{b}")',
        '"""final_quant val_bpb:1.0"""',
        'print(f"step:{s}/{n} val_loss:{a} val_bpb:{b}")',
        'print(f"score {b}")',
    ],
)
def test_lines_that_are_no_final_score(source):
    assert "final score" not in read(source).prints


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = '\xff'", "train_gpt.py:1 is not UTF-8 text"),
        (b"x = 1\0", "is not Python"),
        (b"x = " + b"-" * 20_000 + b"1", "nested too deep"),
        (b"(" * 5000, "is not Python"),
        (b"a\n" * (1 << 20), "more than"),
        (b"a;" * (1 << 18), "has more code than is read"),
        (b"x" * (5 << 20), "bytes long"),
    ],
    ids=range(7),
)
def test_a_script_that_cannot_be_read(content, said):
    with pytest.raises(BadInput, match=said):
        read_source({"train_gpt.py": content}, "train_gpt.py")
    found = read_source({"train_gpt.py": b"import helper\n", "helper.py": content}, "train_gpt.py")
    assert len(found.unclear) == 1 and found.unclear[0].startswith("helper.py")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "source",
    [
        "a0 = 'x'\n" + "".join(f"a{i} = a{i - 1} + a{i - 1}\n" for i in range(1, 40)) + "os.environ.get('X', a39)",
        "os.environ.get('X', 9 ** 9 ** 9)",
        "os.environ.get('X', 'a' * 10 ** 9)",
        "os.environ.get('X', ('a' * 1000).replace('a', 'b' * 1000).replace('b', 'c' * 1000))",
        "os.environ.get('X', f'{1:1000000000}' + '%1000000000d' % 1)",
        "a = b\nb = a\nos.environ.get('X', a)",
        "def f(a): g(a)\ndef g(a):\n f(a)\n os.environ.get(a)\nf('X')",
        "os.environ.get('X')\nL = list(range(90))\nfor a in L:\n for b in L:\n  for c in L: os.getenv(f'{a}{b}{c}')",
    ],
    ids=range(8),
)
def test_a_source_that_would_take_for_ever(source):
    found = read(HEAD + source).variables
    assert found["X"].default is None and len(found) < 5000


def test_folders_that_it_adds_to_the_path():
    source = (
        "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\nimport helper, other\n"
    )
    found = read(source, **{"lib/helper.py": "import regex\n"})
    assert found.own == ("lib/helper.py",) and [need.name for need in found.modules] == ["other", "regex"]


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("if 8 % world_size != 0:\n    raise ValueError(f'WORLD_SIZE={world_size}')", 8),
        ("def main():\n    if 16 % h.world_size:\n        raise SystemExit", 16),
        ("assert 8 % WORLD_SIZE == 0", 8),
        ("assert not 8 % world_size", 8),
        ("if 8 % world_size != 0:\n    accumulate = 1", None),
        ("if 8 % world_size and not accumulate:\n    raise ValueError", None),  # not on every number of ranks
        ("assert 8 % heads == 0", None),
        ("assert -8 % world_size == 0\nassert True % world_size == 0", None),
    ],
)
def test_the_ranks_that_a_source_refuses(source, number):
    assert read(source).ranks_divide == number
