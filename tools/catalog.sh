#!/bin/sh
# tools/catalog.sh - facts in catalog/*.csv to committed C in src/catalog/*_data.c.
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$0")/.."

# file, C type, array, then the columns in the order of the type: q text, n number, [ ] around an array
table() {
    out=src/catalog/$1_data.c
    {
        echo "/* catalog/$1_data.c - made from catalog/$1.csv by \`make catalog\`: change that, not this."
        echo " * SPDX-License-Identifier: Apache-2.0 */"
        echo '#include "inner.h"'
        echo
        echo "const struct $2 $3[] = {"
        awk -v spec="$4" '
            function q(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
            function n(s) { return s == "" ? "0" : s }
            # fields of a line, quoted where they hold commas; a quote within is doubled
            function cut(s,    i, c, at, within) {
                at = 1; field[1] = ""
                for (i = 1; i <= length(s); i++) {
                    c = substr(s, i, 1)
                    if (c == "\"" && within && substr(s, i + 1, 1) == c) { field[at] = field[at] c; i++ }
                    else if (c == "\"") within = !within
                    else if (c == "," && !within) field[++at] = ""
                    else field[at] = field[at] c
                }
                return at
            }
            NR == 1 { columns = cut($0); next }
            {
                fields = cut($0)
                if (fields != columns) { print FILENAME " line " NR ": " fields " fields, " columns " are wanted" > "/dev/stderr"; exit 1 }
                line = "    { "; at = 0
                for (i = 1; i <= length(spec); i++) {
                    c = substr(spec, i, 1)
                    if (c == "[") line = line "{ "
                    else if (c == "]") { sub(/, $/, "", line); line = line " }, " }
                    else { at++; line = line (c == "q" ? q(field[at]) : n(field[at])) ", " }
                }
                sub(/, $/, "", line)
                print line " },"
            }' "catalog/$1.csv"
        echo "};"
        echo "const int $3_n = sizeof $3 / sizeof *$3;"
    } >"$out.new"
    mv "$out.new" "$out"
    echo "catalog: $out: $(($(wc -l <"catalog/$1.csv") - 1)) rows"
}

table accelerators sp_accelerator sp_accelerator_rows qqqnnnnnnnnnnnnnnnqq
table instances sp_instance sp_instance_rows qqqqnnnnqqqq
table purchases sp_purchase sp_purchase_rows qnqqqqq
table regions sp_region sp_region_rows qqqqnnnnqq
table grid sp_grid sp_grid_rows qqnqnqq
table processors sp_processor sp_processor_rows qqnnnnqq
table server_power sp_server_power sp_server_rows 'qqnn[nnnnnnnnnnn]nnqq'
table defaults sp_default sp_default_rows qnnnqqqq
table models sp_model_fact sp_model_rows qqqnnqqq
