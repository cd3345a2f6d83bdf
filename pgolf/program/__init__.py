"""A program: what a seed runs. pgolf's packed trainer is one kind; a file, a folder or a record of a user's the other.

A program takes its settings from environment variables, runs to its end by itself, and prints its results. All else
about it is either known here or None, and what is None is unknown to everyone who asks.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TORCHRUN = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node={nproc}", "{script}")
ARTIFACTS = ("final_model.*.ptz", "*.ptz")  # patterns of an artifact's name; the first that fits one file decides
SETTINGS = "program.toml"  # beside the script: what differs from how such programs are run
LOGS = ("logs/{run_id}.txt", "{run_id}.txt")  # files in which programs keep what they print, and often more


@dataclass(frozen=True)
class Variable:
    """An environment variable that a program reads.

    `default` is the text that stands for it where it is not set; None: there is none, or it is no constant.
    `required`: the program fails without it.
    """

    name: str
    default: str | None
    file: str
    line: int
    required: bool = False


@dataclass(frozen=True)
class Need:
    """A module that a program imports, or a command that it calls, and the line where.

    `optional`: it is imported or called in a `try`, under an `if` or in a function that may not be called: the program
    may do without.
    """

    name: str
    file: str
    line: int
    optional: bool = False


@dataclass(frozen=True)
class Requires:
    """All that must be there where a program runs, beside Python and torch.

    Attributes
    ----------
    modules : modules to import that are neither Python's nor among the program's files.
    commands : commands on PATH.
    packages : packages to install where they are missing, as pip takes them.
    requirements : the program's file for `pip install --requirement`; None: it has none.
    setup : the program's shell script that makes a machine ready; None: it has none.
    cuda : whether it needs a GPU; None: unknown.
    """

    modules: tuple[Need, ...] = ()
    commands: tuple[Need, ...] = ()
    packages: tuple[str, ...] = ()
    requirements: str | None = None
    setup: str | None = None
    cuda: bool | None = None


@dataclass(frozen=True)
class Program:
    """What a seed runs.

    Attributes
    ----------
    name : of the submission and of the record's folder, unless the user gives one.
    ours : whether it is pgolf's trainer, whose events, artifact and knobs pgolf knows.
    files : content by path relative to the folder that it runs in; read once, so that what is hashed is what runs.
    script : the file that is started.
    code : the files whose bytes count as code.
    command : the words that start it; `python` is the interpreter of the machine, `{script}` and `{nproc}` stand for
        the script and the number of ranks. Empty: as its kind is started.
    environment : variables that every run of it has, beside those of seed, run and data.
    seed : the variable that the seed is handed over in; None: it reads none, which only a speedrun's program may.
    data : variables that say where the data is, with `{data}`, `{shards}` and `{tokenizer}` for the dataset's folder,
        the folder of its shards and the tokenizer's file.
    vocab_size : of the dataset that it wants; None: the track's.
    log : the file that it keeps its log in, with `{run_id}`; None: its standard output, or one of LOGS.
    artifact : patterns of the artifact's name.
    variables : the variables that its source reads, by name; None: they are not known.
    requires : what must be there where it runs.
    trial : variables that make it short; None: those of `variables` that are known to.
    eval_only : variables that make it score an artifact, whose path is `{artifact}`, and train nothing; None: unknown.
    eval_seconds : how long its evaluation is expected to take; None: the track's limit.
    events : whether it writes pgolf's events.jsonl.
    evaluator : its evaluation for the legality probes, as FILE:make_evaluator; None: it cannot be probed.
    ranks_divide : the number that its ranks have to divide, by its source; None: unknown.
    notes : what is to be said of how it was read, a sentence each.
    """

    name: str
    ours: bool
    files: Mapping[str, bytes] = field(repr=False)
    script: str
    code: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: str | None = "SEED"
    data: Mapping[str, str] = field(default_factory=dict)
    vocab_size: int | None = None
    log: str | None = None
    artifact: tuple[str, ...] = ARTIFACTS
    variables: Mapping[str, Variable] | None = None
    requires: Requires = Requires()
    trial: Mapping[str, str] | None = None
    eval_only: Mapping[str, str] | None = None
    eval_seconds: float | None = None
    events: bool = False
    evaluator: str | None = None
    ranks_divide: int | None = None
    notes: tuple[str, ...] = ()

    def start(self, nproc: int) -> list[str]:
        """The words that start it with `nproc` ranks.

        Examples
        --------
        >>> Program("mine", False, {"train_gpt.py": b""}, "train_gpt.py", ("train_gpt.py",)).start(2)[-2:]
        ['--nproc_per_node=2', 'train_gpt.py']
        """
        plain = ("python", "{script}") if self.ours and nproc == 1 else TORCHRUN
        return [word.replace("{nproc}", str(nproc)).replace("{script}", self.script) for word in self.command or plain]

    def settings(self, data_dir: str, shards: str, tokenizer: str) -> dict[str, str]:
        """The environment of its runs, but for seed and name of a run: where the data is, and all that is set."""
        places = {"{data}": data_dir, "{shards}": shards, "{tokenizer}": tokenizer}
        return {**{name: _filled(text, places) for name, text in self.data.items()}, **self.environment}

    def of_run(self, seed: int, run_id: str) -> dict[str, str]:
        """The variables that tell it which run it is: the seed and the run's name. None of them where it reads none."""
        if self.seed is None:
            return {"RUN_ID": run_id} if "RUN_ID" in (self.variables or {}) else {}
        return {self.seed: str(seed), "RUN_ID": run_id}

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by its path."""
        return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())}

    @property
    def code_bytes(self) -> int:
        """Bytes of all files that count as code."""
        return sum(len(self.files[name]) for name in self.code)

    @property
    def sha256(self) -> str:
        """Hash of all that its runs depend on; of program.toml that are the facts that it gives, not its own bytes."""
        facts = self.as_json()
        content = {k: v for k, v in facts.items() if k not in ("name", "code_bytes", "eval_only", "evaluator")}
        content["files"] = {name: sha256 for name, sha256 in self.hashes.items() if name != SETTINGS}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """What a plan, a report or another process needs to know of it: hashes in place of the files' content."""
        return {
            "name": self.name,
            "ours": self.ours,
            "files": self.hashes,
            "script": self.script,
            "code_bytes": self.code_bytes,
            "command": list(self.command),
            "environment": dict(self.environment),
            "seed": self.seed,
            "data": dict(self.data),
            "log": self.log,
            "artifact": list(self.artifact),
            "eval_only": None if self.eval_only is None else dict(self.eval_only),
            "evaluator": self.evaluator,
        }


def _filled(text: str, places: Mapping[str, str]) -> str:
    for mark, path in places.items():
        text = text.replace(mark, path)
    return text
