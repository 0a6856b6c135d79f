/* tests/draw.h - a model with random weights in a Hugging Face folder, from the text of its configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TESTS_DRAW_H
#define SP_TESTS_DRAW_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"
#include "step/step.h"

/* Entry `number` of the state, a vector: training begins with vectors that are all alike, which hides where they go. */
typedef void draw_vector(void *self, int number, float *x, int64_t n);

static inline void draw_model(const char *to, const char *config, uint64_t seed, enum sp_format f, const struct sp_machine *m, draw_vector *change, void *self)
{
    struct sp_model_config c;
    struct sp_job job;
    struct sp_err err;
    json_t *j = NULL;
    if (sp_json_parse(&j, config, strlen(config), "a configuration", &err) || sp_model_config_parse(&c, j, &err) ||
        sp_step_score(&c, 1, 4, SP_F32, SP_F32, m, &job, &err))
        fail_msg("%s: %s", err.where, err.what);
    json_decref(j);
    unsigned char *region = sp_zalloc((size_t)job.state.bytes + 64, 1);
    assert_non_null(region);
    assert_int_equal(sp_model_init(&c, &job.state, region, seed, &err), SP_OK);
    for (int i = 0; change && i < job.state.n; i++)
        if (job.state.entry[i].kind == SP_STATE_PARAM && job.state.entry[i].type.n == 1)
            change(self, i, (float *)(void *)(region + job.state.entry[i].at), job.state.entry[i].type.dim[0]);
    assert_int_equal(sp_model_save(to, &c, &job.state, region, f, NULL, 0, &err), SP_OK);
    sp_job_clear(&job);
    sp_free(region);
}
#endif
