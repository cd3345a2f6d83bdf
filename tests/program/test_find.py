"""A file, a folder or a record folder → the program in it, within bounds, and bad input where it cannot be one."""

import json
import os
import socket
from pathlib import Path

import pytest

from pgolf.errors import BadInput
from pgolf.program import ARTIFACTS
from pgolf.program.find import open_program
from pgolf.program.folder import MOST_FILE_BYTES

MARCH = """
import os, sys, time
import numpy as np
import sentencepiece as spm
import torch

class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    iterations = int(os.environ.get("ITERATIONS", 20000))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    matrix_lr = float(os.environ.get("MATRIX_LR", 0.04))
    tie_embeddings = bool(int(os.environ.get("TIE_EMBEDDINGS", "1")))
    run_id = os.environ.get("RUN_ID", "x")

rank = int(os.environ.get("RANK", "0"))
"""
APRIL = """
import os
class Hyperparameters:
    data_dir = os.environ.get("DATA_DIR", "./data/")
    vocab_size = int(os.environ.get("VOCAB_SIZE", 8192))
    datasets_dir = os.path.join(data_dir, "datasets", f"fineweb10B_sp{vocab_size}")
    train_files = os.path.join(datasets_dir, "fineweb_train_*.bin")
    tokenizer_path = os.path.join(data_dir, "tokenizers", f"fineweb_{vocab_size}_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    ttt_epochs = int(os.environ.get("TTT_EPOCHS", 3))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "0")))
    loops = os.environ.get("LOOPS", "1,2")
"""


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train_gpt.py").write_text(MARCH)
    return folder


def refused(path, *said, **options):
    """The message of the bad input that opening a program ends in, which says all of `said`."""
    with pytest.raises(BadInput) as e:
        open_program(path, **options)
    assert all(word in str(e.value) for word in said), str(e.value)
    return str(e.value)


# --- what goes along
def test_a_script_takes_only_what_it_needs_of_its_folder(mine):
    (mine / "train_gpt.py").write_text(MARCH + "import caps\nopen('table.json')\nfrom tools import pick\n")
    (mine / "caps.py").write_text("import deeper\n")
    (mine / "deeper.py").write_text("")
    (mine / "other.py").write_text("")
    (mine / "table.json").write_text("{}")
    (mine / "tools").mkdir()
    (mine / "tools" / "__init__.py").write_text("from tools import inner")
    (mine / "tools" / "pick.py").write_text("")
    (mine / "tools" / "inner.py").write_text("")
    (mine / "requirements.txt").write_text("brotli\n")
    program = open_program(mine / "train_gpt.py")
    assert set(program.files) >= {"train_gpt.py", "caps.py", "deeper.py", "table.json", "tools/pick.py"}
    assert "tools/inner.py" in program.files and "other.py" not in program.files
    assert program.requires.requirements == "requirements.txt"
    assert program.script == program.code[0] == "train_gpt.py" and program.name == "mine"
    assert not {"table.json", "requirements.txt"} & set(program.code)
    assert program.code_bytes == sum(len(program.files[n]) for n in program.files if n.endswith(".py"))


@pytest.mark.parametrize(("stars", "taken"), [(1, True), (5000, False)])
def test_a_pattern_of_thousands_of_characters_names_no_file(mine, stars, taken):
    """To compare one with the files would take minutes."""
    (mine / "table.json").write_text("{}")
    (mine / "train_gpt.py").write_text(MARCH + f"os.path.join('.', '{'*' * stars}able.json')\n")
    assert ("table.json" in open_program(mine / "train_gpt.py").files) == taken


def test_a_lone_script_of_another_name_runs_as_train_gpt(mine):
    (mine / "train_gpt.py").rename(mine / "train_mdlm.py")
    program = open_program(mine / "train_mdlm.py")
    assert program.script == "train_gpt.py" and list(program.files) == ["train_gpt.py"]
    assert "train_mdlm.py runs as train_gpt.py" in program.notes[0]
    assert all(variable.file == "train_gpt.py" for variable in program.variables.values())


@pytest.mark.parametrize("more", ["import caps\n", "code = open('train_mdlm.py').read()\n"])
def test_a_script_keeps_its_name_where_others_may_know_it(mine, more):
    (mine / "train_gpt.py").rename(mine / "train_mdlm.py")
    (mine / "train_mdlm.py").write_text(MARCH + more)
    (mine / "caps.py").write_text("")
    assert open_program(mine / "train_mdlm.py").script == "train_mdlm.py"


def test_a_folder_takes_all_but_results_pages_and_data(mine):
    kept = ["caps.py", "prepare.py", "run_8gpu.sh", "setup.sh", "kernel.cu", "tokenizers/a.model", "merges.txt"]
    kept.append("program.toml")  # without which nobody could run the submission
    dropped = [
        *("README.md", "train.log", "final_model.int6.ptz", "final_model.pt", "submission.json", "curve.png", ".env"),
        *("plan.json", "manifest.json", "events.jsonl", "report.html", "train_seed42.txt"),
        *("data/datasets/x/fineweb_train_000000.bin", "logs/1.txt", "__pycache__/caps.pyc", "runs/a/b.py", ".git/HEAD"),
    ]
    for name in kept + dropped:
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("{}" if name == "submission.json" else "")
    program = open_program(mine)
    assert sorted(program.files) == sorted(["train_gpt.py", *kept])
    # launchers and what installs packages are not counted by the contest
    assert sorted(program.code) == ["caps.py", "kernel.cu", "prepare.py", "train_gpt.py"]
    assert program.requires.setup == "setup.sh"


def test_program_toml_decides_instead(mine):
    (mine / "train_gpt.py").rename(mine / "a.py")
    (mine / "b.py").write_text("")
    (mine / "weights.pt").write_text("")
    (mine / "go.sh").write_text("")
    (mine / "program.toml").write_text(
        "script = 'a.py'\nfiles = ['weights.*']\ncommand = ['bash', 'go.sh', '{script}']\nsetup = 'go.sh'\n"
        "artifact = 'out.bin'\nlog = 'my.txt'\nname = 'other'\neval_seconds = 5\ntrial = { ITERATIONS = 1 }\n"
        "data = { DATA_PATH = '{shards}/x' }\neval_only = { LOAD = '{artifact}' }\n[requires]\ncuda = false\n"
    )
    program = open_program(mine)
    assert sorted(program.files) == ["a.py", "go.sh", "program.toml", "weights.pt"]  # a submission has it, too
    assert (program.script, program.log, program.artifact, program.name) == ("a.py", "my.txt", ("out.bin",), "other")
    assert program.data == {"DATA_PATH": "{shards}/x"} and program.trial == {"ITERATIONS": "1"}
    assert program.start(2) == ["bash", "go.sh", "a.py"] and program.requires.setup == "go.sh"
    assert program.eval_only == {"LOAD": "{artifact}"} and program.requires.cuda is False


def test_program_toml_makes_no_other_program_of_what_it_does_not_change(mine):
    (mine / "program.toml").write_text("")
    before = open_program(mine)
    (mine / "program.toml").write_text("eval_only = { EVAL_ONLY = '{artifact}' }")
    after = open_program(mine)
    assert (after.code, after.sha256) == (before.code, before.sha256)  # seeds that have run still count
    assert after.eval_only and after.files["program.toml"] != before.files["program.toml"]
    (mine / "program.toml").write_text("artifact = 'a.bin'")
    assert open_program(mine).sha256 != before.sha256


def test_files_of_program_toml_must_be_there(mine):
    (mine / "program.toml").write_text("files = ['*.json']")
    refused(mine, "no file matches '*.json'")


@pytest.mark.parametrize("name", ["train_gpt_cuda_binary.py", "train_jepa.py", "main.py"])
def test_the_script_of_a_folder_is_found(mine, name):
    (mine / "train_gpt.py").rename(mine / name)
    (mine / "helper.py").write_text("def f(): pass\n")
    assert open_program(mine).script == name


def test_several_scripts_are_named_with_the_way_out(mine):
    (mine / "train_gpt.py").rename(mine / "train_gpt_a.py")
    (mine / "train_gpt_b.py").write_text(MARCH)
    said = refused(mine, "train_gpt_a.py, train_gpt_b.py", 'script = "train_gpt_a.py"', "program.toml")
    assert str(mine / "train_gpt_a.py") in said
    assert open_program(mine / "train_gpt_b.py").script == "train_gpt.py"


def test_a_folder_without_a_script(tmp_path):
    refused(tmp_path, "no Python script")


def test_the_name_is_the_scripts_where_the_folders_says_nothing(mine, monkeypatch):
    monkeypatch.chdir(mine)
    os.rename("train_gpt.py", "train_new.py")
    assert open_program(mine / "train_new.py").name == "mine"
    from pathlib import Path

    assert open_program(Path("train_new.py")).name == "train_new"


# --- bounds
def test_nothing_there(tmp_path):
    refused(tmp_path / "gone.py", "no file or folder")


def test_a_file_over_64_mib(mine):
    with (mine / "vocabulary.bin").open("wb") as f:
        f.truncate(MOST_FILE_BYTES + 1)
    refused(mine, "vocabulary.bin", "over 64 MiB")
    with (mine / "train_gpt.py").open("r+b") as f:
        f.truncate(MOST_FILE_BYTES + 1)
    refused(mine / "train_gpt.py", "over 64 MiB")


def test_a_folder_of_too_many_files(mine):
    for number in range(1001):
        (mine / f"{number}.json").write_text("")
    refused(mine, "over 1,000 files", "give the script itself")
    assert open_program(mine / "train_gpt.py").script == "train_gpt.py"


def test_a_folder_over_256_mib(mine):
    for number in range(5):
        with (mine / f"{number}.bin").open("wb") as f:
            f.truncate(52 << 20)
    refused(mine, "256 MiB")


@pytest.mark.parametrize("name", ["train_gpt.py", "caps.py", "tokenizers"])
def test_a_link_out_of_the_folder(mine, tmp_path, name):
    (tmp_path / "outside.py").write_text(MARCH)
    (mine / "train_gpt.py").write_text(MARCH + "import caps\n")
    (mine / "caps.py").write_text("")
    (mine / name).unlink(missing_ok=True)
    (mine / name).symlink_to(tmp_path if name == "tokenizers" else tmp_path / "outside.py")
    refused(mine, "leads out of the folder")
    if name != "tokenizers":
        refused(mine / "train_gpt.py", "leads out of the folder")


def test_a_link_inside_the_folder_is_its_file(mine):
    (mine / "caps.py").write_text("x = 1\n")
    (mine / "also.py").symlink_to("caps.py")
    assert open_program(mine).files["also.py"] == b"x = 1\n"


def test_links_that_lead_nowhere(mine):
    (mine / "loop.json").symlink_to("loop.json")
    refused(mine, "loop.json")
    (mine / "loop.json").unlink()
    (mine / "gone.json").symlink_to("nothing.json")
    refused(mine, "gone.json")


def test_what_is_no_plain_file_is_not_waited_for(mine, monkeypatch):
    os.mkfifo(mine / "pipe.json")
    refused(mine, "pipe.json", "no plain file")
    (mine / "pipe.json").unlink()
    monkeypatch.chdir(mine)  # a socket's path may be 108 bytes long
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket.json")
        refused(mine, "socket.json")


@pytest.mark.parametrize("name", ["a\\b.json", "a\nb.json", "\udcff.json"])
def test_a_name_that_cannot_go_where_it_runs(mine, name):
    (mine / name).write_text("")
    refused(mine, "it cannot go where the program runs")


@pytest.mark.parametrize("name", ["pod.json", "exit.json", "result.json", "ended_early.json", "place.json"])
def test_a_name_that_pgolf_needs_itself(mine, name):
    (mine / name).write_text("{}")
    refused(mine, name, "pgolf writes a file of this name")
    assert open_program(mine / "train_gpt.py")  # which does not need it


def test_an_artifact_or_a_log_among_the_files_would_pass_for_the_runs(mine):
    (mine / "old.ptz").write_text("")
    assert "old.ptz" not in open_program(mine).files
    (mine / "program.toml").write_text("files = ['old.ptz']")
    refused(mine, "old.ptz", "name of an artifact")
    (mine / "seed42.txt").write_text("")
    (mine / "program.toml").write_text("files = ['seed42.txt']")
    refused(mine, "seed42.txt")


def test_a_script_that_an_interpreter_would_take_for_an_option(mine):
    (mine / "train_gpt.py").rename(mine / "-c.py")
    refused(mine / "-c.py", "taken for an option")


def test_a_script_that_is_no_python(mine):
    (mine / "train_gpt.py").write_text("def f(:\n")
    refused(mine, "train_gpt.py")


# --- variables
def test_the_march_dialect_needs_no_settings(mine):
    program = open_program(mine)
    assert program.data == {"DATA_PATH": "{shards}", "TOKENIZER_PATH": "{tokenizer}"}
    assert program.seed == "SEED" and program.vocab_size == 1024 and program.environment == {}
    assert set(program.requires.packages) == {"numpy", "sentencepiece"}
    assert program.artifact == ARTIFACTS and program.log is None and not program.ours
    env = program.settings("/d", "/d/datasets/s", "/d/tokenizers/t.model")
    assert env == {"DATA_PATH": "/d/datasets/s", "TOKENIZER_PATH": "/d/tokenizers/t.model"}


def test_the_april_dialect_needs_no_settings(mine):
    (mine / "train_gpt.py").write_text(APRIL)
    program = open_program(mine, {"VOCAB_SIZE": "4096"})
    assert program.data == {"DATA_DIR": "{data}"} and program.vocab_size == 4096
    assert program.environment == {"VOCAB_SIZE": "4096"}


@pytest.mark.parametrize(
    ("source", "data", "vocab_size"),
    [
        ("DIR = E('DATA_DIR', './data/datasets/fineweb10B_sp512')", {"DATA_DIR": "{shards}"}, 512),
        ("DIR = E('DATA_DIR', './data/datasets'); glob(DIR + '/x')", {"DATA_DIR": "{data}/datasets"}, None),
        ("DIR = E('DATA_DIR', './data'); glob(DIR + '/fineweb_train_*.bin')", {"DATA_DIR": "{shards}"}, None),
        ("DIR = E('DATA_DIR', './data'); glob(DIR + '/datasets/x/fineweb_train_*.bin')", {"DATA_DIR": "{data}"}, None),
        ("DIR = E('DATA_PATH', './data'); glob(DIR + '/fineweb_train_*.bin')", {"DATA_PATH": "{shards}"}, None),
        ("E('DATA_ROOT', '/x/data/'); E('MODEL', 'a.model')", {"DATA_ROOT": "{data}"}, None),
        (
            "E('TRAIN_FILES', 'd/fineweb_train_*.bin'); E('VAL_FILES', 'fineweb_val_*.bin'); E('VOCAB_PATH', 'a')",
            {"TRAIN_FILES": "{shards}/fineweb_train_*.bin", "VAL_FILES": "{shards}/fineweb_val_*.bin"},
            None,
        ),
        (
            "E('SHARD_FOLDER', '/x/datasets/fineweb10B_sp2048/'); E('SP_MODEL', 'fineweb_2048_bpe.model')",
            {"SHARD_FOLDER": "{shards}", "SP_MODEL": "{tokenizer}"},
            2048,
        ),
    ],
)
def test_where_the_data_is_is_told_by_names_and_defaults(mine, source, data, vocab_size):
    head = "import os\nfrom glob import glob\nos.environ.get('SEED', '1')\n"
    (mine / "train_gpt.py").write_text(head + source.replace("E(", "os.environ.get("))
    program = open_program(mine)
    assert program.data == data and program.vocab_size == vocab_size


def test_a_loaders_variable_is_no_place_of_data(mine):
    (mine / "train_gpt.py").write_text(APRIL + 'os.environ.get("PYTHONPATH", "./data/datasets/fineweb10B_sp1024")\n')
    assert open_program(mine).data == {"DATA_DIR": "{data}"}


def test_a_program_that_finds_its_data_elsewhere(mine):
    (mine / "train_gpt.py").write_text("import os\nos.environ.get('SEED', '1')\nos.environ.get('TOKENIZER_PATH')\n")
    refused(mine, "no variable that says where the data is", "data = {")
    (mine / "program.toml").write_text("data = { TOKENIZER_PATH = '{tokenizer}' }")
    assert open_program(mine).data == {"TOKENIZER_PATH": "{tokenizer}"}


def test_a_script_that_reads_no_seed(mine):
    (mine / "train_gpt.py").write_text(MARCH.replace('"SEED"', '"MODEL_SEED"'))
    refused(mine, "reads no variable SEED", 'seed = "MODEL_SEED"')
    (mine / "program.toml").write_text("seed = 'MODEL_SEED'")
    assert open_program(mine).seed == "MODEL_SEED"
    (mine / "program.toml").write_text("seed = 'MODELSEED'")
    refused(mine, "did you mean MODEL_SEED")


def test_settings_are_variables_that_the_source_reads(mine):
    assert open_program(mine, {"matrix_lr": "0.02"}).environment == {"MATRIX_LR": "0.02"}
    refused(mine, "MATRIX_LR", "did you mean", "--env", settings={"MATRX_LR": "1"})
    refused(mine, "twice", settings={"MATRIX_LR": "1", "matrix_lr": "2"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SEED", "--seeds"),
        ("seed", "--seeds"),
        ("RUN_ID", "each run"),
        ("DATA_PATH", "--data-dir"),
        ("RANK", "torchrun"),
        ("PATH", "machine"),
    ],
)
def test_what_every_run_sets_is_not_set_by_the_user(mine, name, said):
    refused(mine, said, settings={name: "1"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LD_PRELOAD", "x.so", "loader"),
        ("PYTHONPATH", ".", "loader"),
        ("A-B", "1", "no name of a variable"),
        ("9A", "1", "no name of a variable"),
        ("A\n", "1", "no name of a variable"),
        ("SEED", "1", "--seeds"),
        ("WORLD_SIZE", "1", "torchrun"),
        ("BIG", "x" * 4097, "4,096 bytes"),
        ("NUL", "a\0b", "control character"),
    ],
)
def test_other_variables_are_bounded(mine, name, value, said):
    refused(mine, said, extra={name: value})


def test_a_variable_is_set_once(mine):
    name = next(name for name in open_program(mine).variables if name not in ("SEED", "RUN_ID", "DATA_PATH"))
    assert open_program(mine, {name: "1"}).environment == {name: "1"}
    with pytest.raises(BadInput, match=f"{name}: given with --set and with --env"):
        open_program(mine, {name: "1"}, {name: "2"})


def test_any_other_variable_may_be_set(mine):
    assert open_program(mine, extra={"NCCL_DEBUG": "INFO"}).environment == {"NCCL_DEBUG": "INFO"}


# --- a record folder
def record(folder, knobs, seeds=(1, 2), **other):
    """A record as the April dialect leaves it: submission.json and logs with their hyperparameters."""
    folder.mkdir(exist_ok=True)
    (folder / "train_gpt.py").write_text(APRIL)
    (folder / "submission.json").write_text(json.dumps({"name": "x", "val_bpb": 1.2}))
    for seed in seeds:
        logged = {"seed": seed, "data_dir": "/theirs/data", **knobs, **other.get(f"of_{seed}", {})}
        (folder / f"train_seed{seed}.log").write_text(
            "Hyperparameters:\n"
            + "".join(f"  {name}: {value}\n" for name, value in logged.items())
            + "world_size:8 grad_accum_steps:1\nRunning PyTorch 2.9.1+cu128\n"
            "step:10/10 train_loss:3.1 train_time:100ms\nCode size: 12345 bytes\n"
            f"quantized_ttt val_loss:2.5 val_bpb:1.2{seed} eval_time:100ms\n"
        )
    return folder


def test_a_record_folder_runs_with_the_settings_of_its_logs(tmp_path):
    knobs = {"ttt_epochs": 4, "ttt_enabled": True, "vocab_size": 8192, "unknown": 7, "run_id": "abc", "world_size": 8}
    folder = record(tmp_path / "theirs", knobs)
    program = open_program(folder)
    assert program.environment == {"TTT_EPOCHS": "4", "TTT_ENABLED": "1"}
    assert list(program.files) == ["train_gpt.py"]
    notes = " ".join(program.notes)
    assert "TTT_EPOCHS=4" in notes and "8 ranks" in notes and "torch 2.9.1+cu128" in notes
    assert "12,345 bytes of code" in notes and "do not say: hardware" in notes
    assert open_program(folder, {"TTT_EPOCHS": "9"}).environment["TTT_EPOCHS"] == "9"
    assert open_program(folder / "train_gpt.py").environment == {}  # the script alone has no logs


def test_equal_numbers_are_no_difference(tmp_path):
    knobs = {"ttt_epochs": "3.0", "ttt_enabled": "False", "loops": "1,2"}
    assert open_program(record(tmp_path / "theirs", knobs)).environment == {}


def test_what_logs_do_not_agree_on_is_left_and_said(tmp_path):
    program = open_program(record(tmp_path / "theirs", {"ttt_epochs": 4}, of_2={"ttt_epochs": 5}))
    assert program.environment == {} and any("do not agree on TTT_EPOCHS" in note for note in program.notes)


@pytest.mark.parametrize("value", ["[1, 2, 3]", "None", "/theirs/loops.txt"])
def test_what_is_no_plain_value_is_left_and_said(tmp_path, value):
    program = open_program(record(tmp_path / "theirs", {"loops": value}))
    assert program.environment == {} and any("LOOPS" in note for note in program.notes)


NO_LOG_MAY_SET = [
    "EVAL_ONLY",
    "RESUME_FROM_CKPT",
    "INIT_CHECKPOINT",
    "load_from",
    "HTTP_PROXY",
    "all_proxy",
    "no_proxy",
    "BASH_ENV",
    "ENV",
    "LD_PRELOAD",
    "dyld_insert_libraries",
    "PATH",
    "HOME",
    "PythonStartup",
    "GIT_SSH_COMMAND",
    "TORCH_EXTENSIONS_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "CUDA_INJECTION64_PATH",
    "NCCL_NET_PLUGIN",
    "HF_TOKEN",
    "PGOLF_POD",
    "RUNPOD_API_KEY",
    "CXX",
    "GCONV_PATH",
    "SSL_CERT_FILE",
    "TMPDIR",
]


@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.swapcase])
def test_a_log_sets_nothing_but_the_programs_own_settings(tmp_path, change):
    names = [change(name) for name in NO_LOG_MAY_SET]
    folder = record(tmp_path / "theirs", {"ttt_epochs": 4, **{name.lower(): "x1" for name in names}})
    reads = "".join(f"os.environ.get({name!r}, '')\n" for name in names)
    (folder / "train_gpt.py").write_text(APRIL.replace("import os\n", f"import os\n{reads}", 1))
    program = open_program(folder)
    assert set(names) <= (program.variables or {}).keys()
    assert program.environment == {"TTT_EPOCHS": "4"}
    assert any("which no log may set" in note for note in program.notes)


def test_a_folder_of_ones_own_with_logs_of_tries_is_no_record(mine):
    record(mine, {"ttt_epochs": 4})
    (mine / "submission.json").unlink()
    (mine / "logs").mkdir()
    for log in mine.glob("*.log"):
        log.rename(mine / "logs" / log.name)
    program = open_program(mine)
    assert program.environment == {} and program.notes == ()


def test_what_pgolf_puts_beside_a_program_is_no_part_of_it():
    recorded = Path(__file__).parents[1] / "recorded" / "smoke"
    assert {"probes.jsonl", "train_seed42.events.jsonl"} <= {path.name for path in recorded.iterdir()}
    assert set(open_program(recorded).files) == {"train_gpt.py"}
