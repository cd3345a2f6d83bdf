"""program.toml: every entry is read, and a wrong one is named before anything runs."""

import pytest

from pgolf.errors import BadInput
from pgolf.program.settings import MOST_BYTES, NAME, Settings, parse_settings, read_settings

WHOLE = """
name = "mine"
script = "src/train.py"
command = ["python", "-m", "torch.distributed.run", "--nproc_per_node={nproc}", "{script}"]
seed = "RANDOM_SEED"
data = { SHARDS = "{shards}", TOK = "{tokenizer}" }
log = "out/{run_id}.txt"
artifact = "model.bin"
files = ["*.py", "tokenizers/*"]
setup = "install.sh"
trial = { STEPS = 2, FAST = true, LR = 0.5 }
eval_only = { LOAD = "{artifact}", STEPS = 0 }
eval_seconds = 300

[requires]
packages = ["zstandard >= 0.22"]
commands = ["lrzip"]
modules = ["flash_attn_interface"]
cuda = false
"""


def test_every_entry_is_read():
    settings = parse_settings(WHOLE)
    assert set(Settings.model_fields) == settings.model_fields_set
    assert settings.trial == {"STEPS": "2", "FAST": "1", "LR": "0.5"}  # as environment variables have them
    assert settings.artifacts == ("model.bin",)
    assert settings.requires.packages == ("zstandard>=0.22",)
    assert settings.data == {"SHARDS": "{shards}", "TOK": "{tokenizer}"}


def test_without_a_file_nothing_differs(tmp_path):
    assert read_settings(tmp_path) == Settings()


@pytest.mark.parametrize("text", ["log = 'logs/{ru%s'" % ("\t" * 100_000), "%s = 1" % ("x" * 100_000)])
def test_a_message_quotes_little_of_what_is_wrong(text):
    with pytest.raises(BadInput) as e:
        parse_settings(text)
    assert len(str(e.value)) <= 1000 and str(e.value).isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 'SEED'", "no entry 'sed' (did you mean seed?)"),
        ("seed = 'MY SEED'", "seed: "),
        ("seed = 3", "seed: "),
        ("command = 'python train.py'", "command: "),
        ("command = []", "command: "),
        ("command = ['{scrip}']", "{scrip} (did you mean {script}?)"),
        ("data = { X = '{shard}' }", "{shard} (did you mean {shards}"),
        ("data = { LD_PRELOAD = '{data}' }", "LD_PRELOAD"),
        ("data = { RANK = '{data}' }", "RANK: is set by torchrun"),
        ("script = '../train.py'", "'../train.py' leaves the folder"),
        ("script = '/etc/passwd'", "leaves the folder"),
        ("setup = 'a/../../b.sh'", "leaves the folder"),
        ("files = ['..']", "leaves the folder"),
        ("files = ['a\\\\b']", "backslash"),
        ('log = "a\\nb.txt"', "does not print"),
        ("log = 'logs/{seed}.txt'", "there is no {seed}"),
        ("artifact = '../x.ptz'", "leaves the folder"),
        ("requires = { packages = ['--index-url=x'] }", "requires.packages.0"),
        ("requires = { commands = ['rm -rf'] }", "requires.commands.0"),
        ("requires = { modules = ['a-b'] }", "requires.modules.0"),
        ("requires = { cuda = 'maybe' }", "requires.cuda"),
        ("requires = { pip = ['x'] }", "requires.pip"),
        ("trial = { PYTHONPATH = 'x' }", "PYTHONPATH"),
        ("trial = { all_proxy = 'x' }", "all_proxy: decides where traffic goes"),
        ("eval_only = { LOAD = '{artifact}', Nccl_Net_Plugin = 'x' }", "Nccl_Net_Plugin: decides what compilers"),
        ("trial = { STEPS = [1] }", "STEPS: give a text or a number"),
        ("eval_only = { LOAD = 'x' }", "{artifact}"),
        ("eval_seconds = nan", "eval_seconds"),
        ("eval_seconds = 0", "eval_seconds"),
        ("name = '../up'", "name: "),
        ("seed = ", "not TOML"),
    ],
)
def test_a_wrong_entry_is_named(text, said):
    with pytest.raises(BadInput) as e:
        parse_settings(text, "mine/program.toml")
    assert said in str(e.value) and str(e.value).startswith("mine/program.toml: ")


def test_a_file_that_is_no_text_or_too_long_is_bad_input(tmp_path):
    (tmp_path / NAME).write_bytes(b"seed = '\xff'")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_settings(tmp_path)
    (tmp_path / NAME).write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(BadInput, match="over"):
        read_settings(tmp_path)
