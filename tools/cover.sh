#!/bin/sh
# tools/cover.sh BUILD - lines executed by the tests, a room a line (gcov).
# SPDX-License-Identifier: Apache-2.0
set -u
build=$1
find "$build/obj" -name '*.gcda' | xargs -r gcov -n 2>/dev/null | awk '
/^File / { file = $2; gsub(/\047/, "", file) }
/^Lines executed:/ && file ~ /^src\/.*\.c$/ && !(file in seen) {
    seen[file] = 1
    split($0, p, /[:% ]+/)
    room = file; sub(/^src\//, "", room); sub(/\/.*/, "", room)
    all[room] += p[5]; hit[room] += p[3] * p[5] / 100; file = ""
}
END {
    for (r in all) { printf "%-12s %5.1f %% of %d lines\n", r, 100 * hit[r] / all[r], all[r] | "sort"; a += all[r]; h += hit[r] }
    close("sort")
    if (a) printf "%-12s %5.1f %% of %d lines\n", "all", 100 * h / a, a
}'
