"""docs/programs.md is walked through: its commands run as they stand there, with a foreign trainer in folder `mine`."""

import json
import re
import shutil
from pathlib import Path

import pytest
from seconds import PGOLF, here
from test_commands import REPOSITORY, blocks

from pgolf.data.dataset import Dataset
from pgolf.program.settings import parse_settings

PAGE = REPOSITORY / "docs" / "programs.md"
PROGRAMS = REPOSITORY / "tests" / "programs"
HERE = ("program", "record")  # commands of the page that need no rented pod


def commands() -> list[list[str]]:
    every = [words for block in blocks(PAGE) for words in block.commands()]
    return [words for words in every if words[0] in HERE and "runpod" not in words]


@pytest.mark.record
@pytest.mark.usefixtures("shared_server")
def test_the_page_leads_from_a_script_to_a_submission(
    tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROGRAMS / "april", tmp_path / "mine")
    text = (PROGRAMS / "track.toml").read_text().replace('"../flows', f'"{PROGRAMS.parent}/flows')
    (tmp_path / "track.toml").write_text(text.replace("nproc = 2", "nproc = 1"))  # ranks are test_program's
    track = ["--track", str(tmp_path / "track.toml"), "--data-dir", str(tiny_data.data_dir)]
    printed = []
    for words in commands():
        if "--track" in words:
            at = words.index("--track")
            words = [*words[:at], *track, "--against", "9.0,9.1,9.05", *words[at + 2 :]]  # a track of seconds
        code, out, err = here([PGOLF, *words])
        assert code == 0, (words, err)
        printed.append((words, out))
    (checked,) = [out for words, out in printed if words[0] == "program"]
    assert "window_lm.py" in checked
    plans = [out for words, out in printed if "--plan" in words]
    assert len(plans) == 2
    assert "ITERATIONS=200" in plans[1]
    (submission,) = (tmp_path / "runs").glob("*/records/*/*/submission.json")
    content = json.loads(submission.read_text())
    assert content["seeds"] == [42, 314, 999]
    assert (submission.parent / "window_lm.py").read_bytes() == (PROGRAMS / "april/window_lm.py").read_bytes()


def test_the_program_toml_of_the_page_is_valid() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    settings = parse_settings(text)
    assert settings.seed == "RANDOM_SEED"
