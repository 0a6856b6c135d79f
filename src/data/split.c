/* data/split.c - the held-out part: by the documents' hashes, so that adding or
 * reordering documents moves none of the others; a single document by position.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

enum { LINE_REACH = 4096 }; /* bytes to look ahead for a line's end */

/* Where to cut one document. */
static size_t cut_at(struct sp_slice s, double fraction)
{
    size_t at = (size_t)((double)s.n * (1 - fraction)), reach = s.n - at < LINE_REACH ? s.n - at : LINE_REACH;
    const char *end = reach ? memchr(s.at + at, '\n', reach) : NULL;
    if (end && (size_t)(end + 1 - s.at) < s.n)
        return (size_t)(end + 1 - s.at);
    while (at < s.n && ((unsigned char)s.at[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static void cut_one(struct sp_slice s, double fraction, struct sp_split *out)
{
    size_t at = cut_at(s, fraction);
    if (at)
        out->train[out->n_train++] = (struct sp_slice){ s.at, at };
    if (at < s.n)
        out->valid[out->n_valid++] = (struct sp_slice){ s.at + at, s.n - at };
}

static bool held_out(uint64_t hash, double fraction)
{
    return (double)(hash >> 11) * 0x1p-53 < fraction;
}

/* The document to move when all fell on one side: the one nearest the border. */
static int64_t lone(const struct sp_documents *d, double fraction)
{
    int64_t held = 0, lowest = 0, highest = 0;
    for (int64_t i = 0; i < d->n; i++) {
        held += held_out(d->at[i].hash, fraction);
        lowest = d->at[i].hash < d->at[lowest].hash ? i : lowest;
        highest = d->at[i].hash > d->at[highest].hash ? i : highest;
    }
    return held == 0 ? lowest : held == d->n ? highest : -1;
}

enum sp_status sp_documents_split(const struct sp_documents *d, double fraction, struct sp_split *out,
                                  struct sp_err *err)
{
    if (!(fraction >= 0 && fraction < 1))
        return sp_fail(err, SP_USAGE, "a held-out fraction of %g; it must be from 0 to below 1", fraction);
    struct sp_split s = { .train = sp_zalloc((size_t)d->n + 1, sizeof *s.train),
                          .valid = sp_zalloc((size_t)d->n + 1, sizeof *s.valid) };
    if (!s.train || !s.valid) {
        sp_split_free(&s);
        return sp_fail(err, SP_NOMEM, "no memory for the split of %lld documents", (long long)d->n);
    }
    int64_t moved = d->n > 1 && fraction > 0 ? lone(d, fraction) : -1;
    if (d->n == 1)
        cut_one(d->at[0].text, fraction, &s);
    for (int64_t i = 0; i < d->n && d->n > 1; i++)
        if (held_out(d->at[i].hash, fraction) != (i == moved))
            s.valid[s.n_valid++] = d->at[i].text;
        else
            s.train[s.n_train++] = d->at[i].text;
    *out = s;
    return SP_OK;
}

void sp_split_free(struct sp_split *s)
{
    sp_free(s->train);
    sp_free(s->valid);
    *s = (struct sp_split){ 0 };
}
