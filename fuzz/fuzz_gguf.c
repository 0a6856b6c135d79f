/* fuzz/fuzz_gguf.c - hostile GGUF files: header, configuration, tensors, vocabulary.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "temp.h"

enum { NUMBERS_MAX = 1 << 20 };

static void read_tensors(const struct sp_weights *w)
{
    struct sp_err err = { 0 };
    for (int i = 0; i < w->n; i++) {
        int64_t n = 1;
        for (int d = 0; d < w->tensor[i]->n; d++)
            if (__builtin_mul_overflow(n, w->tensor[i]->dim[d], &n))
                return;
        float *x = n >= 0 && n <= NUMBERS_MAX ? sp_alloc((size_t)n * sizeof *x + 1) : NULL;
        if (x)
            (void)sp_tensor_read(w->tensor[i], SP_F32, x, &err);
        sp_free(x);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_model_config c;
    struct sp_weights w;
    struct sp_tokenizer *t = NULL;
    char path[128];
    double bits;
    if (fuzz_file(path, sizeof path, "input.gguf", data, size)) {
        (void)sp_gguf_config(&c, path, &bits, &err);
        if (!sp_weights_open(&w, path, &err)) {
            read_tensors(&w);
            if (!sp_weights_tokenizer(&w, NULL, &t, &err))
                sp_tokenizer_free(t);
            sp_weights_close(&w);
        }
    }
    fuzz_remove(path);
    return 0;
}
