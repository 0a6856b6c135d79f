/* plan/check_memory.c - predicted memory against a table of measured peaks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

static enum sp_status check_memory(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    int model;
    (void)o;
    TRY(sp_csv_need(t, "model", &model, err));
    out->quantity = "peak memory of a device";
    out->unit = "GB";
    out->judgement = "fits";
    for (int i = 0; i < t->rows; i++) {
        struct sp_check_row *w = sp_check_add(out, i, sp_csv_at(t, i, model), "");
        if (!w)
            return sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
        w->skipped = "not predicted yet";
    }
    return SP_OK;
}

const struct sp_check sp_check_memory = {
    .name = "memory", .help = "peak memory of a device while training, fine-tuning or serving, in GB", .fn = check_memory,
};
