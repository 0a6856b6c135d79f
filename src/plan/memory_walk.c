/* plan/memory_walk.c - walks the forward graph of a job and asks the stack's table
 * what each op leaves behind.
 *
 * A tensor that several ops keep is counted once, at the largest size any of them
 * asks for.  Where nothing before or beside an op is trained, nothing is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "memory_walk.h"
#include "memo.h"

#include <math.h>
#include <string.h>

#include "../graph/ops.h"

struct walking {
    struct sp_walk *w;
    const struct sp_graph *g;
    int first, last;               /* nodes that belong to layers stand between these */
    int *slot;                     /* of every node; of a state that of its first user */
    bool *needs, *user;            /* a gradient flows through its outputs; a state that something reads */
    double *kept; int *keeper;     /* bytes kept of output o of node v at [v * SP_OUT_MAX + o], and the slot that first asked */
};

bool sp_ask_mixed(const struct sp_ask *a)
{
    return a->precision == SP_PRECISION_BF16_MIXED || a->precision == SP_PRECISION_FP16_MIXED || a->precision == SP_PRECISION_FP8;
}

/* ---- what is a parameter of what ---- */

static bool is_parameter(const struct sp_graph *g, sp_ref r)
{
    return sp_is(r) && g->node[r.node].op == &sp_op_state && g->node[r.node].state_kind == SP_STATE_PARAM;
}

static bool is_product(const struct sp_node *n)
{
    return !strcmp(n->op->name, "matmul") || !strcmp(n->op->name, "expert_matmul");
}

static sp_ref base(const struct sp_graph *g, sp_ref r)
{
    while (sp_is(r) && g->node[r.node].op->view && r.out == 0)
        r = g->node[r.node].in[0];
    return r;
}

static bool has(const char *name, const char *const *parts)
{
    for (; *parts; parts++)
        if (strstr(name, *parts))
            return true;
    return false;
}

/* The share of a matrix that an adapter stands beside: of a fused q, k and v only two thirds may be. */
static double targeted(const struct sp_walk *w, const struct sp_graph *g, const struct sp_node *n)
{
    static const char *const qv[] = { "q_proj", "v_proj", "query", "value", "q.weight", "v.weight", NULL },
                      *const fused[] = { "c_attn", "query_key_value", "qkv", "Wqkv", "W_pack", NULL }, *const attention[] = { "attn", "attention", "Attention", NULL };
    if (n->layer < 0 || !is_product(n) || n->n_in < 2 || !is_parameter(g, base(g, n->in[1])))
        return 0;
    const char *name = g->node[base(g, n->in[1]).node].name;
    if (w->s->targets == SP_TARGET_ALL)
        return 1;
    if (w->s->targets == SP_TARGET_ATTENTION)
        return has(name, attention);
    return has(name, fused) ? 2.0 / 3 : has(name, qv);
}

static bool method_adapts(int m)
{
    return m == SP_METHOD_LORA || m == SP_METHOD_QLORA || m == SP_METHOD_DORA;
}

static bool state_trained(const struct sp_walk *w, const char *name, int slot)
{
    if (w->s->trains_outside && (slot == 0 || slot > w->layers) && w->a->task != SP_TASK_SERVE)
        return true;
    switch (w->a->method) {
    case SP_METHOD_FULL: return true;
    case SP_METHOD_FREEZE: return slot > w->layers - w->a->rank;
    case SP_METHOD_BITFIT: return sp_ends_with(name, ".bias");
    default: return false;
    }
}

/* Something beside or in this op is trained. */
static bool node_trains(const struct walking *k, const struct sp_node *n)
{
    const struct sp_walk *w = k->w;
    int m = w->a->method;
    for (int i = 1; i < n->n_in; i++) {
        sp_ref r = base(k->g, n->in[i]);
        if (is_parameter(k->g, r) && state_trained(w, k->g->node[r.node].name, k->slot[r.node]))
            return true;
    }
    if (m == SP_METHOD_PREFIX)
        return n->layer >= 0 && (!strcmp(n->op->name, "attention") || !strcmp(n->op->name, "latent"));
    if (method_adapts(m) || m == SP_METHOD_IA3)
        return targeted(w, k->g, n) > 0;
    return m == SP_METHOD_ADAPTER && n->layer >= 0 && is_product(n) && sp_type_cols(&n->out[0]) == w->a->model.width;
}

/* ---- slots ---- */

static int slot_of(const struct walking *k, int v)
{
    const struct sp_node *n = &k->g->node[v];
    return n->layer >= 0 ? n->layer + 1 : v < k->first ? 0 : (int)k->w->layers + 1;
}

static void place(struct walking *k)
{
    const struct sp_graph *g = k->g;
    k->first = g->n;
    for (int v = 0; v < g->n; v++)
        if (g->node[v].layer >= 0) {
            k->first = v < k->first ? v : k->first;
            k->last = v;
        }
    for (int v = 0; v < g->n; v++) {
        k->slot[v] = slot_of(k, v);
        for (int i = 0; i < g->node[v].n_in; i++) {
            sp_ref r = g->node[v].in[i];
            if (!sp_is(r) || g->node[r.node].op != &sp_op_state || k->user[r.node])
                continue;
            k->user[r.node] = true;
            k->slot[r.node] = slot_of(k, v);
        }
    }
}

/* ---- parameters ---- */

static bool is_quantised(const struct sp_walk *w, const struct sp_node *n, int slot)
{
    bool inner = slot >= 1 && slot <= w->layers, served = w->a->task == SP_TASK_SERVE;
    if (!(w->a->bits > 0) || n->out[0].n < 2 || (!served && w->a->method == SP_METHOD_FULL))
        return false;
    return inner || (slot == 0 ? w->s->quantizes_embedding : w->s->quantizes_head);
}

/* Bytes of an optimizer's state at 4 bytes a number. */
static double moments(const struct sp_ask *a, const struct sp_type *t)
{
    double all = (double)sp_type_elements(t), cols = (double)sp_type_cols(t), rows = all / cols, rank = (double)a->rank;
    double narrow = rows < cols ? rows : cols, wide = rows < cols ? cols : rows;
    switch (a->optimizer) {
    case SP_OPTIMIZER_ADAMW: case SP_OPTIMIZER_ADAMW_PAGED: return 8 * all;
    case SP_OPTIMIZER_ADAMW_8BIT: return t->n < 2 ? 8 * all : (2 + 8.0 / 256) * all;
    case SP_OPTIMIZER_ADAFACTOR: return t->n < 2 ? 4 * all : 4 * (rows + cols);
    case SP_OPTIMIZER_GALORE: return t->n < 2 || rank >= narrow ? 8 * all : 8 * rank * wide + 4 * rank * narrow;
    default: return 0;
    }
}

/* Parts into which a tensor is cut for what ZeRO shares from stage `zero` on: a matrix among a tensor-parallel group, experts
 * among some of the copies besides, unless all copies share it anyway. */
static double cut_of(const struct sp_walk *w, const struct sp_type *t, int zero)
{
    double tensor = t->n >= 2 ? (double)w->a->cut.tensor : 1;
    return tensor * (t->n >= 3 && w->a->cut.zero < zero ? (double)w->a->cut.expert : 1);
}

static void count_state(struct walking *k, int v)
{
    struct sp_walk *w = k->w;
    const struct sp_node *n = &k->g->node[v];
    int slot = k->slot[v];
    struct sp_slot *s = &w->slot[slot];
    double all = (double)sp_type_elements(&n->out[0]), some = all / cut_of(w, &n->out[0], 3);
    if (n->state_kind != SP_STATE_PARAM || (w->s->layers_only && (slot == 0 || slot > w->layers)) || (w->s->matrices_only && n->out[0].n < 2))
        return;
    bool quantised = is_quantised(w, n, slot), trained = state_trained(w, n->name, slot);
    double rest = w->a->bits > 0 && w->s->frozen_rest > 0 ? w->s->frozen_rest : w->stored;
    s->parameters += some;
    s->weights += some * (quantised ? w->a->bits / 8 : trained ? w->stored : rest);
    s->gathered += some * (quantised ? w->a->bits / 8 : w->compute);
    if (n->out[0].n >= 2 && quantised)
        s->matrix = fmax(s->matrix, some * w->compute / (n->out[0].n >= 3 ? (double)n->out[0].dim[0] / (double)w->a->cut.expert : 1));
    if (trained) {
        s->extra += w->a->method != SP_METHOD_FULL && w->s->trains_outside ? some * w->stored : 0;
        s->trained += all / cut_of(w, &n->out[0], 2);
        s->owned += all / cut_of(w, &n->out[0], 1);
        s->moments += moments(w->a, &n->out[0]) / cut_of(w, &n->out[0], 1);
        w->trained += all;
    }
}

/* Parameters that a method puts beside an op. */
static double adapter_parameters(const struct walking *k, const struct sp_node *n)
{
    const struct sp_walk *w = k->w;
    double rank = (double)w->a->rank, part = targeted(w, k->g, n), out = (double)sp_type_cols(&n->out[0]);
    double in = n->n_in ? (double)sp_type_cols(&k->g->node[n->in[0].node].out[n->in[0].out]) : 0;
    bool experts = is_product(n) && n->out[0].n && k->g->node[base(k->g, n->in[1]).node].out[0].n == 3;
    double many = experts ? (double)k->g->node[base(k->g, n->in[1]).node].out[0].dim[0] : 1;
    switch (w->a->method) {
    case SP_METHOD_LORA: case SP_METHOD_QLORA: return many * part * rank * (in + out);
    case SP_METHOD_DORA: return part > 0 ? many * (part * rank * (in + out) + out) : 0;
    case SP_METHOD_IA3: return part > 0 ? many * out : 0;
    case SP_METHOD_ADAPTER: return node_trains(k, n) ? 2 * rank * out + rank + out : 0;
    case SP_METHOD_PREFIX: return node_trains(k, n) ? 2 * rank * out : 0;
    default: return 0;
    }
}

/* ---- what is kept ---- */

/* The stream between the parts of a layer and what is made of it row by row: whole on every device of a tensor-parallel group. */
static bool is_stream(const struct walking *k, sp_ref r)
{
    const struct sp_node *n = &k->g->node[r.node];
    static const char *const ops[] = { "embed", "add", "dropout", "layernorm", "rmsnorm", "expert_combine", "scale", NULL };
    if (sp_type_cols(&n->out[r.out]) != k->w->a->model.width)
        return false;
    for (const char *const *o = ops; *o; o++)
        if (!strcmp(n->op->name, *o))
            return true;
    return is_product(n) && n->n_in > 3 && sp_is(n->in[3]);
}

static double elements(const struct walking *k, sp_ref r)
{
    const struct sp_sharding *c = &k->w->a->cut;
    double all = (double)sp_type_elements(&k->g->node[r.node].out[r.out]);
    return is_stream(k, r) && !c->sequence ? all : all / (double)c->tensor;
}

static double bytes_of(const struct walking *k, sp_ref r)
{
    const struct sp_node *n = &k->g->node[r.node];
    bool stream = is_stream(k, r) && strcmp(n->op->name, "layernorm") && strcmp(n->op->name, "rmsnorm");
    if (n->out[r.out].format == SP_I32)
        return 8;
    return stream && k->w->s->amp && sp_ask_mixed(k->w->a) && k->w->a->method == SP_METHOD_FULL ? 4 : k->w->compute;
}

static void keep(struct walking *k, int v, sp_ref r, double bytes)
{
    r = base(k->g, r);
    if (!sp_is(r) || k->g->node[r.node].op == &sp_op_state)
        return;
    size_t at = (size_t)r.node * SP_OUT_MAX + (size_t)r.out;
    double size = elements(k, r) * bytes;
    if (!(k->kept[at] > 0))
        k->keeper[at] = k->slot[v];
    k->kept[at] = size > k->kept[at] ? size : k->kept[at];
}

/* Kept beside tensors, by this op alone. */
static void keep_more(struct walking *k, int v, double bytes, bool selective)
{
    struct sp_slot *s = &k->w->slot[k->slot[v]];
    s->kept += bytes;
    s->kept_selective += selective ? bytes : 0;
}

/* Weights of attention, [heads, tokens, tokens] of each sequence, where nothing is fused. */
static double attention_weights(const struct walking *k, const struct sp_node *n)
{
    const struct sp_ask *a = k->w->a;
    double heads = (double)n->attr.i[SP_ATTN_HEADS] / (double)a->cut.tensor, rows = (double)k->w->rows;
    return a->flash ? 0 : heads * rows * (double)a->context;
}

static void keep_attention(struct walking *k, int v, bool latent)
{
    const struct sp_node *n = &k->g->node[v];
    const struct sp_stack *s = k->w->s;
    double dropped = k->w->a->dropout > 0 ? 1 + k->w->compute : 0;
    keep_more(k, v, attention_weights(k, n) * (s->weight_bytes + dropped), s->drops_weights);
    if (latent || n->attr.i[SP_ATTN_PACKED])
        return;
    int64_t heads = n->attr.i[SP_ATTN_HEADS], kv = n->attr.i[SP_ATTN_KV_HEADS], more = 0;
    more = s->expands_kv && heads > kv ? 2 * (heads - kv) : s->fused_qkv ? heads + kv : 0;
    keep_more(k, v, (double)k->w->rows * (double)(more * n->attr.i[SP_ATTN_DIM]) / (double)k->w->a->cut.tensor * k->w->compute, false);
}

static void keep_adapter(struct walking *k, int v)
{
    const struct sp_node *n = &k->g->node[v];
    const struct sp_walk *w = k->w;
    double out = elements(k, (sp_ref){ v, 0 }), in = elements(k, base(k->g, n->in[0])), rank = (double)(w->a->rank * k->w->rows);
    if (w->a->method == SP_METHOD_IA3) {
        keep_more(k, v, out * w->compute, false);
        return;
    }
    keep_more(k, v, rank * w->compute, false);
    if (w->s->adapter_dropout > 0)
        keep_more(k, v, in * (w->compute + 1), false);
    else
        keep(k, v, n->in[0], bytes_of(k, n->in[0]));
    if (w->a->method == SP_METHOD_DORA)
        keep_more(k, v, 2 * out * w->compute, false);
}

static void keep_node(struct walking *k, int v)
{
    static const struct sp_keep unknown = { .in = 7 };
    const struct sp_node *n = &k->g->node[v];
    const struct sp_keep *row = sp_stack_keep(k->w->s, n->op->name);
    bool reads = k->w->s->quantised_keeps_input && k->w->a->bits > 0 && k->w->a->method != SP_METHOD_FULL && is_product(n);
    int m = k->w->a->method;
    bool trains = node_trains(k, n), adapts = (method_adapts(m) || m == SP_METHOD_IA3) && targeted(k->w, k->g, n) > 0;
    double out = elements(k, (sp_ref){ v, 0 });
    row = row ? row : &unknown;
    for (int i = 0; i < n->n_in && i < 8; i++) {
        if (!sp_is(n->in[i]))
            continue;
        if (row->in >> i & 1 || (row->in_trained >> i & 1 && ((trains && !adapts) || reads)))
            keep(k, v, n->in[i], bytes_of(k, n->in[i]));
        if (row->in_f32 >> i & 1)
            keep_more(k, v, elements(k, base(k->g, n->in[i])) * 4, true);
    }
    for (int o = 0; o < n->n_out; o++)
        if (row->out >> o & 1)
            keep(k, v, (sp_ref){ v, o }, bytes_of(k, (sp_ref){ v, o }));
    keep_more(k, v, out * (row->mask + k->w->compute * (row->copies + (trains ? row->copies_trained : 0))), row->selective);
    if (!strcmp(n->op->name, "attention") || !strcmp(n->op->name, "latent"))
        keep_attention(k, v, *n->op->name == 'l');
    if (adapts)
        keep_adapter(k, v);
}

static bool flows(const struct walking *k, int v)
{
    const struct sp_node *n = &k->g->node[v];
    for (int i = 0; i < n->n_in; i++)
        if (sp_is(n->in[i]) && k->needs[n->in[i].node])
            return true;
    return false;
}

/* What an op reads and writes at once, parameters apart; and the largest of it. */
static void touch(struct walking *k, int v)
{
    const struct sp_node *n = &k->g->node[v];
    struct sp_slot *s = &k->w->slot[k->slot[v]];
    double sum = 0;
    for (int i = 0; i < n->n_in; i++) {
        sp_ref r = base(k->g, n->in[i]);
        if (sp_is(r) && k->g->node[r.node].op != &sp_op_state && k->g->node[r.node].op != &sp_op_input && strcmp(k->g->node[r.node].op->name, "cache_append"))
            sum += elements(k, r) * k->w->compute;
    }
    double out = elements(k, (sp_ref){ v, 0 }) * k->w->compute;
    s->largest = fmax(s->largest, out);
    s->live = fmax(s->live, sum + out + (!strcmp(n->op->name, "attention") ? attention_weights(k, n) * k->w->s->weight_bytes : 0));
}

static bool is_inert(const struct sp_node *n)
{
    return n->op == &sp_op_state || n->op == &sp_op_input || n->op->view || !strcmp(n->op->name, "cache_append");
}

static void walk_nodes(struct walking *k)
{
    const struct sp_graph *g = k->g;
    for (int v = 0; v < g->n; v++) {
        const struct sp_node *n = &g->node[v];
        struct sp_slot *s = &k->w->slot[k->slot[v]];
        if (n->op == &sp_op_state)
            count_state(k, v);
        bool loss = n->layer < 0 && v > k->last && k->slot[v] > k->w->layers && sp_type_cols(&n->out[0]) != k->w->a->model.width;
        if (n->part != SP_PART_FORWARD || n->op == &sp_op_state || n->op == &sp_op_input || loss || !strcmp(n->op->name, "given_grad"))
            continue;
        bool trains = node_trains(k, n);
        k->needs[v] = trains || flows(k, v);
        double added = trains ? adapter_parameters(k, n) : 0;
        s->adapters += added / (double)k->w->a->cut.tensor;
        k->w->trained += added;
        if (is_inert(n))
            continue;
        touch(k, v);
        if (k->needs[v] && !(k->w->s->layers_only && n->layer < 0))
            keep_node(k, v);
    }
}

/* Tensors kept, in the layer that keeps them first; and what enters each layer. */
static void add_kept(struct walking *k)
{
    const struct sp_ask *a = k->w->a;
    double rows = (double)k->w->rows * (double)a->model.width / (a->cut.sequence ? (double)a->cut.tensor : 1);
    for (size_t at = 0; at < (size_t)k->g->n * SP_OUT_MAX; at++)
        if (k->kept[at] > 0)
            k->w->slot[k->keeper[at]].kept += k->kept[at];
    for (int i = 1; i <= k->w->layers; i++)
        k->w->slot[i].enters = rows * k->w->compute;
}

static enum sp_status build(const struct sp_ask *a, struct sp_graph *g, struct sp_err *err)
{
    bool serve = a->task == SP_TASK_SERVE;
    struct sp_build b = { .mode = serve ? SP_BUILD_SERVE : SP_BUILD_TRAIN, .batch = serve ? 1 : a->batch, .compute = SP_BF16, .stored = SP_F32, .cached = SP_BF16,
                          .tokens = a->context / a->cut.context, .dropout = serve ? 0 : a->dropout, .loss_rows = INT32_MAX };
    const struct sp_stack *s;
    if (serve) {
        TRY(sp_stack_find(a->stack, a->task, &s, err));
        b.cache = a->context;
        b.tokens = a->prompt < 1 ? 1 : a->prompt > b.cache ? b.cache : a->prompt;
        b.tokens = s->prefill && b.tokens > s->prefill ? s->prefill : b.tokens;
    }
    return sp_model_build(g, &a->model, &b, err);
}

static enum sp_status walk(struct sp_walk *w, const struct sp_graph *g, struct sp_err *err)
{
    size_t n = (size_t)g->n + 1;
    struct walking k = { .w = w, .g = g, .last = -1 };
    w->n = (int)w->layers + 2;
    w->slot = sp_arena_take(&w->mem, (size_t)w->n * sizeof *w->slot);
    k.slot = sp_arena_take(&w->mem, n * sizeof *k.slot);
    k.needs = sp_arena_take(&w->mem, n);
    k.user = sp_arena_take(&w->mem, n);
    k.kept = sp_arena_take(&w->mem, n * SP_OUT_MAX * sizeof *k.kept);
    k.keeper = sp_arena_take(&w->mem, n * SP_OUT_MAX * sizeof *k.keeper);
    if (!w->slot || !k.slot || !k.needs || !k.user || !k.kept || !k.keeper)
        return sp_fail(err, SP_NOMEM, "out of memory for a plan");
    place(&k);
    walk_nodes(&k);
    add_kept(&k);
    return SP_OK;
}

static int64_t graph_layers(const struct sp_graph *g)
{
    int most = -1;
    for (int v = 0; v < g->n; v++)
        most = g->node[v].layer > most ? g->node[v].layer : most;
    return most + 1;
}

/* What a walk depends on besides the model: not where, nor how many copies or what they share. */
struct walk_key { const struct sp_stack *s; int64_t batch, context, prompt, rank, tensor, expert, parts; double dropout, bits, cache_bits; int task, method, optimizer, precision, recompute, flash, sequence; };

static void walk_key(const struct sp_ask *a, const struct sp_stack *s, struct walk_key *key)
{
    memset(key, 0, sizeof *key);
    key->s = s;
    key->batch = a->batch;
    key->context = a->context;
    key->prompt = a->prompt;
    key->rank = a->rank;
    key->tensor = a->cut.tensor;
    key->expert = a->cut.expert;
    key->parts = a->cut.context;
    key->dropout = a->dropout;
    key->bits = a->bits;
    key->cache_bits = a->cache_bits;
    key->task = (int)a->task;
    key->method = a->method;
    key->optimizer = a->optimizer;
    key->precision = a->precision;
    key->recompute = a->recompute;
    key->flash = a->flash;
    key->sequence = a->cut.sequence;
}

static bool walked_before(const struct sp_ask *a, const struct walk_key *key, struct sp_walk *out)
{
    const struct sp_walk *found = sp_memo_find(a->memo, sp_memo_walk, key, sizeof *key);
    if (!found)
        return false;
    *out = *found; /* its slots stay the memo's */
    out->a = a;
    return true;
}

static void remember(const struct sp_ask *a, const struct walk_key *key, const struct sp_walk *w)
{
    struct sp_walk kept = *w;
    kept.mem = (struct sp_arena){ 0 };
    kept.slot = (struct sp_slot *)sp_memo_put(a->memo, sp_memo_slots, key, sizeof *key, w->slot, (size_t)w->n * sizeof *w->slot);
    if (kept.slot)
        sp_memo_put(a->memo, sp_memo_walk, key, sizeof *key, &kept, sizeof kept);
}

enum sp_status sp_memory_walk(const struct sp_ask *a, const struct sp_stack *s, struct sp_walk *out, struct sp_err *err)
{
    struct walk_key key;
    walk_key(a, s, &key);
    if (walked_before(a, &key, out))
        return SP_OK;
    struct sp_walk w = { .a = a, .s = s, .vocab = a->model.vocab };
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = build(a, g, err);
    bool frozen = a->task != SP_TASK_SERVE && a->method != SP_METHOD_FULL;
    w.compute = a->precision == SP_PRECISION_F32 ? 4 : 2;
    w.stored = a->precision == SP_PRECISION_F32 || (sp_ask_mixed(a) && s->amp && !frozen && a->task != SP_TASK_SERVE) ? 4 : a->precision == SP_PRECISION_FP8 && a->task == SP_TASK_SERVE ? 1 : 2;
    w.rows = a->task == SP_TASK_SERVE ? 0 : a->batch * (a->context / a->cut.context);
    if (!st && a->task == SP_TASK_SERVE)
        st = sp_model_cache_bytes(&a->model, a->context, SP_BF16, &w.cache, err);
    if (!st) {
        w.layers = graph_layers(g);
        st = walk(&w, g, err);
    }
    sp_graph_free(g);
    if (st) {
        sp_walk_clear(&w);
        return st;
    }
    w.table = a->model.tied ? (double)a->model.vocab * (double)a->model.width : 0;
    remember(a, &key, &w);
    *out = w;
    return SP_OK;
}

void sp_walk_clear(struct sp_walk *w)
{
    sp_arena_clear(&w->mem);
    *w = (struct sp_walk){ 0 };
}
