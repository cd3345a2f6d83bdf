"""`pgolf data tokenize`: seconds with one and with two workers, and memory for one and for four times the text.

python bench/data.py [--copies 6] [--rounds 2] [--json]

The corpus is the docstrings of pydocs, so many copies of it, numbered. Rounds alternate between the two sides, and the
best of each counts. `idle` is the share of the machine's time that nobody wanted just before and between: where it is
not near 1, others were at work and wall-clock times say little. So the same ratio is also given from CPU seconds, which
others disturb less: what the parent does alone, and what the workers do, halved for two of them. CaseOps is measured on
the same text, as millions of characters a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pgolf.data.caseops import decode, encode
from pgolf.data.pydocs import write_documents
from pgolf.data.tokenizer import train_on_corpus

CHILD = """
if __name__ == "__main__":  # which workers import, too: as light as the command's own
    import json, resource, sys, time
    from pathlib import Path
    from pgolf.data.tokenize import tokenize
    docs, model, out, workers = sys.argv[1:]
    cpu = lambda who: (lambda u: u.ru_utime + u.ru_stime)(resource.getrusage(who))
    before, started = cpu(resource.RUSAGE_SELF), time.perf_counter()
    made = tokenize([docs], Path(model), Path(out), val_docs=340, workers=int(workers))
    seconds = time.perf_counter() - started
    workers_peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"seconds": seconds, "worker_mib": workers_peak >> 10, "sha256": sorted(made.files.values()),
                      "alone": cpu(resource.RUSAGE_SELF) - before, "workers": cpu(resource.RUSAGE_CHILDREN)}))
"""


def run(script: Path, docs: Path, model: Path, workers: int) -> dict:
    with tempfile.TemporaryDirectory(dir=docs.parent) as folder:
        command = [sys.executable, str(script), str(docs), str(model), f"{folder}/out", str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def multiply(source: Path, target: Path, copies: int) -> Path:
    lines = [json.loads(line)["text"] for line in source.read_text().splitlines()]
    with target.open("w") as f:
        for n in range(copies):
            f.writelines(json.dumps({"text": f"{n}. {text}"}) + "\n" for text in lines)
    return target


def measure(copies: int, rounds: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="pgolf-bench-") as temporary:
        folder = Path(temporary)
        documents, script, model = folder / "docs.jsonl", folder / "run.py", folder / "1024.model"
        script.write_text(CHILD)
        write_documents(documents)
        train_on_corpus([str(documents)], model, 1024, val_docs=340)
        corpus = multiply(documents, folder / "corpus.jsonl", copies)
        small = run(script, multiply(documents, folder / "small.jsonl", max(1, copies // 4)), model, 1)
        idle = [psutil.cpu_times_percent(2).idle / 100]
        sides: dict[int, list[dict]] = {1: [], 2: []}
        for _ in range(rounds):
            for workers, runs in sides.items():
                runs.append(run(script, corpus, model, workers))
            idle.append(psutil.cpu_times_percent(2).idle / 100)
        one, two = (min(runs, key=lambda r: r["seconds"]) for runs in sides.values())
        cpu_one, cpu_two = one["alone"] + one["workers"], two["alone"] + two["workers"] / 2
        text = corpus.read_text()
        started = time.perf_counter()
        coded = encode(text)
        middle = time.perf_counter()
        if decode(coded) != text:
            raise SystemExit("CaseOps does not give the text back")
        return {
            "cores": len(os.sched_getaffinity(0)),
            "idle": [round(i, 2) for i in idle],
            "corpus_mb": round(corpus.stat().st_size / 1e6, 1),
            "seconds_1_worker": round(one["seconds"], 2),
            "seconds_2_workers": round(two["seconds"], 2),
            "efficiency": round(one["seconds"] / two["seconds"] / 2, 3),
            "cpu_seconds_alone": round(one["alone"], 2),
            "cpu_seconds_workers": [round(one["workers"], 2), round(two["workers"], 2)],
            "efficiency_by_cpu_seconds": round(cpu_one / cpu_two / 2, 3),
            "same_bytes": one["sha256"] == two["sha256"],
            "worker_mib": {"small": small["worker_mib"], "large": one["worker_mib"]},
            "caseops_encode_mb_s": round(len(text) / 1e6 / (middle - started), 1),
            "caseops_decode_mb_s": round(len(text) / 1e6 / (time.perf_counter() - middle), 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.copies, args.rounds)
    print(json.dumps(result) if args.json else "\n".join(f"{k:22} {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
