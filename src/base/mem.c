/* base/mem.c - the one door to malloc, arenas, and blocks touched once.
 *
 * A block carries its size in the 64 bytes before it, so that every allocation
 * can be counted and failed on purpose.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, CHUNK_BYTES = 64 << 10, HUGE_BYTES = 2 << 20 };

static _Atomic int64_t fail_at = -1;
static _Atomic uint64_t n_taken, n_live;

void sp_mem_fail_at(int64_t n)
{
    atomic_store(&fail_at, n);
}

uint64_t sp_mem_count(void)
{
    return atomic_load(&n_taken);
}

uint64_t sp_mem_live(void)
{
    return atomic_load(&n_live);
}

static bool fails(void)
{
    if (atomic_load_explicit(&fail_at, memory_order_relaxed) < 0)
        return false;
    return atomic_fetch_sub(&fail_at, 1) == 0;
}

void *sp_alloc(size_t bytes)
{
    unsigned char *p = NULL;
    if (bytes > SIZE_MAX / 2 || fails())
        return NULL;
    size_t whole = (bytes + 2 * ALIGN - 1) / ALIGN * ALIGN;
    p = aligned_alloc(ALIGN, whole);
    if (!p)
        return NULL;
    memcpy(p, &bytes, sizeof bytes);
    atomic_fetch_add(&n_taken, 1);
    atomic_fetch_add(&n_live, 1);
    return p + ALIGN;
}

void *sp_zalloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = sp_alloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *sp_realloc(void *p, size_t bytes)
{
    size_t was;
    void *q = sp_alloc(bytes);
    if (!p || !q)
        return q;
    memcpy(&was, (unsigned char *)p - ALIGN, sizeof was);
    memcpy(q, p, was < bytes ? was : bytes);
    sp_free(p);
    return q;
}

void sp_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub(&n_live, 1);
    free((unsigned char *)p - ALIGN);
}

char *sp_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = sp_alloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

/* ---- arenas ---- */

struct sp_arena_chunk { struct sp_arena_chunk *next; size_t bytes; };

static bool new_chunk(struct sp_arena *a, size_t bytes)
{
    size_t want = bytes + ALIGN > CHUNK_BYTES ? bytes + ALIGN : CHUNK_BYTES;
    struct sp_arena_chunk *c = sp_zalloc(1, want);
    if (!c)
        return false;
    *c = (struct sp_arena_chunk){ a->chunk, want };
    a->chunk = c;
    a->used = ALIGN;
    a->total += want;
    return true;
}

void *sp_arena_take(struct sp_arena *a, size_t bytes)
{
    size_t align = bytes >= ALIGN ? ALIGN : 16, at = (a->used + align - 1) / align * align;
    if (bytes > SIZE_MAX / 4)
        return NULL;
    if (!a->chunk || at + bytes > a->chunk->bytes) {
        if (!new_chunk(a, bytes))
            return NULL;
        at = a->used;
    }
    a->used = at + bytes;
    return (unsigned char *)a->chunk + at;
}

char *sp_arena_printf(struct sp_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : sp_arena_take(a, (size_t)n + 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

void sp_arena_clear(struct sp_arena *a)
{
    for (struct sp_arena_chunk *c = a->chunk; c;) {
        struct sp_arena_chunk *next = c->next;
        sp_free(c);
        c = next;
    }
    *a = (struct sp_arena){ 0 };
}

/* ---- blocks ---- */

enum sp_status sp_block_new(struct sp_block *b, size_t bytes, struct sp_err *err)
{
    size_t whole = (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    char size[32];
    if (!bytes)
        whole = HUGE_BYTES;
    void *p = whole < bytes || fails() ? MAP_FAILED : mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        sp_fail(err, SP_NOMEM, "no memory for a block of %s", sp_show_bytes((double)bytes, size, sizeof size));
        return sp_remedy(err, "a smaller batch, context or model needs less");
    }
    if (whole >= 2 * HUGE_BYTES)
        madvise(p, whole, MADV_HUGEPAGE);
    for (size_t at = 0; at < bytes; at += 4096)
        ((volatile unsigned char *)p)[at] = 0;
    atomic_fetch_add(&n_taken, 1);
    atomic_fetch_add(&n_live, 1);
    *b = (struct sp_block){ p, bytes };
    return SP_OK;
}

void sp_block_free(struct sp_block *b)
{
    if (b->at) {
        size_t whole = b->bytes ? (b->bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES : HUGE_BYTES;
        munmap(b->at, whole);
        atomic_fetch_sub(&n_live, 1);
    }
    *b = (struct sp_block){ 0 };
}
