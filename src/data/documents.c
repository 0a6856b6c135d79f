/* data/documents.c - documents from files: which file is read how, what is left out
 * and why, exact duplicates, the hash of it all.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <stdlib.h>
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { REPORT_EVERY = 64 }; /* files between two progress events */
static const char eot[] = "<|endoftext|>";

struct reader {
    struct sp_documents *d;
    struct sp_data_options o;
    const char *file; /* being read                        */
    int64_t cap;
    uint64_t *seen; /* document index + 1, by hash       */
    size_t seen_cap;
};

uint64_t sp_data_hash(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then a finalizer: stable across machines */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

static enum sp_status nomem(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "no memory for the documents");
}

/* ---- exact duplicates ---- */
static size_t seen_slot(const struct reader *r, const char *s, size_t n, uint64_t hash)
{
    size_t i = hash & (r->seen_cap - 1);
    for (; r->seen[i]; i = (i + 1) & (r->seen_cap - 1)) {
        const struct sp_document *d = &r->d->at[r->seen[i] - 1];
        if (d->hash == hash && d->text.n == n && memcmp(d->text.at, s, n) == 0)
            break;
    }
    return i;
}

static enum sp_status seen_grow(struct reader *r, struct sp_err *err)
{
    if ((size_t)r->d->n * 2 < r->seen_cap)
        return SP_OK;
    size_t cap = r->seen_cap ? r->seen_cap * 2 : 1024;
    uint64_t *seen = sp_zalloc(cap, sizeof *seen);
    if (!seen)
        return nomem(err);
    sp_free(r->seen);
    r->seen = seen;
    r->seen_cap = cap;
    for (int64_t k = 0; k < r->d->n; k++) {
        size_t i = r->d->at[k].hash & (cap - 1);
        while (seen[i])
            i = (i + 1) & (cap - 1);
        seen[i] = (uint64_t)k + 1;
    }
    return SP_OK;
}

/* ---- one document ---- */
static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\f\v", s[i]) || !s[i])
            return false;
    return true;
}

static enum sp_status keep(struct reader *r, const char *s, size_t n, int64_t at_line, uint64_t hash,
                           struct sp_err *err)
{
    struct sp_documents *d = r->d;
    if (d->n == r->cap) {
        int64_t cap = r->cap ? r->cap * 2 : 256;
        struct sp_document *at = sp_realloc(d->at, (size_t)cap * sizeof *at);
        if (!at)
            return nomem(err);
        d->at = at;
        r->cap = cap;
    }
    char *copy = sp_arena_take(&d->mem, n + 1);
    if (!copy)
        return nomem(err);
    memcpy(copy, s, n);
    d->at[d->n++] = (struct sp_document){ { copy, n }, r->file, at_line, hash };
    d->report.used++;
    d->report.bytes_used += n;
    return SP_OK;
}

static enum sp_status offer(struct reader *r, const char *s, size_t n, int64_t at_line, struct sp_err *err)
{
    struct sp_data_report *p = &r->d->report;
    p->given++;
    if (is_blank(s, n)) {
        p->empty++;
        return SP_OK;
    }
    TRY(seen_grow(r, err));
    uint64_t hash = sp_data_hash(s, n);
    size_t slot = seen_slot(r, s, n, hash);
    if (r->seen[slot] && !r->o.keep_duplicates) {
        p->duplicate++;
        return SP_OK;
    }
    if (n > r->o.bytes_max - p->bytes_used || r->d->n == SP_DATA_DOCUMENTS_MAX) {
        p->over++;
        return SP_OK;
    }
    TRY(keep(r, s, n, at_line, hash, err));
    r->seen[slot] = (uint64_t)r->d->n;
    return SP_OK;
}

/* ---- kinds of files ---- */
typedef enum sp_status read_fn(struct reader *r, const char *s, size_t n, struct sp_err *err);

static void trim_lines(const char **s, size_t *n)
{
    for (; *n && (**s == '\n' || **s == '\r'); ++*s, --*n)
        ;
    while (*n && ((*s)[*n - 1] == '\n' || (*s)[*n - 1] == '\r'))
        --*n;
}

/* End of the document that begins at s, and where the next begins. */
static size_t text_end(const struct reader *r, const char *s, size_t n, size_t *next)
{
    const char *hit = NULL;
    size_t k = 0;
    if (r->o.split == SP_DATA_SPLIT_EOT) {
        hit = memmem(s, n, eot, sizeof eot - 1);
        k = sizeof eot - 1;
    } else if (r->o.split == SP_DATA_SPLIT_BLANK) {
        const char *crlf = memmem(s, n, "\n\r\n\r\n", 5);
        hit = memmem(s, n, "\n\n\n", 3);
        hit = crlf && (!hit || crlf < hit) ? crlf : hit;
        for (k = 0; hit && hit + k < s + n && (hit[k] == '\n' || hit[k] == '\r'); k++)
            ;
    }
    *next = hit ? (size_t)(hit - s) + k : n;
    return hit ? (size_t)(hit - s) : n;
}

static enum sp_status read_text(struct reader *r, const char *s, size_t n, struct sp_err *err)
{
    size_t next, end = text_end(r, s, n, &next);
    if (end == n) /* one document: as it is */
        return offer(r, s, n, 0, err);
    while (n) {
        const char *doc = s;
        size_t k = end;
        trim_lines(&doc, &k);
        if (next < n || k)
            TRY(offer(r, doc, k, 0, err));
        s += next;
        n -= next;
        end = text_end(r, s, n, &next);
    }
    return SP_OK;
}

static enum sp_status read_line(struct reader *r, const char *s, size_t n, int64_t at_line, struct sp_err *err)
{
    json_t *j = NULL;
    enum sp_status st = sp_json_parse(&j, s, n, "line", err);
    if (!st && !json_is_object(j))
        st = sp_fail(err, SP_FORMAT, "not a JSON object");
    const json_t *text = st ? NULL : json_object_get(j, r->o.key);
    if (!st && !json_is_string(text)) {
        sp_fail(err, SP_FORMAT, "no text under \"%.60s\"", r->o.key);
        st = sp_remedy(err, "each line must be an object with that key, or name another key");
    }
    if (!st)
        st = offer(r, json_string_value(text), json_string_length(text), at_line, err);
    json_decref(j);
    return st ? sp_where(err, "%s:%lld", r->file, (long long)at_line) : SP_OK;
}

static enum sp_status read_jsonl(struct reader *r, const char *s, size_t n, struct sp_err *err)
{
    int64_t at_line = 1;
    for (const char *end = s + n; s < end; at_line++) {
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        size_t k = (size_t)((stop ? stop : end) - s);
        if (!is_blank(s, k))
            TRY(read_line(r, s, k, at_line, err));
        s += k + 1;
    }
    return SP_OK;
}

static enum sp_status read_html(struct reader *r, const char *s, size_t n, struct sp_err *err)
{
    struct sp_text text = { .max = SP_DATA_BYTES_MAX };
    enum sp_status st = sp_data_html(s, n, &text, err);
    if (!st)
        st = offer(r, text.n ? text.at : "", text.n, 0, err);
    sp_text_clear(&text);
    return st ? sp_where(err, "%s", r->file) : SP_OK;
}

static const struct {
    const char *ending;
    read_fn *read;
} kinds[] = {
    { ".txt", read_text },     { ".text", read_text }, { ".md", read_text },  { ".jsonl", read_jsonl },
    { ".ndjson", read_jsonl }, { ".html", read_html }, { ".htm", read_html }, { ".xhtml", read_html },
};

static bool ends_with(const char *s, size_t n, const char *ending)
{
    size_t k = strlen(ending);
    return n >= k && strncasecmp(s + n - k, ending, k) == 0;
}

static read_fn *kind_of(const char *path)
{
    size_t n = strlen(path);
    if (ends_with(path, n, ".gz"))
        n -= 3;
    else if (ends_with(path, n, ".zst"))
        n -= 4;
    for (size_t i = 0; i < SP_COUNT(kinds); i++)
        if (ends_with(path, n, kinds[i].ending))
            return kinds[i].read;
    return NULL;
}

/* ---- files ---- */
static enum sp_status skip_file(struct reader *r, const char *path, const char *why, struct sp_err *err)
{
    struct sp_data_report *p = &r->d->report;
    p->files_skipped++;
    if (p->n_skipped == SP_DATA_SKIPPED_KEPT)
        return SP_OK;
    p->skipped[p->n_skipped] = sp_arena_printf(&r->d->mem, "%s: %s", path, why);
    return p->skipped[p->n_skipped++] ? SP_OK : nomem(err);
}

static enum sp_status read_one(struct reader *r, const char *path, read_fn *read, struct sp_err *err)
{
    struct sp_text file = { .max = SP_DATA_BYTES_MAX };
    r->file = sp_arena_printf(&r->d->mem, "%s", path);
    if (!r->file)
        return nomem(err);
    TRY(sp_read_file(&file, path, SP_DATA_BYTES_MAX, err));
    enum sp_status st;
    if (file.n && memchr(file.at, 0, file.n))
        st = skip_file(r, path, "has zero bytes, so it isn't text", err);
    else {
        r->d->report.files++;
        st = read(r, file.n ? file.at : "", file.n, err);
    }
    sp_text_clear(&file);
    return st;
}

static enum sp_status read_folder(struct reader *r, const char *path, const struct sp_watch *watch, struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    const char **files = NULL;
    int n = 0;
    enum sp_status st = sp_list_files(path, SP_DATA_FILES_MAX, &mem, &files, &n, err);
    for (int i = 0; i < n && !st; i++) {
        read_fn *read = kind_of(files[i]);
        st = read ? read_one(r, files[i], read, err) : skip_file(r, files[i], "of a kind that isn't read", err);
        if (!st && sp_signal_pending())
            st = sp_fail(err, SP_INTERRUPTED, "reading the data was interrupted");
        if (i % REPORT_EVERY == 0)
            sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "documents", .done = i, .total = n });
    }
    sp_arena_clear(&mem);
    return st;
}

static enum sp_status hash_all(struct sp_documents *d, struct sp_err *err)
{
    struct sp_text list = { .max = SP_DATA_BYTES_MAX };
    struct sp_hash h;
    enum sp_status st = SP_OK;
    for (int64_t i = 0; i < d->n && !st; i++) {
        st = sp_hash_bytes(&h, d->at[i].text.at, d->at[i].text.n, err);
        if (!st)
            sp_text_add(&list, h.hex, 64);
    }
    if (!st && list.full)
        st = nomem(err);
    if (!st)
        st = sp_hash_bytes(&h, list.n ? list.at : "", list.n, err);
    if (!st)
        memcpy(d->hash, h.hex, sizeof d->hash);
    sp_text_clear(&list);
    return st;
}

static enum sp_status read_all(struct reader *r, const char *path, const struct sp_watch *watch, struct sp_err *err)
{
    if (sp_is_folder(path))
        TRY(read_folder(r, path, watch, err));
    else if (sp_is_file(path))
        TRY(read_one(r, path, kind_of(path) ? kind_of(path) : read_text, err));
    else
        return sp_fail(err, SP_MISSING, "%s: no such file or folder", path);
    if (!r->d->n) {
        char buf[256];
        sp_fail(err, SP_FORMAT, "%s: no text: %s", path, sp_data_report_line(&r->d->report, buf, sizeof buf));
        return sp_remedy(err, "read are .txt .md .jsonl .html, also with .gz or .zst");
    }
    return hash_all(r->d, err);
}

enum sp_status sp_documents_read(struct sp_documents *out, const char *path, const struct sp_data_options *options,
                                 const struct sp_watch *watch, struct sp_err *err)
{
    struct sp_documents d = { 0 };
    struct reader r = { .d = &d };
    if (options)
        r.o = *options;
    r.o.key = r.o.key ? r.o.key : "text";
    if (!r.o.bytes_max || r.o.bytes_max > SP_DATA_BYTES_MAX)
        r.o.bytes_max = SP_DATA_BYTES_MAX;
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_BEGIN, .phase = "documents" });
    enum sp_status st = read_all(&r, path, watch, err);
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_END, .phase = "documents" });
    sp_free(r.seen);
    if (st)
        sp_documents_free(&d);
    else
        *out = d;
    return st;
}

void sp_documents_free(struct sp_documents *d)
{
    sp_free(d->at);
    sp_arena_clear(&d->mem);
    *d = (struct sp_documents){ 0 };
}

const char *sp_data_report_line(const struct sp_data_report *r, char *buf, size_t cap)
{
    snprintf(buf, cap,
             "used %lld of %lld documents (%lld duplicate, %lld empty, %lld over the limit) from %lld files, "
             "%lld files skipped",
             (long long)r->used, (long long)r->given, (long long)r->duplicate, (long long)r->empty, (long long)r->over,
             (long long)r->files, (long long)r->files_skipped);
    return buf;
}
