/* fuzz/fuzz_tokbin.c - hostile tokenizer.bin of llama2.c; what loads must also encode and decode.
 * SPDX-License-Identifier: Apache-2.0 */
#include "temp.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "Hello w\xc3\xb6rld\xff <s> 12345";
    struct sp_err err = { 0 };
    struct sp_tokenizer *t = NULL;
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    char path[128];
    if (fuzz_file(path, sizeof path, "input.bin", data, size) && !sp_tokenizer_load(&t, path, &err)) {
        if (!sp_tokenizer_encode(t, text, sizeof text - 1, true, &ids, &err))
            (void)sp_tokenizer_decode(t, ids.at, ids.n, false, &back, &err);
    }
    fuzz_remove(path);
    sp_text_clear(&back);
    sp_ids_clear(&ids);
    sp_tokenizer_free(t);
    return 0;
}
