/* model/gguf_keys.c - the bytes of a GGUF header's keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"
#include "gguf.h"

void sp_gguf_add(struct sp_text *t, uint64_t v, int bytes)
{
    unsigned char b[8];
    for (int i = 0; i < bytes; i++)
        b[i] = (unsigned char)(v >> 8 * i);
    sp_text_add(t, (const char *)b, (size_t)bytes);
}

void sp_gguf_add_text(struct sp_text *t, const char *s, size_t n)
{
    sp_gguf_add(t, n, 8);
    sp_text_add(t, s, n);
}

static void begin(struct sp_gguf_keys *k, const char *key, enum sp_gguf_kind kind)
{
    sp_gguf_add_text(&k->text, key, strlen(key));
    sp_gguf_add(&k->text, kind, 4);
    k->n++;
}

void sp_gguf_put_word(struct sp_gguf_keys *k, const char *key, uint32_t v)
{
    begin(k, key, SP_GGUF_U32);
    sp_gguf_add(&k->text, v, 4);
}

void sp_gguf_put_real(struct sp_gguf_keys *k, const char *key, double v)
{
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    begin(k, key, SP_GGUF_F32);
    sp_gguf_add(&k->text, bits, 4);
}

void sp_gguf_put_bool(struct sp_gguf_keys *k, const char *key, bool v)
{
    begin(k, key, SP_GGUF_BOOL);
    sp_gguf_add(&k->text, v, 1);
}

void sp_gguf_put_text(struct sp_gguf_keys *k, const char *key, const char *v)
{
    begin(k, key, SP_GGUF_TEXT);
    sp_gguf_add_text(&k->text, v, strlen(v));
}

static void begin_list(struct sp_gguf_keys *k, const char *key, enum sp_gguf_kind kind, uint64_t n)
{
    begin(k, key, SP_GGUF_ARRAY);
    sp_gguf_add(&k->text, kind, 4);
    sp_gguf_add(&k->text, n, 8);
}

void sp_gguf_put_list(struct sp_gguf_keys *k, const char *key, enum sp_gguf_kind kind, uint64_t n, const void *at, size_t bytes)
{
    begin_list(k, key, kind, n);
    sp_text_add(&k->text, at, bytes);
}

void sp_gguf_put_texts(struct sp_gguf_keys *k, const char *key, uint64_t n, const struct sp_slice *s)
{
    begin_list(k, key, SP_GGUF_TEXT, n);
    for (uint64_t i = 0; i < n; i++)
        sp_gguf_add_text(&k->text, s[i].at, s[i].n);
}

/* ---- the header around them ---- */

void sp_gguf_put_head(struct sp_text *t, uint64_t tensors, struct sp_gguf_keys *k)
{
    sp_text_add(t, "GGUF", 4);
    sp_gguf_add(t, 3, 4);
    sp_gguf_add(t, tensors, 8);
    sp_gguf_add(t, k->n, 8);
    sp_text_add(t, k->text.at, k->text.n);
    t->full |= k->text.full;
    sp_text_clear(&k->text);
}

void sp_gguf_put_tensor(struct sp_text *t, const char *name, const struct sp_type *type, uint64_t *at)
{
    sp_gguf_add_text(t, name, strlen(name));
    sp_gguf_add(t, (uint64_t)type->n, 4);
    for (int d = type->n - 1; d >= 0; d--)
        sp_gguf_add(t, (uint64_t)type->dim[d], 8);
    sp_gguf_add(t, (uint64_t)sp_formats[type->format].gguf_type, 4);
    sp_gguf_add(t, *at, 8);
    *at = sp_gguf_aligned(*at + (uint64_t)sp_type_bytes(type));
}
