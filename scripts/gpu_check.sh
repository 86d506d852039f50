#!/usr/bin/env bash
# Checks proofs on this machine's GPU, and measures them against its CPU: in some 8 minutes, on a
# machine that has nothing but Python, a driver and the wheels that it is given.
#
#   scripts/gpu_check.sh WHEELS OUT
#
# WHEELS is a folder with the wheels of runner_risc0, runner_risc0_cuda, nvidia-ml-py and the packages
# that the runner depends on (docs/gpu.md says how to make it). OUT gets gpu.json, which has all
# figures, and the logs and batches behind them. The exit code is 1 if a step failed.
set -euo pipefail

wheels=$(realpath "${1:?usage: scripts/gpu_check.sh WHEELS OUT}")
mkdir -p "${2:?usage: scripts/gpu_check.sh WHEELS OUT}"
out=$(realpath "$2")
cd "$(dirname "$0")/.."

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
python3 -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
nvidia-smi || true
python3 -m benchmarks.studies.gpu "$out"
