/* model/tensor.c - the numbers of a stored tensor, converted; and tensors to a
 * safetensors file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { CHUNK = 4096, HEADER_ALIGN = 8 };

/* ---- reading ---- */

struct reading { const struct sp_tensor *t; enum sp_format from, to; unsigned char *out; };

static int64_t elements(const struct sp_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n; i++)
        n *= t->dim[i];
    return n;
}

static void convert(unsigned char *to, enum sp_format to_format, const unsigned char *from, enum sp_format from_format, int64_t n)
{
    float x[CHUNK];
    if (to_format == from_format) {
        memcpy(to, from, (size_t)sp_format_bytes(to_format, n));
        return;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t k = n - at < CHUNK ? n - at : CHUNK;
        _Alignas(8) unsigned char raw[CHUNK * 4]; /* the file may be unaligned */
        memcpy(raw, from + sp_format_bytes(from_format, at), (size_t)sp_format_bytes(from_format, k));
        sp_formats[from_format].decode(x, raw, k);
        sp_formats[to_format].encode(to + sp_format_bytes(to_format, at), x, k);
    }
}

/* Row r of the halves order stands at this row of the interleaved order. */
static int64_t interleaved_row(int64_t r, int64_t dim)
{
    int64_t head = r / dim, j = r % dim, half = dim / 2;
    return head * dim + (j < half ? 2 * j : 2 * (j - half) + 1);
}

static enum sp_status read_all(void *arg, struct sp_err *err)
{
    const struct reading *r = arg;
    const struct sp_tensor *t = r->t;
    const unsigned char *from = t->map->at + t->at;
    (void)err;
    if (!t->rope_heads) {
        convert(r->out, r->to, from, r->from, elements(t));
        return SP_OK;
    }
    int64_t rows = t->dim[0], cols = elements(t) / rows;
    for (int64_t i = 0; i < rows; i++)
        convert(r->out + sp_format_bytes(r->to, i * cols), r->to,
                from + sp_format_bytes(r->from, interleaved_row(i, rows / t->rope_heads) * cols), r->from, cols);
    return SP_OK;
}

enum sp_status sp_tensor_read(const struct sp_tensor *t, enum sp_format format, void *to, struct sp_err *err)
{
    struct reading r = { t, sp_tensor_format(t), format, to };
    if (r.from == SP_FORMATS || (r.from != format && (r.from == SP_I32 || format == SP_I32 || format == SP_BYTES)))
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s is %s, which can't be read as %s", t->name, t->dtype, sp_formats[format].name);
    if (elements(t) % sp_formats[format].block || (t->rope_heads && elements(t) / t->dim[0] % sp_formats[format].block))
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s doesn't divide into blocks of %s", t->name, sp_formats[format].name);
    return sp_map_guard(t->map, read_all, &r, err);
}

/* ---- writing ---- */

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
        convert(piece, t->as, (const unsigned char *)from + sp_format_bytes(t->type.format, at), t->type.format, k / block * block);
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
