/* mathematics of the portable kernels: results don't depend on libm. */
#include <math.h>

/* exp x: 2^k e^r with |r| <= ln2/2; the polynomial is Taylor's to r^7, error below 1 ulp of the sum. */
SP_MAYBE_UNUSED static float sp_expf(float x)
{
    union sp_word w;
    float k, r, p;
    int32_t n;
    if (x != x)
        return x;
    if (x > 88.72283f)
        return 1e38f * 1e38f;
    if (x < -103.9f)
        return 0;
    k = x * 1.44269504f;
    n = (int32_t)(k + (k < 0 ? -0.5f : 0.5f));
    r = (float)((double)x - (double)n * 0.6931471805599453);
    p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    if (n > 127) {
        w.u = 254u << 23;
        return p * w.f * 2;
    }
    if (n < -126) {
        w.u = (uint32_t)(n + 64 + 127) << 23;
        return p * w.f * 5.42101086e-20f;
    }
    w.u = (uint32_t)(n + 127) << 23;
    return p * w.f;
}

/* ln x by the atanh series of the mantissa, in double. */
SP_MAYBE_UNUSED static float sp_logf(float x)
{
    union sp_word w;
    double m, t, t2, s = 0;
    int32_t e = 0, k;
    if (x != x || x < 0)
        return (x - x) / 0.0f;
    w.f = x;
    if (w.u == 0)
        return -1e38f * 1e38f;
    if (w.u == 0x7F800000u)
        return x;
    if (w.u < 0x00800000u) {
        w.f = x * 16777216.0f;
        e = -24;
    }
    e += (int32_t)(w.u >> 23) - 127;
    w.u = (w.u & 0x7FFFFFu) | 0x3F800000u;
    m = w.f;
    if (m > 1.41421356) {
        m *= 0.5;
        e++;
    }
    t = (m - 1) / (m + 1);
    t2 = t * t;
    for (k = 13; k >= 1; k -= 2)
        s = s * t2 + 1.0 / k;
    return (float)(2 * t * s + e * 0.6931471805599453);
}

SP_MAYBE_UNUSED static float sp_tanhf(float x)
{
    float a = x < 0 ? -x : x, e, y;
    if (x != x)
        return x;
    if (a > 9.1f)
        y = 1;
    else if (a < 0.04f)
        return x - x * x * x * (1.0f / 3 - x * x * (2.0f / 15));
    else {
        e = sp_expf(2 * a);
        y = 1 - 2 / (e + 1);
    }
    return x < 0 ? -y : y;
}

/* erf x: Abramowitz and Stegun's series in double; 7.1.6 below 3, 1 above 4. */
SP_MAYBE_UNUSED static float sp_erff(float x)
{
    double a = x < 0 ? -(double)x : (double)x, term = a, sum = a, e, y;
    int n;
    if (x != x)
        return x;
    if (a > 4)
        y = 1;
    else {
        for (n = 1; n < 100 && term > 1e-12; n++) {
            term *= 2 * a * a / (2 * n + 1);
            sum += term;
        }
        /* exp(-a^2) in double, by halving */
        e = -a * a / 256;
        e = 1 + e * (1 + e * (0.5 + e * (1.0 / 6 + e * (1.0 / 24 + e * (1.0 / 120 + e / 720)))));
        for (n = 0; n < 8; n++)
            e *= e;
        y = 1.1283791670955126 * e * sum;
    }
    return (float)(x < 0 ? -y : y);
}

/* sine and cosine of x in double, |x| up to 2^30: argument reduced by pi/2 in two parts. */
SP_MAYBE_UNUSED static void sp_sincos(double x, double *sine, double *cosine)
{
    double k = x * 0.6366197723675814, r, r2, s, c;
    int64_t n = (int64_t)(k + (k < 0 ? -0.5 : 0.5));
    r = (x - (double)n * 1.5707963267341256) - (double)n * 6.077100506506192e-11;
    r2 = r * r;
    s = r * (1 - r2 / 6 * (1 - r2 / 20 * (1 - r2 / 42 * (1 - r2 / 72 * (1 - r2 / 110 * (1 - r2 / 156 * (1 - r2 / 210)))))));
    c = 1 - r2 / 2 * (1 - r2 / 12 * (1 - r2 / 30 * (1 - r2 / 56 * (1 - r2 / 90 * (1 - r2 / 132 * (1 - r2 / 182 * (1 - r2 / 240)))))));
    *sine = n & 1 ? (n & 2 ? -c : c) : (n & 2 ? -s : s);
    *cosine = n & 1 ? (n & 2 ? s : -s) : (n & 2 ? -c : c);
}

/* exp x in double, |x| below 700. */
SP_MAYBE_UNUSED static double sp_expd(double x)
{
    double k = x * 1.4426950408889634, r, p = 1;
    int32_t n = (int32_t)(k + (k < 0 ? -0.5 : 0.5)), i;
    r = x - (double)n * 0.6931471805599453;
    for (i = 14; i >= 1; i--)
        p = 1 + p * r / i;
    for (; n > 0; n--)
        p *= 2;
    for (; n < 0; n++)
        p *= 0.5;
    return p;
}

/* ln x in double, x > 0 and normal. */
SP_MAYBE_UNUSED static double sp_logd(double x)
{
    double t, t2, s = 0;
    int32_t e = 0, k;
    for (; x > 1.4142135623730951; x *= 0.5)
        e++;
    for (; x < 0.7071067811865476; x *= 2)
        e--;
    t = (x - 1) / (x + 1);
    t2 = t * t;
    for (k = 25; k >= 1; k -= 2)
        s = s * t2 + 1.0 / k;
    return 2 * t * s + e * 0.6931471805599453;
}

/* Philox4x32-10: four words from a key and a counter. */
SP_MAYBE_UNUSED static void sp_philox(uint64_t key, uint64_t counter, uint32_t stream, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32), c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = stream, c3 = 0;
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
