/* fuzz/fuzz_config.c - hostile config.json; what is accepted must also build.
 * SPDX-License-Identifier: Apache-2.0 */
#include "temp.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    json_t *j = NULL;
    struct sp_model_config c;
    int64_t parameters;
    if (!sp_json_parse(&j, (const char *)data, size, "config.json", &err) && !sp_model_config_parse(&c, j, &err) &&
        c.layers <= 64)
        (void)sp_model_parameters(&c, &parameters, &err);
    json_decref(j);
    return 0;
}
