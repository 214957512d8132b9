#!/usr/bin/env bash
# All checks: style, then tests. Makes its environment first if need be.
#   bash scripts/run_tests.sh [arguments for pytest]
set -euo pipefail
source "$(dirname "$0")/setup_env.sh"
ruff check .
ruff format --check .
# Two processes; one thread each, so that results do not depend on the number of cores.
OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 "$@"
