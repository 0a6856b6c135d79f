#!/bin/sh
# tests/measure.sh - `measure` passes everything through and books it; `report`
# shows it, compares, and finds tampering.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
program=${PROGRAM:-$PWD/${BUILD:-build}/sparsam} # PROGRAM: an emulator starts it
passed=0 failed=0
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export SPARSAM_LEDGER="$temp/ledger.db"
unset SPARSAM_ZONE SPARSAM_CATALOG

ok() { # what, status of a check
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; cat "$temp/out" "$temp/err"; fi
}
gives() { # wanted status, words
    want=$1
    shift
    "$program" "$@" >"$temp/out" 2>"$temp/err"
    status=$?
    [ "$status" = "$want" ]; ok "sparsam $*: exit status $status, wanted $want" $?
}
says() { grep -q -e "$2" "$temp/$1"; ok "\"$2\" in $1" $?; }

# exit status
gives 0 measure true
gives 1 measure false
gives 3 measure -q -- sh -c 'exit 3'
gives 126 measure -q /etc/passwd; says err "Permission denied"
gives 127 measure -q ./no-such-command; says err "no-such-command"
gives 137 measure -q -- sh -c 'kill -9 $$'
gives 143 measure -q -- sh -c 'kill -TERM $$'
gives 125 measure
gives 125 measure --zone Atlantis true; says err "Atlantis"
gives 125 measure --ledger /proc/no/such.db true

# input, output, words as given
printf 'some\ninput' | "$program" measure -q -- cat >"$temp/out" 2>"$temp/err"
[ "$(od -c "$temp/out")" = "$(printf 'some\ninput' | od -c)" ] && [ ! -s "$temp/err" ]; ok "input and output pass through, nothing else is said" $?
gives 0 measure -q printf '%s|' 'a b' --json -- '' ; says out '^a b|--json|--||$'
gives 0 measure -- sh -c 'echo to-out; echo to-err >&2'; says out '^to-out$'; says err '^to-err$'; says err 'energy'; says err 'booked as run'
gives 0 measure --no-ledger true
! grep -q "booked" "$temp/err"; ok "--no-ledger books nothing" $?
gives 0 measure --json -- echo from-the-command; says out '"schema": "sparsam.measure/1"'; says out '"time_s"'; says err from-the-command
if command -v jq >/dev/null 2>&1; then
    jq -e '.measured.energy_j | .low <= .likely and .likely <= .high and (.how | . == "counter" or . == "model" or . == "assumed")' "$temp/out" >/dev/null
    ok "energy is a figure that says how it is known" $?
fi

# a signal from another process reaches the command, and the run is booked
"$program" measure -q -- sh -c 'trap "echo caught; exit 9" TERM; echo ready; while :; do sleep 0.05; done' >"$temp/out" 2>"$temp/err" &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q ready "$temp/out" && break; sleep 0.1; done
kill -TERM "$pid"
wait "$pid"
[ $? = 9 ]; ok "a signal is passed on" $?
says out caught

# what nohup ignores stays ignored (an emulator takes the signal itself)
if [ -z "${RUNNER:-}" ]; then
    cp /dev/null "$temp/out"; (trap "" HUP; exec "$program" measure -q -- sh -c "kill -HUP \$\$; echo survived") >"$temp/out" 2>"$temp/err"; says out survived
fi

# the command doesn't wait for the ledger, and its status stands when nothing could be booked
echo "no data base at all, but long enough to be looked at" >"$temp/bad.db"
gives 3 measure --ledger "$temp/bad.db" sh -c 'echo ran; exit 3'; says out '^ran$'; says err "not booked"
if command -v sqlite3 >/dev/null 2>&1; then
    sqlite3 "$SPARSAM_LEDGER" "BEGIN IMMEDIATE;" ".shell while [ ! -e $temp/ran ]; do sleep 0.05; done" "COMMIT;" 2>"$temp/err" &
    sleep 0.5
    gives 0 measure -- touch "$temp/ran"; says err "booked as run"
    wait
fi

# known work is seen: half a second, 60 MB
gives 0 measure --json -- sh -c 'sleep 0.5'
if command -v jq >/dev/null 2>&1; then
    jq -e '.measured.time_s.likely | . >= 0.5 and . < 1.5' "$temp/out" >/dev/null; ok "half a second is measured" $?
    "$program" measure --json -- dd if=/dev/zero of=/dev/null bs=60M count=1 >"$temp/out" 2>"$temp/err"
    jq -e '.measured.memory_bytes.peak.likely | . > 60e6 and . < 90e6' "$temp/out" >/dev/null; ok "60 MB are measured" $?
fi

# the report
gives 0 report; says out "runs took"; says out "failed"; says out "head [0-9a-f]\{64\}"
head=$(sed -n 's/.*head //p' "$temp/out")
gives 0 report --run 1; says out "sparsam measure true"; says out "finished"
gives 0 report --compare 1 3; says out "change"
gives 0 report --json; says out '"schema": "sparsam.report/1"'; says out "$head"
gives 1 report --run 99999; says err "99999"
gives 2 report 5; says err "5"
gives 2 report --compare 1
gives 0 report --verify --head "$head"; says out "as they were written"
gives 1 report --verify --head "$(echo "$head" | tr '0-9a-f' '1-9a-f0')"; says err "end is missing"
if command -v sqlite3 >/dev/null 2>&1; then
    sqlite3 "$SPARSAM_LEDGER" "UPDATE event SET body = '{}' WHERE seq = 2" 2>"$temp/err"; says err "append-only"
    sqlite3 "$SPARSAM_LEDGER" "DROP TRIGGER event_no_update; UPDATE event SET body = '{}' WHERE seq = 2"
    gives 1 report --verify; says err "event 2 was changed"
fi

# rates are measured once, kept, read back
if command -v sqlite3 >/dev/null 2>&1 && command -v jq >/dev/null 2>&1; then
    export SPARSAM_LEDGER="$temp/rates.db"
    yes 'the quick brown fox jumps over the lazy dog' | head -400 >"$temp/text.txt"
    predict() { gives 0 train --predict --json --data "$temp/text.txt" --tokenizer bytes --layers 1 --width 32 --heads 2 --context 32 --steps 100; jq .predicted.time_s.likely "$temp/out"; }
    first=$(predict)
    [ "$(sqlite3 "$SPARSAM_LEDGER" "SELECT count(*) > 9 AND min(how = 'meter') FROM rate")" = 1 ]; ok "a prediction keeps the rates it measured" $?
    [ "$(predict)" = "$first" ]; ok "the next one reads them back" $?
    sqlite3 "$SPARSAM_LEDGER" "UPDATE rate SET flops_per_s = flops_per_s / 1000, bytes_per_s = bytes_per_s / 1000"
    predict | jq -e ". > 500 * $first" >/dev/null; ok "and believes them" $?
    sqlite3 "$SPARSAM_LEDGER" "UPDATE rate SET machine = machine || ' of old'"
    predict | jq -e ". < 100 * $first" >/dev/null; ok "those of another version or machine are not used" $?
    sqlite3 "$SPARSAM_LEDGER" "UPDATE rate SET flops_per_s = flops_per_s / 1000, bytes_per_s = bytes_per_s / 1000"
    gives 0 machine --measure; says out "f32  gemm"
    predict | jq -e ". < 100 * $first" >/dev/null; ok "--measure renews them" $?
    gives 0 machine --json; jq -e '.rates | length > 9 and all(.how == "meter")' "$temp/out" >/dev/null; ok "and shows them" $?
    export SPARSAM_LEDGER="$temp/ledger.db"
fi

# the building's share
gives 0 machine --pue 1.5; says out "1.50 W for each watt"
gives 2 machine --pue 0.5; says err "pue"
gives 125 measure --pue 99 true
if command -v jq >/dev/null 2>&1; then
    "$program" measure --json --pue 2 -- true 2>"$temp/err" >"$temp/out"; jq -e '.measured.energy_j.how == "assumed"' "$temp/out" >/dev/null; ok "energy with a building is assumed" $?
fi

# the machine
gives 0 machine; says out "Sensors:"; says out "gemm.portable"; says out "wall time"
gives 0 machine --zone FR --json; says out '"schema": "sparsam.machine/1"'; says out '"zone": "FR"'
gives 2 machine --zone Atlantis; says err "Atlantis"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
