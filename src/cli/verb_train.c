/* cli/verb_train.c - train a model, or say what that would cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "work.h"

struct train_options { struct sp_recipe recipe; bool predict; };

static const struct sp_option train_options[] = {
    { .name = "predict", .kind = SP_OPT_FLAG, .at = offsetof(struct train_options, predict), .group = "Prediction",
      .help = "say what it will cost and do nothing" },
    { 0 },
};

/* ---- prediction of a shape alone: nothing but config.json is needed ---- */

static json_t *count_json(const struct sp_count *c)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I}", "matmul", c->flops_matmul, "attention", c->flops_attention, "other", c->flops_other, "recompute",
                     c->flops_by_part[SP_PART_RECOMPUTE], "bytes", c->bytes_read + c->bytes_written, "kernel_steps", (json_int_t)c->steps);
}

static void show_count(const struct sp_job *j)
{
    const struct sp_count *c = &j->program[SP_RUN_MICRO].count;
    char a[32], b[32], d[32], e[32];
    printf("A step of %lld sequences of %lld tokens: %s FLOP in matrix products, %s in attention, %s elsewhere; %s of all is recomputation.\n",
           (long long)j->train.batch, (long long)j->train.tokens, sp_show_number(c->flops_matmul, a, sizeof a), sp_show_number(c->flops_attention, b, sizeof b),
           sp_show_number(c->flops_other, d, sizeof d), sp_show_number(c->flops_by_part[SP_PART_RECOMPUTE], e, sizeof e));
}

static enum sp_status count_only(struct verb_call *call, struct train_options *o, struct sp_err *err)
{
    struct sp_model_config c;
    struct sp_machine m;
    struct sp_job job;
    struct sp_cost cost;
    struct sp_rates rates = { 0 };
    TRY(work_machine(&call->common, &m, err));
    TRY(sp_recipe_config(&o->recipe, 0, &c, err));
    struct sp_train_shape t = sp_train_shape_of(&o->recipe, &c);
    work_rates_kept(&call->common, &m, t.compute, &rates);
    double began = sp_now();
    TRY(sp_step_train(&c, &t, &m, NULL, NULL, &job, err));
    double took = sp_now() - began;
    int64_t micros = o->recipe.train.accumulate > 0 ? o->recipe.train.accumulate : 1;
    double steps = fmax(1, (double)sp_learn_steps(&o->recipe.train, job.train.batch * job.train.tokens * micros));
    struct sp_plan_ask ask = { .job = &job, .machine = &m, .rates = &rates, .process_bytes = work_process_bytes(),
                               .runs = { [SP_RUN_MICRO] = steps * (double)micros, [SP_RUN_UPDATE] = steps } };
    sp_plan_job(&ask, &cost, NULL);
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:o, s:o, s:I, s:f}", "schema", "sparsam.train/1", "predicted", sp_cost_json(&cost), "step",
                                 count_json(&job.program[SP_RUN_MICRO].count), "nodes", (json_int_t)job.nodes, "counted_in_s", took);
    } else {
        show_count(&job);
        show_cost(stdout, rates.n ? "Predicted, with rates measured here:" : "Predicted, with rates that nobody measured here:", &cost);
    }
    sp_job_clear(&job);
    return SP_OK;
}

/* ---- the run ---- */

static void show_result(const struct work_training *w, const struct book *b)
{
    const struct sp_quality *q = &w->quality;
    char t[32];
    if (w->learned.complete)
        printf("Trained %lld steps before; nothing was left to do.\n", (long long)w->learned.steps);
    else
        printf("Trained %lld steps in %s at %.0f tokens/s; loss %.4f at the end.\n", (long long)w->learned.steps,
               sp_show_time(w->learned.seconds, t, sizeof t), w->learned.tokens_per_s, w->learned.loss);
    if (q->tokens)
        printf("Held-out text: loss %.4f +- %.4f nats a token, perplexity %.2f, %.3f bits a byte (%lld tokens in %lld of %lld windows).\n", q->loss,
               q->loss_stderr, q->perplexity, q->bits_per_byte, (long long)q->tokens, (long long)q->windows, (long long)q->windows_given);
    if (w->recipe.train.out)
        printf("The model is in %s.\n", w->recipe.train.out);
    show_compared(stdout, &w->predicted, &b->measured);
    book_show(b, stdout);
}

static json_t *result_json(struct work_training *w, const struct book *b)
{
    json_t *j = json_pack("{s:s, s:O, s:I, s:f, s:f, s:b, s:o, s:o}", "schema", "sparsam.train/1", "steps", w->steps, "step", (json_int_t)w->learned.steps,
                          "tokens_per_s", w->learned.seconds > 0 ? (double)w->learned.tokens / w->learned.seconds : 0, "loss", w->learned.loss, "interrupted",
                          (int)w->learned.interrupted, "predicted", sp_cost_json(&w->predicted), "measured", sp_cost_json(&b->measured));
    if (j && w->quality.tokens)
        json_object_set_new(j, "eval", quality_json(&w->quality));
    return j;
}

static enum sp_status train_whole(struct verb_call *call, struct work_training *w, struct sp_err *err)
{
    struct book b;
    struct sp_err booking;
    TRY(sp_link_agree(w->link, book_begin(&b, call, &w->machine, sp_recipe_json(&w->recipe), &w->predicted, err), err));
    work_files(&b, &w->recipe);
    if (!call->common.quiet && !call->common.json)
        show_cost(stderr, "Predicted:", &w->predicted);
    enum sp_status st = work_training_run(w, &call->common, &b, err);
    enum sp_status booked = book_end(&b, &w->predicted, st || !w->quality.tokens ? NULL : quality_json(&w->quality), st ? err : NULL, &booking);
    TRY(st);
    if (booked)
        *err = booking;
    TRY(booked);
    if (call->common.json)
        call->answer = result_json(w, &b);
    else if (!sp_link_rank(w->link))
        show_result(w, &b);
    return SP_OK;
}

static enum sp_status train_alone_or_not(struct verb_call *call, const struct train_options *o, struct work_training *w, struct sp_err *err)
{
    w->recipe = o->recipe;
    w->steps = call->common.json ? json_array() : NULL;
    TRY(work_training_open(w, &call->common, err));
    if (!o->predict)
        return train_whole(call, w, err);
    if (call->common.json)
        call->answer = json_pack("{s:s, s:o}", "schema", "sparsam.train/1", "predicted", sp_cost_json(&w->predicted));
    else if (!sp_link_rank(w->link))
        show_cost(stdout, "Predicted:", &w->predicted);
    return SP_OK;
}

/* Under mpirun the first rank speaks and books, for all; another only when none is left before it. */
static enum sp_status train_run(struct verb_call *call, struct sp_err *err)
{
    struct train_options *o = call->options;
    if (o->predict && !o->recipe.data.path)
        return count_only(call, o, err);
    struct work_training *w = sp_zalloc(1, sizeof *w);
    if (!w)
        return sp_fail(err, SP_NOMEM, "no memory to train");
    sp_signals_install();
    enum sp_status st = sp_link_open(&w->link, err);
    if (!st && sp_link_rank(w->link)) {
        call->common.json = false;
        call->common.quiet = call->common.no_ledger = true;
        sp_log_set(SP_LOG_ERROR);
    }
    if (!st)
        st = train_alone_or_not(call, o, w, err);
    call->silent = !sp_link_speaks(w->link);
    work_training_close(w);
    sp_link_close(w->link);
    sp_free(w);
    return st;
}

const struct verb sp_verb_train = {
    .name = "train",
    .help = "train a language model on text, and book what it cost",
    .operands = "",
    .text = "Reads text, makes a tokenizer, predicts the cost, trains, scores held-out text, and\n"
            "prints what was predicted beside what was measured. Interrupted (Ctrl-C, SIGTERM) it\n"
            "writes a checkpoint; the same command goes on from it and ends with the same bits.\n"
            "\n"
            "Started by mpirun (Open MPI) several processes train as one: each has its part of\n"
            "the batch and of the optimizer, the first speaks, writes and books for all.\n"
            "\n"
            "  sparsam train --data book.txt --out model --minutes 10\n"
            "  mpirun -n 2 sparsam train --data book.txt --out model --steps 2000\n"
            "  sparsam train --data notes/ --layers 6 --width 384 --heads 6 --steps 2000 --out model\n"
            "  sparsam train --model llama/config.json --predict     what a step costs, from the shape alone\n",
    .sets = { { sp_recipe_model_options, offsetof(struct train_options, recipe.model) },
              { sp_recipe_data_options, offsetof(struct train_options, recipe.data) },
              { sp_recipe_train_options, offsetof(struct train_options, recipe.train) },
              { train_options, 0 } },
    .options_bytes = sizeof(struct train_options),
    .run = train_run,
};
