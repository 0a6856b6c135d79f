/* data/batch.c - rows of a token stream: random windows for training, consecutive
 * ones for evaluation.
 *
 * A training row is a function of (seed, step, micro, row) alone: the step's block of
 * random bits is the key of its rows' block.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

/* One row: inputs from `start`; past the end of the stream it is padding. */
static void fill_row(const struct sp_tokens *k, int64_t start, int64_t t, int32_t *ids, int32_t *targets,
                     float *weights)
{
    bool bos_known = k->bos >= 0 && k->bos != k->eos; /* what follows eos is no prediction */
    for (int64_t i = 0; i < t; i++) {
        bool real = start + i + 1 < k->n;
        ids[i] = start + i < k->n ? sp_tokens_at(k, start + i) : 0;
        targets[i] = real ? sp_tokens_at(k, start + i + 1) : 0;
        weights[i] = real && !(bos_known && targets[i] == k->bos) ? 1.0f : 0.0f;
    }
}

void sp_batch_fill(const struct sp_tokens *tokens, uint64_t seed, int64_t step, int64_t micro, int64_t first, int64_t b,
                   int64_t t, int32_t *ids, int32_t *targets, float *weights)
{
    uint64_t starts = tokens->n > t ? (uint64_t)(tokens->n - t) : 1;
    uint32_t r[4];
    sp_random_block(sp_random_key(seed, "batch"), (uint64_t)step, r);
    uint64_t key = (uint64_t)r[1] << 32 | r[0];
    for (int64_t row = 0; row < b; row++) {
        sp_random_block(key, (uint64_t)micro << 32 | (uint64_t)(first + row), r);
        uint64_t v = (uint64_t)r[1] << 32 | r[0];
        int64_t start = (int64_t)(((unsigned __int128)v * starts) >> 64);
        fill_row(tokens, start, t, ids + row * t, targets + row * t, weights + row * t);
    }
}

int64_t sp_window_count(const struct sp_tokens *tokens, int64_t t)
{
    return tokens->n < 2 ? 0 : (tokens->n - 1 + t - 1) / t;
}

int64_t sp_window_fill(const struct sp_tokens *tokens, int64_t first, int64_t b, int64_t t, int32_t *ids,
                       int32_t *targets, float *weights)
{
    int64_t count = sp_window_count(tokens, t), left = count - first;
    for (int64_t row = 0; row < b; row++)
        fill_row(tokens, first + row < count ? (first + row) * t : tokens->n, t, ids + row * t, targets + row * t,
                 weights + row * t);
    return left < 0 ? 0 : left < b ? left : b;
}
