#!/bin/sh
# tools/run_tests.sh - runs test programs and sums what they counted.
#
#   run_tests.sh run TALLY LABEL PROGRAM...   each program; appends "passed failed skipped" lines to TALLY
#   run_tests.sh one TALLY LABEL COMMAND...   one command with its arguments
#   run_tests.sh sum TALLY                    prints "N passed, N failed, N skipped"; status 1 when any failed
#
# A program may count by itself: cmocka's closing lines, or a last line of the
# form "N passed, N failed, N skipped".  Any other counts as one test.  A
# program that crashes, or runs longer than TEST_SECONDS, is one more failure.
# RUNNER, if set, starts the programs that are not scripts: an emulator.
# SPDX-License-Identifier: Apache-2.0
set -u
TEST_SECONDS=${TEST_SECONDS:-240}
mode=$1 tally=$2
shift 2

# Reads a program's output; $status is its exit status.  Prints "passed failed skipped".
count() {
    awk -v status="$status" '
        /^\[  PASSED  \] [0-9]+ test/  { pass += $4; seen = 1 }
        /^\[  SKIPPED \] [0-9]+ test/  { skip += $4; seen = 1 }
        /^\[  FAILED  \] [0-9]+ test/  { fail += $4; seen = 1 }
        /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped/ { pass += $1; fail += $3; skip += $5; seen = 1 }
        END {
            if (!seen && status == 0) pass = 1
            if (status != 0 && fail == 0) fail = 1
            print pass + 0, fail + 0, skip + 0
        }' "$1"
}

run() { # label, name, command...
    label=$1 name=$2
    shift 2
    log=$(mktemp)
    began=$(date +%s)
    case $1 in
    *.sh) timeout "$TEST_SECONDS" "$@" >"$log" 2>&1 ;;
    *) timeout "$TEST_SECONDS" ${RUNNER:-} "$@" >"$log" 2>&1 ;;
    esac
    status=$?
    counts=$(count "$log")
    echo "$counts" >>"$tally"
    echo "$label $name $counts $(($(date +%s) - began))" |
        awk '{ printf "%-8s %-28s %4d passed %3d failed %3d skipped %4d s\n", $1, $2, $3, $4, $5, $6 }'
    if [ "$status" -ne 0 ] || [ "$(echo "$counts" | cut -d' ' -f2)" -ne 0 ]; then
        echo "---- $label $name: exit status $status; its last lines:"
        grep -v -e '^\[ RUN' -e '^\[       OK' "$log" | tail -n "${TEST_LINES:-40}"
        echo "----"
    fi
    rm -f "$log"
}

case $mode in
run)
    label=$1
    shift
    for program in "$@"; do
        run "$label" "$(basename "$program")" "$program"
    done
    ;;
one)
    label=$1
    shift
    run "$label" "$(basename "$1")" "$@"
    ;;
sum)
    [ -s "$tally" ] || { echo "no test ran"; exit 1; }
    awk '{ p += $1; f += $2; s += $3 }
        END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$tally"
    ;;
*)
    echo "usage: run_tests.sh run|one|sum TALLY ..." >&2
    exit 2
    ;;
esac
