/* fuzz/fuzz_peaks.c - hostile tables of measured memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "plan/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_HERE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[SIZE_MAX_HERE + 1];
    struct sp_err err = { 0 };
    struct sp_csv t;
    struct sp_check_options o = { SP_CHECK_LEFT_OUT };
    struct sp_check_result r = { 0 };
    size = size < SIZE_MAX_HERE ? size : SIZE_MAX_HERE;
    memcpy(text, data, size);
    text[size] = 0;
    if (sp_csv_parse(&t, text, "table", &err))
        return 0;
    (void)sp_check_memory.fn(&t, &o, &r, &err);
    sp_check_clear(&r);
    sp_csv_clear(&t);
    return 0;
}
