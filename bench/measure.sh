#!/bin/bash
# bench/measure.sh - what `sparsam measure` adds to a command, in interleaved pairs:
# before it starts (date says when it does), and to the whole of short and long ones.
#
#   bench/measure.sh [PAIRS] [SECONDS...]      20 pairs of 0, 1 and 5 s unless told
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$0")/.."
pairs=${1:-20}
shift || true
program=${BUILD:-build}/sparsam
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export SPARSAM_LEDGER="$temp/ledger.db"

us() { local t=$EPOCHREALTIME; echo "${t/[.,]/}"; }
start() { local t; t=$(us); echo $(($("$@") - t)); }      # microseconds until the command begins
whole() { local t; t=$(us); "$@"; echo $(($(us) - t)); }  # and until it has ended
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2000 }'; }
pair() { # what, one of start and whole, command
    local what=$1 how=$2
    shift 2
    for i in $(seq "$pairs"); do
        "$how" "$@" >>"$temp/$what.alone"
        "$how" "$program" measure -q -- "$@" >>"$temp/$what.measured"
    done
    awk -v what="$what" -v n="$pairs" -v a="$(median "$temp/$what.alone")" -v m="$(median "$temp/$what.measured")" \
        'BEGIN { printf "%-8s %3d pairs: alone %9.2f ms, measured %9.2f ms: +%.2f ms, %.2f %%\n", what, n, a, m, m - a, 100 * (m / a - 1) }'
}
pair begin start date +%s%6N
for s in "${@:-0 1 5}"; do
    for one in $s; do pair "$one-s" whole sleep "$one"; done
done
