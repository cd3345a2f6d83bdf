"""Quality at equal budget: presets trained on the same tokens with several seeds, scored stage by stage.

    python bench/quality.py [PRESET[,KNOB=VALUE…] …] [--seeds 42,314,999] [--parallel N] [--json]
    python bench/quality.py --ablate smoke-frontier >> docs/experiments.md

Presets default to smoke and smoke-base. Knobs of the shipped presets are chosen on seeds 1, 2, 3 and reported on 42,
314, 999. Each finished run is kept under build/quality and not repeated while the trainer, its knobs, and the data
are the same. Intervals are 95 % of the mean (Student's t).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _ablation import ablation
from rich.progress import Progress
from scipy import stats

from pgolf import presets
from pgolf.data.pydocs import build
from pgolf.files import write_json

ROOT = Path(__file__).parent.parent
STAGES = ("pre-quantization post-ema", "quantized", "quantized_sliding_window", "quantized_ttt")


def run(variant: str, seed: int, data_dir: Path) -> dict[str, float]:
    """val_bpb by stage of one seed of 'preset,knob=value,…'."""
    preset, *settings = variant.split(",")
    knobs = presets.load(preset, dict(s.split("=", 1) for s in settings))
    env = presets.as_env(knobs) | {"SEED": str(seed), "DATA_DIR": str(data_dir.resolve()), "OMP_NUM_THREADS": "1"}
    source = b"".join(p.read_bytes() for p in sorted((ROOT / "pgolf/trainer").glob("*.py")))
    key = hashlib.sha256(source + json.dumps(env, sort_keys=True).encode()).hexdigest()[:16]
    folder = ROOT / "build/quality" / key
    if not (folder / "scores.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "train.log").open("w") as log:
            command = [sys.executable, "-m", "pgolf.trainer"]
            subprocess.run(command, cwd=folder, env=os.environ | env, stdout=log, stderr=log, check=True)
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        write_json(folder / "scores.json", {e["stage"]: e["val_bpb"] for e in events if e["event"] == "stage"})
    return json.loads((folder / "scores.json").read_text())


def summary(variant: str, seeds: list[int], scores: list[dict[str, float]]) -> dict:
    """Mean, sample std and half width of the 95 % interval of each stage."""
    result: dict = {"variant": variant, "seeds": seeds, "stages": {}}
    for stage in STAGES:
        values = np.array([s[stage] for s in scores if stage in s])
        if len(values) < 2:
            continue
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        result["stages"][stage] = {
            "val_bpb": [round(float(v), 6) for v in values],
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)),
            "ci95": float(half),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", default=["smoke-base", "smoke"])
    parser.add_argument("--seeds", default="42,314,999")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ablate", metavar="PRESET", help="each of its mechanisms alone on what it extends, and all")
    args = parser.parse_args()
    args.variants = ablation(args.ablate) if args.ablate else args.variants
    seeds = [int(s) for s in args.seeds.split(",")]
    data_dir = build(ROOT / "data").data_dir
    jobs = [(v, s) for v in args.variants for s in seeds]
    with ThreadPoolExecutor(args.parallel) as pool, Progress(disable=args.json) as bar:
        task = bar.add_task("runs", total=len(jobs))
        futures = [pool.submit(run, variant, seed, data_dir) for variant, seed in jobs]
        for future in futures:
            future.add_done_callback(lambda _: bar.advance(task))
        scores = [future.result() for future in futures]
    n = len(seeds)
    rows = [summary(v, seeds, scores[i * n : (i + 1) * n]) for i, v in enumerate(args.variants)]
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("| variant | " + " | ".join(STAGES) + " |\n|---|" + "---:|" * len(STAGES))
    for row in rows:
        cells = [row["stages"].get(s) for s in STAGES]
        print(
            f"| {row['variant']} | "
            + " | ".join(f"{c['mean']:.4f} ± {c['ci95']:.4f}" if c else "" for c in cells)
            + " |"
        )


if __name__ == "__main__":
    main()
