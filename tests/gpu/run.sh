#!/usr/bin/env bash
# Everything that wants a GPU, in one call: bash tests/gpu/run.sh [--dry] [--only SECTION ...]
#
# Writes markdown to stdout and to $OUT/results.md (by default gpu-results/). `--dry` goes through the same code with
# tiny networks, on a CPU if there is no GPU; its figures mean nothing.
#
#   PYTHON   interpreter that has torch, by default python3
#   WHEELS   folder of wheels to install first, for machines without a network; what such an image tends to lack:
#            pydantic pydantic-core annotated-types typing-inspection docstring-parser tomli-w
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-python3}
out=${OUT:-gpu-results}
mkdir -p "$out"
if [[ -n ${WHEELS:-} ]]; then
    "$python" -m pip install --quiet --no-index --no-deps "$WHEELS"/*.whl
fi
export PYTHONPATH="$PWD:$PWD/tests/bench${PYTHONPATH:+:$PYTHONPATH}"
"$python" tests/gpu/measure.py "$@" | tee "$out/results.md"
