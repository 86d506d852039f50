#!/usr/bin/env bash
# Fuzz what reads files from elsewhere, guided by coverage.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]
#
# Each target gets SECONDS (20). The targets are those of tests/fuzz/targets.py and, of the readers in
# Rust, risc0-receipt, risc0-program, openvm-receipt and openvm-program; all of them without a name.
# The readers in Rust are compiled with stable Rust, which takes minutes the first time. What a fuzzer
# finds is kept in the cache folder and is where the next one begins. Bytes that lead to a fault are
# left there as crash-..., and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=20
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
python=${PYTHON:-.venv/bin/python}
cache=${RUNNER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zk-batch-runner}/fuzz
in_rust=(risc0-receipt risc0-program openvm-receipt openvm-program)
if (($# == 0)); then
    mapfile -t in_python < <("$python" -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS, sep="\n")')
    set -- "${in_python[@]}" "${in_rust[@]}"
fi

# The coverage that libFuzzer reads. Given a --target, cargo leaves build scripts without it.
coverage="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"

seeds() { # seeds NAME FOLDER: real files, from which a fuzzer in Rust begins
    case $1 in
        risc0-receipt) cp tests/native/data/fibonacci-10.receipt "$2" ;;
        risc0-program) cp guests/elfs/fibonacci.bin "$2" ;;
        openvm-receipt) cp tests/native/data/openvm-fibonacci-10.receipt "$2" ;;
        openvm-program) cp guests/openvm/elfs/fibonacci.elf "$2" ;;
    esac
}

failed=0
for name in "$@"; do
    corpus=$cache/$name
    mkdir -p "$corpus"
    options=(-max_total_time="$seconds" -artifact_prefix="$cache/$name-" -print_final_stats=1 -verbosity=0)
    echo "fuzz: $name for $seconds s"
    case " ${in_rust[*]} " in
        *" $name "*)
            zkvm=${name%-*}
            host=$(rustc -vV | sed -n 's/^host: //p')
            RUSTFLAGS=$coverage CARGO_TARGET_DIR=$cache/target-$zkvm cargo build --quiet --locked \
                --release --target "$host" --manifest-path "native/fuzz/$zkvm/Cargo.toml"
            seeds "$name" "$corpus"
            "$cache/target-$zkvm/$host/release/${name#*-}" "${options[@]}" -max_len=300000 \
                -rss_limit_mb=4096 "$corpus" || failed=1
            ;;
        *) "$python" -m tests.fuzz "$name" "${options[@]}" "$corpus" || failed=1 ;;
    esac
done
exit "$failed"
