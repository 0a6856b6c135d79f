#!/bin/bash
# bench/startup.sh - how soon an answer comes: `sparsam --version` to its end, and
# `sparsam run` to the first token, booked and not, interleaved; medians.
#
#   bench/startup.sh MODEL [RUNS [N,N,...]]      a folder or llama2.c checkpoint; 40 runs unless told
# SPDX-License-Identifier: Apache-2.0
set -eu
model=${1:?usage: bench/startup.sh MODEL [RUNS [PROMPT-IDS]]}
runs=${2:-40} ids=${3:-1,403,407,261,378}
program=${BUILD:-$(dirname "$0")/../build}/sparsam
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export SPARSAM_LEDGER="$temp/ledger.db"

us() { local t=$EPOCHREALTIME; echo "${t/[.,]/}"; }
first() { # what, command: microseconds until the first byte of its output
    local what=$1 t
    shift
    t=$(us)
    "$@" 2>"$temp/errors" | { IFS= read -r -N1 c; echo $(($(us) - t)) >>"$temp/$what"; cat >/dev/null; }
}
for i in $(seq "$runs"); do
    first "true" echo
    first "--version" "$program" --version
    first "run, not booked" "$program" run "$model" --no-ledger --greedy --max-tokens 8 --prompt-ids "$ids"
    first "run, booked" "$program" run "$model" --greedy --max-tokens 8 --prompt-ids "$ids"
done
for what in "true" "--version" "run, not booked" "run, booked"; do
    sort -n "$temp/$what" | awk -v what="$what" '{ v[NR] = $1 / 1000 }
        END { printf "%-16s %d runs: first byte after %.2f ms, nine tenths within %.2f ms\n", what, NR, v[int((NR + 1) / 2)], v[int(0.9 * NR)] }'
done
