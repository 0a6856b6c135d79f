#!/bin/sh
# tests/kill.sh - SIGKILL at random moments of training, checkpoint writing and
# booking: the same command line goes on each time and ends with the same weights,
# the ledger's chain is whole, and what was killed stands there as killed.
#
# Two runs go on side by side, in folders of their own with one ledger.  KILLS (20)
# is how many processes are killed, KILL_SEED draws when: after a random time, or
# instead of a random one of the calls that change a file (tests/fault.c).
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
build=$PWD/${BUILD:-build}
passed=0 failed=0
kills=${KILLS:-20} seed=${KILL_SEED:-$(date +%s)}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
unset SPARSAM_ZONE SPARSAM_CATALOG SPARSAM_FAULT
export SPARSAM_LEDGER="$temp/ledger.db"
echo "KILL_SEED=$seed KILLS=$kills"

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; tail -n 5 "$temp/out" "$temp/err" 2>/dev/null; fi
}
train() { # folder; the same command line each time
    exec "$build/sparsam" train --data "$temp/text.txt" --tokenizer bytes --layers 1 --width 32 --heads 2 --context 16 --batch 2 \
        --dropout 0.1 --steps 600 --checkpoint-every 6 --threads 1 --quiet --out "$temp/$1" >"$temp/$1.out" 2>"$temp/$1.err"
}
with_fault() { # fault, folder
    (export SPARSAM_FAULT="$1" LD_PRELOAD="$build/tests/fault.so"; train "$2") 2>/dev/null
}
weights() { sha256sum <"$temp/$1/model.safetensors"; }
# $2 numbers from $3 to $4, of seed $1
random() {
    awk -v seed="$1" -v n="$2" -v from="$3" -v to="$4" 'BEGIN { srand(seed); for (i = 0; i < n; i++) print int(from + rand() * (to - from + 1)) }'
}
# Kills $3 processes that work on folder $1, of seed $2; their exit statuses go to $1.status.
chain() {
    half=$(($3 * 2 / 5)) quarter=$(($3 / 5))
    for at in $(random "$2" $half 1 $((ms / 12))); do # a whole run may take a fifth of the first, which measured rates
        (train "$1") & pid=$!
        sleep "$(echo "$at" | awk '{ print $1 / 1000 }')"
        kill -KILL $pid
        wait $pid
        echo $?
    done
    # early: the tokenizer, the ledger's opening and the run's start; later: checkpoints
    for at in $(random $(($2 + 1)) $quarter 1 24) $(random $(($2 + 2)) $quarter 25 $((calls / 6))); do
        with_fault "kill@$at" "$1"
        echo $?
    done
    (train "$1")
    echo $?
    weights "$1" >"$temp/$1.trained"
    # what was trained already is scored, saved and booked again: killed there too
    for at in $(random $(($2 + 3)) $(($3 - half - 2 * quarter)) 1 "$closing"); do
        with_fault "kill@$at" "$1"
        echo $?
    done
    (train "$1")
    echo $?
}
count() { grep -c "$1" "$temp/$2"; }
runs() { grep -o "\"status\": \"$1\"" "$temp/report" | wc -l; }

awk 'BEGIN { srand(3); for (i = 0; i < 400; i++) { s = ""; for (k = 0; k < 12; k++) s = s sprintf("%c%c ", 97 + int(rand() * 9), 97 + i % 7); print s; if (i % 40 == 39) print "<|endoftext|>" } }' \
    >"$temp/text.txt"

# nobody kills it; how long it takes, and how often it changes a file
began=$(date +%s%N)
(SPARSAM_LEDGER="$temp/other.db" with_fault "count:$temp/calls" whole); ok "a run that nobody kills" $?
ms=$((($(date +%s%N) - began) / 1000000)) calls=$(cat "$temp/calls")
(SPARSAM_LEDGER="$temp/other.db" with_fault "count:$temp/calls" whole); ok "the same once more" $?
closing=$(cat "$temp/calls")

chain left "$seed" $((kills / 2)) >"$temp/left.status" 2>/dev/null & left=$!
chain right $((seed + 10)) $((kills - kills / 2)) >"$temp/right.status" 2>/dev/null
wait $left
cat "$temp/left.status" "$temp/right.status" >"$temp/status"
killed=$(count '^137$' status) ended=$(count '^0$' status)
[ $((killed + ended)) = $((kills + 4)) ]; ok "every process ended by itself with status 0 or was killed" $?
# a timed kill may come too late where the machine was busy before
[ "$killed" -ge $((kills * 3 / 5)) ]; ok "$killed of $kills kills hit" $?
for name in left right; do
    [ "$(weights whole)" = "$(cat "$temp/$name.trained")" ]; ok "$name: its weights are those of the run that nobody killed" $?
    [ "$(weights whole)" = "$(weights $name)" ]; ok "$name: they still are after kills while they were saved again" $?
done
[ -z "$(find "$temp" -name '*.tmp-*')" ]; ok "no temporary file is left" $?

"$build/sparsam" report --verify >"$temp/out" 2>"$temp/err"; ok "the chain is whole" $?
"$build/sparsam" report --json --last 10000 >"$temp/report" 2>"$temp/err"; ok "the ledger is read" $?
stand=$(runs killed) finished=$(runs finished)
[ "$(runs running)" = 0 ] && [ "$(runs failed)" = 0 ]; ok "no run stands as running or failed" $?
[ "$stand" -gt 0 ] && [ "$stand" -le "$killed" ]; ok "$stand runs stand as killed, $killed processes were" $?
[ "$finished" -ge "$ended" ] && [ $((stand + finished)) -le $((killed + ended)) ]; ok "$finished runs stand as finished, $ended processes were" $?
echo "$killed kills, $stand of them in a booked run; a whole run changes files $calls times, its closing $closing times"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
