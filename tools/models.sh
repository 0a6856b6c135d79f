#!/bin/sh
# tools/models.sh - catalog/models.csv to committed C: its lines as they are, read by
# the same reader as a person's own file.
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$0")/.."
out=src/catalog/models_data.c
{
    echo "/* catalog/models_data.c - made from catalog/models.csv by \`make catalog\`: change that, not this."
    echo " * SPDX-License-Identifier: Apache-2.0 */"
    echo '#include "models.h"'
    echo
    echo "const char *const sp_models_lines[] = {"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^.*$/    "&",/' catalog/models.csv
    echo "};"
    echo "const int sp_models_lines_n = sizeof sp_models_lines / sizeof *sp_models_lines;"
} >"$out.new"
mv "$out.new" "$out"
echo "catalog: $out: $(($(wc -l <catalog/models.csv) - 1)) rows"
