#!/usr/bin/env bash
# Checks that this machine is what was paid for: GPUs, driver, NCCL, disk and torch. Runs the program's own setup once,
# and installs its requirements and the trainer's small packages where one is missing; a second run only looks.
# The last line is JSON: what was found.
# Exit 1: the machine is not fit; the last line says why, and which check it was: 'unfit: … [KIND]'.
#
#   PYTHON           the interpreter that trainers run with
#   GPUS, GPU_TYPES  how many, and of which types ('a|b'; empty: any); 0: none are needed
#   PACKAGES         what trainers import beside torch, as pip takes it ('numpy constriction>=0.5,<0.6')
#   PROGRAM          the folder of the program's files, for its setup
#   SETUP            its shell script that makes a machine ready; empty: it has none
#   REQUIREMENTS     its file for pip; empty: it has none
#   SETUP_S          seconds that each of the two may take
#   MODULES, COMMANDS  what must be importable, and on PATH, for it
#   MIN_FREE_GB, MIN_DISK_MB_S, MIN_TORCH
#   CUDA             1: torch has to see these GPUs, and to sum over all of them by NCCL
set -euo pipefail

unfit() { echo "unfit: ${*:2} [$1]"; exit 1; } # KIND as in pgolf.pods.Kind
last() { tail -c 600 "$1" | tail -n 5 | tr -d '\000-\010\013-\037\177' | paste -sd '/'; } # on one line, it is shown

# what a program brings along sees no secret of this machine
while read -r name; do unset "$name"; done < <(compgen -e | grep -iE 'key|token|secret|passw|credential')

command -v "$PYTHON" >/dev/null || unfit python "no $PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || unfit python "$("$PYTHON" --version) is too old, 3.11 is needed"

driver=none
if ((GPUS > 0)); then
    command -v nvidia-smi >/dev/null || unfit gpus "no NVIDIA driver, $GPUS GPUs were paid for"
    names=$(nvidia-smi --query-gpu=name --format=csv,noheader) || unfit gpus "the NVIDIA driver does not answer: $names"
    count=$(grep -c . <<<"$names" || true)
    ((count == GPUS)) || unfit gpus "$count GPUs, $GPUS were paid for"
    while read -r name; do
        # RunPod's names are the driver's; of a longer list any will do
        [[ -z $GPU_TYPES || "|$GPU_TYPES|" == *"|$name|"* ]] || unfit gpus "a GPU is '$name', not ${GPU_TYPES//|/ or }"
    done <<<"$names"
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
    ecc=$(nvidia-smi --query-gpu=ecc.errors.uncorrected.volatile.total --format=csv,noheader 2>/dev/null | grep -cE '^[1-9]' || true)
    ((ecc == 0)) || unfit gpus "$ecc GPUs have uncorrected memory errors"
fi

free_gb=$(df --output=avail -B 1000000 . | awk 'NR == 2 { printf "%.2f", $1 / 1000 }')
awk "BEGIN { exit !($free_gb >= $MIN_FREE_GB) }" || unfit disk "$free_gb GB free, $MIN_FREE_GB are needed"
probe=$(mktemp ./.disk.XXXXXX)
trap 'rm -f "$probe"' EXIT
began=$(date +%s%N)
dd if=/dev/zero of="$probe" bs=1M count=32 conv=fsync status=none || unfit disk "cannot write 32 MB"
disk=$((32 * 1048576 * 1000 / ($(date +%s%N) - began)))
awk "BEGIN { exit !($disk >= $MIN_DISK_MB_S) }" || unfit disk "the disk writes $disk MB/s, $MIN_DISK_MB_S are needed"

if [[ -n $SETUP || -n $REQUIREMENTS ]]; then
    exec 9>"$PROGRAM.lock" # a look whose connection was lost may still be at it
    flock -w "$SETUP_S" 9 || unfit setup "an earlier setup of the program still runs"
fi
if [[ -n $SETUP && ! -e $PROGRAM.done ]]; then
    # nothing that it leaves running may hold this script's output or its lock
    (cd "$PROGRAM" && exec timeout --kill-after=10 "$SETUP_S" bash "./$SETUP") >"$PROGRAM.log" 2>&1 </dev/null 9>&- || {
        code=$?
        ((code != 124 && code != 137)) || unfit setup "$SETUP did not end in $SETUP_S s: $(last "$PROGRAM.log")"
        unfit setup "$SETUP: exit code $code: $(last "$PROGRAM.log")"
    }
    touch "$PROGRAM.done"
fi
if [[ -n $REQUIREMENTS ]]; then
    met() {
        "$PYTHON" - "$PROGRAM/$REQUIREMENTS" <<'PY'
import re
import sys
from importlib.metadata import PackageNotFoundError, version

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement

for line in open(sys.argv[1], encoding="utf-8", errors="replace").read().replace("\\\n", " ").splitlines():
    line = re.sub(r"(^|\s)#.*", "", line).strip()
    if not line or re.match(r"--?(i|f|index-url|extra-index-url|find-links|pre|prefer-binary|no-index)\b", line):
        continue
    try:
        wanted = Requirement(line.split(" --")[0])
        if wanted.marker and not wanted.marker.evaluate():
            continue
        if wanted.url or not wanted.specifier.contains(version(wanted.name), prereleases=True):
            sys.exit(1)
    except (InvalidRequirement, PackageNotFoundError):  # pip decides
        sys.exit(1)
PY
    }
    if ! met; then
        pip=("$PYTHON" -m pip install --quiet --no-input --disable-pip-version-check --requirement "$REQUIREMENTS")
        (cd "$PROGRAM" && exec timeout --kill-after=10 "$SETUP_S" "${pip[@]}") >"$PROGRAM.pip.log" 2>&1 </dev/null 9>&- ||
            unfit packages "cannot install $REQUIREMENTS: $(last "$PROGRAM.pip.log")"
    fi
fi

has() { "$PYTHON" -c "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))" "$@"; }
has torch || unfit torch "$PYTHON has no torch"
read -ra packages <<<"$PACKAGES"
lacking=()
for package in "${packages[@]}"; do
    has "${package%%[<>=~!]*}" || lacking+=("$package")
done
if ((${#lacking[@]} > 0)); then
    "$PYTHON" -m pip install --quiet "${lacking[@]}" && has "${lacking[@]%%[<>=~!]*}" || unfit packages "cannot install ${lacking[*]}"
fi

read -ra modules <<<"$MODULES"
read -ra commands <<<"$COMMANDS"
lacking=()
for module in "${modules[@]}"; do
    # imported, since an extension that was built for another torch is found and fails; -P: not from this folder
    said=$(timeout 300 "$PYTHON" -P -c 'import importlib, sys; importlib.import_module(sys.argv[1])' "$module" \
        2>&1 </dev/null | tail -c 300 | tail -n 1) || lacking+=("module $module ($said)")
done
for command in "${commands[@]}"; do
    command -v -- "$command" >/dev/null || lacking+=("command $command")
done
((${#lacking[@]} == 0)) || unfit needs "the program needs what is not there: $(printf '%s; ' "${lacking[@]}")"

"$PYTHON" - "$((CUDA ? GPUS : 0))" "$MIN_TORCH" "$driver" "$free_gb" "$disk" <<'PY'
import json
import sys

import torch

gpus, least, driver = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def parts(version):
    return [int(n) for n in version.split("+")[0].split(".")[:2]]


if parts(torch.__version__) < parts(least):
    sys.exit(f"unfit: torch {torch.__version__}, {least} is needed [torch]")
nccl = None
if gpus:
    if torch.cuda.device_count() != gpus:
        sys.exit(f"unfit: torch sees {torch.cuda.device_count()} GPUs of {gpus} [gpus]")
    from torch.cuda import nccl as library

    nccl = ".".join(map(str, library.version()))
    tensors = [torch.full((1 << 20,), i + 1.0, device=f"cuda:{i}") for i in range(gpus)]
    library.all_reduce(tensors)
    if any(float(t[0]) != gpus * (gpus + 1) / 2 for t in tensors):
        sys.exit("unfit: NCCL sums wrong [gpus]")
found = {
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "nccl": nccl,
    "driver": driver,
    "free_gb": float(sys.argv[4]),
    "disk_mb_s": float(sys.argv[5]),
}
print(json.dumps(found))
PY
