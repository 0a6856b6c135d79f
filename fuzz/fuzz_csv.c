/* fuzz/fuzz_csv.c - any bytes as a table of comma-separated values.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "file/file.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    struct sp_csv t;
    struct sp_err err = { 0 };
    char *text = malloc(n + 1);
    double v;
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    if (!sp_csv_parse(&t, text, "fuzz.csv", &err)) {
        for (int i = 0; i < t.rows; i++)
            for (int c = 0; c < t.columns; c++)
                if (strlen(sp_csv_at(&t, i, c)) < n && sp_csv_real(&t, i, c, &v, &err))
                    err = (struct sp_err){ 0 };
        if (sp_csv_column(&t, "model") >= t.columns)
            abort();
        sp_csv_clear(&t);
    } else if (!err.what[0])
        abort(); /* an error without a sentence */
    free(text);
    return 0;
}
