/* base/mem.c - the one door to malloc, the arena, the touched block.
 *
 * Everything is counted, and any one allocation can be made to fail, so that the
 * tests can walk every out-of-memory path.  It does no pooling: the C library's
 * allocator is good, and steps of a program do not allocate at all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base.h"

enum {
    ALIGN = 64,
    CHUNK_MIN = 4096,    /* bytes of an arena's first chunk           */
    CHUNK_MAX = 1 << 20, /* chunks double up to this                  */
    SMALL = 16,          /* alignment of arena pieces under 64 bytes  */
    HUGE_PAGE = 2 << 20,
};

static _Atomic int64_t fail_at = -1; /* allocations to go until one fails */
static _Atomic bool fail_on;         /* and all after it                   */
static _Atomic uint64_t n_taken, n_live;

void sp_mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void sp_mem_fail_at(int64_t n)
{
    atomic_store(&fail_on, false);
    atomic_store(&fail_at, n < 0 ? -1 : n);
}

void sp_mem_fail_from(int64_t n)
{
    sp_mem_fail_at(n);
    atomic_store(&fail_on, n >= 0);
}

uint64_t sp_mem_count(void)
{
    return atomic_load(&n_taken);
}

uint64_t sp_mem_live(void)
{
    return atomic_load(&n_live);
}

/* Counts one allocation; false when it is one that must fail. */
static bool admit(void)
{
    atomic_fetch_add_explicit(&n_taken, 1, memory_order_relaxed);
    int64_t left = atomic_load_explicit(&fail_at, memory_order_relaxed);
    while (left >= 0)
        if (atomic_compare_exchange_weak(&fail_at, &left, left - 1))
            return left != 0;
    return !atomic_load_explicit(&fail_on, memory_order_relaxed);
}

static void *take(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - ALIGN)
        return NULL;
    void *p = aligned_alloc(ALIGN, (bytes + !bytes + ALIGN - 1) / ALIGN * ALIGN);
    if (p)
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    return p;
}

void *sp_alloc(size_t bytes)
{
    return admit() ? take(bytes) : NULL;
}

void *sp_zalloc(size_t count, size_t size)
{
    size_t bytes;
    if (!admit() || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = take(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

/* Not realloc(3): that would lose the alignment. */
void *sp_realloc(void *p, size_t bytes)
{
    if (!admit())
        return NULL;
    size_t old = p ? malloc_usable_size(p) : 0;
    if (p && bytes <= old && bytes > old / 2)
        return p;
    void *q = take(bytes);
    if (q && p) {
        memcpy(q, p, old < bytes ? old : bytes);
        sp_free(p);
    }
    return q;
}

void sp_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    free(p);
}

char *sp_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = sp_alloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

/* ---- arena: `used` counts inside the newest chunk, `total` over all ---- */

struct sp_arena_chunk {
    struct sp_arena_chunk *older;
    size_t bytes;
    _Alignas(ALIGN) unsigned char at[];
};

static bool arena_grow(struct sp_arena *a, size_t bytes)
{
    size_t want = a->chunk ? 2 * a->chunk->bytes : CHUNK_MIN;
    want = want > CHUNK_MAX ? CHUNK_MAX : want;
    want = want < bytes ? bytes : want;
    if (want > PTRDIFF_MAX - 4 * ALIGN)
        return false;
    struct sp_arena_chunk *c = sp_alloc(sizeof *c + want);
    if (!c)
        return false;
    *c = (struct sp_arena_chunk){ .older = a->chunk, .bytes = want };
    a->chunk = c;
    a->used = 0;
    return true;
}

void *sp_arena_take(struct sp_arena *a, size_t bytes)
{
    size_t align = bytes >= ALIGN ? ALIGN : SMALL;
    size_t from = (a->used + align - 1) / align * align;
    if (!a->chunk || from > a->chunk->bytes || bytes > a->chunk->bytes - from) {
        if (!arena_grow(a, bytes))
            return NULL;
        from = 0;
    }
    a->used = from + bytes;
    a->total += bytes;
    return memset(a->chunk->at + from, 0, bytes);
}

char *sp_arena_printf(struct sp_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = sp_vformat(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : sp_arena_take(a, (size_t)n + 1);
    if (!s)
        return NULL;
    va_start(ap, fmt);
    sp_vformat(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void sp_arena_clear(struct sp_arena *a)
{
    while (a->chunk) {
        struct sp_arena_chunk *older = a->chunk->older;
        sp_free(a->chunk);
        a->chunk = older;
    }
    *a = (struct sp_arena){ 0 };
}

/* ---- block ---- */

static size_t block_span(size_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? (size_t)HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + !bytes + unit - 1) / unit * unit;
}

/* Maps span bytes; large ones start on a huge page, what sticks out is given back. */
static unsigned char *block_map(size_t span)
{
    size_t slack = span >= HUGE_PAGE ? HUGE_PAGE : 0;
    unsigned char *p = mmap(NULL, span + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!slack)
        return p;
    size_t head = (size_t)(-(uintptr_t)p % HUGE_PAGE);
    if (head)
        munmap(p, head);
    if (slack - head)
        munmap(p + head + span, slack - head);
    madvise(p + head, span, MADV_HUGEPAGE); /* a wish: without it, only slower */
    return p + head;
}

enum sp_status sp_block_new(struct sp_block *b, size_t bytes, struct sp_err *err)
{
    char size[32];
    unsigned char *p = NULL;
    errno = ENOMEM;
    if (admit() && bytes <= PTRDIFF_MAX - 2 * (size_t)HUGE_PAGE)
        p = block_map(block_span(bytes));
    if (!p) {
        sp_fail(err, SP_NOMEM, "%s of memory wanted, the system refused: %s",
                sp_show_bytes((double)bytes, size, sizeof size), strerror(errno));
        return sp_remedy(err, "use a smaller batch, context or model");
    }
    atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    *b = (struct sp_block){ .at = p, .bytes = bytes };
    return SP_OK;
}

static void touch(void *block, int64_t task, int thread)
{
    const struct sp_block *b = block;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = ((size_t)task + 1) * HUGE_PAGE;
    (void)thread;
    for (size_t i = (size_t)task * HUGE_PAGE; i < end && i < b->bytes; i += page)
        ((volatile unsigned char *)b->at)[i] = 0;
}

void sp_block_touch(const struct sp_block *b, struct sp_pool *pool)
{
    struct sp_block all = *b;
    sp_pool_run(pool, touch, &all, (int64_t)((b->bytes + HUGE_PAGE - 1) / HUGE_PAGE));
}

void sp_block_free(struct sp_block *b)
{
    if (!b->at)
        return;
    munmap(b->at, block_span(b->bytes));
    atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    *b = (struct sp_block){ 0 };
}
