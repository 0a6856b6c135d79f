#!/bin/sh
# tools/shape.sh - how long functions and files are (approximate: a function is
# what stands between "{" and "}" in the first column, with its heading).
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."
find src -name '*.c' | sort | xargs awk '
FNR == 1 { if (file) lines[file] = last; file = FILENAME; head = 0 }
{ last = FNR }
/^[a-z_].*\(/ { head = FNR; name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
/^\{/ { if (!head) head = FNR; open = 1 }
/^\}[ \t]*$/ && open { print FNR - head + 1, name, FILENAME > "/dev/stderr"; open = 0; head = 0 }
END { lines[file] = last; for (f in lines) { total += lines[f]; n++; if (lines[f] > 600) print "  over 600 lines: " f " (" lines[f] ")" }
      printf "%d source files, %d lines\n", n, total }' 2>"${TMPDIR:-/tmp}/shape.$$"
sort -n "${TMPDIR:-/tmp}/shape.$$" | awk '
{ len[NR] = $1; name[NR] = $2 " in " $3; if ($1 > 70) over++ }
END {
    if (!NR) { print "no functions yet"; exit }
    printf "%d functions: median %d lines, 90th percentile %d, over 70 lines %.1f %%\n", NR, len[int((NR + 1) / 2)], len[int(NR * 0.9 + 0.5)], 100 * over / NR
    for (i = NR; i > NR - 5 && i > 0 && len[i] > 70; i--) printf "  %d lines: %s\n", len[i], name[i]
}'
rm -f "${TMPDIR:-/tmp}/shape.$$"
