/* fuzz/fuzz_llama2c.c - hostile llama2.c checkpoints; what opens must also be readable.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "temp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_weights w;
    char path[128];
    float numbers[4096];
    if (fuzz_file(path, sizeof path, "input.bin", data, size) && !sp_weights_open(&w, path, &err)) {
        for (int i = 0; i < w.n; i++)
            if (w.tensor[i]->bytes <= sizeof numbers)
                (void)sp_tensor_read(w.tensor[i], SP_F32, numbers, &err);
        sp_weights_close(&w);
    }
    fuzz_remove(path);
    return 0;
}
