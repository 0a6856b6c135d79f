/* fuzz/fuzz_safetensors.c - hostile model.safetensors; what opens must also be readable.
 * SPDX-License-Identifier: Apache-2.0 */
#include "temp.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_safetensors s = { 0 };
    char path[128];
    float numbers[256];
    if (fuzz_file(path, sizeof path, "input.safetensors", data, size) && !sp_safetensors_open(&s, path, &err)) {
        for (int i = 0; i < s.n; i++)
            if (s.tensor[i].bytes <= sizeof numbers / 4)
                (void)sp_tensor_read(&s.tensor[i], SP_F32, numbers, &err);
        sp_safetensors_close(&s);
    }
    fuzz_remove(path);
    return 0;
}
