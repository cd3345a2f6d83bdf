"""Quality at equal budget: presets trained on the same tokens with several seeds, scored stage by stage.

    python bench/quality.py [PRESET[,KNOB=VALUE…] …] [--seeds 42,314,999] [--val-tokens N] [--parallel N] [--json]
    python bench/quality.py --ablate smoke-frontier [PRESET,KNOB=VALUE… …]
    python bench/quality.py --experiments docs/experiments.toml [--only TITLE]

Presets default to smoke-base and smoke. Knobs of the shipped presets are chosen on seeds 1, 2, 3 and reported on 42,
314, 999; a file of experiments holds the variants that were compared on the way, one `[[table]]` each. Variants that
differ only in how they are scored share one training, and each finished run is kept under build/quality and not
repeated while the trainer, its knobs, and the data are the same. Runs have one thread each, so that they repeat to
the bit. Intervals are 95 % of the mean (Student's t); a difference is from the table's first row, seed by seed. The
variant "—" is the settings that all rows of its table share.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from _ablation import ablation
from rich.progress import Progress
from scipy import stats

from pgolf import presets
from pgolf.data.pydocs import build
from pgolf.data.shards import write_shard
from pgolf.evidence.event_schema import Score, read_event_lines
from pgolf.evidence.run import stage_kind
from pgolf.files import write_json
from pgolf.knobs import of_part
from pgolf.stages import LABELS, STAGES
from pgolf.trainer.config import Config
from pgolf.trainer.data import open_shard

ROOT = Path(__file__).parent.parent
DEFAULTS = asdict(Config())
SWITCHES = {stage.switches[0][0] for stage in STAGES if stage.switches}  # of the stages that an artifact is enough for
SCORING = {*SWITCHES, *of_part("adaptation"), *(name for name in DEFAULTS if name.startswith("stream_"))}


@dataclass
class Table:
    """Variants that are compared with the first of them: 'preset,knob=value,…', each on top of `settings`."""

    variants: list[str]
    title: str = ""
    preset: str = ""  # of variants that name none
    settings: dict[str, str] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3])
    val_tokens: int = 0  # score only so many of the validation split; 0: all

    def knobs(self, variant: str) -> dict:
        preset, *settings = (f"{self.preset},{variant}" if self.preset else variant).split(",")
        return presets.load(preset, self.settings | dict(s.split("=", 1) for s in settings if s))


def finish(knobs: dict, seed: int, data_dir: Path, artifact: Path | None = None) -> tuple[Path, dict[str, float]]:
    """The folder and the val_bpb by kind of stage of one trainer's run; with `artifact`, that is scored instead."""
    env = presets.as_env(knobs) | {"SEED": str(seed), "DATA_DIR": str(data_dir.resolve()), "OMP_NUM_THREADS": "1"}
    env |= {"EVAL_ONLY": str(artifact.resolve())} if artifact else {}
    source = b"".join(p.read_bytes() for p in sorted((ROOT / "pgolf/trainer").glob("*.py")))
    key = hashlib.sha256(source + json.dumps(env, sort_keys=True).encode()).hexdigest()[:16]
    folder = ROOT / "build/quality" / key
    if not (folder / "scores.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "train.log").open("w") as log:
            command = [sys.executable, "-m", "pgolf.trainer"]
            subprocess.run(command, cwd=folder, env=os.environ | env, stdout=log, stderr=log, check=True)
        events = [event for _, event in read_event_lines(folder / "events.jsonl")]
        write_json(folder / "scores.json", {e.stage: e.val_bpb for e in events if isinstance(e, Score)})
    scores = json.loads((folder / "scores.json").read_text())
    return folder, {stage_kind(stage): val_bpb for stage, val_bpb in scores.items()}


def training(knobs: dict) -> dict:
    """The knobs that decide the artifact: variants that agree on them share it."""
    return {k: v for k, v in knobs.items() if k not in SCORING} | dict.fromkeys(SWITCHES, False)


def job_name(knobs: dict, seed: int) -> str:
    """The same for all variants that share a training."""
    return json.dumps([training(knobs), seed], sort_keys=True)


def shortened(data_dir: Path, tokens: int) -> Path:
    """The same data with the validation split cut to its first `tokens` predictions."""
    if not tokens:
        return data_dir
    short = data_dir.with_name(f"{data_dir.name}-val{tokens}")
    for path in data_dir.glob("**/*"):
        copy = short / path.relative_to(data_dir)
        if path.is_file() and path.name != "manifest.json" and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            if "_val_" in path.name:
                write_shard(copy, open_shard(path)[: tokens + 1])
            else:
                copy.symlink_to(path.resolve())
    return short


def measure(table: Table, data_dir: Path, pool: ThreadPoolExecutor, bar: Progress) -> list[dict]:
    """The rows of a table: everything is trained first, then scored further where a variant asks for it."""
    data = shortened(data_dir, table.val_tokens)
    jobs = [(table.knobs(v), seed) for v in table.variants for seed in table.seeds]
    unique = {job_name(*job): (training(job[0]), job[1]) for job in jobs}
    task = bar.add_task(table.title or "runs", total=len(unique) + len(jobs))

    def done(knobs: dict, seed: int, artifact: Path | None = None) -> tuple[Path, dict[str, float]]:
        result = finish(knobs, seed, data, artifact)
        bar.advance(task)
        return result

    trained = dict(zip(unique, pool.map(lambda job: done(*job), unique.values()), strict=True))

    def scores(job: tuple[dict, int]) -> dict[str, float]:
        knobs, seed = job
        folder, before = trained[job_name(knobs, seed)]
        if not any(knobs.get(switch, DEFAULTS[switch]) for switch in SWITCHES):
            bar.advance(task)
            return before
        return before | done(knobs, seed, folder / "final_model.int6.ptz")[1]

    found = list(pool.map(scores, jobs))
    n = len(table.seeds)
    groups = [found[i : i + n] for i in range(0, len(found), n)]
    return [summary(v, table.seeds, group, groups[0]) for v, group in zip(table.variants, groups, strict=True)]


def interval(values: np.ndarray) -> dict[str, float]:
    """Mean, sample std and half width of the 95 % interval of the mean (nan where one seed gives none)."""
    n = len(values)
    std = float(values.std(ddof=1)) if n > 1 else float("nan")
    return {"mean": float(values.mean()), "std": std, "ci95": float(stats.t.ppf(0.975, n - 1) * std / n**0.5)}


def summary(variant: str, seeds: list[int], scores: list[dict], reference: list[dict]) -> dict:
    """One row: each stage's values and interval, and the paired difference from the reference's."""
    result: dict = {"variant": variant, "seeds": seeds, "stages": {}}
    for stage in LABELS:
        if not all(stage in s for s in scores):
            continue
        values = np.array([s[stage] for s in scores])
        row = result["stages"][stage] = {"val_bpb": [round(float(v), 6) for v in values], **interval(values)}
        if all(stage in s for s in reference):
            row["difference"] = interval(values - [s[stage] for s in reference])
    return result


def shown(x: dict[str, float] | None, sign: str = "") -> str:
    """'mean ± half width', without the latter where there is one seed; '' for nothing."""
    if x is None:
        return ""
    mean = f"{x['mean']:{sign}.4f}".replace("-", "−")
    return mean if np.isnan(x["ci95"]) else f"{mean} ± {x['ci95']:.4f}"


def markdown(rows: list[dict]) -> str:
    """The rows as a table; the last column is the difference at the last stage."""
    stages = [s for s in LABELS if any(s in r["stages"] for r in rows)]
    head = " | ".join(["| variant", *(LABELS[s] for s in stages), "difference |"])
    lines = [head, "|---|" + "---:|" * (len(stages) + 1)]
    for i, row in enumerate(rows):
        cells = [shown(row["stages"].get(s)) for s in stages]
        difference = shown(row["stages"].get(stages[-1], {}).get("difference"), "+") if i else ""
        lines.append(" | ".join(["| " + (row["variant"] or "—"), *cells, difference]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--experiments", type=Path, help="a TOML file of tables, instead of variants")
    parser.add_argument("--only", metavar="TITLE", help="of the experiments, those whose title has this in it")
    parser.add_argument("--seeds", default="42,314,999")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--val-tokens", type=int, default=0, help="score only so many of the validation split")
    parser.add_argument("--ablate", metavar="PRESET", help="each of its mechanisms alone on what it extends, and all")
    args = parser.parse_args()
    if args.ablate:
        args.variants = ablation(args.ablate) + args.variants
    elif not args.variants:
        args.variants = ["smoke-base", "smoke"]
    if args.experiments:
        tables = [Table(**t) for t in tomllib.loads(args.experiments.read_text())["table"]]
        tables = [table for table in tables if (args.only or "") in table.title]
    else:
        seeds = [int(s) for s in args.seeds.split(",")]
        tables = [Table(args.variants, seeds=seeds, val_tokens=args.val_tokens)]
    data_dir = build(ROOT / "data").data_dir
    quiet = args.json or not sys.stderr.isatty()
    found = []
    with ThreadPoolExecutor(args.parallel) as pool, Progress(disable=quiet) as bar:
        for table in tables:
            found.append({"title": table.title, "rows": measure(table, data_dir, pool, bar)})
            if not args.json:
                title = f"### {table.title}\n\n" if table.title else ""
                print(f"{title}{markdown(found[-1]['rows'])}\n", flush=True)
    if args.json:
        print(json.dumps(found if args.experiments else found[0]["rows"], indent=2))


if __name__ == "__main__":
    main()
