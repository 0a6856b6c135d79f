/* model/tensor.c - tensors to a safetensors file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "weights.h"

enum { CHUNK = 4096, HEADER_ALIGN = 8 };

static int by_alignment_and_name(const void *x, const void *y)
{
    const struct sp_tensor_out *a = x, *b = y;
    int d = sp_formats[b->as].bytes - sp_formats[a->as].bytes;
    return d ? d : strcmp(a->name, b->name);
}

static enum sp_status check_writable(const struct sp_tensor_out *t, struct sp_err *err)
{
    if (!sp_formats[t->as].safetensors || sp_formats[t->as].block != 1)
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s can't be stored as %s in safetensors", t->name, sp_formats[t->as].name);
    if (t->type.format != t->as && (!sp_formats[t->type.format].decode || t->as == SP_I32 || t->type.format == SP_I32))
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s can't be converted from %s to %s", t->name, sp_formats[t->type.format].name,
                       sp_formats[t->as].name);
    return SP_OK;
}

/* json_t for one entry; NULL when out of memory. */
static json_t *entry(const struct sp_tensor_out *t, uint64_t *at)
{
    uint64_t end = *at + (uint64_t)sp_format_bytes(t->as, sp_type_elements(&t->type));
    json_t *shape = json_array();
    for (int i = 0; shape && i < t->type.n; i++)
        json_array_append_new(shape, json_integer(t->type.dim[i]));
    json_t *j = json_pack("{s:s, s:o, s:[I,I]}", "dtype", sp_formats[t->as].safetensors, "shape", shape, "data_offsets", (json_int_t)*at,
                          (json_int_t)end);
    *at = end;
    return j;
}

struct writing { struct sp_out out; struct sp_tensor_out *t; int n; bool sealed; struct sp_text header; };

static enum sp_status make_header(struct writing *w, struct sp_err *err)
{
    uint64_t at = 0;
    sp_json_begin();
    json_t *j = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool bad = !j;
    for (int i = 0; !bad && i < w->n; i++)
        bad = json_object_set_new(j, w->t[i].name, entry(&w->t[i], &at)) != 0;
    if (!bad && w->sealed)
        bad = json_object_set_new(j, "content/blake2b", json_pack("{s:s, s:[i], s:[I,I]}", "dtype", "U8", "shape", SP_SEAL_BYTES, "data_offsets",
                                                                  (json_int_t)at, (json_int_t)at + SP_SEAL_BYTES)) != 0;
    enum sp_status st = bad ? sp_fail(err, SP_NOMEM, "no memory for the header of %d tensors", w->n)
                            : sp_json_print(&w->header, j, JSON_COMPACT, err);
    json_decref(j);
    return st;
}

static enum sp_status write_header(struct sp_out *o, const struct sp_text *text, struct sp_err *err)
{
    size_t n = text->n, all = (n + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    unsigned char word[8];
    for (int i = 0; i < 8; i++)
        word[i] = (unsigned char)((uint64_t)all >> 8 * i);
    TRY(sp_out_write(o, word, 8, err));
    TRY(sp_out_write(o, text->at, n, err));
    return sp_out_write(o, "        ", all - n, err);
}

static enum sp_status write_tensor(struct sp_out *o, const struct sp_tensor_out *t, struct sp_err *err)
{
    _Alignas(8) unsigned char piece[CHUNK * 4];
    int64_t n = sp_type_elements(&t->type), block = sp_formats[t->type.format].block;
    const void *from = t->at;
    if (t->bring)
        TRY(t->bring(t->self, t->name, &from, err));
    if (t->as == t->type.format)
        return sp_out_write(o, from, (size_t)sp_type_bytes(&t->type), err);
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t k = n - at < CHUNK ? n - at : CHUNK;
        sp_tensor_convert(piece, t->as, (const unsigned char *)from + sp_format_bytes(t->type.format, at), t->type.format, k / block * block);
        TRY(sp_out_write(o, piece, (size_t)sp_format_bytes(t->as, k), err));
    }
    return SP_OK;
}

static enum sp_status write_all(struct writing *w, const char *path, struct sp_err *err)
{
    qsort(w->t, (size_t)w->n, sizeof *w->t, by_alignment_and_name);
    TRY(make_header(w, err));
    TRY(sp_out_open(&w->out, path, err));
    TRY(write_header(&w->out, &w->header, err));
    for (int i = 0; i < w->n; i++)
        TRY(write_tensor(&w->out, &w->t[i], err));
    if (w->sealed)
        TRY(sp_out_seal(&w->out, err));
    return sp_out_commit(&w->out, err);
}

static enum sp_status write_file(const char *path, const struct sp_tensor_out *t, int n, bool sealed, struct sp_err *err)
{
    for (int i = 0; i < n; i++)
        TRY(check_writable(&t[i], err));
    struct writing w = { .t = sp_alloc(((size_t)n + 1) * sizeof *t), .n = n, .sealed = sealed };
    if (!w.t)
        return sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    memcpy(w.t, t, (size_t)n * sizeof *t);
    enum sp_status st = write_all(&w, path, err);
    if (st)
        sp_out_abandon(&w.out);
    sp_text_clear(&w.header);
    sp_free(w.t);
    return st;
}

enum sp_status sp_safetensors_write(const char *path, const struct sp_tensor_out *t, int n, struct sp_err *err)
{
    return write_file(path, t, n, false, err);
}

enum sp_status sp_safetensors_write_sealed(const char *path, const struct sp_tensor_out *t, int n, struct sp_err *err)
{
    return write_file(path, t, n, true, err);
}
