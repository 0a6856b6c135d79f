/* fuzz/fuzz_yaml.c - hostile recipe files.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "temp.h"
#include "file/file.h"

static enum sp_status take(void *self, const char *key, const char *value, struct sp_err *err)
{
    *(size_t *)self += strlen(key) + strlen(value);
    (void)err;
    return SP_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    struct sp_err err = { 0 };
    size_t seen = 0;
    if (fuzz_file(path, sizeof path, "input.yaml", data, size))
        (void)sp_yaml_read(path, take, &seen, &err);
    fuzz_remove(path);
    return 0;
}
