/* model/rope.c - rotary positions of a configuration: base and scaling.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "builder.h"

/* ---- reading ---- */

static double yarn_size(double factor, double by)
{
    return factor > 1 ? 0.1 * by * log(factor) + 1 : 1;
}

/* Peng et al. 2023, with the keys of Hugging Face: attention_factor, else mscale over mscale_all_dim, else by the factor. */
static enum sp_status read_yarn(struct sp_model_config *c, const json_t *r, struct sp_err *err)
{
    double own, all;
    bool whole;
    TRY(sp_json_real(r, "original_max_position_embeddings", 1, 1e9, (double)c->context, &c->rope_original, err));
    TRY(sp_json_real(r, "factor", 1e-6, 1e6, (double)c->context / c->rope_original, &c->rope_factor, err));
    TRY(sp_json_real(r, "beta_slow", 1e-6, 1e6, 1, &c->rope_low, err));
    TRY(sp_json_real(r, "beta_fast", 1e-6, 1e6, 32, &c->rope_high, err));
    TRY(sp_json_real(r, "attention_factor", 0, 1e6, 0, &c->rope_size, err));
    TRY(sp_json_real(r, "mscale", 0, 1e6, 0, &own, err));
    TRY(sp_json_real(r, "mscale_all_dim", 0, 1e6, 0, &all, err));
    TRY(sp_json_bool(r, "truncate", true, &whole, err));
    if (!whole)
        c->rope_scaling = SP_SCALING_OTHER;
    if (c->rope_low >= c->rope_high)
        return sp_fail(err, SP_FORMAT, "yarn's beta_slow %g must be below its beta_fast %g", c->rope_low, c->rope_high);
    if (!(c->rope_size > 0) && own > 0 && all > 0)
        c->rope_size = yarn_size(c->rope_factor, own) / yarn_size(c->rope_factor, all);
    return SP_OK;
}

static enum sp_status read_scaling(struct sp_model_config *c, const json_t *r, struct sp_err *err)
{
    static const char *const names[] = { "default", "linear", "llama3", "yarn", "longrope", "su", "mrope" };
    const char *type;
    TRY(sp_json_text(r, "rope_type", NULL, &type, err));
    if (!type)
        TRY(sp_json_text(r, "type", "default", &type, err));
    int i = 0;
    while (i < (int)SP_COUNT(names) && strcmp(type, names[i]))
        i++;
    if (i == (int)SP_COUNT(names))
        return sp_fail(err, SP_UNSUPPORTED, "rotary scaling \"%.40s\" isn't supported; default, linear, llama3 and yarn are", type);
    c->rope_scaling = i < SP_SCALING_OTHER ? (enum sp_rope_scaling)i : SP_SCALING_OTHER;
    TRY(sp_json_real(r, "rope_theta", 1.001, 1e12, c->rope_theta, &c->rope_theta, err));
    if (i == SP_SCALING_YARN)
        return read_yarn(c, r, err);
    TRY(sp_json_real(r, "factor", 1e-6, 1e6, 1, &c->rope_factor, err));
    TRY(sp_json_real(r, "low_freq_factor", 1e-6, 1e6, 1, &c->rope_low, err));
    TRY(sp_json_real(r, "high_freq_factor", 1e-6, 1e6, 4, &c->rope_high, err));
    return sp_json_real(r, "original_max_position_embeddings", 1, 1e9, 8192, &c->rope_original, err);
}

enum sp_status sp_rope_read(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    TRY(sp_key_real(j, "rope_theta|rope_base|rotary_emb_base|attn_config.rope_theta", 1.001, 1e12, c->rope_theta > 1 ? c->rope_theta : 10000, &c->rope_theta, err));
    TRY(sp_key_real(j, "rope_local_base_freq", 1.001, 1e12, c->rope_local, &c->rope_local, err));
    c->rope_factor = 1;
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "rope_parameters" : "rope_scaling";
        const json_t *r = json_object_get(j, key);
        if (json_is_object(r) && read_scaling(c, r, err))
            return sp_where(err, "%s", key);
    }
    return SP_OK;
}

/* ---- writing ---- */

static json_t *yarn_json(const struct sp_model_config *c)
{
    json_t *r = json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "yarn", "factor", c->rope_factor, "beta_slow", c->rope_low, "beta_fast",
                          c->rope_high, "original_max_position_embeddings", (json_int_t)c->rope_original);
    if (r && c->rope_size > 0 && json_object_set_new(r, "attention_factor", json_real(c->rope_size))) {
        json_decref(r);
        return NULL;
    }
    return r;
}

int sp_rope_write(const struct sp_model_config *c, json_t *j)
{
    int bad = json_object_set_new(j, "rope_theta", json_real(c->rope_theta));
    if (c->rope_local > 0)
        bad |= json_object_set_new(j, "rope_local_base_freq", json_real(c->rope_local));
    if (c->rope_scaling == SP_SCALING_NONE)
        return bad;
    json_t *r = c->rope_scaling == SP_SCALING_LINEAR
                    ? json_pack("{s:s, s:f}", "rope_type", "linear", "factor", c->rope_factor)
                : c->rope_scaling == SP_SCALING_YARN ? yarn_json(c)
                : c->rope_scaling == SP_SCALING_OTHER ? json_pack("{s:s, s:f}", "rope_type", "longrope", "factor", c->rope_factor)
                    : json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", c->rope_factor, "low_freq_factor",
                                c->rope_low, "high_freq_factor", c->rope_high, "original_max_position_embeddings",
                                (json_int_t)c->rope_original);
    return bad | json_object_set_new(j, "rope_scaling", r);
}
