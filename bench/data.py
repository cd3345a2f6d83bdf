"""`pgolf data tokenize`: seconds with one and with two workers, and memory for one and for four times the text; and the
comparison of validation with training text.

python bench/data.py [--copies 6] [--rounds 2] [--only tokenize|overlap] [--json]

The corpus is the docstrings of pydocs, so many copies of it, numbered. Rounds alternate between the two sides, and the
best of each counts. `idle` is the share of the machine's time that nobody wanted just before and between: where it is
not near 1, others were at work and wall-clock times say little. So the same ratio is also given from CPU seconds, which
others disturb less: what the parent does alone, and what the workers do, halved for two of them. CaseOps is measured on
the same text, as millions of characters a second.

`exact` is the hash of every training document, `near` the search for windows of letters, side by side in one process,
as millions of tokens per second of its CPU time. The windows are those of 50,000 validation and 10,000 training
documents in number: the corpus' own, and random ones, since it has fewer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import sentencepiece

from pgolf.data.caseops import decode, encode
from pgolf.data.documents import find_shared
from pgolf.data.pydocs import write_documents
from pgolf.data.tokenizer import train_on_corpus
from pgolf.data.windows import MOST_SAMPLED, SAMPLED, Index, Letters, count, sample

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


def measure_overlap(copies: int, rounds: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="pgolf-bench-") as temporary:
        documents, model = Path(temporary) / "docs.jsonl", Path(temporary) / "8192.model"
        write_documents(documents)
        train_on_corpus([str(documents)], model, 8192, val_docs=340)
        sp = sentencepiece.SentencePieceProcessor(model_file=str(model))
        texts = [json.loads(line)["text"] for line in documents.read_text().splitlines()]
    encoded = [np.array(ids, np.uint16) for ids in sp.encode(texts, add_bos=True)]
    val, train, letters = encoded[:340], np.concatenate(encoded[340:] * copies), Letters(sp)
    own = np.concatenate([sample(document, letters)[0] for document in val])
    others = np.random.default_rng(0).integers(0, int(SAMPLED), 60_000 * MOST_SAMPLED - len(own), dtype=np.uint64)
    few, many = Index.of(own), Index.of(np.concatenate([own, others]))
    sides = {
        "exact": lambda: find_shared(val, [train], letters.bos),
        "near": lambda: count(many, train, letters),
        "near_few_windows": lambda: count(few, train, letters),
    }
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for side, work in sides.items():
            started = time.process_time()
            work()
            best[side] = min(best[side], time.process_time() - started)
    per_token = sum(len(letters.of(d)) for d in encoded) / sum(map(len, encoded))
    return {
        "tokens_millions": round(len(train) / 1e6, 1),
        "letters_per_token": round(per_token, 2),
        "windows_millions": round(len(many.keys) / 1e6, 2),
        **{f"{side}_million_tokens_per_cpu_second": round(len(train) / 1e6 / best[side], 1) for side in sides},
        "near_over_exact": round(best["near"] / best["exact"], 1),
        "near_million_letters_per_cpu_second": round(len(train) * per_token / 1e6 / best["near"], 1),
        "cpu_minutes_for_10_billion_tokens": {s: round(1e10 / len(train) * best[s] / 60, 1) for s in sides},
    }


PARTS = {"tokenize": measure, "overlap": measure_overlap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    parts = [args.only] if args.only else PARTS
    result = {k: v for part in parts for k, v in PARTS[part](args.copies, args.rounds).items()}
    print(json.dumps(result) if args.json else "\n".join(f"{k:40} {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
