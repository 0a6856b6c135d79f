/* fuzz/fuzz_green.c - hostile tables of hours and of traces: the first byte picks which, the rest is the text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan/green.h"
#include "temp.h"

static void hours(const char *path, struct sp_err *err)
{
    const struct sp_when_ask a = { 3, 5, true };
    struct sp_hours h;
    struct sp_when_test r;
    if (sp_hours_read(&h, path, NULL, "GB", 1, err))
        return;
    if (h.n < 2000)
        (void)sp_when_evaluate(&h, &a, &r, err);
    sp_hours_clear(&h);
}

static void traces(const char *path, struct sp_err *err)
{
    struct sp_cap_gpu g;
    struct sp_cap_score each, all = { 0 };
    double x;
    if (sp_cap_read(&g, path, err))
        return;
    for (int r = 0; r < SP_CAP_RULES; r++)
        if (!sp_cap_learn((enum sp_cap_rule)r, &g, 1, -1, 0.043, &x, err))
            sp_cap_score(&all, (enum sp_cap_rule)r, x, &g);
    sp_cap_oracle(&g, 1, 0.043, &each, &all);
    sp_cap_clear(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    char path[128];
    if (!size)
        return 0;
    if (fuzz_file(path, sizeof path, "table.csv", data + 1, size - 1)) {
        if (data[0] % 2)
            hours(path, &err);
        else
            traces(path, &err);
    }
    fuzz_remove(path);
    return 0;
}
