/* mathematics of the portable kernels: results don't depend on libm.  Single
 * precision throughout, for devices that have nothing more; errors are below 2
 * units in the last place, infinities and NaN come out right, also denormals. */
#include <math.h>

/* ln 2 = SP_LN2_HIGH + SP_LN2_LOW; products of the high part with small whole numbers are exact. */
#define SP_LN2_HIGH 0.693359375f
#define SP_LN2_LOW -2.12194440e-4f

SP_MAYBE_UNUSED static float sp_power2(int32_t n)
{
    union sp_word w;
    w.u = (uint32_t)(n + 127) << 23;
    return w.f;
}

/* exp x = 2^n e^r, |r| <= ln2/2, Taylor's polynomial to r^7; scaled in two exact steps and a last one that rounds. */
SP_MAYBE_UNUSED static float sp_expf(float x)
{
    float k, r, p;
    int32_t n, half;
    if (x != x)
        return x;
    if (x > 89.0f)
        x = 89.0f;
    if (x < -104.0f)
        x = -104.0f;
    k = x * 1.44269504f;
    n = (int32_t)(k + (k < 0 ? -0.5f : 0.5f));
    r = (x - (float)n * SP_LN2_HIGH) - (float)n * SP_LN2_LOW;
    p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1;
    half = n / 2;
    return p * sp_power2(half) * sp_power2(n - half);
}

/* ln x = ln(1 + f) + e ln2, 1 + f from sqrt(1/2) to sqrt(2); with s = f/(2+f):
 * ln(1+f) = f - f^2/2 + s (f^2/2 + R), R = s^2 (2/3 + s^2 (2/5 + ...)). */
SP_MAYBE_UNUSED static float sp_logf(float x)
{
    union sp_word w;
    float f, s, s2, half;
    int32_t e = 0;
    if (x != x || x < 0)
        return NAN;
    w.f = x;
    if (x == 0)
        return -INFINITY;
    if (w.u == 0x7F800000u)
        return x;
    if (w.u < 0x00800000u) {
        w.f = x * 16777216.0f;
        e = -24;
    }
    w.u += 0x3F800000u - 0x3F3504F3u;
    e += (int32_t)(w.u >> 23) - 127;
    w.u = (w.u & 0x7FFFFFu) + 0x3F3504F3u;
    f = w.f - 1;
    s = f / (2 + f);
    s2 = s * s;
    half = 0.5f * f * f;
    s = s * (half + s2 * (2.0f / 3 + s2 * (2.0f / 5 + s2 * (2.0f / 7 + s2 * (2.0f / 9)))));
    return (float)e * SP_LN2_HIGH - ((half - (s + (float)e * SP_LN2_LOW)) - f);
}

/* tanh x: an odd polynomial (minimax, relative error 4e-9) below 5/8, 1 - 2/(e^2x + 1) above. */
SP_MAYBE_UNUSED static float sp_tanhf(float x)
{
    float a = x < 0 ? -x : x, z = x * x, y;
    if (!(a >= 0.625f)) {
        y = -5.714782818e-3f;
        y = y * z + 2.064865606e-2f;
        y = y * z - 5.37429373e-2f;
        y = y * z + 1.333148498e-1f;
        y = y * z - 3.333328371e-1f;
        return y * z * x + x;
    }
    y = a > 10 ? 1 : 1 - 2 / (sp_expf(2 * a) + 1);
    return x < 0 ? -y : y;
}

/* 1 / (1 + exp(-x)), by exp(-|x|), which can't overflow. */
SP_MAYBE_UNUSED static float sp_sigmoidf(float x)
{
    float e = sp_expf(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}

/* erf x: an odd polynomial below 1, 1 - exp(q(x)) above (minimax fits, errors 1e-9 and 2e-11). */
SP_MAYBE_UNUSED static float sp_erff(float x)
{
    float a = x < 0 ? -x : x, z = x * x, y;
    if (!(a >= 1)) {
        y = 7.889072278e-5f;
        y = y * z - 8.020826311e-4f;
        y = y * z + 5.189533542e-3f;
        y = y * z - 2.685444359e-2f;
        y = y * z + 1.128360015e-1f;
        y = y * z - 3.761262713e-1f;
        return (y * z + 1.283791661e-1f) * x + x;
    }
    if (a > 4)
        return x < 0 ? -1 : 1;
    y = -2.168672425e-5f;
    y = y * a + 4.413348423e-4f;
    y = y * a - 4.204554005e-3f;
    y = y * a + 2.520823475e-2f;
    y = y * a - 1.084185411e-1f;
    y = y * a - 6.332199282e-1f;
    y = y * a - 1.129578406f;
    y = 1 - sp_expf(y * a + 1.880360639e-4f);
    return x < 0 ? -y : y;
}

/* Correctly rounded wherever floats are IEEE's. */
SP_MAYBE_UNUSED static float sp_sqrtf(float x)
{
    return sqrtf(x);
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

/* What dropout by p multiplies a number with whose draw is word `word` of counter `at`: 0, or 1 / (1 - p). */
SP_MAYBE_UNUSED static float sp_dropout_keep(uint64_t key, int64_t at, int word, const int32_t *stream, float p)
{
    uint32_t draw[4], drop = (uint32_t)((double)p * 4294967296.0 > 4294967295.0 ? 4294967295.0 : (double)p * 4294967296.0);
    if (!(p > 0))
        return 1;
    sp_philox(key, (uint64_t)at, stream ? (uint32_t)*stream : 0, draw);
    return draw[word] >= drop && p < 1 ? 1 / (1 - p) : 0;
}
