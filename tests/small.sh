#!/bin/sh
# tests/small.sh - a small model is trained, scored and answers, on whatever
# processor this is: what it learned is far from guessing, the fast rows and the
# portable ones agree on the loss, and the same question gets the same answer.
#
# PROGRAM names what starts the program, where that is not the build's own file
# (an emulator: make arm64, make noavx).
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
program=${PROGRAM:-$PWD/${BUILD:-build}/sparsam}
passed=0 failed=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
unset SPARSAM_ZONE SPARSAM_CATALOG SPARSAM_CPU
export SPARSAM_LEDGER="$temp/ledger.db"

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; tail -n 5 "$temp/out" "$temp/err" 2>/dev/null; fi
}
gives() { # wanted status, words
    want=$1
    shift
    "$program" "$@" >"$temp/out" 2>"$temp/err"
    status=$?
    [ "$status" = "$want" ]; ok "sparsam $*: exit status $status, wanted $want" $?
}
loss() { grep -o '"loss": *[0-9.]*' "$temp/out" | head -n 1 | grep -o '[0-9.]*$'; }
is() { [ -n "$fast" ] && awk "BEGIN { exit !($2) }"; ok "$1: $2" $?; }

awk 'BEGIN { srand(3); for (i = 0; i < 200; i++) { s = ""; for (k = 0; k < 12; k++) s = s sprintf("%c%c ", 97 + int(rand() * 9), 97 + i % 7); print s; if (i % 40 == 39) print "<|endoftext|>" } }' \
    >"$temp/text.txt"

for compute in f32 bf16; do
    gives 0 train --data "$temp/text.txt" --tokenizer bytes --layers 2 --width 32 --heads 2 --context 32 --batch 4 --dropout 0.05 --lr 0.01 --warmup 5 \
        --steps 200 --compute $compute --threads 2 --quiet --out "$temp/$compute"
    gives 0 eval --json --quiet "$temp/$compute" --data "$temp/text.txt"
    fast=$(loss)
    export SPARSAM_CPU=portable
    gives 0 eval --json --quiet "$temp/$compute" --data "$temp/text.txt"
    plain=$(loss)
    unset SPARSAM_CPU
    is "trained in $compute; guessing is 5.55, and nobody knows the letters of nine, a third of it all: 0.73" "$fast > 0.73 && $fast < 2"
    is "fast rows and portable ones" "($fast - $plain) ^ 2 < 1e-8"
done
gives 0 run --quiet "$temp/f32" --greedy --max-tokens 24 'aa ba'
cp "$temp/out" "$temp/first"
gives 0 run --quiet "$temp/f32" --greedy --max-tokens 24 'aa ba'
[ "$(wc -c <"$temp/first")" -gt 9 ] && cmp -s "$temp/out" "$temp/first"; ok "the same question gets the same answer" $?
grep -q '[a-i][a-g] [a-i][a-g] ' "$temp/first"; ok "which goes on as the text did" $?

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
