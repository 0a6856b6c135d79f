#!/bin/sh
# tools/catalog.sh - facts in catalog/*.csv to committed C in src/catalog/*_data.c.
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$0")/.."

# file, C type, array, then an awk expression that prints the initialiser of one row
table() {
    out=src/catalog/$1_data.c
    {
        echo "/* catalog/$1_data.c - made from catalog/$1.csv by \`make catalog\`: change that, not this."
        echo " * SPDX-License-Identifier: Apache-2.0 */"
        echo '#include "inner.h"'
        echo
        echo "const struct $2 $3[] = {"
        awk -F, -v lines=0 '
            function q(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
            function n(s) { return s == "" ? "0" : s }
            NR > 1 { print "    { " '"$4"' " }," }' "catalog/$1.csv"
        echo "};"
        echo "const int $3_n = sizeof $3 / sizeof *$3;"
    } >"$out.new"
    mv "$out.new" "$out"
    echo "catalog: $out: $(($(wc -l <"catalog/$1.csv") - 1)) rows"
}

table grid sp_grid sp_grid_rows 'q($1) ", " q($2) ", " n($3) ", " n($5) ", " q($4 "; " $6)'
table processors sp_processor sp_processor_rows 'q($1) ", " q($2) ", " n($3) ", " n($4) ", " n($5) ", " n($6) ", " q($7)'
table server_power sp_server_power sp_server_rows 'q($1) ", " q($2) ", " n($3) ", " n($4) ", { " $5 ", " $6 ", " $7 ", " $8 ", " $9 ", " $10 ", " $11 ", " $12 ", " $13 ", " $14 ", " $15 " }, " n($16) ", " n($17) ", " q($18)'
table defaults sp_default sp_default_rows 'q($1) ", " n($2) ", " n($3) ", " n($4) ", " q($5) ", " q($6) ", " q($7)'
