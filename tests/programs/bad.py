"""A program that misbehaves as MISCHIEF says, after lines like those of an honest one. Empty: it is honest. With
ONLY_SEED, it misbehaves only with that seed.

It trains nothing: what it prints is made up.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SEED = int(os.environ.get("SEED", "1"))
ONLY_SEED = os.environ.get("ONLY_SEED", "")
MISCHIEF = os.environ.get("MISCHIEF", "") if ONLY_SEED in ("", str(SEED)) else ""
RUN_ID = os.environ.get("RUN_ID", "run")
DATA_PATH = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp512")  # as a trainer; nothing is read there
ITERATIONS = int(os.environ.get("ITERATIONS", "5"))
LOG_BYTES = int(os.environ.get("LOG_BYTES", 4_000_000_000))  # of MISCHIEF=long_log
LOG_FILE = os.environ.get("LOG_FILE", "")  # where they go; empty: standard output
WAITS_FOR = os.environ.get("WAITS_FOR", "")  # a file, for MISCHIEF=waits
LOG = Path("logs") / f"{RUN_ID}.txt"
ARTIFACT = Path("final_model.int8.ptz")


def say(text, file=None):
    if MISCHIEF != "silent":
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
    if MISCHIEF == "wants_more" and ITERATIONS < 50:
        sys.exit("error: an average of weights needs 50 steps")
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
        with open(LOG_FILE or os.dup(1), "ab") as file:
            while left > 0:
                left -= file.write(line)
                time.sleep(0.001)  # 40 MB/s: what it writes until it is ended has room on any disk
    elif MISCHIEF == "garbage":
        sys.stdout.buffer.write(bytes(range(256)) * 200 + b"\x1b[2J\n" + b"val_bpb:" * 9000)
    elif MISCHIEF == "orphan":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100000)"])
    elif MISCHIEF == "failing":
        sys.exit("error: the last batch is missing")
    elif MISCHIEF == "waits":
        while not Path(WAITS_FOR).exists():
            time.sleep(0.05)
    elif MISCHIEF in ("forged_exit", "forged_pod"):
        forge(nobody=MISCHIEF == "forged_pod")
    if MISCHIEF == "forks":
        sleep = [sys.executable, "-c", "import time; time.sleep(100000)"]
        forks = [subprocess.Popen(sleep, start_new_session=True, env=env) for env in (None, {}, {})]
        Path("forks.txt").write_text(" ".join(str(fork.pid) for fork in forks))
    if MISCHIEF in ("endless", "forks", "forged_exit", "forged_pod"):
        while True:
            time.sleep(1)


def forge(nobody):
    """Say in its pod's name that it has ended well; `nobody`: and that no process is its supervisor."""
    pod = json.loads(Path("pod.json").read_text())
    if nobody:
        Path("pod.json").write_text(json.dumps(pod | {"pid": 1}))
    ending = {"exit_code": 0, "signals": [], "ended": pod["started"] + 1, "disk_free": 1 << 40}
    Path("exit.json").write_text(json.dumps(ending))


if __name__ == "__main__":
    main()
