#!/usr/bin/env bash
# Everything that only a GPU can show, in one run of less than nine minutes or in several.
#
#   benches/gpu.sh pack          where it is built: makes target/gpu.tar.xz, which is carried
#   benches/gpu.sh [STAGE..]     where the GPU is: all stages in the order below, or some of them
#
#   stage      shows                                              expected (limit), seconds
#   parity     each kernel against its reference                  40  (75)
#   golden     golden logits, real head sizes, the demo recipe    20  (110)
#   llama      speed of the 1B and 8B shapes, queues of requests  190 (230)
#   peers      transformers on the same weights and queues        80  (110)
#   mixtral    speed of Mixtral's layers, and quantised           120 (180)
#   swaps      models that go before others come                  25  (40)
#   sanitizer  the kernels' memory accesses, where it is there    50  (50)
#   ablate     what each kernel gains                             80  (240)
#
# What is expected is reckoned for an H200 at half of its floors, with half a minute to write the
# 16 GB of the 8B's checkpoint, and measured nowhere yet. The limits are such that the first four
# have their time in any case; what is then left of SECONDS_MAX (530) goes to the others. A second
# call with the stages that were not reached goes on: it finds the checkpoints, and adds to the
# results of the day.
#
# The second machine needs an NVIDIA card with its driver, CUDA 13's user libraries (pip's will do),
# Python with torch and transformers, and this repository with target/gpu.tar.xz; no compiler, no
# network.
# Results come as they are made, so that a run which is cut keeps what it reached:
# benches/history/DATE-CARD.jsonl with a line for each figure, and a short table. RESULTS names
# another folder, STILLROOM_CACHE one for checkpoints (35 GB).
# Ends with 1 when something was computed wrongly or ended as it must not: by a signal, by a fault
# of the device, with a number that is none. Too little memory and a limit are told, and no failure;
# nor is speed.
set -uo pipefail
cd "$(dirname "$0")/.."
archive=target/gpu.tar.xz
carried=$(mktemp -d)
trap 'rm -rf "$carried"' EXIT

pack() {
    set -e
    local target=${CARGO_TARGET_DIR:-target} name
    cargo build --release --features cuda
    cp "$target/release/stillroom" "$carried/"
    # One build of the whole workspace: a crate alone has other features, and candle is long to build.
    cargo test --release --workspace --features cuda --test parity --test golden --test device --no-run \
        --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' >"$carried/found"
    for name in parity golden device; do
        cp "$(grep "/$name-[0-9a-f]*\$" "$carried/found" | tail -n 1)" "$carried/$name"
    done
    strip "$carried/golden" "$carried/device" "$carried/parity" "$carried/stillroom"
    git rev-parse HEAD >"$carried/commit"
    mkdir -p target
    # Each of the four holds the same 17 MB of device code, which does not compress. A window over
    # all of them keeps it once: 36 MB, where gzip made 86 of three.
    tar -C "$carried" -cf - golden device parity stillroom commit \
        | xz --lzma2=preset=6,dict=192MiB >"$archive"
    ls -l "$archive"
    # 64 MiB are carried, and this repository goes beside it.
    [ "$(stat -c %s "$archive")" -le $((46 << 20)) ] || { echo "$archive is too large" >&2; exit 1; }
}

[ "${1:-}" = pack ] && { pack; exit; }
# Python, which is there anyway, reads xz by itself; tar needs its program.
python3 -m tarfile -e "$archive" "$carried" 2>/dev/null || tar -xJf "$archive" -C "$carried" ||
    exit 2

card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr -c 'A-Za-z0-9\n' - | tr -s -)
name=$(date -u +%F)-${card:-unknown}
results=${RESULTS:-benches/history}
raw=$results/$name
lines=$results/$name.jsonl
mkdir -p "$raw"
# A second run on the day adds to the first, wherever its results are to go.
[ -e "$lines" ] || cp "benches/history/$name.jsonl" "$lines" 2>/dev/null || touch "$lines"
# Checkpoints of many gigabytes, which a second call finds again.
export STILLROOM_CACHE=${STILLROOM_CACHE:-${TMPDIR:-/tmp}/stillroom-gpu}
# The driver compiles PTX once for all processes.
export CUDA_CACHE_PATH=$STILLROOM_CACHE/nv
mkdir -p "$CUDA_CACHE_PATH"
# What a call that was cut has left half written.
rm -rf "${TMPDIR:-/tmp}"/stillroom-gpu/tiny/*.draft-*
still=$carried/stillroom

# Where pip's packages put CUDA's libraries, and where a container may have put the driver's.
libraries=$(python3 - <<'PY'
import glob, site
roots = site.getsitepackages() + [site.getusersitepackages()]
print(":".join(f for r in roots for f in glob.glob(f"{r}/nvidia/*/lib")))
PY
)
# A search through all of /usr takes seconds, and the linker mostly knows.
if ! grep -q 'libcuda\.so\.1 ' <<<"$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null)"; then
    driver=$(find /usr /run -name libcuda.so.1 -print -quit 2>/dev/null)
    libraries=${libraries:+$libraries:}${driver%/*}
fi
libraries=${libraries:+$libraries:}${LD_LIBRARY_PATH:-}
export LD_LIBRARY_PATH=${libraries%:}

# note KEY=VALUE..: a line of the results; a value that is JSON stays JSON.
note() { python3 benches/gpu_lines.py note "$@" >>"$lines"; }

# What stillroom and its peer both run.
peer_jobs=('128+128*256@256' '1000+200*64@64')

failed=0
# stage NAME SECONDS COMMAND..: runs it within its limit and that of the whole, and notes how it
# `ended`: done, cut, no room, environment, failed; or no time left, where it has not begun.
stage() {
    local name=$1 limit=$2 started=$SECONDS left=$((${SECONDS_MAX:-530} - SECONDS)) seconds
    shift 2
    : >"$raw/$name.txt"
    status=124 ended='no time left'
    if [ "$left" -lt 5 ]; then
        note stage="$name" ended="$ended"
        return
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    echo "== $name (at most $limit s, $SECONDS s so far)"
    timeout -k 5 "$limit" "$@" >"$raw/$name.txt" 2>&1
    status=$?
    seconds=$((SECONDS - started))
    # What does not heed the first signal is killed by the second: that is the limit, too.
    [ "$status" = 137 ] && [ "$seconds" -ge "$limit" ] && status=124
    ended=$(kind_of_end "$name" "$status")
    if [ "$ended" = done ]; then
        note stage="$name" ended="$ended" seconds=$seconds
    else
        note stage="$name" ended="$ended" seconds=$seconds status=$status why="$(why "$name" "$status")"
    fi
    tail -n 4 "$raw/$name.txt"
}

# The program's exit codes: 3 is device, memory, model or disk, and its words tell which.
kind_of_end() {
    case $2 in
        0) echo done ;;
        124) echo cut ;;
        3) if is_full "$1"; then echo 'no room'; else echo environment; fi ;;
        *) echo failed ;;
    esac
}

is_full() {
    grep -Eq 'OUT_OF_MEMORY|ALLOC_FAILED|MiB (of the device )?are (there|free)|no room for keys' \
        <<<"$(grep -E '^(error:|  because)' "$raw/$1.txt")"
}

# The words of its output that say most.
why() {
    local words
    words=$(grep -m 1 -A 1 '^error:' "$raw/$1.txt" || grep -v '^{' "$raw/$1.txt" | tail -n 1)
    [ "$2" -le 128 ] || words="signal $(($2 - 128)) $words"
    head -c 300 <<<"$words" | paste -sd ' '
}

# wrong STAGE WHY: notes that something must not be as it is.
wrong() {
    failed=1
    note stage="$1" wrong="$2"
    echo "WRONG: $1, $2; see $raw/$1.txt"
}

# must NAME SECONDS COMMAND..: a stage that proves nothing where it was cut or found no room, and is
# wrong where it ended badly.
must() {
    stage "$@"
    case $ended in failed | environment) wrong "$1" "ended with $status" ;; esac
}

# Tests pass where they find no device or are not built for one, which is no proof.
must_test() {
    must "$@"
    grep -Eq 'no CUDA device here|running 0 tests' "$raw/$1.txt" && wrong "$1" 'nothing was tested'
}

parity() { must_test parity 75 "$carried/parity" cuda --test-threads=1 --nocapture; }

golden() {
    CARGO_MANIFEST_DIR=$PWD/models must_test golden 40 "$carried/golden" gpu --nocapture
    must_test device 40 "$carried/device" gpu --nocapture --test-threads=1
    must demo 30 "$still" run examples/math-preference.toml --device cuda:0 --out "$raw/demo"
    rm -rf "$raw/demo"
}

# measure NAME SECONDS MODEL ARGS..: a bench, its figures in the results.
measure() {
    local name=$1 limit=$2
    shift 2
    must "$name" "$limit" "$still" bench "$@" --device cuda:0 --not-reproducible --json
    python3 benches/gpu_lines.py bench "$name" "$raw/$name.txt" >>"$lines"
    [ "$ended" = done ] && ! grep -q '"kind":"cell"' "$raw/$name.txt" && wrong "$name" 'no figures'
}

llama() {
    # Small and quick first: what fails here would fail later at a higher price.
    measure llama-1b 40 tiny:llama-1b --repeat 1 --prompt 128 --output 64 --batch 1,32
    # The first two jobs are the peer's.
    measure llama-8b 190 tiny:llama-8b --repeat 1 --prompt 128 --output 128 --batch 1,32,256 \
        --job "${peer_jobs[0]%@*}" --job "${peer_jobs[1]%@*}" --job '128+128*1024' \
        --job '600:1350+64*512' --job '1000+1000*256' --job '200+~250*768' --job '2048+128*128'
}

peers() {
    local folder
    # Both sides in one run: where llama was not here before, its queues are made up for, and with
    # them the checkpoint that the peer reads.
    if ! compgen -G "$STILLROOM_CACHE/tiny/tiny-llama-8b-*/config.json" >/dev/null ||
        ! grep -q '"bench": "llama-8b.*"kind": "job"' "$lines"; then
        measure llama-8b-jobs 110 tiny:llama-8b --repeat 1 --prompt 128 --output 2 --batch 256 \
            --job "${peer_jobs[0]%@*}" --job "${peer_jobs[1]%@*}"
    fi
    folder=$(compgen -G "$STILLROOM_CACHE/tiny/tiny-llama-8b-*/config.json" | head -n 1)
    if [ -z "$folder" ]; then
        note stage=peers ended='no checkpoint'
        return
    fi
    rm -f "$raw/peers.jsonl"
    stage peers 110 python3 benches/peers/transformers_gpu.py "${folder%/*}" "$raw/peers.jsonl" 100 \
        "${peer_jobs[@]}"
    [ -s "$raw/peers.jsonl" ] && python3 benches/gpu_lines.py peers "$raw/peers.jsonl" >>"$lines"
}

mixtral() {
    local layers="tiny:mixtral-8x7b@4 --repeat 1 --prompt 128 --output 64"
    measure mixtral 60 $layers --batch 1,32,256 --job '200+300*512'
    measure mixtral-q8 40 $layers --quantize q8_0 --batch 1,32,256
    measure mixtral-q4 40 $layers --quantize q4_k --batch 1,256
    measure llama-8b-q8 40 tiny:llama-8b --repeat 1 --quantize q8_0 --prompt 128 --output 64 --batch 1,32
}

swaps() {
    must swaps 40 "$still" run benches/swaps.toml --device cuda:0 --memory 5 --out "$raw/swaps"
    if [ "$ended" = done ]; then
        python3 benches/gpu_lines.py swaps "$raw/swaps/events.jsonl" >>"$lines" ||
            wrong swaps 'not shown that each model gave its memory back before the next came'
        cp "$raw/swaps/events.jsonl" "$raw/swaps-events.jsonl"
    fi
    rm -rf "$raw/swaps"
}

sanitizer() {
    if ! command -v compute-sanitizer >/dev/null; then
        note stage=sanitizer ended='not there'
        return
    fi
    stage sanitizer 50 compute-sanitizer --error-exitcode 9 \
        "$carried/parity" attention::matches_the_reference::cuda fused_equals_its_parts::cuda \
        moe_matches_the_reference::cuda --test-threads=1
    [ "$status" = 9 ] && wrong sanitizer 'a memory access'
}

ablate() {
    local op
    local dense="tiny:llama-1b --repeat 1 --prompt 512 --output 32 --batch 128"
    local experts="tiny:mixtral-8x7b@1 --repeat 1 --prompt 128 --output 32 --batch 128"
    measure with-all 20 $dense
    for op in paged_attention sample kv_write rms_norm silu_mul embed; do
        measure "without-$op" 20 $dense --without "$op"
    done
    measure experts-with-all 25 $experts
    measure experts-without-moe 25 $experts --without moe
    measure experts-q8-with-all 25 $experts --quantize q8_0
    measure experts-q8-without-moe 25 $experts --quantize q8_0 --without moe
}

stages='parity golden llama peers mixtral swaps sanitizer ablate'
for wanted in "$@"; do
    [[ " $stages " == *" $wanted "* ]] || { echo "no stage $wanted; there are $stages" >&2; exit 2; }
done
note date="\"$(date -u +%FT%TZ)\"" commit="\"$(cat "$carried/commit" 2>/dev/null)\"" \
    card="\"$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader | head -n 1)\""
for wanted in ${*:-$stages}; do
    "$wanted"
done
python3 benches/gpu_lines.py table "$lines" | tee "$results/$name.md"
exit $failed
