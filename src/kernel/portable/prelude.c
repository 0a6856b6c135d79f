/* prelude: halves, and what the other texts need. */
#if defined(__GNUC__)
#define SP_MAYBE_UNUSED __attribute__((unused))
#else
#define SP_MAYBE_UNUSED
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

union sp_word { float f; uint32_t u; };

SP_MAYBE_UNUSED static float sp_from_f16(uint16_t h)
{
    union sp_word w;
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 0x3FFu;
    if (e == 31)
        w.u = sign | 0x7F800000u | m << 13;
    else if (e)
        w.u = sign | (e + 112u) << 23 | m << 13;
    else {
        w.f = (float)m * 5.9604644775390625e-8f;
        w.u |= sign;
    }
    return w.f;
}

/* Round to nearest, ties to even. */
SP_MAYBE_UNUSED static uint16_t sp_to_f16(float f)
{
    union sp_word w;
    uint32_t sign, a, e, m, shift, rest, half;
    w.f = f;
    sign = w.u >> 16 & 0x8000u;
    a = w.u & 0x7FFFFFFFu;
    if (a > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (a >= 0x477FF000u)
        return (uint16_t)(sign | 0x7C00u);
    if (a >= 0x38800000u) {
        a += 0xFFFu + (a >> 13 & 1u);
        return (uint16_t)(sign | (a - 0x38000000u) >> 13);
    }
    if (a < 0x33000000u)
        return (uint16_t)sign;
    e = a >> 23;
    m = (a & 0x7FFFFFu) | 0x800000u;
    shift = 126u - e;
    half = 1u << (shift - 1);
    rest = m & ((1u << shift) - 1);
    m >>= shift;
    if (rest > half || (rest == half && (m & 1u)))
        m++;
    return (uint16_t)(sign | m);
}

SP_MAYBE_UNUSED static float sp_from_bf16(uint16_t h)
{
    union sp_word w;
    w.u = (uint32_t)h << 16;
    return w.f;
}

SP_MAYBE_UNUSED static uint16_t sp_to_bf16(float f)
{
    union sp_word w;
    w.f = f;
    if ((w.u & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(w.u >> 16 | 0x40u);
    return (uint16_t)((w.u + 0x7FFFu + (w.u >> 16 & 1u)) >> 16);
}

/* Blocks of 32: an f16 scale, 32 signed bytes. */
SP_MAYBE_UNUSED static float sp_from_q8_0(const void *p, int64_t i)
{
    const unsigned char *b = (const unsigned char *)p + i / 32 * 34;
    return sp_from_f16((uint16_t)(b[0] | b[1] << 8)) * (float)(signed char)b[2 + i % 32];
}
