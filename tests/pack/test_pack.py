"""The packed trainer: as small as promised, the same on every machine, and the same program as the unpacked one."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgolf.errors import BadInput
from pgolf.pack import difference, pack, read_packed, unpack, write_packed
from pgolf.pack.wrapper import COMPRESSORS, wrap
from pgolf.presets import as_env, load
from pgolf.trainer.config import KNOB_TYPES

ROOT = Path(__file__).parents[2]
TINY = {
    "num_layers": 3,
    "model_dim": 32,
    "train_seq_len": 64,
    "eval_seq_len": 64,
    "eval_stride": 32,
    "train_batch_tokens": 512,
    "iterations": 6,
    "gptq_calibration_batches": 2,
    "ttt_epochs": 1,
    "run_id": "tiny",
    "seed": 7,
}


@pytest.fixture(scope="module")
def smoke():
    return pack(load("smoke") | {"seed": 1})


@pytest.fixture
def empty_folder(tmp_path):
    """A working directory without pgolf, and a module search path on which importing pgolf fails."""
    blocked = tmp_path / "blocked" / "pgolf"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('pgolf must not be needed')\n")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def train(command, folder, data, path, knobs=TINY):
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    env |= as_env(knobs | {"data_dir": str(data.data_dir), "vocab_size": data.vocab_size})
    env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True)


def comparable(log):
    """The log without times and the size of the code."""
    log = re.sub(r"(time:|tok/s:|Hessians in) ?[\d.]+m?s?", r"\1 …", log)
    return re.sub(r"(Code size:|Total submission size [\w+]+:) \d+", r"\1 …", log)


@pytest.mark.training
@pytest.mark.parametrize("knobs", [{}, {"cpu_kernels": False}], ids=["smoke", "smoke without the CPU's kernels"])
def test_packed_and_unpacked_trainers_behave_the_same(knobs, smoke, empty_folder, tmp_path, tiny_data):
    smoke = pack(load("smoke") | knobs) if knobs else smoke
    assert ("class WithoutOwn" in smoke.readable) == (not knobs)
    (empty_folder / "train_gpt.py").write_bytes(smoke.code)
    packed = train(["train_gpt.py"], empty_folder, tiny_data, empty_folder.parent / "blocked")
    assert packed.returncode == 0, packed.stderr
    assert f"Code size: {len(smoke.code)} bytes" in packed.stdout
    other = tmp_path / "unpacked"
    other.mkdir()
    unpacked = train(["-m", "pgolf.trainer"], other, tiny_data, ROOT, load("smoke") | TINY | knobs)
    assert unpacked.returncode == 0, unpacked.stderr
    left_out = [f"  {knob}: " for knob in KNOB_TYPES if not re.search(rf"^    {knob}: ", smoke.readable, re.M)]
    lines = comparable(unpacked.stdout).splitlines()
    assert comparable(packed.stdout).splitlines() == [s for s in lines if not s.startswith(tuple(left_out))]
    assert "quantized_ttt val_loss:" in packed.stdout
    artifact = "final_model.int6.ptz"
    assert (empty_folder / artifact).read_bytes() == (other / artifact).read_bytes()


@pytest.mark.training
@pytest.mark.parametrize(("name", "extras"), [("march", ()), ("april", ("window_lm.py",))])
def test_a_trainer_of_others_behaves_the_same_when_it_is_packed(name, extras, tmp_path, tiny_data):
    """It computes the same losses and the same artifact; `__file__` and `os.path.getsize` are the packed file's."""
    theirs = ROOT / "tests" / "programs" / name
    code = pack(source=theirs / "train_gpt.py", extra=[theirs / e for e in extras], allow=["__file__"]).code
    shards, model = "datasets/fineweb10B_sp512", "tokenizers/fineweb_512_bpe.model"
    data = tiny_data.data_dir
    env = os.environ | {"OMP_NUM_THREADS": "1", "ITERATIONS": "4", "SEED": "3", "RUN_ID": "it", "DATA_DIR": str(data)}
    env |= {"DATA_PATH": str(data / shards), "TOKENIZER_PATH": str(data / model), "TRAIN_LOG_EVERY": "1"}
    logs = []
    for kind in ("packed", "plain"):
        folder = tmp_path / kind
        shutil.copytree(theirs, folder)
        if kind == "packed":
            (folder / "train_gpt.py").write_bytes(code)
        done = subprocess.run([sys.executable, "train_gpt.py"], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        logs.append([re.findall(r"\d+\.\d+", s) for s in done.stdout.splitlines() if "loss" in s])
    losses = [[line[:1] for line in log] for log in logs]
    assert losses[0] == losses[1] and len(losses[0]) > 4
    artifacts = [next((tmp_path / kind).glob("final_model.*.ptz")).read_bytes() for kind in ("packed", "plain")]
    assert artifacts[0] == artifacts[1]


@pytest.mark.training
def test_it_runs_under_torchrun(smoke, empty_folder, tiny_data):
    (empty_folder / "train_gpt.py").write_bytes(smoke.code)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train_gpt.py"]
    knobs = TINY | {"ttt_enabled": False, "sliding_window_enabled": False}
    done = train(torchrun, empty_folder, tiny_data, empty_folder.parent / "blocked", knobs)
    assert done.returncode == 0, done.stderr
    assert "world_size: 2" in done.stdout and done.stdout.count("quantized val_loss:") == 1


@pytest.mark.training
def test_knobs_are_the_presets_and_the_environment_wins(smoke, empty_folder, tiny_data):
    (empty_folder / "train_gpt.py").write_bytes(smoke.code)
    blocked = empty_folder.parent / "blocked"
    given = train(["train_gpt.py"], empty_folder, tiny_data, blocked, {"seed": 5, "train_batch_tokens": 1})
    assert re.search(r"^  num_layers: 4$", given.stdout, re.M) and re.search(r"^  seed: 5$", given.stdout, re.M)
    wrong = train(["train_gpt.py"], empty_folder, tiny_data, blocked, {"seed": "five"})
    assert wrong.returncode == 2 and "knob seed: 'five' is not a valid int" in wrong.stderr
    write_packed(empty_folder / "fixed.py", pack(load("smoke"), specialise=True))
    fixed = train(["fixed.py"], empty_folder, tiny_data, blocked, {"ttt_enabled": False})
    assert fixed.returncode == 2 and "knob ttt_enabled is fixed to True" in fixed.stderr


def test_specialising_leaves_out_what_the_preset_switches_off(smoke):
    small = pack(load("smoke"), specialise=True)
    assert "embed_scale_enabled" in smoke.readable.partition("class GPT")[2]
    assert "embed_scale_enabled" not in small.readable.partition("class GPT")[2]
    assert len(small.code) < len(smoke.code)


@pytest.mark.training
def test_a_codec_that_the_preset_does_not_use_is_left_out_and_refused(empty_folder, tiny_data):
    assert "pgolf.trainer.ans" in pack({"compressor": "ans"}).bytes_by_module
    packed = pack(load("smoke"))
    assert "pgolf.trainer.ans" not in packed.bytes_by_module
    write_packed(empty_folder / "train_gpt.py", packed)
    refused = train(["train_gpt.py"], empty_folder, tiny_data, empty_folder.parent / "blocked", {"compressor": "ans"})
    assert refused.returncode == 2 and "ans is not in this packed file" in refused.stderr


@pytest.mark.training
def test_knobs_that_only_a_left_out_module_reads_go_with_it(empty_folder, tiny_data):
    assert "size_margin" in pack({"fit_to_cap": True}).readable
    packed = pack(load("smoke") | {"size_margin": 3000})
    assert "size_margin" not in packed.readable and "fit_to_cap" in packed.readable
    write_packed(empty_folder / "train_gpt.py", packed)
    refused = train(["train_gpt.py"], empty_folder, tiny_data, empty_folder.parent / "blocked", {"fit_to_cap": "1"})
    assert refused.returncode == 2 and "fit_to_cap is not in this packed file" in refused.stderr


def test_a_record_fits_its_budget(monkeypatch):
    """Also in a process that has shown a value or run a doctest, which leaves that in builtins._"""
    packed = pack(load("pr1812"))
    monkeypatch.setattr("builtins._", "shown", raising=False)
    assert pack(load("pr1812")).code == packed.code
    assert len(packed.code) <= 15_000
    assert len(pack(load("pr1812") | {"stream_enabled": True}).code) <= 15_700
    assert sum(packed.bytes_by_module.values()) == len(packed.code)


def test_the_same_bytes_on_every_machine_and_python(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "import brotli, os.path as p\nfrom dataclasses import dataclass\n\n@dataclass\nclass Config:\n"
        "    '''Doc.'''\n    rate: float = 6e2\n    name: str = ''\n\n"
        "def say(config: Config, *, loud: bool = False) -> str:\n"
        "    # a comment\n    table = {'a': [1, 2 ** 3]}\n"
        "    return f\"{config.name!r:>{4}} {table['a']} {'quoted' if loud else p.basename('x/y')}\"\n\n"
        "if __name__ == '__main__':\n    print(say(Config(), loud=True), brotli.__name__)\n"
    )
    code = pack(source=source).code
    label, rest = code.split(b"\n", 1)
    assert label.startswith(b"#coding:l1 pgolf ")
    assert hashlib.sha256(rest).hexdigest() == "1e010b131b7a64b93460ac40c6645ee366d2c6f75438ddf30a750280fb140931"


def test_compiled_functions_and_tracebacks_see_the_source(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        "import inspect\nimport torch\ndef double(x):\n    return x * 2\n"
        "f = torch.compile(double, backend='eager', fullgraph=True)\nprint(f(torch.ones(2)).sum().item())\n"
        "print(inspect.getsource(double))\nraise ValueError('boom')\n"
    )
    target = tmp_path / "packed.py"
    write_packed(target, pack(source=source))
    done = subprocess.run([sys.executable, target], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["4.0", "def b(a):return a*2"]
    assert 'raise ValueError("boom")' in done.stderr


@pytest.mark.parametrize("read", ["open(__file__).read()", "open(sys.argv[0], 'r').read()"])
def test_a_program_that_reads_its_own_text_finds_text(tmp_path, read):
    source, target = tmp_path / "source.py", tmp_path / "packed.py"
    source.write_text(f"import sys\ncode = {read}\nprint(len(code.encode('utf-8')), {'x' * 300!r})\n")
    write_packed(target, pack(source=source))
    done = subprocess.run([sys.executable, target], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[0]) == target.stat().st_size


def test_unpacking_gives_names_back_only_to_what_this_checkout_makes(smoke):
    for packed in (smoke, pack({"cpu_kernels": True})):
        assert packed.readable in unpack(packed.code)
    foreign = pack(source=ROOT / "pgolf/errors.py").code
    assert "class BadInput(Exception):" in unpack(foreign) and "does not make" in unpack(foreign)
    forged = wrap("print('not the trainer')\n", smoke.code[11:].split(b"\n")[0].decode(), COMPRESSORS["zlib"])
    assert "print('not the trainer')" in unpack(forged)


def test_what_differs_from_this_checkout_is_told(smoke):
    assert difference(smoke.code, smoke) is None
    assert "other source" in difference(pack(load("smoke")).code, smoke)
    renamed = smoke.code.replace(b"#coding:l1 pgolf 0", b"#coding:l1 pgolf 9")
    assert "the program is the same" in difference(renamed, smoke)


def test_files_that_pack_did_not_make_are_neither_read_nor_overwritten(smoke, tmp_path):
    mine = tmp_path / "train_gpt.py"
    mine.write_text("print('mine')\n")
    with pytest.raises(BadInput, match=r"train_gpt\.py exists"):
        write_packed(mine, smoke)
    assert mine.read_text() == "print('mine')\n"
    for path in (mine, tmp_path / "missing.py"):
        with pytest.raises(BadInput, match=path.name):
            read_packed(path)
    write_packed(tmp_path / "new.py", smoke)
    write_packed(tmp_path / "new.py", smoke)


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(BadInput, match=r"ttt_epoch.*ttt_epochs"):
        pack({"ttt_epoch": 4})
    with pytest.raises(BadInput, match="own trainer"):
        pack({"ttt_epochs": 4}, source=tmp_path / "x.py")
    with pytest.raises(BadInput, match=r"x\.py: cannot be read"):
        pack(source=tmp_path / "x.py")
