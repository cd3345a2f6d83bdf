"""Every number, text and table that a TOML file may hold: a wrong one is refused by file and entry, before any use."""

import os
import tomllib
from pathlib import Path

import pytest

from pgolf import presets, tracks
from pgolf.errors import BadInput
from pgolf.pods.settings import Settings, read_settings
from pgolf.program.settings import read_settings as read_program
from pgolf.sweep.candidates import space

TRACK = (Path(tracks.__file__).parent / "cpu_smoke.toml").read_text()
SPEEDRUN = (Path(tracks.__file__).parent / "nanogpt_short.toml").read_text()
FILES = ["\0", "a = " + "[" * 100_000, "a." * 100_000 + "a = 1", "a = 1\na = 2", b"\xff", "a = " + "9" * 5000]


def changed(text: str, entry: str, value: str) -> str:
    """The TOML with another value of `table.entry`."""
    *table, name = entry.split(".")
    lines, here = [], []
    for line in text.splitlines():
        if line.startswith("["):
            here = [line.strip("[]")]
        if here == table and line.partition("=")[0].strip() == name:
            continue
        lines.append(line)
    added = f"{name} = {value}"
    at = lines.index(f"[{table[0]}]") + 1 if table and f"[{table[0]}]" in lines else 0
    if table and not at:
        return "\n".join([*lines, f"[{table[0]}]", added])
    return "\n".join([*lines[:at], added, *lines[at:]])


def test_the_helper_changes_one_entry():
    before, after = tomllib.loads(TRACK), tomllib.loads(changed(TRACK, "policy.alpha", "0.25"))
    assert after["policy"].pop("alpha") == 0.25 and before["policy"].pop("alpha") == 0.01
    assert before == after


NO_NUMBERS = ["[1]", "nan", "-inf", '"3"', "true", "{ a = 1 }", "2026-04-09", "9" * 400, "1e999"]
WRONG = {
    "title": ['""', "7", '"\\u001b[2J"', '"' + "x" * 2000 + '"'],
    "hardware": ['""', "[]"],
    "known_as": ['["("]', '"x"', "[1]", "7"],
    "record": ["1", '"no"'],
    "val_bytes": [*NO_NUMBERS, "0", "-1", "1.5"],
    "val_spaces": [*NO_NUMBERS, "-1", "1.5"],
    "validation": [
        "7",
        "[1]",
        '[{ tokenizer = "x", vocab_size = 8, tokens = 9 }]',
        '[{ tokenizer = "x", vocab_size = 8, tokens = 0, bytes = 9 }]',
        "[{ tokenizer = 7, vocab_size = 8, tokens = 9, bytes = 9 }]",
        '[{ tokenizer = "x", vocab_size = 8, tokens = 9, bytes = 9, chars = 9 }]',
    ],
    "limits.artifact_bytes": [*NO_NUMBERS, "0", "-1", "1.5", "inf"],
    "limits.train_seconds": [*NO_NUMBERS, "0", "-600"],
    "limits.eval_seconds": [*NO_NUMBERS, "0.0"],
    "limits.grace_seconds": [*NO_NUMBERS, "-1", "inf"],
    "limits.overhead_seconds": [*NO_NUMBERS, "-1", "inf"],
    "policy.margin_nats": [*NO_NUMBERS, "-0.1", "inf"],
    "policy.alpha": [*NO_NUMBERS, "0", "-0.1", "1", "2", "inf"],
    "policy.min_seeds": [*NO_NUMBERS, "-1", "2.5", "1_000_000"],
    "run.seeds": ["7", '["42"]', "[-1]", "[1.5]", "[true]", "[[1]]"],
    "run.preset": ['""', "7", "[]"],
    "run.standing": ['""', "7"],
    "run.baseline_preset": ['""', "7"],
    "run.nproc": [*NO_NUMBERS, "0", "-3", "1.5", "100_000"],
    "early_stop.after_share": [*NO_NUMBERS, "-0.1", "1.5", "inf"],
    "early_stop.over_share": [*NO_NUMBERS, "-0.1", "inf"],
    "early_stop.quantile": [*NO_NUMBERS, "-0.1", "1.1"],
    "early_stop.hopeless": ["7", "[1]", "[[1]]", "[[2, 0.1]]", "[[0.5, -1]]", '[["a", 1]]', "[[nan, 1]]"],
}


WRONG_WITH_A_TARGET = {
    "title": WRONG["title"],
    "hardware": WRONG["hardware"],
    "target.loss": [*NO_NUMBERS, "0", "-3.28", "inf", "1000"],
    "target.least": ['"flops"', '""', "7", "[]", '["steps"]', "{ a = 1 }", "true"],
    "target.alpha": [*NO_NUMBERS, "0", "-0.1", "1", "inf"],
    "target.gain_alpha": [*NO_NUMBERS, "0", "0.51"],
    "target.min_runs": [*NO_NUMBERS, "1", "0", "-1", "2.5", "1_000_000"],
    "run.runs": [*NO_NUMBERS, "1", "2.5", "1_000_000"],
    "run.nproc": WRONG["run.nproc"],
    "run.most_seconds": [*NO_NUMBERS, "0", "-1", "inf"],
}
EVERY_WRONG = [(TRACK, e, v) for e, values in WRONG.items() for v in values]
EVERY_WRONG += [(SPEEDRUN, e, v) for e, values in WRONG_WITH_A_TARGET.items() for v in values]


@pytest.mark.parametrize(("text", "entry", "value"), EVERY_WRONG)
def test_a_wrong_value_in_a_track_is_refused_by_name(tmp_path, text, entry, value):
    path = tmp_path / "mine.toml"
    path.write_text(changed(text, entry, value))
    with pytest.raises(BadInput) as refused:
        tracks.load(str(path))
    assert str(refused.value).startswith(f"{path}: not a track: ")
    said = str(refused.value).replace("in each entry, ", "")
    assert f"{entry}: give" in said or f"{entry}: an integer that 64 bits do not hold" in said or "1e999" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed(TRACK, "val_byte", "7"), "no entry 'val_byte' .did you mean val_bytes"),
        (changed(TRACK, "limits.train_second", "7"), "no entry 'limits.train_second' .did you mean train_seconds"),
        (changed(TRACK, "run.gpus", "7"), "no entry 'run.gpus'"),
        (TRACK.replace("nproc = 1", ""), "it has no 'run.nproc'"),
        (TRACK.replace("[policy]", "[polici]"), "no entry 'polici'"),
        ('title = "x"\nhardware = "y"\nlimits = 7', "limits: write a table"),
        ("", "it has no 'title'"),
        (SPEEDRUN.replace("[target]", "[targets]"), "no entry 'targets'"),
        (SPEEDRUN + "\n[limits]\ntrain_seconds = 600", "no entry 'limits'"),
        (TRACK + "\n[target]\nloss = 3.28", "no entry '(limits|policy)'"),
        ("target = 7\n" + SPEEDRUN.partition("[target]")[0], "target: write a table"),
        (changed(SPEEDRUN, "run.seeds", "[42]"), "no entry 'run.seeds'"),
        (changed(SPEEDRUN, "target.runs", "7"), "no entry 'target.runs'"),
        (SPEEDRUN.replace("least", "leest"), "no entry 'target.leest' .did you mean least"),
        (SPEEDRUN.replace("min_runs = 3", ""), "it has no 'target.min_runs'"),
        (SPEEDRUN.partition("[run]")[0], "it has no 'run.runs'"),
        (TRACK.partition("[run]")[0], "it has no 'run.seeds'"),
    ],
)
def test_an_entry_too_many_or_too_few_in_a_track_is_named(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        tracks.load(str(path))


def test_the_widest_track_that_is_right(tmp_path):
    path = tmp_path / "mine.toml"
    text = changed(changed(TRACK, "limits.train_seconds", "inf"), "policy.alpha", "0.25")
    path.write_text(changed(text, "early_stop.hopeless", "[[0.25, 0.3], [1, 0]]"))
    track = tracks.load(str(path))
    assert (track.limits.train_seconds, track.policy.alpha) == (float("inf"), 0.25)
    assert track.early_stop.hopeless == ((0.25, 0.3), (1.0, 0.0))


def test_a_track_with_a_target_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEEDRUN.replace('"train_seconds"', '"steps"').replace("3.28", "2.5"))
    track = tracks.load(str(path))
    assert (track.target.loss, track.target.least, track.target.runs) == (2.5, "steps", 10)
    with pytest.raises(BadInput, match="aims at a target loss"):
        tracks.load_limited(str(path))
    assert tracks.load_limited("cpu_smoke").target is None


@pytest.mark.parametrize("load", [tracks.load, presets.load])
@pytest.mark.parametrize("content", FILES)
def test_a_file_that_is_no_toml_is_named(tmp_path, load, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput, match=rf"^{path}: not a (track|preset): "):
        load(str(path))


@pytest.mark.parametrize("load", [tracks.load, presets.load])
def test_a_pipe_is_no_toml(tmp_path, load):
    path = tmp_path / "mine.toml"
    os.mkfifo(path)
    with pytest.raises(BadInput, match="no plain file but a pipe"):
        load(str(path))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        *[("num_layers", v) for v in ["[1]", '"x"', "true", "3.5", "-1", "{ a = 1 }", "2026-04-09", "9" * 400, "nan"]],
        *[("ttt_lr", v) for v in ["[0.1]", '"nan"', '"inf"', "nan", "inf", "1e999", '"1e999"', "true"]],
        *[("ttt_enabled", v) for v in ["2", '"maybe"', "1.5", "[true]"]],
        ("run_id", "[1]"),
        ("run_id", '"' + "x" * 5000 + '"'),
    ],
)
def test_a_wrong_value_in_a_preset_is_refused_by_name(tmp_path, entry, value):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "smoke"\n[knobs]\n{entry} = {value}\n')
    with pytest.raises(BadInput) as refused:
        presets.load(str(path))
    assert str(path) in str(refused.value)
    assert entry in str(refused.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "9" * 400])
def test_a_knob_set_by_hand_has_to_be_finite(value):
    with pytest.raises(BadInput, match=r"--set: knob \w+: "):
        presets.load("smoke", {"ttt_lr": value})
    with pytest.raises(BadInput, match=r"--set: knob \w+"):
        presets.load("smoke", {"iterations": value})


def test_presets_that_extend_one_another_without_end(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.toml").write_text(f'extends = "{i + 1}.toml"\n')
    with pytest.raises(BadInput, match="over 16 presets that extend one another"):
        presets.load(str(tmp_path / "0.toml"))


# --- pods.toml
NATURAL = [*NO_NUMBERS, "1.5"]
IN_PODS = {
    "runpod.checks.min_free_gb": [*NO_NUMBERS, "-1", "inf"],
    "runpod.checks.max_setup_s": [*NATURAL, "0", "-1"],
    "runpod.checks.min_torch": ["2.6", '""', '"2.6; rm"', '"new"'],
    "runpod.checks.cuda": ["1", '"yes"', '"true"'],
    "ssh.patience_s": [*NO_NUMBERS, "-1"],
    "ssh.user": ['""', "7"],
    "runpod.python": ['""', "7"],
    "runpod.capacity_patience_s": [*NO_NUMBERS, "-1", "inf"],
    "runpod.ready_patience_s": [*NO_NUMBERS, "-0.1"],
    "runpod.owner": ['""', '"A B"', "7"],
    "runpod.rent.gpu_types": ["[]", '[""]', "[1]", '"x"'],
    "runpod.rent.gpu_count": [*NATURAL, "0", "-8", "1_000_000"],
    "runpod.rent.spot": ["1", '"no"'],
    "runpod.rent.image": ['""', "7"],
    "runpod.rent.container_disk_gb": [*NATURAL, "0", "-1"],
    "runpod.rent.volume_gb": [*NATURAL, "-1"],
    "runpod.rent.min_ram_gb_per_gpu": [*NATURAL, "-1"],
    "runpod.rent.max_price_per_hour": [*NO_NUMBERS, "0", "-40", "inf"],
    "runpod.rehearse.max_price_per_hour": [*NO_NUMBERS, "0"],
    "runpod.nets.first_lease_s": [*NATURAL, "0", "-5"],
    "runpod.nets.lease_s": [*NATURAL, "0", "-5", "1_000_000_000"],
    "runpod.nets.lifetime_s": [*NATURAL, "0", "-5", "1_000_000_000"],
    "runpod.nets.fetch_grace_s": [*NATURAL, "-5"],
    "runpod.nets.heartbeat_s": [*NO_NUMBERS, "0", "-1", "inf"],
    "runpod.nets.tick_s": [*NATURAL, "0", "-1"],
}


@pytest.mark.parametrize(("entry", "value"), [(e, v) for e, values in IN_PODS.items() for v in values])
def test_a_wrong_value_in_pods_toml_is_refused_by_name(tmp_path, entry, value):
    path = tmp_path / "pods.toml"
    path.write_text(f"{entry} = {value}\n")
    with pytest.raises(BadInput) as refused:
        read_settings(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert entry in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "value"),
    [(e, v) for e in ("gpus", "port", "price_per_hour") for v in [*NO_NUMBERS, "-1", "70_000"]] + [("name", '""')],
)
def test_a_wrong_value_of_a_machine_is_refused_by_name(tmp_path, entry, value):
    path = tmp_path / "pods.toml"
    machine = {"name": '"a"', "host": '"h"', entry: value}
    path.write_text("[[ssh.machines]]\n" + "".join(f"{k} = {v}\n" for k, v in machine.items()))
    with pytest.raises(BadInput, match=rf"ssh\.machines\.0\.{entry}: "):
        read_settings(path)


def test_a_lease_ends_after_its_renewal(tmp_path):
    (tmp_path / "pods.toml").write_text("[runpod.nets]\nlease_s = 20\nheartbeat_s = 20\n")
    with pytest.raises(BadInput, match="a lease of 20 s ends before a heartbeat of 20 s renews it"):
        read_settings(tmp_path / "pods.toml")


def test_the_defaults_are_in_their_ranges():
    given = Settings()
    assert Settings.model_validate(given.model_dump()) == given


@pytest.mark.parametrize("content", FILES)
def test_pods_and_program_files_that_are_no_toml_are_named(tmp_path, content):
    pods, program = tmp_path / "pods.toml", tmp_path / "program.toml"
    for path, read, of in ((pods, read_settings, pods), (program, read_program, tmp_path)):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadInput, match=rf"^{path}: "):
            read(of)


# --- program.toml
@pytest.mark.parametrize(
    ("entry", "value"),
    [
        *[("eval_seconds", v) for v in [*NO_NUMBERS, "0", "-1", "inf", "1e9"]],
        *[("name", v) for v in ['""', "7", "[]"]],
        *[("requires.cuda", v) for v in ["1", '"yes"', "[]"]],
        ("command", "[]"),
        ("command", "[1]"),
        ("files", "[]"),
        ("trial.STEPS", "[1]"),
        ("trial.STEPS", "nan"),
    ],
)
def test_a_wrong_value_in_program_toml_is_refused_by_name(tmp_path, entry, value):
    (tmp_path / "program.toml").write_text(f"{entry} = {value}\n")
    with pytest.raises(BadInput) as refused:
        read_program(tmp_path)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / 'program.toml'}: ")
    assert entry.partition(".")[0] in said


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_a_program_toml_that_is_no_plain_file_is_not_passed_over(tmp_path, kind):
    mine = tmp_path / "mine"
    mine.mkdir()
    if kind == "pipe":
        os.mkfifo(mine / "program.toml")
    elif kind == "folder":
        (mine / "program.toml").mkdir()
    else:
        (tmp_path / "secret.toml").write_text("")
        (mine / "program.toml").symlink_to(tmp_path / "secret.toml")
    with pytest.raises(BadInput, match=r"a pipe|a folder|leads out of"):
        read_program(mine)


# --- the space of a sweep
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[grid]\nttt_lr = [nan]", r"grid\.ttt_lr\.0: nan is no finite number"),
        ("[grid]\nttt_lr = [[0.1]]", "knob ttt_lr: give a number"),
        ("[grid]\nttt_lr = 0.1", "a space has"),
        ("[grid]\nttt_epochs = [true]", "knob ttt_epochs"),
        ("[grid]\nttt_epochs = [-3]", "knob ttt_epochs: -3 is not at least 0"),
        ("[grid]\nttt_epochs = [1.5]", "knob ttt_epochs"),
        ("grid = 7", "attribute|a space has"),
        ("candidates = 7", "not iterable|a space has"),
        ("candidates = [7]", "a space has"),
        ("[[candidates]]\nttt_lr = { a = 1 }", "knob ttt_lr: give a number"),
        ("[[candidate]]\nttt_lr = 1", "a space has"),
        (f"[grid]\nttt_lr = {list(range(101))}\nttt_epochs = {list(range(1, 101))}", "over 10,000 candidates"),
        *[(content, "space.toml: ") for content in FILES],
    ],
)
def test_a_wrong_space_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=said) as refused:
        space({}, file=path)
    assert str(path) in str(refused.value)
