/* cli/plan_show.c - plans in words, in tables, and for programs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "plan.h"
#include "work.h"

/* ---- words ---- */

static const char *span(const struct sp_figure *f, const char *(*show)(double, char *, size_t), char *buf, size_t cap)
{
    char text[3][32];
    show(f->likely, text[0], sizeof text[0]);
    show(f->low, text[1], sizeof text[1]);
    show(f->high, text[2], sizeof text[2]);
    bool wide = f->high > 1.02 * f->low && strcmp(text[1], text[2]);
    snprintf(buf, cap, "%.31s%s%.31s%s%.31s%s", text[0], wide ? " (" : "", wide ? text[1] : "", wide ? " to " : "", wide ? text[2] : "", wide ? ")" : "");
    return buf;
}

static void say_job(const struct sp_planned *o)
{
    const struct sp_ask *a = &o->ask;
    char p[32], t[32], act[32];
    printf("%s%s has %s parameters", a->model_name, a->typical ? " (a typical shape for that number)" : "", sp_show_number(a->parameters, p, sizeof p));
    if (a->active < 0.99 * a->parameters)
        printf(", of which a token meets %s", sp_show_number(a->active, act, sizeof act));
    if (a->task == SP_TASK_SERVE)
        printf(". Answering %lld at a time, %lld tokens after a prompt of %lld", (long long)a->users, (long long)a->generate, (long long)a->prompt);
    else if (!(a->tokens > 0))
        printf(". %s%s", a->task == SP_TASK_TRAIN ? "Training it" : "Fine-tuning it with ", a->task == SP_TASK_TRAIN ? "" : sp_method_names[a->method]);
    else
        printf(". %s%s on %s tokens%s", a->task == SP_TASK_TRAIN ? "Training it" : "Fine-tuning it with ", a->task == SP_TASK_TRAIN ? "" : sp_method_names[a->method],
               sp_show_number(a->tokens * a->epochs, t, sizeof t), a->epochs > 1 ? " in all" : "");
}

static void say_place(const struct sp_planned *o)
{
    const struct sp_device *d = &o->ask.machine.device;
    if (o->here)
        printf(" on this machine (%s, %d threads)", o->ask.machine.cpu, o->ask.machine.threads);
    else
        printf(" on %lld x %s", (long long)o->devices, d->name);
}

static void say_cut(const struct sp_planned *o)
{
    const struct sp_sharding *c = &o->ask.cut;
    if (o->devices > 1)
        printf(" (%lld copies, each on %lld%s)", (long long)c->data, (long long)(c->tensor * c->pipeline * c->context),
               c->zero == 3 ? "; they share weights, gradients and optimizer" : c->zero == 2 ? "; they share gradients and optimizer"
               : c->zero ? "; they share the optimizer" : "");
}

static void say_memory(const struct sp_planned *o)
{
    static const char *const again[] = { "", ", with activations computed again", ", with some activations computed again", "" };
    char a[120], b[40], c[40];
    const struct sp_figure *m = &o->cost.memory_peak;
    double has = o->here ? (double)o->ask.machine.memory_bytes : o->memory.device_bytes;
    const char *how = o->ask.task == SP_TASK_SERVE ? "" : again[o->ask.recompute];
    printf("%s holds %s", o->devices > 1 ? "Each device" : "It", span(m, sp_show_bytes, a, sizeof a));
    if (has > 0)
        printf(" of its %s%s: %s", sp_show_bytes(has, b, sizeof b), how, o->fits ? "it fits" : m->low > has ? "it does NOT fit" : "it may not fit");
    if (o->devices_least && o->devices_least != o->devices)
        printf(" (%lld would hold it)", (long long)o->devices_least);
    if (!o->here && o->memory.host.likely > 0)
        printf("; and %s in the host's memory for each", sp_show_bytes(o->memory.host.likely, c, sizeof c));
    puts(".");
}

static void say_serving(const struct sp_planned *o)
{
    const struct sp_serve_plan *s = &o->serve;
    char a[120], b[120], c[120];
    printf(" gives each %s tokens/s, the first after %s", span(&s->user_tokens_s, sp_show_number, a, sizeof a), span(&s->first_token_s, sp_show_time, b, sizeof b));
    printf(" and the last after %s.\n", span(&s->answer_s, sp_show_time, c, sizeof c));
    printf("Memory holds %lld at a time; with %lld they get %s tokens/s together. A million tokens", (long long)s->users_memory, (long long)s->users_most,
           span(&s->tokens_s_most, sp_show_number, a, sizeof a));
}

static void way_to_pay(const char *how, const struct sp_figure *f, const char *currency, int *n)
{
    char m[120];
    if (f->how != SP_HOW_UNKNOWN && f->likely > 0)
        printf("%s %s %s %s", (*n)++ ? "," : "", how, span(f, sp_show_number, m, sizeof m), currency);
}

static void say_money(const struct sp_planned *o)
{
    const struct sp_plan_money *m = &o->money;
    int n = 0;
    if (!m->currency[0])
        return;
    fputs("In money:", stdout);
    way_to_pay("rented on demand", &m->on_demand, m->currency, &n);
    way_to_pay("spot", &m->spot, m->currency, &n);
    way_to_pay("reserved", &m->reserved, m->currency, &n);
    way_to_pay("on machines of one's own", &m->own, m->currency, &n);
    if (!n)
        fputs(" not known", stdout);
    if (isfinite(m->months_break_even) && m->months_break_even > 0)
        printf("; buying beats renting after %.0f months of such use", m->months_break_even);
    printf("%s%s%s.\n", m->source[0] ? " (" : "", m->source, m->source[0] ? ")" : "");
    if (m->stale)
        puts("That price is older than a year: look it up, and give it with --price.");
}

static void say_known(const struct sp_planned *o)
{
    if (o->here)
        puts(o->asked.n ? "How sure: rates of some kernels are assumed. A run booked here (sparsam train, or machine --measure) measures them."
                        : "How sure: with rates measured on this machine.");
    else if (o->ask.task == SP_TASK_SERVE)
        printf("How sure: a roofline of what is counted, with shares of the bandwidth that published %s runs reached (%s). Most of a step goes to %s.\n",
               o->serve.stack, o->serve.device_class, sp_serve_part_names[o->serve.bound]);
    else if (o->time.rows)
        printf("How sure: counted work; %.0f to %.0f %% of the devices' peak over the whole run, as %d published runs reached.\n", 100 * o->time.efficiency.low,
               100 * o->time.efficiency.high, o->time.rows);
    else
        puts("No --tokens were given, so this is about memory alone.");
}

static void say_cost(const struct sp_planned *o)
{
    const struct sp_cost *c = &o->cost;
    char t[120], h[120], e[120], g[120], m[120];
    if (!(c->time_s.likely > 0)) {
        puts(".");
        return;
    }
    printf(" takes %s", span(&c->time_s, sp_show_time, t, sizeof t));
    if (o->devices > 1)
        printf(", %s device-hours", span(&c->device_hours, sp_show_number, h, sizeof h));
    printf(", %s, %s CO2e", span(&c->energy_j, sp_show_energy, e, sizeof e), span(&c->co2e_g, sp_show_mass, g, sizeof g));
    if (c->money.likely > 0)
        printf(" and %s %s", span(&c->money, sp_show_number, m, sizeof m), c->currency);
    puts(".");
}

static void say(const struct sp_planned *o)
{
    say_job(o);
    say_place(o);
    say_cut(o);
    if (o->ask.task == SP_TASK_SERVE && !o->here)
        say_serving(o);
    say_cost(o);
    say_memory(o);
    if (!o->here)
        say_money(o);
    if (!o->in_time)
        puts("The deadline is missed.");
    if (!o->in_budget)
        puts(o->cost.money.likely > 0 ? "The budget is exceeded." : "Whether the budget holds isn't known, for no price is.");
    say_known(o);
}

/* ---- tables ---- */

static void show_held(const struct sp_planned *o)
{
    char a[40], b[40], c[40];
    puts("\nMemory of a device           low       likely         high");
    for (int i = 0; i < SP_HOLDINGS; i++) {
        const struct sp_figure *f = &o->memory.hold[i];
        if (f->high > 0)
            printf("  %-16s %12s %12s %12s  %s\n", sp_holding_names[i], sp_show_bytes(f->low, a, sizeof a), sp_show_bytes(f->likely, b, sizeof b),
                   sp_show_bytes(f->high, c, sizeof c), sp_how_name(f->how));
    }
}

void plan_show_one(const struct plan_side *s)
{
    const struct sp_planned *o = &s->answer;
    say(o);
    putchar('\n');
    show_cost(stdout, o->ask.task != SP_TASK_SERVE ? "In figures:" : o->here ? "In figures, an answer:" : "In figures, a million tokens:", &o->cost);
    if (!o->here)
        show_held(o);
    if (s->explain.text.at)
        printf("\nHow it is reckoned:\n%s", s->explain.text.at);
}

enum { COLUMN = 38 };
struct line { const char *label; size_t at; const char *(*show)(double, char *, size_t); };

void plan_show_sides(const struct plan_side *s, int n)
{
    static const struct line lines[] = {
        { "time", offsetof(struct sp_cost, time_s), sp_show_time }, { "device-hours", offsetof(struct sp_cost, device_hours), sp_show_number },
        { "memory of a device", offsetof(struct sp_cost, memory_peak), sp_show_bytes }, { "energy", offsetof(struct sp_cost, energy_j), sp_show_energy },
        { "CO2e", offsetof(struct sp_cost, co2e_g), sp_show_mass }, { "CO2e of making", offsetof(struct sp_cost, co2e_embodied_g), sp_show_mass },
        { "money", offsetof(struct sp_cost, money), sp_show_number },
    };
    char text[120];
    printf("\n%-19s", "");
    for (int i = 0; i < n; i++)
        printf(" %*.*s", COLUMN, COLUMN, s[i].answer.ask.model_name);
    printf("\n%-19s", "on");
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%lld x %s", (long long)s[i].answer.devices, s[i].answer.here ? "this" : s[i].answer.ask.machine.device.name);
        printf(" %*.*s", COLUMN, COLUMN, text);
    }
    printf("\n%-19s", "fits");
    for (int i = 0; i < n; i++)
        printf(" %*s", COLUMN, s[i].answer.fits ? "yes" : "no");
    for (size_t k = 0; k < SP_COUNT(lines); k++) {
        printf("\n%-19s", lines[k].label);
        for (int i = 0; i < n; i++) {
            const struct sp_figure *f = (const struct sp_figure *)(const void *)((const char *)&s[i].answer.cost + lines[k].at);
            printf(" %*s", COLUMN, f->high > 0 ? span(f, lines[k].show, text, sizeof text) : "?");
        }
    }
    putchar('\n');
}

/* ---- for a program ---- */

static json_t *memory_json(const struct sp_planned *o)
{
    json_t *j = json_object();
    for (int i = 0; i < SP_HOLDINGS && !o->here; i++)
        json_object_set_new(j, sp_holding_names[i], sp_figure_json(&o->memory.hold[i]));
    json_object_set_new(j, "device", sp_figure_json(&o->cost.memory_peak));
    return j;
}

static json_t *serve_json(const struct sp_serve_plan *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "prefill_tokens_s", sp_figure_json(&s->prefill_tokens_s), "user_tokens_s",
                     sp_figure_json(&s->user_tokens_s), "tokens_s", sp_figure_json(&s->tokens_s), "first_token_s", sp_figure_json(&s->first_token_s), "answer_s",
                     sp_figure_json(&s->answer_s), "tokens_s_most", sp_figure_json(&s->tokens_s_most), "users_memory", (json_int_t)s->users_memory, "users_most",
                     (json_int_t)s->users_most);
}

json_t *plan_side_json(const struct plan_side *s)
{
    const struct sp_planned *o = &s->answer;
    const struct sp_sharding *c = &o->ask.cut;
    json_t *j = json_pack("{s:s, s:s, s:f, s:f, s:b, s:I, s:I, s:b, s:b, s:b, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "model", o->ask.model_name, "on",
                          o->here ? "this" : o->ask.machine.device.name, "parameters", o->ask.parameters, "active", o->ask.active, "typical", (int)o->ask.typical,
                          "devices", (json_int_t)o->devices, "devices_least", (json_int_t)o->devices_least, "fits", (int)o->fits, "in_time", (int)o->in_time, "in_budget", (int)o->in_budget, "cost",
                          sp_cost_json(&o->cost), "memory", memory_json(o), "cut", "data", (json_int_t)c->data, "tensor", (json_int_t)c->tensor, "pipeline",
                          (json_int_t)c->pipeline, "context", (json_int_t)c->context, "zero", (json_int_t)c->zero);
    if (j && o->time.rows)
        json_object_set_new(j, "efficiency", sp_figure_json(&o->time.efficiency));
    if (j && o->ask.task == SP_TASK_SERVE && !o->here)
        json_object_set_new(j, "serving", serve_json(&o->serve));
    if (j && s->explain.text.at)
        json_object_set_new(j, "explain", json_string(s->explain.text.at));
    return j;
}

/* ---- the search ---- */

static void technique_of(const struct sp_ask *a, char *buf, size_t cap)
{
    static const char *const again[] = { "", ", all computed again", ", some computed again" };
    if (a->task == SP_TASK_SERVE)
        snprintf(buf, cap, "%g bits", a->bits > 0 ? a->bits : 8 * sp_precision_bytes(a->precision));
    else
        snprintf(buf, cap, "%s%s%s", sp_method_names[a->method], again[a->recompute], a->cut.zero == 3 ? ", all shared" : a->cut.zero ? ", shared" : "");
}

void plan_show_best(const struct sp_best *b, int by)
{
    char t[40], e[40], g[40], m[40], how[80];
    printf("Of %d ways looked at %d fit into memory, and %d keep to deadline and budget.\n", b->tried, b->fit, b->within);
    if (!b->n) {
        puts("None is left: allow more time or money, or a smaller job.");
        return;
    }
    printf("Least %s:\n\n", sp_best_names[by]);
    say(&b->plan[0]);
    printf("\nThe best, and with * every way that no other beats in time, money, energy and CO2e at once:\n\n  %-34s %-36s %10s %12s %10s %10s\n", "", "", "time", "money", "energy",
           "CO2e");
    for (int i = 0; i < b->n; i++) {
        const struct sp_cost *c = &b->plan[i].cost;
        char name[80], price[60];
        snprintf(name, sizeof name, "%lld x %s", (long long)b->plan[i].devices, b->plan[i].ask.machine.device.name);
        technique_of(&b->plan[i].ask, how, sizeof how);
        if (c->money.likely > 0)
            snprintf(price, sizeof price, "%s %s", sp_show_number(c->money.likely, m, sizeof m), c->currency);
        else
            snprintf(price, sizeof price, "?");
        printf("%c %-34.34s %-36.36s %10s %12s %10s %10s\n", b->on_frontier[i] ? '*' : ' ', name, how, sp_show_time(c->time_s.likely, t, sizeof t), price,
               sp_show_energy(c->energy_j.likely, e, sizeof e), sp_show_mass(c->co2e_g.likely + c->co2e_embodied_g.likely, g, sizeof g));
    }
}

json_t *plan_best_json(const struct sp_best *b)
{
    json_t *list = json_array();
    for (int i = 0; i < b->n; i++) {
        struct plan_side s = { .answer = b->plan[i] };
        char how[80];
        json_t *j = plan_side_json(&s);
        technique_of(&s.answer.ask, how, sizeof how);
        json_object_set_new(j, "technique", json_string(how));
        json_object_set_new(j, "frontier", json_boolean(b->on_frontier[i]));
        json_array_append_new(list, j);
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:o}", "schema", "sparsam.plan-best/1", "tried", b->tried, "fit", b->fit, "within", b->within, "plans", list);
}
