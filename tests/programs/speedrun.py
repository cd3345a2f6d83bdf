"""A speedrun's trainer in a fraction of a second, without torch: it trains nothing, and prints as they do.

Its log has its own source first, and a clock of its own, which STEP_MS sets. MISCHIEF is what it does wrong.
"""

import hashlib
import os
import sys

with open(sys.argv[0]) as f:
    code = f.read()
import glob
import time
import uuid

STEPS, STEP_MS, LOSS = 20, 90.0, 3.27
MISCHIEF = os.environ.get("MISCHIEF", "")
HANGS_UNLESS = os.environ.get("HANGS_UNLESS", "")  # a file, which is waited for in the middle
val_files = "data/fineweb10B/fineweb_val_*.bin"
run_id = uuid.uuid4()
os.makedirs("logs", exist_ok=True)
logfile = f"logs/{run_id}.txt"


def print0(s, console=False):
    with open(logfile, "a") as f:
        if console:
            print(s, flush=True)
        print(s, file=f)


def noise(what):
    """In [-0.5, 0.5), another one in every run."""
    return int(hashlib.sha256(f"{run_id} {what}".encode()).hexdigest()[:8], 16) / 2**32 - 0.5


assert glob.glob(val_files), f"no {val_files}"
if MISCHIEF == "fails":
    raise ValueError("the loss is not what it was")
print0(code)
print0("=" * 100)
print0(f"Running Python {sys.version}")
print0("=" * 100)
speed, ended = STEP_MS * (1 + 0.002 * noise("speed")), LOSS + 0.002 * noise("loss")
for step in range(STEPS + 1):
    took = step * speed
    if step % 5 == 0:
        loss = 10.8 - (10.8 - ended) * (step / STEPS) ** 0.25 + (0.01 * noise(step) if step < STEPS else 0)
        loss = float("nan") if MISCHIEF == "nan" and step == STEPS else loss
        average = f"step_avg:{took / max(step, 1):.2f}ms"
        print0(f"step:{step}/{STEPS} val_loss:{loss:.4f} train_time:{took:.0f}ms {average}", console=True)
    if step == 10:
        while HANGS_UNLESS and not os.path.exists(HANGS_UNLESS):
            time.sleep(0.02)
    if step < STEPS:
        took += speed
        print0(f"step:{step + 1}/{STEPS} train_time:{took:.0f}ms step_avg:{took / (step + 1):.2f}ms", console=True)
print0("peak memory allocated: 30220 MiB reserved: 38672 MiB", console=True)
if MISCHIEF == "quits":  # as if it did not like its loss
    os.kill(os.getpid(), 15)
