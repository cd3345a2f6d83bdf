"""The program of a record: pgolf's trainer as one, where a record keeps its files, and how it finds the data."""

import re
from collections.abc import Mapping
from pathlib import Path

from pgolf.data.dataset import Dataset
from pgolf.files import write_atomic
from pgolf.program import Program, Requires
from pgolf.record.results import ARTIFACT
from pgolf.requirements import packages_of
from pgolf.trainer.config import Config, Knob

PACKED = "train_gpt.py"


def own_program(code: bytes, name: str, knobs: Mapping[str, Knob]) -> Program:
    """pgolf's trainer, packed into one file whose defaults are `knobs`."""
    return Program(
        name=name,
        ours=True,
        files={PACKED: code},
        script=PACKED,
        code=(PACKED,),
        data={"DATA_DIR": "{data}"},
        artifact=(ARTIFACT,),
        requires=Requires(packages=packages_of(knobs)),
        events=True,
    )


def modules_of(program: Program) -> list[str]:
    """The modules whose versions say what a program ran with: those that it imports, else its packages'."""
    named = [need.name for need in program.requires.modules]
    return named or [re.split(r"[^A-Za-z0-9_.-]", package)[0] for package in program.requires.packages]


def folder_of(program: Program, record: Path) -> Path:
    """The folder of a record's own folder that holds its program's files."""
    return record if program.ours else record / "program"


def write_files(program: Program, folder: Path) -> list[Path]:
    """Write a program's files into a folder; their paths."""
    for name, content in program.files.items():
        write_atomic(folder / name, content)
    return [folder / name for name in program.files]


def settings_on(program: Program, config: Config) -> dict[str, str]:
    """The environment of a program's runs, but for seed and threads, on the dataset that `config` names."""
    return program.settings(config.data_dir, config.datasets_dir, config.tokenizer_path)


def environment_of(program: Program, config: Config, threads: int) -> dict[str, str]:
    """The same with so many threads a rank."""
    return {"OMP_NUM_THREADS": str(threads), **settings_on(program, config)}


def dataset_config(dataset: Dataset) -> Config:
    """The configuration that names a dataset's files."""
    return Config(run_id="-", data_dir=str(dataset.data_dir), vocab_size=dataset.vocab_size)
