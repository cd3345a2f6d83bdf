"""The variables of a program that say where its dataset is, and how many tokens its vocabulary has."""

import re
from collections.abc import Iterable, Mapping

from pgolf.program import Variable
from pgolf.program.environment import name_problem

FOLDER, DATASETS, SHARDS, TOKENIZER = "{data}", "{data}/datasets", "{shards}", "{tokenizer}"
OF_SHARDS = re.compile(r"(?:^|/)fineweb\d+B\w*/?$", re.I)  # a default that is a folder of shards itself
A_FILE_OF_SHARDS = re.compile(r"(?:^|/)(fineweb_(?:train|val)\w*[*?\w]*\.bin)$")
PLACES = ("DATA_PATH", "DATA_DIR")
BELOW = re.compile(r"""["'](?:\./)?data(?:["']|/(?:([\w-][\w.-]{0,99})(?=["'/]))?)""")  # a text that begins with it
SIZE_IN_NAME = (re.compile(r"(?<![a-z0-9])sp(\d{2,6})(?!\d)"), re.compile(r"fineweb_(\d{2,6})_"))


def data_variables(variables: Mapping[str, Variable], source: str = "") -> dict[str, str]:
    """The variables that say where the data is, with what they are to hold.

    Parameters
    ----------
    variables : all that the source reads.
    source : its text, which tells whether it looks for shards in a folder itself, or below it in `datasets`.

    Examples
    --------
    >>> data_variables({"DATA_DIR": Variable("DATA_DIR", "./data/", "train_gpt.py", 3)}, "join(data_dir, 'datasets')")
    {'DATA_DIR': '{data}'}
    """
    below = re.search(r"""["'/]datasets["'/]""", source) is not None or "fineweb_" not in source
    named = {name: variable for name, variable in variables.items() if name_problem(name) is None}
    found = {name: _place(name, variable.default, below) for name, variable in named.items()}
    return {name: place for name, place in found.items() if place}


def required_data(variables: Mapping[str, Variable]) -> dict[str, str]:
    """The variables that have to say where a speedrun's data is: others find it below `data/`, by their defaults."""
    return {name: FOLDER for name in PLACES if name in variables and variables[name].required}


def data_below(texts: Iterable[str]) -> frozenset[str] | None:
    """What sources look for in the folder `data` beside them: names in it, none of which: any; None: it is not named.

    Examples
    --------
    >>> data_below(['open("data/fineweb10B/fineweb_val_000000.bin")', 'Path("data") / name', "data = 3"])
    frozenset()
    >>> data_below(['join(path, "data/fineweb10B/fineweb_train_*.bin")'])
    frozenset({'fineweb10B'})
    """
    found = [match[1] or "" for text in texts for match in BELOW.finditer(text)]
    return None if not found else frozenset() if "" in found else frozenset(found)


def tells_shards(data: Mapping[str, str]) -> bool:
    """Whether the variables tell a program where its shards are."""
    return any(FOLDER in text or SHARDS in text for text in data.values())


def _place(name: str, default: str | None, below: bool) -> str | None:
    """What a variable is to hold; None: it is no place of data, or not plainly one.

    `below`: the source looks for shards in a folder `datasets` of the folder that it is given.
    """
    text = default or ""
    if file := A_FILE_OF_SHARDS.search(text):
        return f"{SHARDS}/{file[1]}"
    if OF_SHARDS.search(text) or "datasets/fineweb" in text:
        return SHARDS
    if re.search(r"DATA", name) and re.search(r"(?:^|/)datasets/?$", text):
        return DATASETS
    if name == "TOKENIZER_PATH" or (text.endswith(".model") and re.search(r"TOKENIZER|SPM|SENTENCEPIECE|^SP_", name)):
        return TOKENIZER
    if name == "DATA_PATH":
        return FOLDER if below and re.search(r"(?:^|/)data/?$", text) else SHARDS
    if name == "DATA_DIR" or (re.search(r"DATA", name) and re.search(r"(?:^|/)data/?$", text)):
        return FOLDER if below else SHARDS
    return None


def vocab_size(settings: Mapping[str, str], variables: Mapping[str, Variable], data: Iterable[str]) -> int | None:
    """Tokens of the vocabulary that the program wants: as set, by its default, or in the names of its data; else None.

    Examples
    --------
    >>> shards = Variable("DATA_PATH", "./data/datasets/fineweb10B_sp1024", "train_gpt.py", 1)
    >>> vocab_size({}, {"DATA_PATH": shards}, ["DATA_PATH"])
    1024
    """
    given = settings.get("VOCAB_SIZE")
    if given is None and "VOCAB_SIZE" in variables:
        given = variables["VOCAB_SIZE"].default
    if given is not None:
        return int(given) if re.fullmatch(r"\d{1,7}", given.strip()) else None
    defaults = [variables[name].default or "" for name in data if name in variables]
    sizes = {int(found[1]) for text in defaults for pattern in SIZE_IN_NAME for found in pattern.finditer(text)}
    return sizes.pop() if len(sizes) == 1 else None
