# Makes a virtual environment and installs iqasr into it; sourced by
# quickstart.sh and run_tests.sh. Quick when nothing has changed.
#   IQASR_VENV  where the environment is (default: .venv in the repository); one that exists is used
#   PYTHON      interpreter to use (default: the first suitable one found)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV="${IQASR_VENV:-.venv}"

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.11 python3.10 python3.13 python3 python}; do
    if "$candidate" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
        2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "No Python 3.10 to 3.13 was found${PYTHON:+ as $PYTHON}." \
    'Install one, or name it: PYTHON=/path/to/python.' >&2
  return 1
}

install_all() {
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
}

stamp="$VENV/.iqasr-$( (echo "${PYTHON:-}"; cat setup.py) | cksum | tr ' ' '-')"
made="$VENV/.made-for-iqasr"
if [ ! -f "$stamp" ]; then
  # An environment that is somebody else's, or only linked to, is added to, not emptied.
  if { [ -e "$made" ] && [ ! -L "$VENV" ]; } || [ -z "$(ls -A "$VENV" 2>/dev/null)" ]; then
    python="$(find_python)"
    "$python" -m venv --clear "$VENV"
    touch "$made"
  fi
  echo "Installing into $VENV with $("$VENV/bin/python" --version); this is done once."
  if ! install_all; then
    echo "The installation into $VENV failed, see above; run the same command again." >&2
    return 1 2>/dev/null || exit 1
  fi
  touch "$stamp"
fi
# shellcheck disable=SC1091
source "$VENV/bin/activate"
