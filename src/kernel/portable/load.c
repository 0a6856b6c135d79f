/* load: reading and writing numbers in any stored format.
 *
 * Formats whose numbers stand in blocks are read as runs of 32 whole numbers with a scale and an offset for each half,
 * laid out as in GGUF files; the run is the same for all of them, so that a kernel needs to know only this form.
 * A program without such formats defines SP_PLAIN_FORMATS and is spared the text. */
#ifndef SP_PLAIN_FORMATS
struct sp_run { signed char q[32]; float d[2], m[2]; }; /* value: q d - m */

SP_MAYBE_UNUSED static float sp_run_half(const unsigned char *p)
{
    return sp_from_f16((uint16_t)(p[0] | p[1] << 8));
}

static void sp_run_scale(struct sp_run *r, float d, float m)
{
    r->d[0] = r->d[1] = d;
    r->m[0] = r->m[1] = m;
}

/* Byte j holds element j in its low half and element j + 16 in its high half. */
static void sp_run_nibbles(struct sp_run *r, const unsigned char *q, int minus)
{
    int j;
    for (j = 0; j < 16; j++) {
        r->q[j] = (signed char)((q[j] & 15) - minus);
        r->q[j + 16] = (signed char)((q[j] >> 4) - minus);
    }
}

/* The fifth bit of element j is bit j of four bytes. */
static void sp_run_fifth(struct sp_run *r, const unsigned char *high)
{
    int j;
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)(r->q[j] + ((high[j / 8] >> j % 8 & 1) << 4));
}

static void sp_run_table(struct sp_run *r, const unsigned char *q, const signed char table[16])
{
    int j;
    for (j = 0; j < 16; j++) {
        r->q[j] = table[q[j] & 15];
        r->q[j + 16] = table[q[j] >> 4];
    }
}

static void sp_run_q4_0(struct sp_run *r, const unsigned char *b, int run)
{
    (void)run;
    sp_run_scale(r, sp_run_half(b), 0);
    sp_run_nibbles(r, b + 2, 8);
}

static void sp_run_q4_1(struct sp_run *r, const unsigned char *b, int run)
{
    (void)run;
    sp_run_scale(r, sp_run_half(b), -sp_run_half(b + 2));
    sp_run_nibbles(r, b + 4, 0);
}

static void sp_run_q5_0(struct sp_run *r, const unsigned char *b, int run)
{
    (void)run;
    sp_run_scale(r, sp_run_half(b), 0);
    sp_run_nibbles(r, b + 6, 16);
    sp_run_fifth(r, b + 2);
}

static void sp_run_q5_1(struct sp_run *r, const unsigned char *b, int run)
{
    (void)run;
    sp_run_scale(r, sp_run_half(b), -sp_run_half(b + 2));
    sp_run_nibbles(r, b + 8, 0);
    sp_run_fifth(r, b + 4);
}

static void sp_run_q8_0(struct sp_run *r, const unsigned char *b, int run)
{
    int j;
    (void)run;
    sp_run_scale(r, sp_run_half(b), 0);
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)b[2 + j];
}

static void sp_run_q2_k(struct sp_run *r, const unsigned char *b, int run)
{
    const float d = sp_run_half(b + 80), m = sp_run_half(b + 82);
    int j;
    for (j = 0; j < 2; j++) {
        r->d[j] = d * (float)(b[2 * run + j] & 15);
        r->m[j] = m * (float)(b[2 * run + j] >> 4);
    }
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)(b[16 + run / 4 * 32 + j] >> run % 4 * 2 & 3);
}

static void sp_run_q3_k(struct sp_run *r, const unsigned char *b, int run)
{
    const float d = sp_run_half(b + 108);
    const unsigned char *s = b + 96;
    int j;
    for (j = 0; j < 2; j++) {
        const int k = 2 * run + j;
        r->d[j] = d * (float)(((k < 8 ? s[k] & 15 : s[k - 8] >> 4) | (s[8 + k % 4] >> k / 4 * 2 & 3) << 4) - 32);
        r->m[j] = 0;
    }
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)((b[32 + run / 4 * 32 + j] >> run % 4 * 2 & 3) - (b[j] >> run & 1 ? 0 : 4));
}

/* Eight scales and eight offsets of 6 bits in 12 bytes. */
static void sp_run_six(struct sp_run *r, const unsigned char *b, int run)
{
    const unsigned char *s = b + 4;
    const int scale = run < 4 ? s[run] & 63 : (s[run + 4] & 15) | s[run - 4] >> 6 << 4;
    const int least = run < 4 ? s[run + 4] & 63 : s[run + 4] >> 4 | s[run] >> 6 << 4;
    sp_run_scale(r, sp_run_half(b) * (float)scale, sp_run_half(b + 2) * (float)least);
}

static void sp_run_q4_k(struct sp_run *r, const unsigned char *b, int run)
{
    int j;
    sp_run_six(r, b, run);
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)(b[16 + run / 2 * 32 + j] >> run % 2 * 4 & 15);
}

static void sp_run_q5_k(struct sp_run *r, const unsigned char *b, int run)
{
    int j;
    sp_run_six(r, b, run);
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)((b[48 + run / 2 * 32 + j] >> run % 2 * 4 & 15) | (b[16 + j] >> run & 1) << 4);
}

static void sp_run_q6_k(struct sp_run *r, const unsigned char *b, int run)
{
    const float d = sp_run_half(b + 208);
    const unsigned char *low = b + run / 4 * 64 + run % 2 * 32, *high = b + 128 + run / 4 * 32;
    int j;
    for (j = 0; j < 2; j++) {
        r->d[j] = d * (float)(signed char)b[192 + 2 * run + j];
        r->m[j] = 0;
    }
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)(((low[j] >> run % 4 / 2 * 4 & 15) | (high[j] >> run % 4 * 2 & 3) << 4) - 32);
}

static const signed char sp_run_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const signed char sp_run_fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static void sp_run_iq4_nl(struct sp_run *r, const unsigned char *b, int run)
{
    (void)run;
    sp_run_scale(r, sp_run_half(b), 0);
    sp_run_table(r, b + 2, sp_run_iq4);
}

static void sp_run_iq4_xs(struct sp_run *r, const unsigned char *b, int run)
{
    const int scale = (b[4 + run / 2] >> run % 2 * 4 & 15) | ((b[2] | b[3] << 8) >> 2 * run & 3) << 4;
    sp_run_scale(r, sp_run_half(b) * (float)(scale - 32), 0);
    sp_run_table(r, b + 8 + 16 * run, sp_run_iq4);
}

/* The scale is a power of two, halved since the table is doubled. */
static void sp_run_mxfp4(struct sp_run *r, const unsigned char *b, int run)
{
    union sp_word w;
    (void)run;
    w.u = b[0] < 2 ? 0x00200000u << b[0] : (uint32_t)(b[0] - 1) << 23;
    sp_run_scale(r, w.f, 0);
    sp_run_table(r, b + 1, sp_run_fp4);
}

/* Five digits of base three a byte, the first one most significant: the byte is a fraction of 256. */
static void sp_run_tq1_0(struct sp_run *r, const unsigned char *b, int run)
{
    static const unsigned char power[5] = { 1, 3, 9, 27, 81 };
    int j;
    sp_run_scale(r, sp_run_half(b + 52), 0);
    for (j = 0; j < 32; j++) {
        const int e = run * 32 + j, digit = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;
        const int byte = e < 160 ? e % 32 : e < 240 ? 32 + e % 16 : 48 + e % 4;
        r->q[j] = (signed char)(((b[byte] * power[digit] & 255) * 3 >> 8) - 1);
    }
}

static void sp_run_tq2_0(struct sp_run *r, const unsigned char *b, int run)
{
    int j;
    sp_run_scale(r, sp_run_half(b + 64), 0);
    for (j = 0; j < 32; j++)
        r->q[j] = (signed char)((b[run / 4 * 32 + j] >> run % 4 * 2 & 3) - 1);
}

/* Run number i of what stands at p. */
SP_MAYBE_UNUSED static void sp_run_of(struct sp_run *r, const void *p, int64_t i, int32_t format)
{
    const unsigned char *b = (const unsigned char *)p;
    switch (format) {
    case SP_Q4_0: sp_run_q4_0(r, b + i * 18, 0); break;
    case SP_Q4_1: sp_run_q4_1(r, b + i * 20, 0); break;
    case SP_Q5_0: sp_run_q5_0(r, b + i * 22, 0); break;
    case SP_Q5_1: sp_run_q5_1(r, b + i * 24, 0); break;
    case SP_Q8_0: sp_run_q8_0(r, b + i * 34, 0); break;
    case SP_Q2_K: sp_run_q2_k(r, b + i / 8 * 84, (int)(i % 8)); break;
    case SP_Q3_K: sp_run_q3_k(r, b + i / 8 * 110, (int)(i % 8)); break;
    case SP_Q4_K: sp_run_q4_k(r, b + i / 8 * 144, (int)(i % 8)); break;
    case SP_Q5_K: sp_run_q5_k(r, b + i / 8 * 176, (int)(i % 8)); break;
    case SP_Q6_K: sp_run_q6_k(r, b + i / 8 * 210, (int)(i % 8)); break;
    case SP_IQ4_NL: sp_run_iq4_nl(r, b + i * 18, 0); break;
    case SP_IQ4_XS: sp_run_iq4_xs(r, b + i / 8 * 136, (int)(i % 8)); break;
    case SP_MXFP4: sp_run_mxfp4(r, b + i * 17, 0); break;
    case SP_TQ1_0: sp_run_tq1_0(r, b + i / 8 * 54, (int)(i % 8)); break;
    default: sp_run_tq2_0(r, b + i / 8 * 66, (int)(i % 8)); break;
    }
}

SP_MAYBE_UNUSED static void sp_run_values(float *to, const struct sp_run *r)
{
    int j;
    for (j = 0; j < 32; j++)
        to[j] = (float)r->q[j] * r->d[j / 16] - r->m[j / 16];
}

static float sp_load_run(const void *p, int64_t i, int32_t format)
{
    struct sp_run r;
    sp_run_of(&r, p, i / 32, format);
    return (float)r.q[i % 32] * r.d[i % 32 / 16] - r.m[i % 32 / 16];
}
#endif

SP_MAYBE_UNUSED static float sp_load(const void *p, int64_t i, int32_t format)
{
    switch (format) {
    case SP_F32:
    case SP_I32: return ((const float *)p)[i];
    case SP_F16: return sp_from_f16(((const uint16_t *)p)[i]);
    case SP_BF16: return sp_from_bf16(((const uint16_t *)p)[i]);
#ifdef SP_PLAIN_FORMATS
    default: return sp_from_q8_0(p, i);
#else
    case SP_Q8_0: return sp_from_q8_0(p, i);
    default: return sp_load_run(p, i, format);
#endif
    }
}

/* to[n] = the numbers from place i on: a block's scales are read once a run. */
SP_MAYBE_UNUSED static void sp_load_many(float *to, const void *p, int64_t i, int64_t n, int32_t format)
{
    int64_t j = 0;
#ifndef SP_PLAIN_FORMATS
    if (format >= SP_Q4_0 || format == SP_Q8_0)
        while (j < n) {
            struct sp_run r;
            int64_t k = (i + j) % 32;
            sp_run_of(&r, p, (i + j) / 32, format);
            if (!k && n - j >= 32) {
                sp_run_values(to + j, &r);
                j += 32;
                continue;
            }
            for (; k < 32 && j < n; k++, j++)
                to[j] = (float)r.q[k] * r.d[k / 16] - r.m[k / 16];
        }
#endif
    for (; j < n; j++)
        to[j] = sp_load(p, i + j, format);
}

/* Bytes of n numbers: whole blocks. */
SP_MAYBE_UNUSED static int64_t sp_stored_bytes(int64_t n, int32_t format)
{
    switch (format) {
    case SP_F16: case SP_BF16: return n * 2;
    case SP_Q4_0: case SP_IQ4_NL: return n / 32 * 18;
    case SP_Q4_1: return n / 32 * 20;
    case SP_Q5_0: return n / 32 * 22;
    case SP_Q5_1: return n / 32 * 24;
    case SP_Q8_0: return n / 32 * 34;
    case SP_MXFP4: return n / 32 * 17;
    case SP_Q2_K: return n / 256 * 84;
    case SP_Q3_K: return n / 256 * 110;
    case SP_Q4_K: return n / 256 * 144;
    case SP_Q5_K: return n / 256 * 176;
    case SP_Q6_K: return n / 256 * 210;
    case SP_IQ4_XS: return n / 256 * 136;
    case SP_TQ1_0: return n / 256 * 54;
    case SP_TQ2_0: return n / 256 * 66;
    default: return n * 4;
    }
}

SP_MAYBE_UNUSED static void sp_store(void *p, int64_t i, int32_t format, float v)
{
    switch (format) {
    case SP_F16: ((uint16_t *)p)[i] = sp_to_f16(v); break;
    case SP_BF16: ((uint16_t *)p)[i] = sp_to_bf16(v); break;
    default: ((float *)p)[i] = v;
    }
}
