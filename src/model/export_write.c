/* model/export_write.c - a model written as a GGUF file or a Hugging Face folder, a few
 * rows at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"
#include "gguf.h"

enum { TASK_NUMBERS = 1 << 16, TASKS = 32, TURNED_ROWS = 256, NAME_BYTES_MAX = 63 };

static void tell(const struct sp_watch *w, int64_t done, int64_t total)
{
    sp_tell(w, &(struct sp_event){ .kind = SP_EVENT_STEP, .done = done, .total = total });
}

static int64_t rows_of(const struct sp_type *t)
{
    return t->n == 1 ? t->dim[0] : sp_type_rows(t);
}

static int64_t cols_of(const struct sp_type *t)
{
    return t->n <= 1 ? 1 : t->dim[t->n - 1];
}

/* ---- GGUF: header ---- */

/* general.file_type: what most of the matrices are. */
static uint32_t file_type(const struct sp_export *e)
{
    static const unsigned char number[SP_FORMATS] = { [SP_F16] = 1, [SP_Q4_0] = 2, [SP_Q4_1] = 3, [SP_Q8_0] = 7, [SP_Q5_0] = 8, [SP_Q5_1] = 9, [SP_Q2_K] = 10,
        [SP_Q3_K] = 12, [SP_Q4_K] = 15, [SP_Q5_K] = 17, [SP_Q6_K] = 18, [SP_IQ4_NL] = 25, [SP_IQ4_XS] = 30, [SP_BF16] = 32, [SP_TQ1_0] = 36, [SP_TQ2_0] = 37,
        [SP_MXFP4] = 38 };
    int64_t n[SP_FORMATS] = { 0 };
    int most = 0;
    for (int i = 0; i < e->n; i++)
        n[e->tensor[i].type.format] += sp_type_elements(&e->tensor[i].type);
    for (int f = 0; f < SP_FORMATS; f++)
        most = n[f] > n[most] ? f : most;
    return number[most];
}

static bool quantized(const struct sp_export *e)
{
    for (int i = 0; i < e->n; i++)
        if (sp_formats[e->tensor[i].type.format].block > 1)
            return true;
    return false;
}

static enum sp_status put_tensors(struct sp_text *t, const struct sp_export *e, struct sp_err *err)
{
    uint64_t at = 0;
    for (int i = 0; i < e->n; i++) {
        const struct sp_export_tensor *x = &e->tensor[i];
        const struct sp_format_row *f = &sp_formats[x->type.format];
        if (!f->gguf || strlen(x->stored_name) > NAME_BYTES_MAX)
            return sp_fail(err, SP_UNSUPPORTED, "tensor %s can't stand as %s in GGUF", x->stored_name, f->name);
        sp_gguf_put_tensor(t, x->stored_name, &x->type, &at);
    }
    return SP_OK;
}

static enum sp_status make_header(struct sp_text *t, const struct sp_export *e, const char *name, const struct sp_tokenizer *tokenizer, struct sp_err *err)
{
    struct sp_gguf_keys k = { 0 };
    sp_gguf_put_text(&k, "general.architecture", e->arch);
    sp_gguf_put_text(&k, "general.type", "model");
    if (name && *name && sp_utf8_valid(name, strlen(name)))
        sp_gguf_put_text(&k, "general.name", name);
    sp_gguf_put_word(&k, "general.file_type", file_type(e));
    if (quantized(e))
        sp_gguf_put_word(&k, "general.quantization_version", 2);
    sp_gguf_put_config(&k, &e->w->config, e->arch);
    enum sp_status st = sp_gguf_put_tokenizer(&k, &e->w->config, tokenizer, err);
    sp_gguf_put_head(t, (uint64_t)e->n, &k);
    st = st ? st : put_tensors(t, e, err);
    if (!st && t->full)
        st = sp_fail(err, SP_NOMEM, "no memory for the header");
    return st;
}

/* ---- GGUF: data ---- */

/* Encoded rows on their way to the file: those of one batch are written while the next is encoded. */
struct ready { unsigned char *at; size_t bytes; };

struct batch {
    const struct sp_export *e;
    const struct sp_export_tensor *t;
    int64_t first, rows, each;     /* rows of this batch, of a task */
    unsigned char *to;
    struct ready before;           /* what task 0 writes */
    struct sp_out *out;
    struct sp_err err[TASKS + 1];
};

static void task(void *arg, int64_t i, int thread)
{
    struct batch *b = arg;
    int64_t from = (i - 1) * b->each, n = b->rows - from < b->each ? b->rows - from : b->each;
    (void)thread;
    if (i)
        (void)sp_export_rows(b->e, b->t, b->first + from, n, b->t->type.format, b->to + sp_format_bytes(b->t->type.format, from * cols_of(&b->t->type)), &b->err[i]);
    else
        (void)sp_out_write(b->out, b->before.at, b->before.bytes, &b->err[i]);
}

static enum sp_status run_batch(struct batch *b, struct sp_pool *pool, struct sp_err *err)
{
    int64_t tasks = (b->rows + b->each - 1) / b->each + 1;
    sp_pool_run(pool, task, b, tasks);
    for (int64_t i = 0; i < tasks; i++)
        if (b->err[i].status) {
            *err = b->err[i];
            return err->status;
        }
    return SP_OK;
}

struct writing { const struct sp_export *e; struct sp_out out; struct sp_pool *pool; const struct sp_watch *watch; int64_t done, total; };

static enum sp_status write_batches(struct writing *w, struct batch *b, unsigned char *buffer[2], int64_t most, struct sp_err *err)
{
    const struct sp_export_tensor *t = b->t;
    int64_t rows = rows_of(&t->type), cols = cols_of(&t->type);
    int turn = 0;
    for (b->first = 0; b->first < rows; b->first += most, turn = !turn) {
        b->rows = rows - b->first < most ? rows - b->first : most;
        b->to = buffer[turn];
        TRY(run_batch(b, w->pool, err));
        b->before = (struct ready){ b->to, (size_t)sp_format_bytes(t->type.format, b->rows * cols) };
        w->done += b->rows * cols;
        tell(w->watch, w->done, w->total);
        if (sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s; nothing was written", t->name);
    }
    return sp_out_write(&w->out, b->before.at, b->before.bytes, err);
}

static enum sp_status write_tensor(struct writing *w, const struct sp_export_tensor *t, struct sp_err *err)
{
    int64_t rows = rows_of(&t->type), cols = cols_of(&t->type), each = cols < TASK_NUMBERS ? TASK_NUMBERS / (cols ? cols : 1) : 1;
    if (t->from && t->layout.transposed != t->from->layout.transposed)
        each = (each + TURNED_ROWS - 1) / TURNED_ROWS * TURNED_ROWS;
    if (t->type.n == 1) /* a vector in one piece: it may not divide */
        each = rows;
    int64_t most = each * TASKS < rows ? each * TASKS : rows;
    struct batch *b = sp_zalloc(1, sizeof *b);
    size_t bytes = (size_t)sp_format_bytes(t->type.format, most * cols) + 1;
    unsigned char *buffer[2] = { sp_alloc(bytes), most < rows ? sp_alloc(bytes) : NULL };
    enum sp_status st = b && buffer[0] && (most == rows || buffer[1]) ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to write tensor %s", t->name);
    if (!st) {
        *b = (struct batch){ .e = w->e, .t = t, .each = each, .out = &w->out };
        st = write_batches(w, b, buffer, most, err);
    }
    sp_free(b);
    sp_free(buffer[0]);
    sp_free(buffer[1]);
    return st;
}

/* Made whole by whoever rounds better than row by row, or else a few rows at a time. */
static enum sp_status write_any(struct writing *w, int i, struct sp_err *err)
{
    const struct sp_export *e = w->e;
    const void *whole = NULL;
    if (e->round)
        TRY(e->round(e->rounding, e, i, &whole, err));
    if (!whole)
        return write_tensor(w, &e->tensor[i], err);
    TRY(sp_out_write(&w->out, whole, (size_t)sp_type_bytes(&e->tensor[i].type), err));
    w->done += sp_type_elements(&e->tensor[i].type);
    tell(w->watch, w->done, w->total);
    return sp_signal_pending() ? sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s; nothing was written", e->tensor[i].name) : SP_OK;
}

static enum sp_status pad(struct sp_out *o, uint64_t n, struct sp_err *err)
{
    static const char zeros[SP_GGUF_ALIGN];
    return sp_out_write(o, zeros, (size_t)(sp_gguf_aligned(n) - n), err);
}

static enum sp_status write_parts(struct writing *w, const struct sp_text *header, const char *path, struct sp_err *err)
{
    TRY(sp_out_open(&w->out, path, err));
    TRY(sp_out_write(&w->out, header->at, header->n, err));
    TRY(pad(&w->out, header->n, err));
    for (int i = 0; i < w->e->n; i++) {
        TRY(write_any(w, i, err));
        TRY(pad(&w->out, (uint64_t)sp_type_bytes(&w->e->tensor[i].type), err));
    }
    return sp_out_commit(&w->out, err);
}

enum sp_status sp_export_file_bytes(const struct sp_export *e, const char *name, const struct sp_tokenizer *tokenizer, uint64_t *out, struct sp_err *err)
{
    struct sp_text header = { 0 };
    enum sp_status st = make_header(&header, e, name, tokenizer, err);
    uint64_t n = sp_gguf_aligned(header.n);
    for (int i = 0; i < e->n; i++)
        n += sp_gguf_aligned((uint64_t)sp_type_bytes(&e->tensor[i].type));
    sp_text_clear(&header);
    if (!st)
        *out = n;
    return st;
}

static enum sp_status write_gguf(struct writing *w, const char *path, const char *name, const struct sp_tokenizer *tokenizer, struct sp_err *err)
{
    struct sp_text header = { 0 };
    enum sp_status st = make_header(&header, w->e, name, tokenizer, err);
    st = st ? st : write_parts(w, &header, path, err);
    sp_text_clear(&header);
    if (st)
        sp_out_abandon(&w->out);
    return st;
}

/* ---- Hugging Face folder ---- */

struct bringing { struct writing *w; unsigned char *buffer; };

static enum sp_status bring(void *self, const char *name, const void **at, struct sp_err *err)
{
    struct bringing *b = self;
    const struct sp_export *e = b->w->e;
    for (int i = 0; i < e->n; i++)
        if (!strcmp(e->tensor[i].name, name)) {
            const struct sp_export_tensor *t = &e->tensor[i];
            TRY(sp_export_rows(e, t, 0, rows_of(&t->type), t->type.format, b->buffer, err));
            b->w->done += sp_type_elements(&t->type);
            tell(b->w->watch, b->w->done, b->w->total);
            *at = b->buffer;
            return sp_signal_pending() ? sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s", name) : SP_OK;
        }
    return sp_fail(err, SP_MISSING, "there is no tensor %s", name);
}

/* What config.json calls the model's format: that of its first matrix. */
static enum sp_format format_of(const struct sp_export *e)
{
    for (int i = 0; i < e->n; i++)
        if (e->tensor[i].matrix)
            return e->tensor[i].type.format;
    return SP_F32;
}

static enum sp_status write_folder(struct writing *w, const char *path, const struct sp_tokenizer *tokenizer, struct sp_err *err)
{
    const struct sp_export *e = w->e;
    int64_t most = 0;
    struct bringing b = { w, NULL };
    struct sp_tensor_out *t = sp_alloc(((size_t)e->n + 1) * sizeof *t);
    for (int i = 0; i < e->n; i++)
        most = sp_type_bytes(&e->tensor[i].type) > most ? sp_type_bytes(&e->tensor[i].type) : most;
    b.buffer = sp_alloc((size_t)most + 1);
    enum sp_status st = t && b.buffer ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    for (int i = 0; !st && i < e->n; i++)
        t[i] = (struct sp_tensor_out){ e->tensor[i].stored_name, e->tensor[i].type, NULL, e->tensor[i].type.format, bring, &b };
    st = st ? st : sp_model_save_tensors(path, &e->w->config, t, e->n, format_of(e), tokenizer, 0, err);
    sp_free(t);
    sp_free(b.buffer);
    return st;
}

enum sp_status sp_export_write(const struct sp_export *e, const char *path, const char *name, const struct sp_tokenizer *tokenizer, struct sp_pool *pool,
                               const struct sp_watch *watch, struct sp_err *err)
{
    struct writing w = { .e = e, .pool = pool, .watch = watch };
    for (int i = 0; i < e->n; i++)
        w.total += sp_type_elements(&e->tensor[i].type);
    return e->arch ? write_gguf(&w, path, name, tokenizer, err) : write_folder(&w, path, tokenizer, err);
}
