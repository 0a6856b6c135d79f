/* plan/efficiency.c - what published runs reached of their devices' peak, and why.
 *
 * hours x peak / FLOPs = k0 (1 + waiting) + nodes (k1 ridge + k2 (80 GB / memory - 1))
 *
 * waiting is counted from the graph: what memory takes longer than arithmetic, so
 * small models and devices with a high peak over bandwidth are slower.  Runs on more
 * than one node wait for links and for each other, the more, the faster the device
 * is for its memory (ridge: peak over bandwidth, an A100's is 1; links have grown as
 * memory has); there, models are cut the finer, the less memory a device has.
 * Nothing tells a vendor, a family of models or a year.
 *
 * Three numbers, drawn towards values that a person would guess, are fitted to the
 * logarithm by least absolute deviations (iteratively reweighted), a family of models
 * counting as the root of its runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "efficiency.h"

#include <math.h>
#include <string.h>

#include "solve.h"

enum { EFFICIENCY_RUNS_MIN = 5, EFFICIENCY_RUNS_MAX = 100000, ROUNDS = 40 };
static const double RIDGE_A100 = 312e12 / 2039e9, ROOM_BYTES = 80e9;
/* Before any run was looked at: kernels reach 55 % of the peak, leaving the node costs as much as half of the
 * arithmetic at its peak, half the memory a quarter.  How strongly they hold, in runs. */
static const double guess[SP_TERMS] = { 1.8, 0.5, 0.25 }, holds[SP_TERMS] = { 0.1, 0.5, 0.5 };
/* Whole steps in fp8 over 16 bits, as makers' own reports have it (1.2 to 1.5); no such run is among those learned from. */
static const double FP8_GAINS = 1.3;
static const double LEAST = 1e-3, NEAR = 0.05, SPREAD_SHARE = 0.9;
static const double UNSEEN = 1.2; /* a family that taught nothing is further off than those that did */
static const double SPREAD_MOST = 0.34657359; /* ln 2 / 2: what is printed spans a factor 2 at most */

const char *const sp_term_names[SP_TERMS] = { "arithmetic and memory", "beyond one node", "little memory" };

/* sparsam plan check training runs_training.csv --constants all */
const struct sp_efficiency sp_efficiency_published = { .k = { 1.8032, 0.55662, 0.2571 }, .spread = 0.34657359, .rows = 33, .families = 16 };

static const char *const learned_from[] = { "llama", "llama 2", "bloom", "pythia", "palm", "gopher", "falcon", "tinyllama", "gpt-2", "openllama", "alexatm", "ul2",
                                            "flamingo", "alphacode", "xglm", "megatron-lm" };

bool sp_efficiency_knows(const char *family)
{
    for (size_t i = 0; i < SP_COUNT(learned_from); i++)
        if (!strcmp(learned_from[i], family))
            return true;
    return false;
}

/* ---- terms ---- */

/* A rate for 16-bit numbers beyond that of the plain units. */
static bool has_matrix_units(const struct sp_device *d)
{
    return d->flops_16 > 0 && (d->year >= 2018 || d->flops_16 >= 3 * d->flops_f32);
}

enum sp_status sp_device_peak(const struct sp_device *d, int precision, struct sp_peak *out, struct sp_err *err)
{
    double plain = d->flops_f32 > 0 ? d->flops_f32 : d->flops_16, narrow = has_matrix_units(d) ? d->flops_16 : plain;
    struct sp_peak p = { narrow, narrow };
    if (precision == SP_PRECISION_F32)
        p.peak = p.pace = d->flops_tf32 > 0 ? d->flops_tf32 : plain;
    else if (precision == SP_PRECISION_FP8 && d->flops_8 > 0)
        p = (struct sp_peak){ d->flops_8, narrow > 0 ? fmin(d->flops_8, FP8_GAINS * narrow) : d->flops_8 };
    if (p.peak > 0) {
        *out = p;
        return SP_OK;
    }
    sp_fail(err, SP_USAGE, "nobody knows the peak rate of \"%.60s\"", d->name[0] ? d->name : "this device");
    return sp_remedy(err, "name an accelerator that sparsam catalog list accelerators shows, or add its rates there");
}

struct sp_terms sp_terms_of(double waiting, const struct sp_device *d, double pace, int64_t devices)
{
    bool nodes = devices <= 0 || devices > (d->per_node > 0 ? d->per_node : 8);
    double ridge = d->bytes_per_s > 0 ? pace / d->bytes_per_s / RIDGE_A100 : 1, room = d->memory_bytes > 0 ? fmax(0, ROOM_BYTES / d->memory_bytes - 1) : 0;
    return (struct sp_terms){ { 1 + waiting, nodes ? ridge : 0, nodes ? fmin(room, 4) : 0 } };
}

double sp_efficiency_slowness(const struct sp_efficiency *e, const struct sp_terms *t)
{
    double sum = 0;
    for (int i = 0; i < SP_TERMS; i++)
        sum += e->k[i] * t->v[i];
    return fmax(sum, 1);
}

/* ---- learning ---- */

static bool counts(const struct sp_published *r, const char *without)
{
    return !without || strcmp(r->family, without);
}

static double root_of_family(const struct sp_published *run, int n, const char *family)
{
    int same = 0;
    for (int i = 0; i < n; i++)
        same += !strcmp(run[i].family, family);
    return 1 / sqrt(same);
}

static double residual(const struct sp_published *r, const struct sp_efficiency *e)
{
    return log(r->slowness / sp_efficiency_slowness(e, &r->t));
}

/* One reweighted Gauss-Newton step. */
static void improve(const struct sp_published *run, const double *weight, int n, struct sp_efficiency *e)
{
    double a[SP_TERMS * SP_TERMS] = { 0 }, b[SP_TERMS];
    for (int i = 0; i < SP_TERMS; i++) {
        double hold = holds[i] / (guess[i] * guess[i]);
        a[i * SP_TERMS + i] = hold;
        b[i] = hold * (guess[i] - e->k[i]);
    }
    for (int r = 0; r < n; r++) {
        if (weight[r] <= 0)
            continue;
        double off = residual(&run[r], e), p = sp_efficiency_slowness(e, &run[r].t);
        double w = weight[r] * 0.15 / fmax(NEAR, fabs(off));
        for (int i = 0; i < SP_TERMS; i++) {
            b[i] += w * off * run[r].t.v[i] / p;
            for (int j = 0; j < SP_TERMS; j++)
                a[i * SP_TERMS + j] += w * run[r].t.v[i] * run[r].t.v[j] / (p * p);
        }
    }
    sp_solve(SP_TERMS, a, b);
    for (int i = 0; i < SP_TERMS; i++)
        e->k[i] = fmax(LEAST, e->k[i] + b[i]);
}

/* The share of runs within it decides; never more than a factor 2 is printed. */
static double spread_of(const struct sp_published *run, int n, const char *without, const struct sp_efficiency *e, double *room)
{
    int m = 0;
    for (int r = 0; r < n; r++)
        if (counts(&run[r], without)) {
            double off = fabs(residual(&run[r], e));
            int at = m++;
            for (; at > 0 && room[at - 1] > off; at--)
                room[at] = room[at - 1];
            room[at] = off;
        }
    return fmin(SPREAD_MOST, fmax(0.1, UNSEEN * room[(int)ceil(SPREAD_SHARE * m) - 1]));
}

enum sp_status sp_efficiency_fit(const struct sp_published *run, int n, const char *without, struct sp_efficiency *out, struct sp_err *err)
{
    struct sp_efficiency e = { .k = { guess[0], guess[1], guess[2] } };
    for (int i = 0; i < n; i++) {
        bool first = counts(&run[i], without);
        e.rows += first;
        for (int k = 0; first && k < i; k++)
            first = strcmp(run[k].family, run[i].family) != 0;
        e.families += first;
    }
    if (e.rows < EFFICIENCY_RUNS_MIN || n > EFFICIENCY_RUNS_MAX) {
        sp_fail(err, SP_LIMIT, "%d runs count beside the family \"%.40s\"", e.rows, without ? without : "-");
        return sp_remedy(err, "%d at least teach an efficiency; --constants compiled needs none", EFFICIENCY_RUNS_MIN);
    }
    double *room = sp_alloc((size_t)n * sizeof *room); /* weights, then residuals */
    if (!room)
        return sp_fail(err, SP_NOMEM, "out of memory for %d runs", n);
    for (int i = 0; i < n; i++)
        room[i] = counts(&run[i], without) ? root_of_family(run, n, run[i].family) : 0;
    for (int i = 0; i < ROUNDS; i++)
        improve(run, room, n, &e);
    e.spread = spread_of(run, n, without, &e, room);
    sp_free(room);
    *out = e;
    return SP_OK;
}
