/* cli/book.c - measuring a run of this process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "book.h"

#include <sys/resource.h>

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_stime.tv_sec + 1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double peak_bytes(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return 1024.0 * (double)r.ru_maxrss;
}

enum sp_status book_begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, struct sp_err *err)
{
    (void)err;
    json_decref(recipe);
    *b = (struct book){ .call = call, .machine = m, .began = sp_now(), .cpu_began = cpu_seconds() };
    return SP_OK;
}

enum sp_status book_end(struct book *b, const struct sp_cost *predicted, json_t *quality, const struct sp_err *failed, struct sp_err *err)
{
    (void)predicted;
    (void)failed;
    (void)err;
    json_decref(quality);
    b->measured = (struct sp_cost){ .time_s = sp_exact(sp_now() - b->began, SP_HOW_COUNTER),
                                    .cpu_s = sp_exact(cpu_seconds() - b->cpu_began, SP_HOW_COUNTER),
                                    .memory_peak = sp_exact(peak_bytes(), SP_HOW_COUNTER) };
    sp_cost_price(&b->measured, b->machine);
    return SP_OK;
}
