/* kernel/gemm_bits_tile_body.h - many rows of a by weights in blocks: tiles of 4 rows by 16 columns, for gemm_bits_body.h.
 *
 * Rows are quantized and laid four side by side, all of them in a phase before where there is memory for that, else by
 * each task; sixteen columns at a time are unpacked to a panel, DEEP runs of k at a time so that it stays in the first
 * cache while all rows pass by.  Of each tile eight sums live in
 * registers, so that six loads feed eight products.  Codes of few bits are summed in 16 bits for as long as they cannot
 * overflow.  Bytes with a sign are multiplied as 16 bits, which takes no more instructions than moving signs, and lets
 * rows of a be 16 bits as well.
 * SPDX-License-Identifier: Apache-2.0 */

enum { K_MAX = 1 << 17, BYTES_MAX = SP_SCRATCH_MAX - (64 << 10), TASKS = 16, TASKS_A_THREAD = 3, FINE = 8 /* of those where rows wait */ };
enum { TALL = 4 /* rows a tile */, WIDE = 16 /* columns a panel */, DEEP = 16 /* runs */, LEAST = 64, HIGHEST = 512 /* rows a task that is cut down */,
       TOGETHER = 8 /* tiles quantized by a task */ };

/* A run of four rows: four k (two of 16 bits) of each row side by side, scales, scale times the sum of each half (of
 * both, where halves share a scale). */
struct a_bytes { int8_t q[8][TALL][4]; float d[TALL], sum[2][TALL]; };
struct a_words { int16_t q[16][TALL][2]; float d[TALL]; };
_Static_assert(sizeof(struct a_bytes) <= SP_GEMM_WORK(TALL, R) && sizeof(struct a_words) <= SP_GEMM_WORK(TALL, R), "rows made ready have room");
/* The same of sixteen columns; value: code d - m, in halves. */
struct b_bytes { uint8_t q[8][WIDE][4]; float d[2][WIDE], m[2][WIDE]; };
struct b_words { int16_t q[16][WIDE][2]; float d[WIDE]; };

/* Whether products are of 16 bits. */
ALWAYS bool in_words(int format)
{
#ifdef SP_BITS_DOT
    (void)format;
    return false;
#else
    return shape_of(format).quads == 1;
#endif
}

static void finish(const struct sp_gemm_args *g, int64_t i, int64_t j, float v)
{
    v += g->bias ? g->bias[j] : 0;
    v += g->acc ? g->acc[i * g->ldc + j] : 0;
    sp_store(g->c, i * g->ldc + j, g->c_format, v);
}

/* ---- rows of a ---- */

/* Codes of 16 bits, the largest of 32 as 258 times 127; of four k in the order 0 2 1 3, as panels hold them. */
static void to_words(int16_t *q, float *d, const float *x, int64_t runs)
{
    enum { MOST = 258 * 127 };
    for (int64_t i = 0; i < runs; i++, x += R, q += R) {
        float top = largest(x), step = top > 1e-30f ? MOST / top : 0;
        __m256i w[4];
        for (int j = 0; j < 4; j++)
            w[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * j), _mm256_set1_ps(step)));
        for (int j = 0; j < 2; j++) {
            __m256i v = _mm256_permute4x64_epi64(_mm256_packs_epi32(w[2 * j], w[2 * j + 1]), 0xD8);
            v = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(v, 0xD8), 0xD8);
            _mm256_storeu_si256((__m256i *)(void *)(q + 16 * j), v);
        }
        d[i] = top / MOST;
    }
}

/* Four lines, `apart` bytes from one another, of n times 16 bytes: words of 4 bytes side by side. */
ALWAYS void lay(void *to, const void *from, int64_t apart, const int n)
{
    for (int i = 0; i < n; i++) {
        __m128i r[TALL];
        for (int j = 0; j < TALL; j++)
            r[j] = _mm_loadu_si128((const __m128i *)(const void *)((const char *)from + j * apart + 16 * i));
        __m128i a = _mm_unpacklo_epi32(r[0], r[1]), b = _mm_unpackhi_epi32(r[0], r[1]);
        __m128i c = _mm_unpacklo_epi32(r[2], r[3]), d = _mm_unpackhi_epi32(r[2], r[3]);
        __m128i *out = (__m128i *)to + 4 * i;
        _mm_storeu_si128(out, _mm_unpacklo_epi64(a, c));
        _mm_storeu_si128(out + 1, _mm_unpackhi_epi64(a, c));
        _mm_storeu_si128(out + 2, _mm_unpacklo_epi64(b, d));
        _mm_storeu_si128(out + 3, _mm_unpackhi_epi64(b, d));
    }
}

/* CHUNK runs at most of four rows before they are laid. */
struct lines { int16_t q[TALL][CHUNK * R]; float d[TALL][CHUNK], sum[TALL][CHUNK], first[TALL][CHUNK]; };

static void lay_bytes(struct a_bytes *to, const struct lines *l, int64_t runs, int halves)
{
    for (int64_t r = 0; r < runs; r++, to++) {
        lay(to->q, (const int8_t *)l->q[0] + r * R, sizeof l->q[0], 2);
        for (int i = 0; i < TALL; i++) {
            to->d[i] = l->d[i][r];
            to->sum[0][i] = halves > 1 ? l->first[i][r] : l->sum[i][r];
            to->sum[1][i] = l->sum[i][r] - l->first[i][r];
        }
    }
}

static void lay_words(struct a_words *to, const struct lines *l, int64_t runs)
{
    for (int64_t r = 0; r < runs; r++, to++) {
        lay(to->q, l->q[0] + r * R, sizeof l->q[0], 4);
        for (int i = 0; i < TALL; i++)
            to->d[i] = l->d[i][r];
    }
}

/* Runs first.. of row i of a; beyond the last row, that again. */
static void take_line(const struct sp_gemm_args *g, struct lines *l, int line, int64_t i, int64_t first, int64_t runs)
{
    float plain[CHUNK * R];
    int64_t at = (i < g->m ? i : g->m - 1) * g->lda + first * R;
    const float *x = (const float *)g->a + at;
    if (g->a_format != SP_F32) {
        sp_load_many(plain, g->a, at, runs * R, g->a_format);
        x = plain;
    }
    if (in_words(g->b_format))
        to_words(l->q[line], l->d[line], x, runs);
    else
        to_bytes((int8_t *)l->q[line], l->d[line], l->sum[line], l->first[line], x, runs);
}

static int64_t a_bytes_of(int format)
{
    return in_words(format) ? sizeof(struct a_words) : sizeof(struct a_bytes);
}

/* Tiles of rows, the first of them row i0: at[piece of k][of `all` tiles][run]. */
struct tiles { char *at; int64_t i0, all; };

static char *tile_at(const struct sp_gemm_args *g, const struct tiles *a, int64_t t, int64_t run)
{
    int64_t runs = g->k / R, piece = run / DEEP * DEEP, deep = runs - piece < DEEP ? runs - piece : DEEP;
    return a->at + (piece * a->all + t * deep + run - piece) * a_bytes_of(g->b_format);
}

static void take_tiles(const struct sp_gemm_args *g, const struct tiles *a, int64_t from, int64_t end)
{
    const int64_t runs = g->k / R;
    const int halves = shape_of(g->b_format).halves;
    struct lines l;
    for (int64_t t = from; t < end; t++)
        for (int64_t first = 0; first < runs; first += CHUNK) {
            int64_t n = runs - first < CHUNK ? runs - first : CHUNK;
            char *at = tile_at(g, a, t, first);
            for (int i = 0; i < TALL; i++)
                take_line(g, &l, i, a->i0 + t * TALL + i, first, n);
            if (in_words(g->b_format))
                lay_words((struct a_words *)(void *)at, &l, n);
            else
                lay_bytes((struct a_bytes *)(void *)at, &l, n, halves);
        }
}

/* ---- columns of b ---- */

/* to[s] = word s of each of eight. */
ALWAYS void turn(__m256i to[8], const __m256i r[8])
{
    __m256i u[8], v[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        u[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4)
        UNROLL
        for (int j = 0; j < 2; j++) {
            v[i + 2 * j] = _mm256_unpacklo_epi64(u[i + j], u[i + j + 2]);
            v[i + 2 * j + 1] = _mm256_unpackhi_epi64(u[i + j], u[i + j + 2]);
        }
    UNROLL
    for (int i = 0; i < 4; i++) {
        to[i] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
        to[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
    }
}

/* Run r of eight unpacked columns. */
ALWAYS void fill_eight(void *panel, const struct unpacked *u, int64_t r, const bool words)
{
    __m256i column[8], word[8];
    for (int c = 0; c < 8; c++)
        column[c] = u[c].code[r];
    turn(word, column);
    for (int s = 0; s < 8; s++)
        if (words) { /* of four k 0 and 2, then 1 and 3 */
            __m256i *to = (__m256i *)panel + 4 * s;
            _mm256_storeu_si256(to, _mm256_srai_epi16(_mm256_slli_epi16(word[s], 8), 8));
            _mm256_storeu_si256(to + 2, _mm256_srai_epi16(word[s], 8));
        } else {
            _mm256_storeu_si256((__m256i *)panel + 2 * s, word[s]);
        }
}

static void fill_bytes(struct b_bytes *to, const struct unpacked *u, int64_t runs)
{
    for (int64_t r = 0; r < runs; r++, to++) {
        fill_eight(to->q, u, r, false);
        fill_eight(to->q[0][8], u + 8, r, false);
        for (int c = 0; c < WIDE; c++)
            for (int h = 0; h < 2; h++) {
                to->d[h][c] = u[c].d[h][r];
                to->m[h][c] = u[c].m[h][r];
            }
    }
}

static void fill_words(struct b_words *to, const struct unpacked *u, int64_t runs)
{
    for (int64_t r = 0; r < runs; r++, to++) {
        fill_eight(to->q, u, r, true);
        fill_eight(to->q[0][8], u + 8, r, true);
        for (int c = 0; c < WIDE; c++)
            to->d[c] = u[c].d[0][r];
    }
}

/* Runs first.. of columns j..; beyond the last column, that again. */
static void fill_panel(const struct sp_gemm_args *g, void *panel, int64_t j, int64_t first, int64_t runs)
{
    struct unpacked u[WIDE];
    for (int64_t r = 0; r < runs; r += CHUNK) {
        int64_t n = runs - r < CHUNK ? runs - r : CHUNK;
        for (int c = 0; c < WIDE; c++)
            unpack(&u[c], g->b, (j + c < g->n ? j + c : g->n - 1) * (g->ldb / R) + first + r, n, g->b_format);
        if (in_words(g->b_format))
            fill_words((struct b_words *)panel + r, u, n);
        else
            fill_bytes((struct b_bytes *)panel + r, u, n);
    }
}

/* ---- products ---- */

/* Registers are for whole numbers: else compilers keep sums of a tile in them and send others to the stack. */
#define SUMS_IN_MEMORY() __asm__ volatile("" : : : "memory")

ALWAYS __m256i four_bytes(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

/* Sums of products of four k from word s on, `quads` of them; `more`: beside what stands in part. */
ALWAYS void quads_of(__m256i part[TALL][2], const struct b_bytes *b, const struct a_bytes *a, const int s, const int quads, const bool more)
{
    __m256i sum[TALL][2];
    UNROLL
    for (int t = 0; t < quads; t++) {
        const __m256i w0 = load32(b->q[s + t][0]), w1 = load32(b->q[s + t][8]);
        UNROLL
        for (int r = 0; r < TALL; r++) {
            const __m256i x = four_bytes(a->q[s + t][r]);
#ifdef SP_BITS_DOT
            sum[r][0] = SP_BITS_DOT(t ? sum[r][0] : more ? part[r][0] : _mm256_setzero_si256(), w0, x);
            sum[r][1] = SP_BITS_DOT(t ? sum[r][1] : more ? part[r][1] : _mm256_setzero_si256(), w1, x);
#else
            const __m256i v0 = _mm256_maddubs_epi16(w0, x), v1 = _mm256_maddubs_epi16(w1, x);
            sum[r][0] = t ? _mm256_add_epi16(sum[r][0], v0) : v0;
            sum[r][1] = t ? _mm256_add_epi16(sum[r][1], v1) : v1;
#endif
            KEEP(sum[r][0]);
            KEEP(sum[r][1]);
        }
    }
    UNROLL
    for (int r = 0; r < TALL; r++)
        for (int c = 0; c < 2; c++) {
#ifdef SP_BITS_DOT
            part[r][c] = sum[r][c];
#else
            const __m256i v = _mm256_madd_epi16(sum[r][c], _mm256_set1_epi16(1));
            part[r][c] = more ? _mm256_add_epi32(part[r][c], v) : v;
#endif
        }
    (void)more;
}

ALWAYS void tile_bytes(float *sum, const struct b_bytes *b, const struct a_bytes *a, int64_t runs, const int quads, const int halves)
{
    const int words = 8 / halves;
    for (int64_t run = 0; run < runs; run++, b++, a++)
        UNROLL
        for (int h = 0; h < halves; h++) {
            __m256i part[TALL][2];
            SUMS_IN_MEMORY();
            UNROLL
            for (int s = 0; s < words; s += quads)
                quads_of(part, b, a, h * words + s, quads < words ? quads : words, s > 0);
            UNROLL
            for (int r = 0; r < TALL; r++) {
                const __m256 d = _mm256_broadcast_ss(&a->d[r]), rest = _mm256_broadcast_ss(&a->sum[h][r]);
                UNROLL
                for (int c = 0; c < 2; c++) {
                    float *to = sum + r * WIDE + 8 * c;
                    __m256 v = _mm256_fnmadd_ps(_mm256_loadu_ps(b->m[h] + 8 * c), rest, _mm256_loadu_ps(to));
                    v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(part[r][c]), _mm256_mul_ps(_mm256_loadu_ps(b->d[h] + 8 * c), d), v);
                    _mm256_storeu_ps(to, v);
                }
            }
        }
}

#ifndef SP_BITS_DOT
static void tile_words(float *sum, const void *panel, const void *rows, int64_t runs)
{
    const struct b_words *b = panel;
    const struct a_words *a = rows;
    for (int64_t run = 0; run < runs; run++, b++, a++) {
        __m256i part[TALL][2];
        SUMS_IN_MEMORY();
        UNROLL
        for (int r = 0; r < TALL; r++)
            part[r][0] = part[r][1] = _mm256_setzero_si256();
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 16
#endif
        for (int t = 0; t < 16; t++) {
            const __m256i w0 = load32((const uint8_t *)b->q[t][0]), w1 = load32((const uint8_t *)b->q[t][8]);
            UNROLL
            for (int r = 0; r < TALL; r++) {
                const __m256i x = four_bytes(a->q[t][r]);
                part[r][0] = _mm256_add_epi32(part[r][0], _mm256_madd_epi16(w0, x));
                part[r][1] = _mm256_add_epi32(part[r][1], _mm256_madd_epi16(w1, x));
                KEEP(part[r][0]);
                KEEP(part[r][1]);
            }
        }
        UNROLL
        for (int r = 0; r < TALL; r++)
            for (int c = 0; c < 2; c++) {
                float *to = sum + r * WIDE + 8 * c;
                const __m256 d = _mm256_mul_ps(_mm256_loadu_ps(b->d + 8 * c), _mm256_broadcast_ss(&a->d[r]));
                _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(part[r][c]), d, _mm256_loadu_ps(to)));
            }
    }
}
#endif

/* sum[TALL][WIDE] += the products of some runs. */
typedef void tile_fn(float *sum, const void *panel, const void *rows, int64_t runs);

#define TILE(name, quads, halves)                                                       \
    static void name(float *sum, const void *panel, const void *rows, int64_t runs)     \
    {                                                                                   \
        tile_bytes(sum, panel, rows, runs, quads, halves);                              \
    }
TILE(tile_8, 8, 1)
TILE(tile_8_halves, 8, 2)
#ifndef SP_BITS_DOT
TILE(tile_4, 4, 1)
TILE(tile_2_halves, 2, 2)
#endif

static tile_fn *tile_of(int format)
{
    struct shape s = shape_of(format);
#ifdef SP_BITS_DOT
    return s.halves > 1 ? tile_8_halves : tile_8;
#else
    return s.halves > 1 ? (s.quads > 2 ? tile_8_halves : tile_2_halves) : s.quads == 8 ? tile_8 : s.quads == 4 ? tile_4 : tile_words;
#endif
}

static void put_eight(const struct sp_gemm_args *g, int64_t i, int64_t j, const float *sum)
{
    int64_t n = g->n - j < 8 ? g->n - j : 8;
    if (n == 8 && g->c_format == SP_F32) {
        int64_t at = i * g->ldc + j;
        __m256 v = _mm256_loadu_ps(sum);
        v = g->bias ? _mm256_add_ps(v, _mm256_loadu_ps(g->bias + j)) : v;
        v = g->acc ? _mm256_add_ps(v, _mm256_loadu_ps(g->acc + at)) : v;
        _mm256_storeu_ps((float *)g->c + at, v);
        return;
    }
    for (int64_t c = 0; c < n; c++)
        finish(g, i, j + c, sum[c]);
}

/* ---- tasks ---- */

static int64_t tasks_wanted(const struct sp_gemm_args *g)
{
    return (g->threads > 0 ? TASKS_A_THREAD * g->threads : TASKS) * (g->work && g->m > FEW ? FINE : 1);
}

static int64_t part_of(int64_t n, int64_t wanted, int64_t unit, int64_t least)
{
    int64_t part = ((n + wanted - 1) / wanted + unit - 1) / unit * unit;
    return part < least ? least : part;
}

/* Rows and columns of c a task. */
struct cut { int64_t rows, cols, down, across; };

/* Bytes of scratch for each row. */
static int64_t tile_row_bytes(const struct sp_gemm_args *g)
{
    return (g->work ? 0 : g->k / R * a_bytes_of(g->b_format) / TALL) + WIDE * 4;
}

/* Rows are quantized once for each cut across, columns unpacked once for each cut down: as few of both as make the
 * tasks wanted.  Where all rows wait, only columns cost. */
static struct cut cut_of(const struct sp_gemm_args *g)
{
    int64_t most = (BYTES_MAX - DEEP * (int64_t)(sizeof(struct b_bytes) + sizeof(struct b_words))) / tile_row_bytes(g) / TALL * TALL;
    most = g->work && most > HIGHEST ? HIGHEST : most;
    int64_t wanted = tasks_wanted(g), down = (g->m + most - 1) / most;
    while (!g->work && down < wanted && g->m / (down + 1) >= LEAST && g->n * 2 * down < g->m * wanted)
        down++;
    struct cut c = { .rows = part_of(g->m, down, TALL, TALL) };
    c.down = (g->m + c.rows - 1) / c.rows;
    c.cols = part_of(g->n, (wanted + c.down - 1) / c.down, WIDE, WIDE);
    c.across = (g->n + c.cols - 1) / c.cols;
    return c;
}

/* A task of the phase before. */
static void ready_rows(const struct sp_gemm_args *g, int64_t task)
{
    const struct tiles all = { .at = g->work, .all = (g->m + TALL - 1) / TALL };
    int64_t from = task * TOGETHER, end = from + TOGETHER;
    take_tiles(g, &all, from, end < all.all ? end : all.all);
}

static void run_many(const struct sp_gemm_args *g, int64_t task, void *scratch)
{
    const struct cut cut = cut_of(g);
    const int64_t i0 = task / cut.across * cut.rows, j0 = task % cut.across * cut.cols, runs = g->k / R;
    const int64_t m = g->m - i0 < cut.rows ? g->m - i0 : cut.rows, end = j0 + cut.cols < g->n ? j0 + cut.cols : g->n;
    const int64_t tiles = (m + TALL - 1) / TALL, tile0 = g->work ? i0 / TALL : 0;
    char *panel = scratch, *rows = panel + DEEP * (sizeof(struct b_bytes) + sizeof(struct b_words));
    float *sum = (float *)(void *)rows;
    struct tiles a = { .at = g->work, .all = (g->m + TALL - 1) / TALL };
    tile_fn *tile = tile_of(g->b_format);
    if (!g->work) {
        a = (struct tiles){ rows + tiles * TALL * WIDE * (int64_t)sizeof *sum, i0, tiles };
        take_tiles(g, &a, 0, tiles);
    }
    for (int64_t j = j0; j < end; j += WIDE) {
        memset(sum, 0, (size_t)(tiles * TALL * WIDE) * sizeof *sum);
        for (int64_t first = 0; first < runs; first += DEEP) {
            int64_t deep = runs - first < DEEP ? runs - first : DEEP;
            fill_panel(g, panel, j, first, deep);
            for (int64_t t = 0; t < tiles; t++)
                tile(sum + t * TALL * WIDE, panel, tile_at(g, &a, tile0 + t, first), deep);
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t c = 0; c < WIDE && j + c < end; c += 8)
                put_eight(g, i0 + i, j + c, sum + i * WIDE + c);
    }
}
