/* fuzz/fuzz_template.c - hostile chat templates: what parses is rendered for a small conversation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "temp.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_template *t = NULL;
    struct sp_template_text out = { 0 };
    json_t *v = json_loads("{\"messages\": [{\"role\": \"user\", \"content\": \" a\\u00e9b \\n'\"}, {\"role\": \"assistant\", \"content\": \"<think>x</think> y\"}],"
                           "\"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"n\": 3, \"r\": 1.5, \"tools\": null}", 0, NULL);
    if (v && !sp_template_parse(&t, (const char *)data, size, &err))
        (void)sp_template_render(t, v, 1700000000, &out, &err);
    sp_template_text_clear(&out);
    sp_template_free(t);
    json_decref(v);
    return 0;
}
