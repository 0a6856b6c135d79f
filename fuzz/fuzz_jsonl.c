/* fuzz/fuzz_jsonl.c - hostile documents: .jsonl
 * SPDX-License-Identifier: Apache-2.0 */
#include "temp.h"
#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    struct sp_err err = { 0 };
    struct sp_documents docs = { 0 };
    if (fuzz_file(path, sizeof path, "input.jsonl", data, size) && !sp_documents_read(&docs, path, NULL, NULL, &err))
        sp_documents_free(&docs);
    fuzz_remove(path);
    return 0;
}
