/* judge/logits.c - llama.cpp's file of log-probabilities, read and written: both
 * programs can score what the other's model said.
 *
 * The arithmetic of a row is that of its writer (tools/perplexity, f32 throughout),
 * so that the codes are the same for the same logits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>
#include <string.h>

enum { MAGIC_BYTES = 8, HEADER_BYTES = 20, ROW_HEAD_BYTES = 8, VOCAB_MOST = 1 << 24 };
static const char magic[MAGIC_BYTES + 1] = "_logits_";
static const float RANGE = 16, CODES = 65535; /* nats below the most likely token; codes in them */

int64_t sp_logits_row_bytes(int64_t vocab)
{
    return ROW_HEAD_BYTES + 2 * (vocab + vocab % 2);
}

/* ---- reading ---- */

static enum sp_status check_header(const struct sp_map *m, int32_t head[3], struct sp_err *err)
{
    unsigned char first[HEADER_BYTES];
    if (m->bytes < sizeof first)
        return sp_fail(err, SP_FORMAT, "a file of log-probabilities begins with %d bytes of header, this one has %zu", HEADER_BYTES, m->bytes);
    TRY(sp_map_copy(m, 0, sizeof first, first, err));
    if (memcmp(first, magic, MAGIC_BYTES)) {
        sp_fail(err, SP_FORMAT, "no file of log-probabilities: it doesn't begin with \"%s\"", magic);
        return sp_remedy(err, "write one with --save-logits, or llama-perplexity --kl-divergence-base");
    }
    memcpy(head, first + MAGIC_BYTES, 12);
    if (head[0] < SP_WINDOW_LEAST || head[0] > SP_WINDOW_MOST)
        return sp_fail(err, SP_FORMAT, "windows of %d tokens; %d to %d make sense", (int)head[0], SP_WINDOW_LEAST, SP_WINDOW_MOST);
    if (head[1] < 1 || head[1] > VOCAB_MOST)
        return sp_fail(err, SP_FORMAT, "a vocabulary of %d tokens; 1 to %d make sense", (int)head[1], VOCAB_MOST);
    return head[2] < 1 ? sp_fail(err, SP_FORMAT, "%d windows are too few", (int)head[2]) : SP_OK;
}

/* None of the factors is above 2^31, and the first two products below 2^52: u64 holds them; the third is checked by division. */
static enum sp_status check_size(const struct sp_map *m, const int32_t head[3], struct sp_err *err)
{
    uint64_t window = (uint64_t)sp_windows_scored(head[0]) * (uint64_t)sp_logits_row_bytes(head[1]), one = window + 4 * (uint64_t)head[0];
    uint64_t rest = m->bytes - HEADER_BYTES;
    if (rest / one != (uint64_t)head[2] || rest % one) {
        sp_fail(err, SP_FORMAT, "%d windows of %d tokens over a vocabulary of %d take %llu bytes each behind the header, the file has %llu in all", (int)head[2],
                (int)head[0], (int)head[1], (unsigned long long)one, (unsigned long long)rest);
        return sp_remedy(err, "it was cut off, or written by a run that was stopped: write it again");
    }
    return SP_OK;
}

static enum sp_status read_tokens(struct sp_logits_file *f, struct sp_err *err)
{
    int64_t n = f->windows.n * f->windows.context;
    int32_t *ids = sp_alloc((size_t)n * sizeof *ids);
    if (!ids)
        return sp_fail(err, SP_NOMEM, "no memory for %lld tokens", (long long)n);
    f->windows.ids = ids;
    TRY(sp_map_copy(&f->map, HEADER_BYTES, (size_t)n * sizeof *ids, ids, err));
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= f->vocab)
            return sp_fail(err, SP_FORMAT, "token %lld is %d, outside the vocabulary of %lld", (long long)i, (int)ids[i], (long long)f->vocab);
    return SP_OK;
}

static enum sp_status read_head(struct sp_logits_file *f, struct sp_err *err)
{
    int32_t head[3] = { 0 };
    TRY(check_header(&f->map, head, err));
    TRY(check_size(&f->map, head, err));
    f->vocab = head[1];
    f->windows = (struct sp_windows){ .n = head[2], .context = head[0], .bos = -1 };
    return read_tokens(f, err);
}

bool sp_logits_is(const char *path)
{
    struct sp_map m;
    struct sp_err ignored;
    char first[MAGIC_BYTES];
    if (!sp_is_file(path) || sp_map_open(&m, path, &ignored))
        return false;
    bool is = m.bytes >= sizeof first && !sp_map_copy(&m, 0, sizeof first, first, &ignored) && !memcmp(first, magic, sizeof first);
    sp_map_close(&m);
    return is;
}

enum sp_status sp_logits_open(struct sp_logits_file *f, const char *path, struct sp_err *err)
{
    struct sp_logits_file file = { 0 };
    TRY(sp_map_open(&file.map, path, err));
    enum sp_status st = read_head(&file, err);
    if (st) {
        sp_logits_close(&file);
        return sp_where(err, "%s", path);
    }
    *f = file;
    return SP_OK;
}

void sp_logits_close(struct sp_logits_file *f)
{
    sp_free((void *)(uintptr_t)f->windows.ids);
    sp_map_close(&f->map);
    *f = (struct sp_logits_file){ 0 };
}

enum sp_status sp_logits_window(const struct sp_logits_file *f, int64_t w, unsigned char *rows, struct sp_err *err)
{
    size_t window = (size_t)(sp_windows_scored(f->windows.context) * sp_logits_row_bytes(f->vocab));
    size_t tokens = (size_t)(f->windows.n * f->windows.context) * sizeof *f->windows.ids;
    return sp_map_copy(&f->map, HEADER_BYTES + tokens + (size_t)w * window, window, rows, err);
}

/* What was clipped counts too much, at most 2e-7 a token. */
bool sp_logits_decode(const unsigned char *row, int64_t vocab, float *logp)
{
    float head[2];
    double all = 0;
    memcpy(head, row, sizeof head);
    if (!(head[0] >= 0 && isfinite(head[0]) && isfinite(head[1])))
        return false;
    row += sizeof head;
    for (int64_t i = 0; i < vocab; i++) {
        uint16_t code;
        memcpy(&code, row + 2 * i, sizeof code);
        logp[i] = head[0] * (float)code + head[1];
        all += logp[i] > -RANGE ? (double)expf(logp[i]) : 0;
    }
    return all > 0.9 && all < 1.1;
}

/* ---- writing ---- */

void sp_logits_encode(const float *logits, int64_t vocab, unsigned char *row)
{
    float most = logits[0], least = logits[0];
    double sum = 0;
    for (int64_t i = 1; i < vocab; i++) {
        most = logits[i] > most ? logits[i] : most;
        least = logits[i] < least ? logits[i] : least;
    }
    least = least > most - RANGE ? least : most - RANGE;
    for (int64_t i = 0; i < vocab; i++)
        sum += (double)expf(logits[i] - most);
    float head[2] = { (most - least) / CODES, least - most - (float)log(sum) };
    float codes_a_nat = head[0] > 0 ? 1 / head[0] : 0;
    memcpy(row, head, sizeof head);
    row += sizeof head;
    for (int64_t i = 0; i < vocab; i++) {
        uint16_t code = logits[i] > least ? (uint16_t)lrintf(codes_a_nat * (logits[i] - least)) : 0;
        memcpy(row + 2 * i, &code, sizeof code);
    }
    if (vocab % 2)
        memset(row + 2 * vocab, 0, 2);
}

enum sp_status sp_logits_create(struct sp_out *o, const char *path, const struct sp_windows *w, int64_t vocab, struct sp_err *err)
{
    int32_t head[3] = { (int32_t)w->context, (int32_t)vocab, (int32_t)w->n };
    if (w->n < 1 || w->n > INT32_MAX || w->context < SP_WINDOW_LEAST || w->context > SP_WINDOW_MOST || vocab > VOCAB_MOST)
        return sp_fail(err, SP_LIMIT, "%lld windows of %lld tokens over a vocabulary of %lld do not fit a file of log-probabilities", (long long)w->n,
                       (long long)w->context, (long long)vocab);
    TRY(sp_out_open(o, path, err));
    TRY(sp_out_write(o, magic, MAGIC_BYTES, err));
    TRY(sp_out_write(o, head, sizeof head, err));
    return sp_out_write(o, w->ids, (size_t)(w->n * w->context) * sizeof *w->ids, err);
}
