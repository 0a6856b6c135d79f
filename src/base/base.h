/* base/base.h - what every room stands on: errors, memory, text, options,
 * threads, random numbers, progress, watch events, log, signals.  [door of base]
 *
 * Ownership in one sentence: whatever a _new or _take returns belongs to the
 * caller (or to the arena it was taken from); every other pointer that goes in
 * is only read during the call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BASE_H
#define SP_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- errors --------------------------------------------------------------
 * A function that can fail returns enum sp_status and takes `struct sp_err *`
 * last.  Whoever first notices writes the sentence (sp_fail), whoever knows the
 * place prepends it once (sp_where), whoever knows the way out adds it
 * (sp_remedy).  Out-parameters are untouched on failure.  Bugs are assert()s. */
#define SP_STATUS_MAP(X)                              \
    X(OK, 0, "ok")                                    \
    X(NOMEM, 1, "out of memory")                      \
    X(USAGE, 2, "wrong usage")                        \
    X(SHAPE, 3, "shapes do not fit")                  \
    X(FORMAT, 4, "malformed input")                   \
    X(IO, 5, "input or output failed")                \
    X(LIMIT, 6, "a stated limit was reached")         \
    X(UNSUPPORTED, 7, "not supported")                \
    X(DIVERGED, 8, "training diverged")               \
    X(INTERRUPTED, 9, "interrupted")                  \
    X(MISSING, 10, "not found")

enum sp_status {
#define X(name, value, text) SP_##name = value,
    SP_STATUS_MAP(X)
#undef X
};

struct sp_err {
    enum sp_status status;
    char what[512], where[256], remedy[256];
};

enum sp_status sp_fail(struct sp_err *err, enum sp_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum sp_status sp_where(struct sp_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum sp_status sp_remedy(struct sp_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *sp_status_name(enum sp_status st); /* "FORMAT"; the code in --json */
const char *sp_status_text(enum sp_status st);
/* "where: what (remedy)" in one line into buf; returns buf. */
const char *sp_err_line(const struct sp_err *err, char *buf, size_t cap);

#define TRY(call)                                     \
    do {                                              \
        enum sp_status try_st_ = (call);              \
        if (try_st_)                                  \
            return try_st_;                           \
    } while (0)

#define SP_COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- memory --------------------------------------------------------------
 * The one door to malloc.  Blocks are 64-byte aligned.  sp_mem_fail_at(n) makes
 * the n-th following allocation (from 0) return NULL, once; sp_mem_fail_from(n) that
 * one and all after it; -1 switches either off. */
void *sp_alloc(size_t bytes);                    /* uninitialised; NULL when full */
void *sp_zalloc(size_t count, size_t size);      /* zeroed, overflow-checked      */
void *sp_realloc(void *p, size_t bytes);
void sp_free(void *p);
char *sp_strdup(const char *s);
void sp_mem_trim(void);                          /* what was freed goes back to the system */
void sp_mem_fail_at(int64_t n);
void sp_mem_fail_from(int64_t n);
uint64_t sp_mem_count(void);                     /* allocations so far            */
uint64_t sp_mem_live(void);                      /* blocks not yet freed          */

/* A growing arena for one lifetime (a verb, a graph): freed as a whole. */
struct sp_arena { struct sp_arena_chunk *chunk; size_t used, total; };
void *sp_arena_take(struct sp_arena *a, size_t bytes); /* zeroed, 64-aligned if >= 64; NULL when full */
char *sp_arena_printf(struct sp_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sp_arena_clear(struct sp_arena *a);

/* A block of known size for a program: zeros, mapped, huge pages asked for.  A page is memory from its first use on; touched
 * before, by the pool's threads (NULL: this one), no step pays for that.  Goes through the same failing hook. */
struct sp_pool;
struct sp_block { unsigned char *at; size_t bytes; };
enum sp_status sp_block_new(struct sp_block *b, size_t bytes, struct sp_err *err);
void sp_block_touch(const struct sp_block *b, struct sp_pool *pool);
void sp_block_free(struct sp_block *b);

/* ---- text ----------------------------------------------------------------
 * Growing text, at most `max` bytes (0: 1 GiB).  A failed append sets .full and
 * is otherwise ignored; check once at the end. */
struct sp_text { char *at; size_t n, cap, max; bool full; };
void sp_text_add(struct sp_text *t, const char *s, size_t n);
void sp_text_printf(struct sp_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sp_text_clear(struct sp_text *t);
void sp_text_reserve(struct sp_text *t, size_t n); /* n more bytes will not allocate */
/* Edits (a letter in, out, or another) that make b of a, of their first 63 letters: for "did you mean". */
int sp_text_distance(const char *a, const char *b);

/* snprintf and vsnprintf that never depend on the locale; use them for every number. */
int sp_format(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int sp_vformat(char *buf, size_t cap, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

/* Numbers and text never depend on the locale: '.' is the decimal point.
 * Parsers take the whole string or fail (no NaN, infinity, hexadecimal).
 * Suffixes k K M G T (1000), B (as G) and Ki Mi Gi Ti.  "1.5k" and "1e6" are integers too. */
bool sp_parse_real(const char *s, double *out);
bool sp_parse_int(const char *s, int64_t *out);
/* Formatters write into buf (32 bytes suffice) and return it: "1.2 GB", "3 min 4 s", "1.5 kWh", "12.3 g". */
const char *sp_show_bytes(double bytes, char *buf, size_t cap);
const char *sp_show_time(double seconds, char *buf, size_t cap);
const char *sp_show_energy(double joules, char *buf, size_t cap);
const char *sp_show_mass(double grams, char *buf, size_t cap);
const char *sp_show_number(double v, char *buf, size_t cap);   /* 124M, 3.2k, 65 */
bool sp_utf8_valid(const char *s, size_t n);
bool sp_ends_with(const char *s, const char *end);
size_t sp_utf8_whole(const char *s, size_t n); /* longest prefix that ends on a character */

#include "option.h"
#include "pool.h"
#include "event.h"
#endif
