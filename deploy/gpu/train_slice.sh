#!/usr/bin/env bash
# One slice of a training run, on a machine that is lent for some minutes, keeps nothing, and returns only small files.
#
#   deploy/gpu/train_slice.sh FROM TO MINUTES KIND [OPTIONS OF ancestral train KIND, but for --output]
#
# FROM  what the slice before left in TO; an empty or missing folder starts a new run
# TO    where this slice leaves state.NN (pieces of at most 15 MiB), log.jsonl, of a branch branch.json, and the checkpoint
#
# PYTHON is the interpreter (default: python3). It needs torch, numpy, safetensors, soundfile, soxr, pillow, pydantic, click and rich.
set -euo pipefail
if [ $# -lt 4 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
from=$1 to=$2 minutes=$3 kind=$4
shift 4
root=$(cd "$(dirname "$0")/../.." && pwd)
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
mkdir -p "$to"
if compgen -G "$from/state.[0-9][0-9]" >/dev/null; then
  cat "$from"/state.[0-9][0-9] >"$run/state.safetensors"
  for note in log.jsonl branch.json; do
    if [ -e "$from/$note" ]; then cp "$from/$note" "$run/"; fi
  done
fi
PYTHONPATH=$root:$root/models:$root/training "${PYTHON:-python3}" -c \
  'from ancestral_training.cli.train import command; command(prog_name="ancestral train")' "$kind" "$@" --processes 1 --minutes "$minutes" --output "$run"
rm -f "$to"/state.[0-9][0-9]
split --bytes=15M --numeric-suffixes --suffix-length=2 "$run/state.safetensors" "$to/state."
cp "$run"/*.json* "$run"/checkpoint/* "$to/"
