/* fuzz/fuzz_logits.c - hostile files of log-probabilities: whatever is opened can be compared with itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "judge/judge.h"
#include "temp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_logits_file f;
    struct sp_scored s;
    struct sp_fidelity of;
    char path[128];
    if (fuzz_file(path, sizeof path, "input.kld", data, size) && !sp_logits_open(&f, path, &err)) {
        struct sp_judging j = { .windows = f.windows, .model = { NULL, &f }, .base = { NULL, &f } };
        if (!sp_judge_windows(&j, &s, &err)) {
            (void)sp_scored_summary(&s, &of, &err);
            sp_scored_clear(&s);
        }
        sp_logits_close(&f);
    }
    fuzz_remove(path);
    return 0;
}
