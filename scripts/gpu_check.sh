#!/usr/bin/env bash
# Tests and benchmarks on a GPU, offline, the most important ones first; figures are written as they
# come.
#   bash scripts/gpu_check.sh --pack          # with internet: packs what the other machine may lack
#   bash scripts/gpu_check.sh -o FOLDER [--budget SECONDS] [--only PART ...] [--small]      # there
# What is packed lies in .gpu, to be copied along. PYTHON names an interpreter that has torch.
# --small tries everything with small sizes, also without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
packages=scripts/benchmarks/gpu_packages.py

if [ "${1:-}" = --pack ]; then
  exec "$python" "$packages" pack .gpu
fi
if [ -n "$("$python" "$packages" missing)" ] && [ -d .gpu/wheels ]; then
  site="$(mktemp -d)"
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade \
    --target "$site" .gpu/wheels/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
lacking="$("$python" "$packages" missing)"
if [ -n "$lacking" ]; then
  echo "$("$python" --version) lacks $lacking. Name another interpreter (PYTHON=...), or pack them" \
    'where there is internet (bash scripts/gpu_check.sh --pack) and copy .gpu here.' >&2
  exit 2
fi
if [ -d .gpu/cache ]; then export IQASR_CACHE="$PWD/.gpu/cache"; fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$python" -m scripts.benchmarks.gpu_check "$@"
