/* plan/energy_share.c - answers draw less than training: a device waits for its
 * memory, and for the others that hold the same model.
 *
 * The more weights a device reads for a token, the less of its time goes to starting
 * kernels; the more devices share a model, the more goes to waiting for each other.
 * Least squares in the logarithm, drawn towards what was believed before.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "energy_share.h"
#include "solve.h"

static const double REFERENCE_BYTES = 30e9, LEAST_SHARE = 0.1;
static const double guess[SP_DECODE_TERMS] = { -0.43 /* 0.65 */, 0.15, -0.1 }, holds[SP_DECODE_TERMS] = { 0.1, 0.3, 0.3 };
static const double SPREAD = 0.25;

/* sparsam plan check energy energy_published.csv --constants all; rows measured by NVML with Zeus (ML.ENERGY leaderboard, Apache-2.0) */
const struct sp_decode_share sp_decode_published = { .k = { -0.37197, 0.18159, -0.08724 }, .spread = 0.25, .rows = 38 };

struct sp_decode_terms sp_decode_terms_of(double weight_bytes, double devices)
{
    double of_one = weight_bytes > 0 ? weight_bytes / devices : REFERENCE_BYTES;
    return (struct sp_decode_terms){ { 1, log(of_one / REFERENCE_BYTES), log2(devices) } };
}

double sp_decode_share_of(const struct sp_decode_share *s, const struct sp_decode_terms *t)
{
    double sum = 0;
    for (int i = 0; i < SP_DECODE_TERMS; i++)
        sum += s->k[i] * t->v[i];
    return fmin(1, fmax(LEAST_SHARE, exp(sum)));
}

void sp_decode_learn(const struct sp_decode_row *row, int n, const char *without, struct sp_decode_share *out)
{
    double a[SP_DECODE_TERMS * SP_DECODE_TERMS] = { 0 }, b[SP_DECODE_TERMS];
    struct sp_decode_share s = { .spread = SPREAD };
    for (int i = 0; i < SP_DECODE_TERMS; i++) {
        a[i * SP_DECODE_TERMS + i] = holds[i];
        b[i] = holds[i] * guess[i];
    }
    for (int r = 0; r < n; r++) {
        if (without && !strcmp(row[r].group, without))
            continue;
        s.rows++;
        for (int i = 0; i < SP_DECODE_TERMS; i++) {
            b[i] += row[r].t.v[i] * log(row[r].share);
            for (int j = 0; j < SP_DECODE_TERMS; j++)
                a[i * SP_DECODE_TERMS + j] += row[r].t.v[i] * row[r].t.v[j];
        }
    }
    sp_solve(SP_DECODE_TERMS, a, b);
    memcpy(s.k, b, sizeof s.k);
    *out = s;
}
