/* text/parts.c - tokenizers from the parts that GGUF metadata hold, and back to parts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

void sp_token_parts_init(struct sp_token_parts *p)
{
    *p = (struct sp_token_parts){ .bos = -1,
                                  .eos = -1,
                                  .unk = -1,
                                  .sep = -1,
                                  .pad = -1,
                                  .mask = -1,
                                  .eot = -1,
                                  .add_bos = -1,
                                  .add_eos = -1,
                                  .add_sep = -1,
                                  .add_space_prefix = -1,
                                  .remove_extra_whitespaces = -1,
                                  .lowercase = -1,
                                  .strip_accents = -1 };
}

enum sp_status sp_tokenizer_from_parts(struct sp_tokenizer **out, const struct sp_token_parts *parts,
                                       struct sp_err *err)
{
    (void)out;
    return sp_fail(err, SP_UNSUPPORTED, "a \"%.40s\" tokenizer can't be made from its parts yet",
                   parts->model ? parts->model : "");
}

enum sp_status sp_tokenizer_to_parts(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                     struct sp_err *err)
{
    (void)t;
    (void)out;
    (void)mem;
    return sp_fail(err, SP_UNSUPPORTED, "a tokenizer can't be taken apart yet");
}
