"""Every number, text and table that a TOML file may hold: a wrong one is refused by file and entry, before any use."""

import os
import tomllib
from pathlib import Path

import pytest

from pgolf import presets, tracks
from pgolf.errors import BadInput

TRACK = (Path(tracks.__file__).parent / "cpu_smoke.toml").read_text()
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
    "limits.artifact_bytes": [*NO_NUMBERS, "0", "-1", "1.5", "inf"],
    "limits.train_seconds": [*NO_NUMBERS, "0", "-600"],
    "limits.eval_seconds": [*NO_NUMBERS, "0.0"],
    "limits.grace_seconds": [*NO_NUMBERS, "-1", "inf"],
    "limits.overhead_seconds": [*NO_NUMBERS, "-1", "inf"],
    "policy.margin_nats": [*NO_NUMBERS, "-0.1", "inf"],
    "policy.alpha": [*NO_NUMBERS, "0", "-0.1", "1", "2", "inf"],
    "policy.min_seeds": [*NO_NUMBERS, "-1", "2.5", "1_000_000"],
    "run.seeds": ["7", '["42"]', "[-1]", "[1.5]", "[true]", "[[1]]", "[9223372036854775808]"],
    "run.preset": ['""', "7", "[]"],
    "run.standing": ['""', "7"],
    "run.baseline_preset": ['""', "7"],
    "run.nproc": [*NO_NUMBERS, "0", "-3", "1.5", "100_000"],
    "early_stop.after_share": [*NO_NUMBERS, "-0.1", "1.5", "inf"],
    "early_stop.over_share": [*NO_NUMBERS, "-0.1", "inf"],
    "early_stop.quantile": [*NO_NUMBERS, "-0.1", "1.1"],
    "early_stop.hopeless": ["7", "[1]", "[[1]]", "[[2, 0.1]]", "[[0.5, -1]]", '[["a", 1]]', "[[nan, 1]]"],
}


@pytest.mark.parametrize(("entry", "value"), [(e, v) for e, values in WRONG.items() for v in values])
def test_a_wrong_value_in_a_track_is_refused_by_name(tmp_path, entry, value):
    path = tmp_path / "mine.toml"
    path.write_text(changed(TRACK, entry, value))
    with pytest.raises(BadInput) as refused:
        tracks.load(str(path))
    assert str(refused.value).startswith(f"{path}: not a track: ")
    said = str(refused.value).replace("in each entry, ", "")
    assert f"{entry}: give" in said or "64 bits" in said or "1e999 is no finite number" in said


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
    with pytest.raises(BadInput, match="no regular file but a pipe"):
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
    assert entry in str(refused.value) or "not a preset: " in str(refused.value)


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
