/* kernel/format_search_body.h - numbers to blocks, with scales that are searched (format_lanes.h): included once an
 * instruction set.
 *
 * Eight blocks of 32, or the 8 or 16 runs of one block of 256, are worked on side by side; codes stay in their lanes,
 * four to a word of 32 bits, until they are packed.
 *
 * Before inclusion: SP_SEARCH, SP_NEAREST_Q8_0 and SP_DECODE_16, names of functions.
 * SPDX-License-Identifier: Apache-2.0 */
#include "format_lanes.h"

enum { WORDS = BLOCK / 4 };

/* Codes less `minus` of (x + m) times step: bytes of words, word i of run j in lane j of q[i]. */
LANES void codes_on(const struct grid *g, enum table table, const v8 *x, int n, v8 m, v8 step, int minus, m8 *q)
{
    for (int i = 0; i < n / 4; i++) {
        m8 word = { 0 };
        UNROLL
        for (int k = 0; k < 4; k++) {
            m8 code;
            nearest_code(g, table, (x[4 * i + k] + m) * step, &code);
            word |= ((code - minus) & 255) << 8 * k;
        }
        q[i] = word;
    }
}

static void codes_of(const struct grid *g, const v8 *x, int n, v8 m, v8 step, int minus, m8 *q)
{
    if (g->table == WHOLE)
        codes_on(g, WHOLE, x, n, m, step, minus, q);
    else if (g->table == IQ4)
        codes_on(g, IQ4, x, n, m, step, 0, q);
    else
        codes_on(g, FP4, x, n, m, step, 0, q);
}

/* Words of a block in the order of its numbers: of `words` a run. */
static void straighten(uint32_t to[WORDS], const m8 *q, int words)
{
    for (int i = 0; i < WORDS; i++) {
        int run = i / words;
        to[i] = (uint32_t)q[run / L * words + i % words][run % L];
    }
}

/* ---- blocks of 32, up to eight at once ---- */

static v8 put_halves(v8 x, unsigned char *out, int stride, int count)
{
    v8 back = { 0 };
    for (int j = 0; j < count; j++)
        back[j] = to_half(x[j], out + j * stride);
    return back;
}

static void put_words(unsigned char *out, int stride, int count, const m8 *words, int n)
{
    for (int j = 0; j < count; j++, out += stride)
        for (int i = 0; i < n; i++) {
            uint32_t word = (uint32_t)words[i][j];
            memcpy(out + 4 * i, &word, sizeof word);
        }
}

static void put_nibbles(unsigned char *out, int stride, int count, const m8 *q)
{
    m8 word[4];
    for (int i = 0; i < 4; i++)
        word[i] = (q[i] & 0x0F0F0F0F) | (q[i + 4] & 0x0F0F0F0F) << 4;
    put_words(out, stride, count, word, 4);
}

/* Bit 4 of each code: bit i of one word is that of code i. */
static void put_fifth(unsigned char *out, int stride, int count, const m8 *q)
{
    m8 word = { 0 };
    for (int i = 0; i < 32; i++)
        word |= (q[i / 4] >> (i % 4 * 8 + 4) & 1) << i;
    put_words(out, stride, count, &word, 1);
}

/* Q4_0, Q5_0, Q8_0, IQ4_NL */
static void put_step(int format, unsigned char *out, int count, const v8 *x, const v8 *w)
{
    const struct grid g = format == SP_Q4_0   ? (struct grid){ -8, 7, WHOLE }
                          : format == SP_Q5_0 ? (struct grid){ -16, 15, WHOLE }
                          : format == SP_Q8_0 ? (struct grid){ -127, 127, WHOLE }
                                              : (struct grid){ -127, 113, IQ4 };
    int stride = sp_formats[format].bytes;
    m8 q[8];
    v8 d = put_halves(fit_step(&g, x, w, 32), out, stride, count);
    codes_of(&g, x, 32, splat(0), inverse_of(d), format == SP_Q8_0 ? 0 : (int)g.low, q);
    if (format == SP_Q8_0) {
        put_words(out + 2, stride, count, q, 8);
        return;
    }
    if (format == SP_Q5_0)
        put_fifth(out + 2, stride, count, q);
    put_nibbles(out + (format == SP_Q5_0 ? 6 : 2), stride, count, q);
}

/* Q4_1, Q5_1 */
static void put_line(int format, unsigned char *out, int count, const v8 *x, const v8 *w)
{
    const struct grid g = { 0, format == SP_Q4_1 ? 15 : 31, WHOLE };
    int stride = sp_formats[format].bytes;
    struct fit f = fit_line(g.high, x, w, 32, true);
    m8 q[8];
    v8 d = put_halves(f.d, out, stride, count), least = put_halves(-f.m, out + 2, stride, count);
    codes_of(&g, x, 32, -least, inverse_of(d), 0, q);
    if (format == SP_Q5_1)
        put_fifth(out + 4, stride, count, q);
    put_nibbles(out + (format == SP_Q5_1 ? 8 : 4), stride, count, q);
}

LANES v8 power_of_two(m8 e)
{
    m8 small = e < 2;
    return (v8)((small & (0x00200000 << (e & small))) | (~small & (e - 1) << 23));
}

/* The exponent that the largest number asks for, or one of its neighbours. */
static void put_mxfp4(unsigned char *out, int count, const v8 *x, const v8 *w)
{
    const struct grid g = { -12, 12, FP4 };
    m8 middle = ((m8)signed_most(x, 32) >> 23 & 255) - 2, e[AT_ONCE], best = { 0 }, q[8];
    v8 step[AT_ONCE], error[AT_ONCE], least = splat(3e38f);
    for (int t = 0; t < AT_ONCE; t++) {
        e[t] = middle + t - 1;
        e[t] &= e[t] > 0;
        step[t] = power_of_two(e[t]);
    }
    step_errors(error, &g, x, w, 32, step);
    for (int t = 0; t < AT_ONCE; t++) {
        m8 less = error[t] < least;
        best = (less & e[t]) | (~less & best);
        least = pick(less, error[t], least);
    }
    codes_of(&g, x, 32, splat(0), inverse_of(power_of_two(best)), 0, q);
    for (int j = 0; j < count; j++)
        out[17 * j] = (unsigned char)best[j];
    put_nibbles(out + 1, 17, count, q);
}

/* ---- blocks of 256: codes to bytes ---- */

static void line_codes(const struct lines *p, const v8 *x, const float dm[2], const v8 *scale, const v8 *least, uint32_t q[WORDS])
{
    const struct grid g = { 0, p->high, WHOLE };
    m8 word[WORDS / L];
    for (int k = 0; k < p->groups; k++)
        codes_of(&g, x + k * p->length, p->length, dm[1] * least[k], inverse_of(dm[0] * scale[k]), 0, word + k * p->length / 4);
    straighten(q, word, p->length / 4);
}

static void step_codes(const struct grid *g, const struct parts *p, const v8 *x, float d, const v8 *scale, uint32_t q[WORDS])
{
    m8 word[WORDS / L];
    for (int k = 0; k < p->groups; k++)
        codes_of(g, x + k * p->length, p->length, splat(0), inverse_of(d * scale[k]), (int)g->low, word + k * p->length / 4);
    straighten(q, word, p->length / 4);
}

/* Two bits a code: byte i of a half holds codes i, i + 32, i + 64, i + 96. */
static void put_twos(unsigned char out[64], const uint32_t q[WORDS])
{
    uint32_t word[16] = { 0 };
    for (int i = 0; i < WORDS; i++)
        word[i / 32 * 8 + i % 8] |= (q[i] & 0x03030303) << i % 32 / 8 * 2;
    memcpy(out, word, sizeof word);
}

/* Four bits a code: byte i of a quarter holds codes i and i + 32. */
static void put_fours(unsigned char out[128], const uint32_t q[WORDS])
{
    uint32_t word[32];
    for (int i = 0; i < 32; i++)
        word[i] = (q[i / 8 * 16 + i % 8] & 0x0F0F0F0F) | (q[i / 8 * 16 + i % 8 + 8] & 0x0F0F0F0F) << 4;
    memcpy(out, word, sizeof word);
}

/* Bit `bit` of each code: byte i holds those of codes i, i + 32, ... */
static void put_bits(unsigned char out[32], const uint32_t q[WORDS], int bit)
{
    uint32_t word[8] = { 0 };
    for (int i = 0; i < WORDS; i++)
        word[i % 8] |= (q[i] >> bit & 0x01010101) << i / 8;
    memcpy(out, word, sizeof word);
}

static void put_q2_k(unsigned char *out, const v8 *x, const v8 *w)
{
    const struct lines p = { 2, 16, 15, 3 };
    v8 scale[2], least[2];
    float dm[2];
    uint32_t q[WORDS];
    fit_lines(&p, x, w, scale, least, dm, out + 80);
    line_codes(&p, x, dm, scale, least, q);
    for (int j = 0; j < 16; j++)
        out[j] = (unsigned char)((int)scale[j / L][j % L] | (int)least[j / L][j % L] << 4);
    put_twos(out + 16, q);
}

/* Eight scales and offsets of 6 bits in 12 bytes. */
static void put_six(unsigned char *s, m8 scale, m8 least)
{
    for (int j = 0; j < 4; j++) {
        s[j] = (unsigned char)(scale[j] | scale[j + 4] >> 4 << 6);
        s[j + 4] = (unsigned char)(least[j] | least[j + 4] >> 4 << 6);
        s[j + 8] = (unsigned char)((scale[j + 4] & 15) | (least[j + 4] & 15) << 4);
    }
}

/* Q4_K, Q5_K */
static void put_q45_k(int format, unsigned char *out, const v8 *x, const v8 *w)
{
    const struct lines p = { 1, 32, 63, format == SP_Q4_K ? 15 : 31 };
    v8 scale, least;
    float dm[2];
    uint32_t q[WORDS];
    fit_lines(&p, x, w, &scale, &least, dm, out);
    line_codes(&p, x, dm, &scale, &least, q);
    put_six(out + 4, __builtin_convertvector(scale, m8), __builtin_convertvector(least, m8));
    if (format == SP_Q5_K)
        put_bits(out + 16, q, 4);
    put_fours(out + (format == SP_Q4_K ? 16 : 48), q);
}

static void put_q3_k(unsigned char *out, const v8 *x, const v8 *w)
{
    const struct grid g = { -4, 3, WHOLE };
    const struct parts p = { 2, 16, -32, 31 };
    v8 scale[2];
    uint32_t q[WORDS];
    float d = fit_steps(&g, &p, x, w, scale, out + 108);
    step_codes(&g, &p, x, d, scale, q);
    put_bits(out, q, 2);
    put_twos(out + 32, q);
    memset(out + 96, 0, 12);
    for (int j = 0; j < 16; j++) {
        int s = (int)scale[j / L][j % L] + 32;
        out[96 + j % 8] |= (unsigned char)((s & 15) << j / 8 * 4);
        out[104 + j % 4] |= (unsigned char)((s >> 4) << j / 4 * 2);
    }
}

static void put_q6_k(unsigned char *out, const v8 *x, const v8 *w)
{
    const struct grid g = { -32, 31, WHOLE };
    const struct parts p = { 2, 16, -128, 127 };
    v8 scale[2];
    uint32_t q[WORDS], low[32], high[WORDS];
    float d = fit_steps(&g, &p, x, w, scale, out + 208);
    step_codes(&g, &p, x, d, scale, q);
    for (int i = 0; i < 32; i++) /* byte i of a half: codes i and i + 64 */
        low[i] = (q[i / 16 * 32 + i % 16] & 0x0F0F0F0F) | (q[i / 16 * 32 + i % 16 + 16] & 0x0F0F0F0F) << 4;
    for (int i = 0; i < WORDS; i++)
        high[i] = q[i] >> 4;
    memcpy(out, low, sizeof low);
    put_twos(out + 128, high);
    for (int j = 0; j < 16; j++)
        out[192 + j] = (unsigned char)(int)scale[j / L][j % L];
}

static void put_iq4_xs(unsigned char *out, const v8 *x, const v8 *w)
{
    const struct grid g = { -127, 113, IQ4 };
    const struct parts p = { 1, 32, -32, 31 };
    v8 scale;
    m8 q[8];
    float d = fit_steps(&g, &p, x, w, &scale, out);
    codes_of(&g, x, 32, splat(0), inverse_of(d * scale), 0, q);
    memset(out + 2, 0, 6);
    for (int j = 0; j < 8; j++) {
        int s = (int)scale[j] + 32;
        out[4 + j / 2] |= (unsigned char)((s & 15) << j % 2 * 4);
        out[2 + j / 4] |= (unsigned char)((s >> 4) << j % 4 * 2);
    }
    put_nibbles(out + 8, 16, L, q);
}

/* Five digits of base 3 a byte, as 256 / 243 of their number, rounded up. */
static void put_digits(unsigned char out[52], const uint32_t q[WORDS])
{
    uint32_t word[13] = { 0 };
    unsigned char byte[52];
    for (int i = 0; i < WORDS; i++) {
        uint32_t *to = &word[i < 40 ? i % 8 : i < 60 ? 8 + i % 4 : 12];
        *to = *to * 3 + q[i];
    }
    word[12] *= 3; /* four digits */
    memcpy(byte, word, sizeof byte);
    for (int j = 0; j < 52; j++)
        out[j] = (unsigned char)((256 * byte[j] + 242) / 243);
}

/* TQ1_0, TQ2_0: one scale for 256, up to eight blocks at once */
static void put_ternary(int format, unsigned char *out, int count, const v8 *x, const v8 *w)
{
    const struct grid g = { -1, 1, WHOLE };
    int stride = sp_formats[format].bytes;
    m8 q[WORDS];
    v8 d = put_halves(fit_step(&g, x, w, BLOCK), out + stride - 2, stride, count);
    codes_of(&g, x, BLOCK, splat(0), inverse_of(d), -1, q);
    for (int j = 0; j < count; j++, out += stride) {
        uint32_t mine[WORDS];
        for (int i = 0; i < WORDS; i++)
            mine[i] = (uint32_t)q[i][j];
        if (format == SP_TQ1_0)
            put_digits(out, mine);
        else
            put_twos(out, mine);
    }
}

/* ---- numbers to lanes ---- */

LANES void turn(v8 to[L], const v8 r[L])
{
    v8 a[L], b[L];
    UNROLL
    for (int i = 0; i < L; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        int k = i / 2 * 4 + i % 2;
        b[2 * i] = __builtin_shufflevector(a[k], a[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        b[2 * i + 1] = __builtin_shufflevector(a[k], a[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        to[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        to[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/* Eight runs of n numbers that stand one after the other, those from `count` on as zeros; what is no number is 0. */
static void take_runs(v8 *to, const float *from, int n, int count)
{
    static const float none[BLOCK];
    for (int i = 0; i < n; i += L) {
        v8 r[L];
        UNROLL
        for (int j = 0; j < L; j++) {
            v8 x = load(j < count ? from + j * n + i : none);
            r[j] = keep(x - x == 0, x);
        }
        turn(to + i, r);
    }
}

/* Weights below 0 are 0; a block with none above 0 counts all its numbers the same. */
static void take_weights(v8 *w, const float *from, int n, int groups, int count, bool together)
{
    v8 sum = { 0 };
    for (int k = 0; k < groups; k++)
        take_runs(w + k * n, from + k * n * L, n, together ? L : count);
    for (int i = 0; i < n * groups; i++) {
        w[i] = larger(w[i], splat(0));
        sum += w[i];
    }
    if (together)
        sum = splat(total(sum));
    for (int i = 0; i < n * groups; i++)
        w[i] = pick(sum > 0, w[i], splat(1));
}

static void put(int format, unsigned char *out, int count, const v8 *x, const v8 *w)
{
    switch (format) {
    case SP_Q4_1: case SP_Q5_1: put_line(format, out, count, x, w); break;
    case SP_MXFP4: put_mxfp4(out, count, x, w); break;
    case SP_Q2_K: put_q2_k(out, x, w); break;
    case SP_Q3_K: put_q3_k(out, x, w); break;
    case SP_Q4_K: case SP_Q5_K: put_q45_k(format, out, x, w); break;
    case SP_Q6_K: put_q6_k(out, x, w); break;
    case SP_IQ4_XS: put_iq4_xs(out, x, w); break;
    case SP_TQ1_0: case SP_TQ2_0: put_ternary(format, out, count, x, w); break;
    default: put_step(format, out, count, x, w); break;
    }
}

/* Numbers a run, and runs of a block that stand in lanes; 1: each lane is a block. */
static int run_length(int format, int *runs)
{
    int block = sp_formats[format].block;
    bool sixteen = format == SP_Q2_K || format == SP_Q3_K || format == SP_Q6_K, whole_block = block == 32 || format == SP_TQ1_0 || format == SP_TQ2_0;
    int n = whole_block ? block : sixteen ? 16 : 32;
    *runs = block / n;
    return n;
}

void SP_SEARCH(int format, void *to, const float *from, const float *weight, int64_t n)
{
    const struct sp_format_row *r = &sp_formats[format];
    unsigned char *out = to;
    v8 x[BLOCK], w[BLOCK];
    int runs, length = run_length(format, &runs), groups = runs > L ? runs / L : 1;
    int64_t blocks = n / r->block, each = runs > 1 ? 1 : L, step = each * r->block;
    for (int i = 0; i < length * groups; i++)
        w[i] = splat(1);
    for (int64_t b = 0; b < blocks; b += each, from += step, weight = weight ? weight + step : NULL) {
        int count = (int)(blocks - b < each ? blocks - b : each);
        for (int k = 0; k < groups; k++)
            take_runs(x + k * length, from + k * length * L, length, runs > 1 ? L : count);
        if (weight)
            take_weights(w, weight, length, groups, count, runs > 1);
        put(format, out + b * r->bytes, count, x, w);
    }
}

/* The step is the largest number's 127th part; codes round half away from zero. */
void SP_NEAREST_Q8_0(void *to, const float *from, int64_t n)
{
    unsigned char *out = to;
    for (int64_t b = 0; b < n / 32; b += L, out += L * 34) {
        int count = (int)(n / 32 - b < L ? n / 32 - b : L);
        v8 x[32], most = { 0 };
        m8 q[8];
        take_runs(x, from + b * 32, 32, count);
        for (int i = 0; i < 32; i++)
            most = larger(size_of(x[i]), most);
        v8 d = most / splat(127), inverse = inverse_of(d);
        (void)put_halves(d, out, 34, count);
        for (int i = 0; i < 8; i++) {
            m8 word = { 0 };
            UNROLL
            for (int k = 0; k < 4; k++) {
                v8 c = x[4 * i + k] * inverse;
                c += (v8)(((m8)c & INT32_MIN) | (m8)splat(0x1.fffffep-2f)); /* just less than a half */
                word |= (__builtin_convertvector(c, m8) & 255) << 8 * k;
            }
            q[i] = word;
        }
        put_words(out + 2, 34, count, q, 8);
    }
}

/* Halves, or the upper halves of f32, to f32. */
void SP_DECODE_16(float *to, const uint16_t *from, int64_t n, bool upper)
{
    typedef uint16_t h8 __attribute__((vector_size(16)));
    for (int64_t i = 0; i < n; i += L) {
        int k = n - i < L ? (int)(n - i) : L;
        h8 h = { 0 };
        memcpy(&h, from + i, k == L ? sizeof h : (size_t)k * sizeof *from);
        m8 b = __builtin_convertvector(h, m8) << 16;
        v8 v = (v8)b;
        if (!upper) {
            m8 size = b >> 3 & 0x0FFFE000, special = size >= 0x0F800000;
            v = (v8)((m8)((v8)size * splat(0x1p112f)) | (special & (size | 0x7F800000)) | (b & INT32_MIN));
        }
        memcpy(to + i, &v, k == L ? sizeof v : (size_t)k * sizeof *to);
    }
}
