"""A program that misbehaves as MISCHIEF says, after lines like those of an honest one. Empty: it is honest.

It trains nothing: what it prints is made up.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

MISCHIEF = os.environ.get("MISCHIEF", "")
SEED = int(os.environ.get("SEED", "1"))
RUN_ID = os.environ.get("RUN_ID", "run")
DATA_PATH = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp512")  # as a trainer; nothing is read there
ITERATIONS = int(os.environ.get("ITERATIONS", "5"))
LOG_BYTES = int(os.environ.get("LOG_BYTES", 4_000_000_000))  # of MISCHIEF=long_log
LOG = Path("logs") / f"{RUN_ID}.txt"
ARTIFACT = Path("final_model.int8.ptz")


def say(text, file=None):
    print(text, flush=True)
    with LOG.open("a") as f:
        print(text if file is None else file, file=f)


def train(seed):
    say("train_loader:dataset:fineweb10B_sp512 train_shards:1")
    say(f"seed:{seed}")
    for step in range(1, ITERATIONS + 1):
        loss, took = 6.2 - step / 5 - seed / 1000, f"train_time:{step * 40}ms step_avg:40.00ms"
        say(f"step:{step}/{ITERATIONS} train_loss:{loss:.4f} {took}")
    say(f"step:{ITERATIONS}/{ITERATIONS} val_loss:3.1200 val_bpb:1.8700 {took}")
    say("Code size: 2000 bytes")
    say("Serialized model int8+zlib: 4096 bytes")
    say("Total submission size int8+zlib: 6096 bytes")


def score(bpb):
    nats = bpb * 1.157
    return (
        f"final_int8_zlib_roundtrip val_loss:{nats:.4f} val_bpb:{bpb:.4f} eval_time:30ms\n"
        f"final_int8_zlib_roundtrip_exact val_loss:{nats:.8f} val_bpb:{bpb:.8f}"
    )


def leave_artifact():
    if MISCHIEF == "no_artifact":
        return
    if MISCHIEF == "link":
        Path("weights.bin").write_bytes(b"\x01" * 4096)
        ARTIFACT.symlink_to("weights.bin")
    elif MISCHIEF == "folder":
        ARTIFACT.mkdir()
    elif MISCHIEF == "pipe":
        os.mkfifo(ARTIFACT)
    else:
        ARTIFACT.write_bytes(b"" if MISCHIEF == "empty" else b"\x01" * 4096)
    if MISCHIEF == "two_artifacts":
        ARTIFACT.with_name("final_model.int6.ptz").write_bytes(b"\x02" * 4096)


def main():
    LOG.parent.mkdir(exist_ok=True)
    if MISCHIEF == "several_runs":
        for seed in (1, 2, 3):
            train(seed)
            say(score(1.9 + seed / 100))
    else:
        train(SEED + (MISCHIEF == "other_seed"))
        if MISCHIEF == "nan":
            say(score(float("nan")))
        elif MISCHIEF == "contradiction":
            say(score(1.91), file=score(1.71))
        elif MISCHIEF != "no_score":
            say(score(1.9 + SEED / 1000))
        if MISCHIEF == "two_scores":
            say(score(1.7))
    leave_artifact()
    if MISCHIEF == "long_log":
        line, left = b"the loss is still going down, believe me\n" * 1000, LOG_BYTES
        while left > 0:
            left -= sys.stdout.buffer.write(line)
    elif MISCHIEF == "garbage":
        sys.stdout.buffer.write(bytes(range(256)) * 200 + b"\x1b[2J\n" + b"val_bpb:" * 9000)
    elif MISCHIEF == "orphan":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100000)"])
    elif MISCHIEF == "endless":
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main()
