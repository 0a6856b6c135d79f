/* fuzz/fuzz_tokenizer_parts.c - hostile parts of a vocabulary, as a GGUF file may hold them: the first byte picks the
 * model, the second the pre-tokenizer, then come tokens (length, type, score, bytes) and merges; what is made
 * must also encode, decode and come apart.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "temp.h"
#include "text/text.h"

enum { TOKENS = 512 };

static size_t take(const uint8_t **data, size_t *size, size_t n)
{
    n = n < *size ? n : *size;
    *data += n;
    *size -= n;
    return n;
}

static void use(struct sp_tokenizer *t)
{
    static const char text[] = "Hello w\xc3\xb6rld\xff ab  <s> 12345 aaaa";
    struct sp_err err = { 0 };
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    struct sp_arena mem = { 0 };
    struct sp_token_parts parts;
    if (!sp_tokenizer_encode(t, text, sizeof text - 1, true, &ids, &err))
        (void)sp_tokenizer_decode(t, ids.at, ids.n, false, &back, &err);
    (void)sp_tokenizer_to_parts(t, &parts, &mem, &err);
    sp_arena_clear(&mem);
    sp_text_clear(&back);
    sp_ids_clear(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = { "llama", "gpt2", "gemma4", "bert", "t5" }, *const pres[] = {
        "gpt-2", "llama-bpe", "deepseek-llm", "superbpe"
    };
    static struct sp_slice token[TOKENS];
    static float score[TOKENS];
    static int32_t type[TOKENS];
    struct sp_token_parts p;
    struct sp_tokenizer *t = NULL;
    struct sp_err err = { 0 };
    sp_token_parts_init(&p);
    if (size < 3)
        return 0;
    p.model = models[data[0] % SP_COUNT(models)];
    p.pre = pres[data[1] % SP_COUNT(pres)];
    int32_t n = 0, merges = data[2];
    for (data += 3, size -= 3; size > 3 && n < TOKENS; n++) {
        uint8_t head[3] = { data[0], data[1], data[2] };
        take(&data, &size, 3);
        const char *at = (const char *)data;
        token[n] = (struct sp_slice){ at, take(&data, &size, head[0] % 16) };
        type[n] = head[1] % 8;
        score[n] = -(float)head[2];
    }
    merges = merges < n ? merges : n; /* the last tokens are merges */
    p.n_tokens = n - merges;
    p.token = token;
    p.score = score;
    p.type = type;
    p.merge = token + p.n_tokens;
    p.n_merges = merges;
    p.bos = 1;
    p.eos = p.sep = 2;
    p.unk = 0;
    if (!sp_tokenizer_from_parts(&t, &p, &err))
        use(t);
    sp_tokenizer_free(t);
    return 0;
}
