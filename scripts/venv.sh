#!/usr/bin/env bash
# Create .venv from the locked requirements: `scripts/venv.sh runtime` or `scripts/venv.sh dev`.
# It installs the command line `airworthy` too, and does nothing unless the lock, the interpreter or a script changed.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=${1:-runtime}
uv_version=0.13.8
declare -A locks=([runtime]=requirements.txt [dev]=requirements-dev.txt)
lock=${locks[$wanted]:?say runtime or dev}

fail() {
  echo "make venv: $*" >&2
  exit 1
}

supported() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null && supported "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "CPython 3.11 or 3.12 is needed, and ${PYTHON:-python3} is $(${PYTHON:-python3} --version 2>&1 || true)." \
    "Install one, or name it: make venv PYTHON=/path/to/python3.12"
}

# The result depends on the lock, the interpreter, this script and the launcher alone.
print_of() { cat "${locks[$1]}" "$0" scripts/airworthy <(.venv/bin/python -VV 2>&1) | sha256sum | cut -d' ' -f1; }
made_from() { [ -x .venv/bin/python ] && [ "$(cat ".venv/.$1" 2>/dev/null)" = "$(print_of "$1")" ]; }

if made_from dev || { [ "$wanted" = runtime ] && made_from runtime; }; then exit 0; fi

python=$(find_python)
if ! supported .venv/bin/python; then
  rm -rf .venv
  "$python" -m venv --without-pip .venv
fi

bootstrap_uv() {
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv .venv/uv
    .venv/uv/bin/python -m pip install --quiet "uv==$uv_version"
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes python3-venv >/dev/null
    "$python" -m venv .venv/uv
    .venv/uv/bin/python -m pip install --quiet "uv==$uv_version"
  elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --target .venv/uv "uv==$uv_version"
  else
    fail "Python's venv module is not complete. Type: sudo apt-get install --yes python3-venv"
  fi
}

[ "$(.venv/uv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" = "$uv_version" ] || { rm -rf .venv/uv && bootstrap_uv; }

# uv does not read pip's configuration: pass on the index and the certificates of this machine.
index=$("$python" -m pip config get global.index-url 2>/dev/null || .venv/uv/bin/python -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
if [ -n "$index" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180}

rm -f .venv/.runtime .venv/.dev
echo "Installing $lock into .venv"
.venv/uv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python "$lock"
install -m 755 scripts/airworthy .venv/bin/airworthy
print_of "$wanted" >".venv/.$wanted"
