/* fuzz/fuzz_checkpoint.c - hostile checkpoint.safetensors of a tiny model: the input is all but its seal, which is put
 * right here, for no fuzzer guesses a hash.  Whatever is read, the state keeps its bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "file/file.h"
#include "learn/learn.h"
#include "temp.h"

static struct sp_job job;
static struct sp_live live;
static struct sp_pool *pool;

static bool ready(struct sp_err *err)
{
    static const struct sp_train_shape shape = { .batch = 1, .tokens = 4, .score_batch = -1, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
    struct sp_model_config c = { .family = SP_FAMILY_LLAMA, .vocab = 8, .context = 4, .layers = 1, .width = 4, .heads = 1, .ffn = 4, .tied = true,
                                 .bos = -1, .activation = SP_SILU };
    struct sp_machine m;
    if (live.job)
        return true;
    sp_machine_portable(&m);
    return !sp_pool_new(&pool, 1, err) && !sp_model_config_finish(&c, err) && !sp_step_train(&c, &shape, &m, NULL, NULL, &job, err) &&
           !sp_live_new(&live, &job, pool, false, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_hash seal;
    struct sp_text file = { 0 };
    char path[128];
    int64_t step;
    double seconds;
    if (!ready(&err) || sp_hash_bytes(&seal, data, size, &err))
        abort();
    sp_text_add(&file, (const char *)data, size);
    sp_text_add(&file, seal.hex, SP_SEAL_BYTES);
    if (fuzz_file(path, sizeof path, "checkpoint.safetensors", file.at, file.n)) {
        char *slash = strrchr(path, '/');
        *slash = 0;
        (void)sp_checkpoint_load(path, &live, NULL, &step, &seconds, &err);
        *slash = '/';
    }
    fuzz_remove(path);
    sp_text_clear(&file);
    return 0;
}
