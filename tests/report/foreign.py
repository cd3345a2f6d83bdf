"""Records of two trainers that are not pgolf's, for the tests of what is written of them.

Their logs are of tests/programs/march and tests/programs/april, run on two ranks on a toy text. March names a few knobs
in its log, beside its source; April dumps its knobs, and counts two files of code.
"""

from dataclasses import replace
from pathlib import Path

from pgolf import tracks
from pgolf.evidence.plan import Attempt, make_plan
from pgolf.ledger.against import standing_of
from pgolf.program import Program, Requires, Variable
from pgolf.report.inputs import RecordInputs, SeedRun

RECORDED = Path(__file__).parents[1] / "recorded"
SEEDS = (42, 314, 999)
DATASET = {"val_tokens": 10_215, "val_bytes": 16_979, "val_documents": 18, "val_documents_in_train": 0}
MODELS = {
    "march": {42: 65_129, 314: 65_189, 999: 64_888},
    "april": {42: 25_103, 314: 25_146, 999: 25_059},
}
BEATEN = "4.8001,4.8103,4.8202"  # worse than the scores of both

MARCH = Program(
    name="march",
    ours=False,
    files={"train_gpt.py": b"#" * 13_838},
    script="train_gpt.py",
    code=("train_gpt.py",),
    environment={"ITERATIONS": "40"},
    data={"DATA_PATH": "{shards}", "TOKENIZER_PATH": "{tokenizer}"},
    variables={"ITERATIONS": Variable("ITERATIONS", "60", "train_gpt.py", 1)},
    requires=Requires(packages=("numpy", "sentencepiece")),
)
APRIL = Program(
    name="april",
    ours=False,
    files={"train.py": b"#" * 9_471, "lib/window_lm.py": b"#" * 2_583, "requirements.txt": b"numpy\ntorch\n"},
    script="train.py",
    code=("train.py", "lib/window_lm.py"),
    environment={"ITERATIONS": "60"},
    data={"DATA_DIR": "{data}"},
    variables={"ITERATIONS": Variable("ITERATIONS", "20000", "train.py", 1)},
    requires=Requires(requirements="requirements.txt"),
)
PROGRAMS = {"march": MARCH, "april": APRIL}
PLACES = {"march": {"DATA_PATH": "data/shards", "TOKENIZER_PATH": "my data/bpe.model"}, "april": {"DATA_DIR": "data"}}


def record_of(dialect: str, folder: Path, against: str = BEATEN) -> RecordInputs:
    """A finished record of one of the two, whose files lie in `folder`."""
    program, track = PROGRAMS[dialect], tracks.load("cpu_smoke")
    return with_program(
        RecordInputs(
            record_id="r1",
            name=f"In the manner of {dialect}",
            author="An Author",
            github_id="author",
            date="2026-05-02",
            track=track,
            preset=dialect,
            plans=(make_plan("r1", "cpu_smoke", dialect, SEEDS, {"data": "ab" * 32}, "2026-05-02T10:00:00+00:00"),),
            runs=tuple(_seed_run(dialect, seed, folder) for seed in SEEDS),
            program=program,
            source=folder / "program",
            standing=standing_of(against, track),
            nproc=2,
            environment={**PLACES[dialect], **program.environment},
            dataset=DATASET,
        ),
        program,
    )


def with_program(inputs: RecordInputs, program: Program) -> RecordInputs:
    """The same record, with another program in its folder."""
    for name, content in program.files.items():
        (inputs.source / name).parent.mkdir(parents=True, exist_ok=True)
        (inputs.source / name).write_bytes(content)
    return replace(inputs, program=program)


def _seed_run(dialect: str, seed: int, folder: Path) -> SeedRun:
    artifact = folder / f"{seed}.ptz"
    artifact.write_bytes(b"m" * MODELS[dialect][seed])
    attempt = Attempt(seed, 1, "finished", f"seeds/{seed}/attempt-1", "2026-05-02T10:00:01+00:00", None, 0)
    return SeedRun(seed, RECORDED / dialect / f"{seed}.log", None, artifact, (attempt,))
