#!/usr/bin/env bash
# Everything that only a GPU can show, in one run: parity of the ops, golden logits, the whole
# job, one bench. Each stage has its time limit and writes its result as it ends, so that a run
# cut short keeps what it reached.
#
#   benches/gpu.sh [DEVICE] [OUT]      DEVICE is cuda:0 (default) or metal; OUT a folder
#
# Builds with the device's feature; set STILLROOM_TARGET_BUILT=1 to use what is built already.
set -uo pipefail
cd "$(dirname "$0")/.."

device=${1:-cuda:0}
out=${2:-benches/history/$(date +%Y-%m-%d)-${device%%:*}}
feature=${device%%:*}
mkdir -p "$out"

# stage NAME SECONDS COMMAND...: runs it under its limit, keeps what it prints, notes how it ended.
stage() {
    local name=$1 limit=$2 status
    shift 2
    echo "== $name (at most ${limit}s)"
    timeout "$limit" "$@" >"$out/$name.txt" 2>&1
    status=$?
    case $status in
        0) echo "$name ok" ;;
        124) echo "$name cut at ${limit}s" ;;
        *) echo "$name failed ($status)" ;;
    esac | tee -a "$out/stages.txt"
    tail -n 5 "$out/$name.txt"
}

: >"$out/stages.txt"
{ date -u +%FT%TZ; git rev-parse HEAD; uname -sm; nvidia-smi -L 2>/dev/null; } >"$out/machine.txt"

if [ -z "${STILLROOM_TARGET_BUILT:-}" ]; then
    stage build 3600 cargo build --release --features "$feature"
fi
stage parity 120 cargo test --release --features "$feature" -p stillroom-kernels
stage golden 120 cargo test --release --features "$feature" -p stillroom-models
stage job 120 target/release/stillroom run examples/math-preference.toml --device "$device" --out "$out/run"
stage bench 180 target/release/stillroom bench tiny:llama-160m --device "$device" --json
rm -rf "$out/run"
! grep -q failed "$out/stages.txt"
