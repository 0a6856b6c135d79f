/* cli/quantize_speed.c - tokens a second, memory and joules of two models, side by side.
 *
 * Each runs in a process of its own, so that its memory is its own, and they take turns:
 * what else the machine does in that time meets both. Of the turns the fastest counts.
 * The first answer of a process isn't counted: pages come in, caches are cold. How many
 * tokens is said by the first model's pace, and is the same for both.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quantize.h"

enum { TURNS = 2, WARM_PROMPT = 16, WARM_ANSWER = 4, PROMPT_MAX = 512, ANSWER_MAX = 128, ANSWER_MIN = 16 };
static const double PROMPT_S = 1.5, ANSWER_S = 2; /* about so long a prompt and an answer take */

struct trial { struct quantize_speed speed; int64_t prompt, answer; /* tokens; 0: to be chosen */ };

static enum sp_status generate(struct sp_engine *e, int64_t n, int64_t more, double *prompt_s, double *answer_s, struct sp_err *err)
{
    int32_t prompt[PROMPT_MAX];
    struct sp_sampling how = { .greedy = true, .repeat_penalty = 1 };
    struct sp_session session;
    struct sp_answer a = { 0 };
    for (int64_t i = 0; i < n; i++)
        prompt[i] = (int32_t)((i * 31 + 7) % e->job.config.vocab);
    sp_session_begin(&session, e);
    enum sp_status st = sp_generate(&session, prompt, n, &how, more, true, NULL, &a, err);
    sp_session_end(&session);
    *prompt_s = a.prompt_s;
    *answer_s = a.generate_s;
    sp_answer_clear(&a);
    return st;
}

static int64_t within(double n, int64_t least, int64_t most)
{
    return n < (double)least ? least : n > (double)most ? most : (int64_t)n;
}

static enum sp_status answer(struct sp_engine *e, struct sp_meter *m, struct trial *t, struct sp_err *err)
{
    int64_t room = e->job.serve.cache, first = room / 2 < WARM_PROMPT ? room / 2 : WARM_PROMPT;
    double prompt_s, answer_s;
    struct sp_cost both = { 0 }, begun = { 0 };
    TRY(generate(e, first, WARM_ANSWER < room - first ? WARM_ANSWER : room - first, &prompt_s, &answer_s, err));
    if (!t->prompt) {
        t->prompt = within(PROMPT_S * (double)first / fmax(prompt_s, 1e-6), first, room / 2 < PROMPT_MAX ? room / 2 : PROMPT_MAX);
        t->answer = within(ANSWER_S * WARM_ANSWER / fmax(answer_s, 1e-6), ANSWER_MIN, ANSWER_MAX);
    }
    int64_t more = t->answer < room - t->prompt ? t->answer : room - t->prompt;
    sp_meter_begin(m);
    TRY(generate(e, t->prompt, 1, &prompt_s, &answer_s, err));
    sp_meter_end(m, &begun);
    sp_meter_begin(m);
    TRY(generate(e, t->prompt, more, &prompt_s, &answer_s, err));
    sp_meter_end(m, &both);
    if (!(prompt_s > 0 && answer_s > 0))
        return SP_OK;
    t->speed.prompt = (double)t->prompt / prompt_s;
    t->speed.generate = (double)more / answer_s;
    if (both.energy_j.how == SP_HOW_COUNTER && more > 1) /* what the answer took beyond a prompt and one token */
        t->speed.joules = fmax(0, both.energy_j.likely - begun.energy_j.likely) / (double)(more - 1);
    return SP_OK;
}

static enum sp_status try_model(const char *path, const struct quantizing *q, struct trial *t, struct sp_err *err)
{
    struct sp_recipe r;
    struct sp_pool *pool;
    struct sp_engine e;
    struct sp_meter *m;
    struct rusage use;
    sp_recipe_defaults(&r);
    struct sp_serve_shape shape = sp_serve_shape_of(&r, &q->weights.config);
    TRY(sp_pool_new(&pool, q->machine.threads, err));
    TRY(sp_engine_open(&e, path, NULL, &shape, &q->machine, pool, err));
    TRY(sp_meter_new(&m, &q->machine, err));
    TRY(answer(&e, m, t, err));
    if (!getrusage(RUSAGE_SELF, &use))
        t->speed.bytes = 1024 * (double)use.ru_maxrss;
    return SP_OK;
}

/* In a process that ends with it, so nothing is freed there. */
static bool apart(const char *path, const struct quantizing *q, struct trial *t)
{
    int fd[2];
    struct trial got = *t;
    struct sp_err ignored;
    if (pipe(fd))
        return false;
    pid_t child = fork();
    if (!child) {
        bool well = !try_model(path, q, &got, &ignored);
        _exit(well && write(fd[1], &got, sizeof got) == (ssize_t)sizeof got ? 0 : 1);
    }
    close(fd[1]);
    bool well = child > 0 && read(fd[0], &got, sizeof got) == (ssize_t)sizeof got && got.speed.prompt > 0;
    close(fd[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    if (well)
        *t = got;
    return well;
}

static void keep_best(struct quantize_speed *best, const struct quantize_speed *s)
{
    best->prompt = fmax(best->prompt, s->prompt);
    best->generate = fmax(best->generate, s->generate);
    best->bytes = fmax(best->bytes, s->bytes);
    best->joules = best->joules > 0 && best->joules < s->joules ? best->joules : s->joules;
}

void quantize_measure(struct quantizing *q, const char *before, const char *after)
{
    struct trial t = { .prompt = 0 };
    for (int i = 0; i < TURNS && !sp_signal_pending(); i++) {
        if (!apart(before, q, &t))
            return;
        keep_best(&q->speed_before, &t.speed);
        if (apart(after, q, &t))
            keep_best(&q->speed_after, &t.speed);
    }
}
