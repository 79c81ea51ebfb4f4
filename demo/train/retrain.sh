#!/bin/sh
# Data, training, export and check, one after the other, on one core. Needs train/requirements.txt in the active Python.
set -e
cd "$(dirname "$0")"
# Keep freed memory in the process: handing it back to the system between steps halves the speed.
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=268435456
build=${1:-build}
python make_data.py "$build"
python train.py "$build"
python export.py "$build"
python evaluate.py --write-golden
