/* plan/serve_count.c - what a step of serving reads and computes, from the model's
 * own graph, and the devices it does so on.
 *
 * The bytes that the ops count are split by where they come from: parameters (an
 * embedding counts the rows it looks up, experts those that at least one token of
 * the step is sent to), and the cache, which a step reads once.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "memo.h"
#include "serve_fit.h"

static const double PLAIN_BITS = 16;       /* what is counted is stored so */
static const double FLOPS_A_BYTE = 40;     /* of ordinary units, where nobody says; so have most GPUs since 2018, within a factor 3 */
static const double PROCESSOR_BYTES = 50e9; /* a second, of a processor nobody knows: two channels */
static const double CORE_FLOPS = 60e9;     /* of a core nobody knows: 2 GHz, a fused multiply-add of 16 numbers */
static const double MIXED_FAST = 0.67, MIXED_FASTER = 1.35; /* Apple's M chips: two thirds of the cores, at 1.35 of the mean */
enum { CORES = 8 };                        /* of a processor whose cores nobody counted */

/* ---- the graph ---- */

static bool is_state(const struct sp_graph *g, sp_ref r, enum sp_state_kind kind)
{
    return sp_is(r) && !strcmp(g->node[r.node].op->name, "state") && g->node[r.node].state_kind == kind;
}

static void count_node(const struct sp_graph *g, const struct sp_node *n, struct sp_serve_count *out)
{
    struct sp_type in[SP_IN_MAX];
    struct sp_count c = { 0 };
    double others = 0;
    bool weights = false;
    for (int i = 0; i < n->n_in; i++) {
        in[i] = sp_is(n->in[i]) ? *sp_graph_type(g, n->in[i]) : (struct sp_type){ .n = -1 };
        if (is_state(g, n->in[i], SP_STATE_PARAM))
            weights = true;
        else
            others += in[i].n >= 0 ? (double)sp_type_bytes(&in[i]) : 0;
    }
    n->op->count(n, in, &c);
    out->flops += c.flops_matmul + c.flops_attention + c.flops_other;
    if (weights)
        out->weights += fmax(0, c.bytes_read - others) * 8 / PLAIN_BITS;
}

enum sp_status sp_serve_count(const struct sp_model_config *c, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_count *out, struct sp_err *err)
{
    struct sp_serve_count sum = { 0 };
    struct sp_build b = { .mode = SP_BUILD_SERVE, .batch = batch, .tokens = tokens, .cache = positions,
                          .positions = positions > c->context ? positions : c->context, .compute = SP_BF16, .stored = SP_BF16, .cached = SP_BF16,
                          .rings = true };
    struct sp_graph *g = sp_graph_new();
    if (!g)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    enum sp_status st = sp_model_build(g, c, &b, err);
    for (int i = 0; !st && i < g->n; i++) {
        const struct sp_node *n = &g->node[i];
        if (n->op->count)
            count_node(g, n, &sum);
        if (is_state(g, (sp_ref){ i, 0 }, SP_STATE_CACHE))
            sum.cache_bytes += (double)sp_type_bytes(&n->out[0]);
    }
    sp_graph_free(g);
    TRY(st);
    *out = sum;
    return SP_OK;
}

enum sp_status sp_serve_counted(const struct sp_ask *a, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_count *out, struct sp_err *err)
{
    struct { int64_t batch, tokens, positions; } key = { batch, tokens, positions };
    const struct sp_serve_count *found = sp_memo_find(a->memo, sp_memo_serve, &key, sizeof key);
    if (found) {
        *out = *found;
        return SP_OK;
    }
    TRY(sp_serve_count(&a->model, batch, tokens, positions, out, err));
    sp_memo_put(a->memo, sp_memo_serve, &key, sizeof key, out, sizeof *out);
    return SP_OK;
}

/* ---- the devices ---- */

static bool is_apple(const char *name)
{
    return !strncasecmp(name, "Apple", 5);
}

/* Server cards without HBM keep check bits in the memory itself; workstation cards can, but are sold with it off. */
static bool has_ecc(const struct sp_device *d)
{
    static const char *const others[] = { "RTX", "GeForce", "GTX", "Quadro", "TITAN", "Jetson", "Spark", NULL };
    if (strncasecmp(d->name, "NVIDIA", 6) || d->bytes_per_s >= 1e12 || d->bytes_per_s > 0.045 * d->flops_f32)
        return false;
    for (int i = 0; others[i]; i++)
        if (strcasestr(d->name, others[i]))
            return false;
    return true;
}

/* Consumer cards halve the 16-bit rate only where sums are kept in f32, which serving needn't: int8 shows the units. */
static double peak_of(const struct sp_ask *a, const struct sp_device *d, double f32)
{
    if (a->precision == SP_PRECISION_F32)
        return f32;
    if (a->precision == SP_PRECISION_FP8 && (d->flops_8 > 0 || d->ops_8 > 0))
        return d->flops_8 > 0 ? d->flops_8 : d->ops_8;
    if (d->flops_16 > 0 || d->ops_8 > 0)
        return fmax(d->flops_16, d->ops_8 / 2);
    return f32 * (!strncasecmp(d->name, "NVIDIA", 6) && d->year >= 2018 ? 4 : is_apple(d->name) ? 1 : 2);
}

/* f32 rate of the cores that `threads` run on.  machine.cores counts what the system sees: two of a core, from AMD and
 * Intel.  Where fast and slow cores are mixed, few threads run on the fast ones. */
static double core_flops(const struct sp_machine *m, double threads)
{
    const char *cpu = m->cpu[0] ? m->cpu : m->device.name;
    bool intel = strcasestr(cpu, "Intel"), two = intel || strcasestr(cpu, "AMD");
    bool mixed = is_apple(cpu) || strcasestr(cpu, "Snapdragon") || (intel && strcasestr(cpu, "Core") && m->device.year >= 2021);
    double cores = m->cores <= 1 ? CORES : two ? ceil(m->cores / 2.0) : m->cores;
    if (m->device.flops_f32 <= 0)
        return CORE_FLOPS;
    return m->device.flops_f32 / cores * (mixed && threads <= MIXED_FAST * cores ? MIXED_FASTER : 1);
}

static enum sp_status set_device(const struct sp_ask *a, struct sp_serve_case *c, struct sp_err *err)
{
    const struct sp_device *d = &a->machine.device;
    c->maker = d->count <= 0 ? SP_SERVE_PROCESSOR : is_apple(d->name) ? SP_SERVE_APPLE : SP_SERVE_GPU;
    c->threads = a->machine.threads > 0 ? a->machine.threads : a->machine.cores > 0 ? a->machine.cores : 1;
    c->bytes_per_s = d->bytes_per_s;
    if (c->bytes_per_s <= 0 && c->maker != SP_SERVE_PROCESSOR) {
        sp_fail(err, SP_USAGE, "nobody knows the memory bandwidth of %s", d->name[0] ? d->name : "this device");
        return sp_remedy(err, "sparsam catalog list shows the devices whose bandwidth is known; a row of your own can say it");
    }
    c->bytes_assumed = c->bytes_per_s <= 0;
    c->bytes_per_s = c->bytes_assumed ? PROCESSOR_BYTES : c->bytes_per_s;
    c->flops_assumed = d->flops_f32 <= 0 && c->maker != SP_SERVE_PROCESSOR;
    c->flops_core = core_flops(&a->machine, c->threads);
    c->flops_f32 = d->flops_f32 > 0 ? d->flops_f32 : FLOPS_A_BYTE * c->bytes_per_s;
    c->flops_peak = peak_of(a, d, c->flops_f32);
    c->ecc = has_ecc(d);
    c->link_bytes_per_s = d->link_bytes_per_s > 0 ? d->link_bytes_per_s : 16e9;
    return SP_OK;
}

static enum sp_status set_stack(const struct sp_ask *a, struct sp_serve_case *c, struct sp_err *err)
{
    c->stack = sp_serve_stack_find(sp_serve_stack_of(a));
    if (c->stack)
        return SP_OK;
    char known[160] = "";
    for (const struct sp_serve_stack *s = sp_serve_stacks; s->name; s++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", s == sp_serve_stacks ? "" : ", ", s->name);
    sp_fail(err, SP_USAGE, "no speeds are known of models served by --stack %.40s", a->stack);
    return sp_remedy(err, "one of %s", known);
}

const char *sp_serve_stack_of(const struct sp_ask *a)
{
    if (a->stack)
        return a->stack;
    bool small = a->machine.device.count <= 0 || is_apple(a->machine.device.name) || (a->users <= 1 && a->bits > 0 && a->bits < 16);
    return small ? "llama.cpp" : "vllm";
}

bool sp_serve_by_layers(const struct sp_ask *a)
{
    const struct sp_serve_stack *s = sp_serve_stack_find(sp_serve_stack_of(a));
    return s && s->by_layers;
}

enum sp_status sp_serve_case_of(const struct sp_ask *a, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_case *out, struct sp_err *err)
{
    struct sp_serve_case c = { .prefill = tokens > 1, .rows = (double)(batch * tokens), .layers = (double)a->model.layers, .width = (double)a->model.width,
                               .bits = a->bits > 0 ? a->bits : 8 * sp_precision_bytes(a->precision), .parts = (double)(a->cut.tensor > 0 ? a->cut.tensor : 1),
                               .chain = (double)(a->cut.pipeline > 0 ? a->cut.pipeline : 1), .mixture = a->active < 0.999 * a->parameters };
    c.packed = c.bits < 8 * sp_precision_bytes(a->precision);
    double cache_bits = a->cache_bits > 0 ? a->cache_bits : fmin(16, 8 * sp_precision_bytes(a->precision));
    struct sp_serve_count n;
    TRY(set_stack(a, &c, err));
    TRY(set_device(a, &c, err));
    TRY(sp_serve_counted(a, batch, tokens, positions, &n, err));
    c.weights = n.weights;
    c.flops = n.flops;
    c.cache_bytes = n.cache_bytes * cache_bits / PLAIN_BITS;
    *out = c;
    return SP_OK;
}
