"""program.toml, beside the script: what differs from how such programs are run. docs/programs.md has each entry."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pgolf.errors import did_you_mean
from pgolf.program import SETTINGS
from pgolf.program.environment import VARIABLE, as_text, stranger_problem, value_problem
from pgolf.untrusted import Untrusted, first_of, parse_toml, read_text

NAME = SETTINGS
MOST_BYTES = 1 << 20
MOST_EVAL_SECONDS = 24 * 3600.0


def path_problem(name: str) -> str | None:
    """Why a name cannot be that of a file inside the program's folder; None: it can.

    Examples
    --------
    >>> path_problem("tokenizers/a.model"), path_problem("../a.model")
    (None, 'leaves the folder')
    """
    if not name or not name.isprintable() or "\\" in name:
        return "is empty, or has a backslash or a character that does not print"
    if name.startswith("/") or ".." in name.split("/"):
        return "leaves the folder"
    return "is no name of a file" if all(part in ("", ".") for part in name.split("/")) else None


def _inside(name: str) -> str:
    if problem := path_problem(name):
        raise ValueError(f"{name!r} {problem}; give a path inside the program's folder")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _marks(*known: str) -> Any:
    """Let a text name only these places to fill in."""

    def check(text: str) -> str:
        for mark in re.findall(r"\{[^{}]*\}", text):
            if mark not in known:
                raise ValueError(f"there is no {mark}{did_you_mean(mark, known)}; there are: {', '.join(known)}")
        return text

    return AfterValidator(check)


def _variables(table: object) -> object:
    """A table of variables with each value as text; left as it is where it is no table."""
    if not isinstance(table, dict):
        return table
    for name, value in table.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"{name}: give a text or a number")
        if problem := stranger_problem(name) or value_problem(as_text(value)):
            raise ValueError(f"{name}: {problem}")
    return {name: as_text(value) for name, value in table.items()}


def _one_or_more(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()


def _package(text: str) -> str:
    try:
        return str(Requirement(text))
    except InvalidRequirement:
        raise ValueError(f"{text!r} is no package as pip takes it, such as zstandard>=0.22") from None


def _with_artifact(table: dict[str, str]) -> dict[str, str]:
    if not any("{artifact}" in value for value in table.values()):
        raise ValueError("no variable has {artifact}, the path of the artifact to score")
    return table


Inside = Annotated[str, AfterValidator(_inside)]
Table = Annotated[dict[str, str], BeforeValidator(_variables)]
Places = Annotated[dict[str, Annotated[str, _marks("{data}", "{shards}", "{tokenizer}")]], BeforeValidator(_variables)]
Word = Annotated[str, Field(min_length=1), _marks("{script}", "{nproc}")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Required(_Entry):
    """What the program needs beside what its source says; `cuda` decides instead of the source."""

    packages: tuple[Annotated[str, AfterValidator(_package)], ...] = ()
    commands: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")], ...] = ()
    modules: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")], ...] = ()
    cuda: Annotated[bool, Field(strict=True)] | None = None


class Settings(_Entry):
    """All of a program.toml; each entry may be absent."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    script: Inside | None = None
    command: tuple[Word, ...] | None = Field(default=None, min_length=1)
    seed: str | None = Field(default=None, pattern=f"^{VARIABLE.pattern}$")
    data: Places | None = Field(default=None, min_length=1)
    log: Annotated[Inside, _marks("{run_id}")] | None = None
    artifact: Inside | tuple[Inside, ...] | None = None
    files: tuple[Inside, ...] | None = Field(default=None, min_length=1)
    requires: Required = Required()
    setup: Inside | None = None
    trial: Table | None = None
    eval_only: Annotated[Table, AfterValidator(_with_artifact)] | None = None
    eval_seconds: Annotated[float, Field(strict=True, gt=0, le=MOST_EVAL_SECONDS)] | None = None

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Patterns of the artifact's name; none where the file gives none."""
        return _one_or_more(self.artifact) if self.artifact else ()


def read_settings(folder: Path) -> Settings:
    """Read the program.toml of a folder; without one, nothing differs.

    Raises
    ------
    BadInput : not TOML, or a wrong entry, which the message names.
    """
    file = folder / NAME
    if not os.path.lexists(file):
        return Settings()
    return parse_settings(read_text(file, MOST_BYTES, folder), str(file))


def parse_settings(text: str, where: str = NAME) -> Settings:
    """The settings that a program.toml's text gives; BadInput for a wrong entry.

    Examples
    --------
    >>> parse_settings('seed = "RANDOM_SEED"').seed
    'RANDOM_SEED'
    """
    content = parse_toml(text, where)
    try:
        for name in content:
            if name not in Settings.model_fields:
                known = ", ".join(Settings.model_fields)
                raise Untrusted(
                    f"{where}: no entry '{name}'{did_you_mean(name, Settings.model_fields)}; one of {known}"
                )
        return Settings.model_validate(content)
    except ValidationError as e:
        raise Untrusted(f"{where}: {first_of(e.errors())}") from None
