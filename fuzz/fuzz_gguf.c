/* fuzz/fuzz_gguf.c - hostile GGUF headers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "temp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_model_config c;
    char path[128];
    double bits;
    if (fuzz_file(path, sizeof path, "input.gguf", data, size))
        (void)sp_gguf_config(&c, path, &bits, &err);
    fuzz_remove(path);
    return 0;
}
