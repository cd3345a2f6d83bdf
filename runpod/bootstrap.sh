#!/usr/bin/env bash
# Checks that this machine is what was paid for: GPUs, driver, NCCL, disk and torch. Installs the trainer's small
# packages where one is missing; a second run only looks. The last line is JSON: what was found.
# Exit 1: the machine is not fit; the last line says why.
#
#   PYTHON           the interpreter that trainers run with
#   GPUS, GPU_TYPES  how many, and of which types ('a|b'; empty: any); 0: none are needed
#   PACKAGES         what trainers import beside torch, as pip takes it ('numpy constriction>=0.5,<0.6')
#   MIN_FREE_GB, MIN_DISK_MB_S, MIN_TORCH
#   CUDA             1: torch has to see these GPUs, and to sum over all of them by NCCL
set -euo pipefail

unfit() { echo "unfit: $*"; exit 1; }

command -v "$PYTHON" >/dev/null || unfit "no $PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || unfit "$("$PYTHON" --version) is too old, 3.11 is needed"

driver=none
if ((GPUS > 0)); then
    command -v nvidia-smi >/dev/null || unfit "no NVIDIA driver, $GPUS GPUs were paid for"
    names=$(nvidia-smi --query-gpu=name --format=csv,noheader) || unfit "the NVIDIA driver does not answer: $names"
    count=$(grep -c . <<<"$names" || true)
    ((count == GPUS)) || unfit "$count GPUs, $GPUS were paid for"
    while read -r name; do
        # RunPod's names are the driver's; of a longer list any will do
        [[ -z $GPU_TYPES || "|$GPU_TYPES|" == *"|$name|"* ]] || unfit "a GPU is '$name', not ${GPU_TYPES//|/ or }"
    done <<<"$names"
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
    ecc=$(nvidia-smi --query-gpu=ecc.errors.uncorrected.volatile.total --format=csv,noheader 2>/dev/null | grep -cE '^[1-9]' || true)
    ((ecc == 0)) || unfit "$ecc GPUs have uncorrected memory errors"
fi

free_gb=$(df --output=avail -B 1000000 . | awk 'NR == 2 { printf "%.2f", $1 / 1000 }')
awk "BEGIN { exit !($free_gb >= $MIN_FREE_GB) }" || unfit "$free_gb GB free, $MIN_FREE_GB are needed"
probe=$(mktemp ./.disk.XXXXXX)
trap 'rm -f "$probe"' EXIT
began=$(date +%s%N)
dd if=/dev/zero of="$probe" bs=1M count=32 conv=fsync status=none || unfit "cannot write 32 MB"
disk=$((32 * 1048576 * 1000 / ($(date +%s%N) - began)))
awk "BEGIN { exit !($disk >= $MIN_DISK_MB_S) }" || unfit "the disk writes $disk MB/s, $MIN_DISK_MB_S are needed"

has() { "$PYTHON" -c "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))" "$@"; }
has torch || unfit "$PYTHON has no torch"
read -ra packages <<<"$PACKAGES"
lacking=()
for package in "${packages[@]}"; do
    has "${package%%[<>=~!]*}" || lacking+=("$package")
done
if ((${#lacking[@]} > 0)); then
    "$PYTHON" -m pip install --quiet "${lacking[@]}" && has "${lacking[@]%%[<>=~!]*}" || unfit "cannot install ${lacking[*]}"
fi

"$PYTHON" - "$((CUDA ? GPUS : 0))" "$MIN_TORCH" "$driver" "$free_gb" "$disk" <<'PY'
import json
import sys

import torch

gpus, least, driver = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def parts(version):
    return [int(n) for n in version.split("+")[0].split(".")[:2]]


if parts(torch.__version__) < parts(least):
    sys.exit(f"unfit: torch {torch.__version__}, {least} is needed")
nccl = None
if gpus:
    if torch.cuda.device_count() != gpus:
        sys.exit(f"unfit: torch sees {torch.cuda.device_count()} GPUs of {gpus}")
    from torch.cuda import nccl as library

    nccl = ".".join(map(str, library.version()))
    tensors = [torch.full((1 << 20,), i + 1.0, device=f"cuda:{i}") for i in range(gpus)]
    library.all_reduce(tensors)
    if any(float(t[0]) != gpus * (gpus + 1) / 2 for t in tensors):
        sys.exit("unfit: NCCL sums wrong")
found = {
    "torch": torch.__version__,
    "nccl": nccl,
    "driver": driver,
    "free_gb": float(sys.argv[4]),
    "disk_mb_s": float(sys.argv[5]),
}
print(json.dumps(found))
PY
