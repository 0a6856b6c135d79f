/* model/init.c - fresh parameters: normal 0.02, projections into the residual
 * stream divided by sqrt(2 layers) (Radford et al. 2019), biases 0, gains 1.
 * An MLP's matrices: normal sqrt(2 / inputs) (He et al. 2015).
 *
 * A tensor's numbers depend on the seed and its name, never on the order.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "builder.h"

enum { BATCH = 1024 };

double sp_model_init_std(const struct sp_model_config *c, const char *tensor, const struct sp_type *t)
{
    size_t n = strlen(tensor);
    if (t->n < 2)
        return c->gain_one || (n >= 5 && !strcmp(tensor + n - 5, ".bias")) ? 0 : -1;
    if (c->family == SP_FAMILY_MLP)
        return sqrt(2.0 / (double)sp_type_cols(t));
    return sp_arch_of(c->family)->residual(tensor) ? c->initializer_range / sqrt(2.0 * (double)c->layers) : c->initializer_range;
}

static void draw(const struct sp_type *t, unsigned char *to, double std, uint64_t key)
{
    struct sp_random r = { .key = key };
    float x[BATCH];
    int64_t n = sp_type_elements(t);
    for (int64_t at = 0; at < n; at += BATCH) {
        int64_t k = n - at < BATCH ? n - at : BATCH;
        for (int64_t i = 0; i < k; i++)
            x[i] = std < 0 ? 1 : std > 0 ? (float)(std * sp_random_normal(&r)) : 0;
        sp_formats[t->format].encode(to + sp_format_bytes(t->format, at), x, k);
    }
}

enum sp_status sp_model_init(const struct sp_model_config *c, const struct sp_state *s, unsigned char *region, uint64_t seed, struct sp_err *err)
{
    for (int i = 0; i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        if (e->kind != SP_STATE_PARAM)
            continue;
        if (BATCH % sp_formats[e->type.format].block || sp_type_elements(&e->type) % sp_formats[e->type.format].block)
            return sp_fail(err, SP_UNSUPPORTED, "%s can't be drawn in %s", e->name, sp_formats[e->type.format].name);
        draw(&e->type, region + e->at, sp_model_init_std(c, e->name, &e->type), sp_random_key(seed, e->name));
    }
    return SP_OK;
}
