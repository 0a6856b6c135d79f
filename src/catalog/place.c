/* catalog/place.c - the machine a person names: an accelerator and how many, an
 * instance of a cloud, a processor, or this one.
 *
 * Of all rows whose key stands in the name the longest key wins, then the one whose
 * form (SXM, PCIe) and memory were said, then the first in the file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include "inner.h"

enum { NEAREST = 3 };
static const double gb = 1e9, tera = 1e12, memory_slack = 0.03;

/* ---- which row ---- */

/* A word behind the key that makes it another part ("3070 Ti" is no 3070). */
static bool is_other_part(const char *word)
{
    static const char *const words[] = { "ti", "super", "xt", "xtx", "max", "pro", "ultra", "ada", "laptop", "mobile" };
    for (size_t i = 0; i < SP_COUNT(words); i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

/* Points for a form that the person and the row both name, fewer where they differ. */
static int form_points(const struct sp_accelerator *row, const struct sp_name *name)
{
    static const struct { const char *said, *form; } forms[] = { { "sxm", "sxm" }, { "pcie", "pcie" }, { "nvlink", "sxm" }, { "hgx", "sxm" },
                                                                 { "dgx", "sxm" }, { "dgxs", "dgxs" }, { "nvl", "nvl" } };
    char own[96], with_number[2 * NAME_ATOM];
    int points = 0;
    sp_name_squash(row->name, own, sizeof own);
    for (int i = 0; i < name->n; i++)
        for (size_t k = 0; k < SP_COUNT(forms); k++) {
            if (strcmp(name->at[i].text, forms[k].said))
                continue;
            bool number = i + 1 < name->n && name->at[i + 1].number && name->at[i + 1].glued;
            snprintf(with_number, sizeof with_number, "%s%s", forms[k].form, number ? name->at[i + 1].text : "");
            points += strstr(own, with_number) ? 25 : strstr(own, forms[k].form) ? 20 : -20;
        }
    return points;
}

static bool holds_memory(const struct sp_accelerator *a, double wanted_gb)
{
    double least = a->memory_gb_min > 0 ? a->memory_gb_min : a->memory_gb;
    return wanted_gb >= least * (1 - memory_slack) && wanted_gb <= a->memory_gb * (1 + memory_slack);
}

/* A row and where its key stands in the name. */
struct hit { const struct sp_accelerator *row; int points, from, behind; };

/* points 0: this row is not meant. */
static struct hit hit_of(const struct sp_accelerator *row, const struct sp_name *name)
{
    struct hit h = { .row = row };
    size_t longest = 0;
    for (const char *key = row->keys, *next; key && *key; key = *next ? next + 1 : next) {
        next = key + strcspn(key, ";");
        size_t letters = (size_t)(next - key);
        int from, to = letters ? sp_name_find(name, key, letters, &from) : 0;
        if (!to || letters <= longest || (to < name->n && is_other_part(name->at[to].text)))
            continue;
        longest = letters;
        h.from = from;
        h.behind = to;
    }
    int memory = name->memory_gb > 0 ? holds_memory(row, name->memory_gb) ? 40 : -10 : 0;
    if (longest)
        h.points = 1000 * (int)longest + 500 + form_points(row, name) + memory;
    return h;
}

static struct hit best_hit(const struct sp_catalog *c, const struct sp_name *name)
{
    struct hit best = { 0 };
    const struct sp_accelerator *a;
    for (int i = 0; (a = sp_catalog_row(c, SP_KIND_ACCELERATORS, i, NULL)); i++) {
        struct hit h = hit_of(a, name);
        if (h.points > best.points)
            best = h;
    }
    return best;
}

/* Every word of the name stands in the row; one of them holds a digit. */
static bool processor_meant(const struct sp_processor *p, const char *on)
{
    bool digit = false;
    size_t n;
    for (; *(on += strspn(on, " -_()")); on += n) {
        char word[64];
        n = strcspn(on, " -_()");
        snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), on);
        const char *at = strcasestr(p->name, word);
        if (!at || (at > p->name && isalnum((unsigned char)at[-1])) || isalnum((unsigned char)at[n < 63 ? n : 63]))
            return false;
        digit |= strpbrk(word, "0123456789") != NULL;
    }
    return digit;
}

static const struct sp_processor *processor_named(const struct sp_catalog *c, const char *on)
{
    const struct sp_processor *p, *best = sp_catalog_processor(c, on);
    for (int i = 0; !best && (p = sp_catalog_row(c, SP_KIND_PROCESSORS, i, NULL)); i++)
        if (processor_meant(p, on))
            best = p;
    return best;
}

/* ---- filling the machine ---- */

/* Another machine's host is not this one: what was probed here goes, what is the person's (zone, tariff, PUE) stays. */
static void forget_host(struct sp_machine *m)
{
    m->features = 0;
    m->cores = m->threads = 1;
    m->memory_bytes = m->cache_bytes = 0;
    m->idle_w = m->watts_thread = m->tdp_w = 0;
    m->power_how = SP_HOW_UNKNOWN;
    m->embodied_g_per_hour = m->price_per_hour = 0;
    m->cpu[0] = m->power_source[0] = 0;
}

static void fill_device(const struct sp_accelerator *a, double share, struct sp_device *d)
{
    *d = (struct sp_device){ .per_node = a->per_node > 0 ? a->per_node : 1, .year = a->year, .memory_bytes = share * a->memory_gb * gb,
                             .bytes_per_s = share * a->bandwidth_gbs * gb, .flops_f32 = share * a->f32_tflops * tera,
                             .flops_tf32 = share * a->tf32_tflops * tera, .flops_8 = share * a->fp8_tflops * tera, .ops_8 = share * a->int8_tops * tera,
                             .link_bytes_per_s = a->link_gbs * gb, .net_bytes_per_s = a->net_gbs * gb, .tdp_w = share * a->tdp_w, .host_w = share * a->host_w };
    d->flops_16 = share * tera * (a->f16_tflops > 0 ? a->f16_tflops : a->f32_tflops);
    snprintf(d->name, sizeof d->name, "%s", a->name);
    snprintf(d->source, sizeof d->source, "%s", a->source);
}

static double likely(const struct sp_catalog *c, const char *name)
{
    const struct sp_default *d = sp_catalog_default(c, name);
    return d ? d->likely : 0;
}

/* Making hosts and devices, spread over their life. */
static double embodied(const struct sp_catalog *c, const struct sp_accelerator *a, double devices)
{
    bool server = !strcmp(a->kind, "server") || !strcmp(a->kind, "tpu"), whole = !strcmp(a->kind, "soc") || !strcmp(a->kind, "cpu") || !strcmp(a->kind, "edge");
    double nodes = devices / (a->per_node > 0 ? a->per_node : 1);
    double hosts = (server ? nodes : ceil(nodes)) * likely(c, server ? "server_embodied_g" : "client_embodied_g");
    double hours = 8766 * likely(c, server ? "server_life_years" : "client_life_years");
    return hours > 0 ? (hosts + (whole ? 0 : devices * likely(c, "accelerator_embodied_g"))) / hours : 0;
}

static void place_processor(const struct sp_processor *p, struct sp_machine *m)
{
    if (!p)
        return;
    m->cores = p->threads > 0 ? p->threads : p->cores > 0 ? 2 * p->cores : 1;
    m->threads = p->cores > 0 ? p->cores : m->cores;
}

/* What the person said of memory and bandwidth stands over the row's, within a factor of two. */
static enum sp_status said_otherwise(const struct sp_accelerator *a, const struct sp_name *name, struct sp_device *d, struct sp_err *err)
{
    if (name->memory_gb > 0 && name->memory_gb > 2 * a->memory_gb) {
        sp_fail(err, SP_USAGE, "%s has %g GB of memory, not %g", a->name, a->memory_gb, name->memory_gb);
        return sp_remedy(err, "sparsam catalog list accelerators shows all; sparsam catalog add takes one of your own");
    }
    if (name->memory_gb > 0 && fabs(name->memory_gb / a->memory_gb - 1) > memory_slack) {
        d->memory_bytes = name->memory_gb * gb;
        size_t n = strlen(d->source);
        snprintf(d->source + n, sizeof d->source - n, "; memory as you said");
    }
    if (name->bandwidth_gbs > 0.5 * a->bandwidth_gbs && name->bandwidth_gbs < 2 * a->bandwidth_gbs)
        d->bytes_per_s = name->bandwidth_gbs * gb;
    return SP_OK;
}

/* As said ("* 4"), as the number before the name ("64 A100"), as the chips of a slice ("TPU v3-256"); else 1. */
static int count_of(const struct hit *h, const struct sp_name *name)
{
    const struct sp_name_atom *before = h->from > 0 ? &name->at[0] : NULL, *after = h->behind < name->n ? &name->at[h->behind] : NULL;
    double n = 0;
    if (name->count)
        return name->count;
    if (before && before->number && !name->at[1].glued && strcmp(h->row->kind, "cpu"))
        sp_parse_real(before->text, &n);
    else if (after && after->number && !strcmp(h->row->kind, "tpu") && sp_parse_real(after->text, &n))
        n = ceil(n / (h->row->parts > 0 ? h->row->parts : 1));
    return n >= 1 && n <= 1e6 ? (int)n : 1;
}

static enum sp_status place_accelerator(const struct sp_catalog *c, const struct hit *h, const struct sp_name *name, struct sp_machine *m, struct sp_err *err)
{
    const struct sp_accelerator *a = h->row;
    struct sp_device d;
    bool processor = !strcmp(a->kind, "cpu") || name->cpu;
    int count = count_of(h, name);
    fill_device(a, 1, &d);
    TRY(said_otherwise(a, name, &d, err));
    forget_host(m);
    d.count = processor ? 0 : count;
    m->device = d;
    snprintf(m->name, sizeof m->name, "%s", a->name);
    if (processor) {
        snprintf(m->cpu, sizeof m->cpu, "%s", a->name);
        m->memory_bytes = (uint64_t)d.memory_bytes;
        m->tdp_w = a->tdp_w;
        place_processor(processor_named(c, a->name), m);
        if (strcmp(a->kind, "cpu"))
            m->device.flops_f32 = m->device.flops_16 = 0; /* the row's are the graphics processor's */
    }
    m->embodied_g_per_hour = embodied(c, a, count);
    return SP_OK;
}

static enum sp_status place_instance(const struct sp_catalog *c, const struct sp_instance *p, int count, struct sp_machine *m, struct sp_err *err)
{
    const struct sp_accelerator *a = sp_catalog_accelerator(c, p->accelerator);
    if (!a) {
        sp_fail(err, SP_USAGE, "instance %s has \"%s\", which is no accelerator of the catalogue", p->instance, p->accelerator);
        return sp_remedy(err, "give instances.csv a name that sparsam catalog list accelerators shows");
    }
    struct sp_device d;
    fill_device(a, p->devices < 1 ? p->devices : 1, &d);
    forget_host(m);
    d.count = (int)lround(p->devices < 1 ? 1 : p->devices) * count;
    d.per_node = d.count / count > d.per_node ? d.per_node : d.count / count;
    m->device = d;
    snprintf(m->name, sizeof m->name, "%s %s", p->provider, p->instance);
    snprintf(m->device.source, sizeof m->device.source, "%s %s %s: %g %s an hour on demand (%s); %.60s", p->provider, p->instance, p->region, p->on_demand,
             p->currency, p->date, a->source);
    m->price_per_hour = p->on_demand * count;
    m->price_per_kwh = 0; /* the rent holds it */
    m->price_how = SP_HOW_CATALOGUE;
    snprintf(m->currency, sizeof m->currency, "%.3s", p->currency);
    m->embodied_g_per_hour = embodied(c, a, p->devices * count);
    return SP_OK;
}

/* ---- nobody is called that ---- */

struct near { const char *name; int edits; };

static void offer(struct near best[NEAREST], const char *name, int edits)
{
    for (int i = 0; i < NEAREST; i++)
        if (best[i].name && !strcmp(best[i].name, name))
            return;
    for (int i = 0; i < NEAREST; i++)
        if (!best[i].name || edits < best[i].edits) {
            memmove(best + i + 1, best + i, (size_t)(NEAREST - 1 - i) * sizeof *best);
            best[i] = (struct near){ name, edits };
            return;
        }
}

static int edits_to_keys(const char *wanted, const char *keys)
{
    int least = 99;
    char key[64];
    for (const char *next; keys && *keys; keys = *next ? next + 1 : next) {
        next = keys + strcspn(keys, ";");
        snprintf(key, sizeof key, "%.*s", (int)(next - keys < 63 ? next - keys : 63), keys);
        int d = strlen(key) > 2 && strstr(wanted, key) ? 1 : sp_text_distance(wanted, key);
        least = d < least ? d : least;
    }
    return least;
}

static enum sp_status unknown(const struct sp_catalog *c, const char *on, const struct sp_name *name, struct sp_err *err)
{
    struct near best[NEAREST + 1] = { 0 };
    char wanted[64] = "", own[64];
    const struct sp_accelerator *a;
    const struct sp_instance *p;
    for (int i = 0; i < name->n; i++)
        if (strlen(wanted) + strlen(name->at[i].text) < sizeof wanted)
            strcat(wanted, name->at[i].text);
    for (int i = 0; (a = sp_catalog_row(c, SP_KIND_ACCELERATORS, i, NULL)); i++)
        offer(best, a->name, edits_to_keys(wanted, a->keys));
    for (int i = 0; (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++) {
        sp_name_squash(p->instance, own, sizeof own);
        offer(best, p->instance, sp_text_distance(wanted, own));
    }
    sp_fail(err, SP_USAGE, "no accelerator, instance or processor is called \"%.60s\"; nearest: %s, %s, %s", on, best[0].name ? best[0].name : "-",
            best[1].name ? best[1].name : "-", best[2].name ? best[2].name : "-");
    return sp_remedy(err, "sparsam catalog list accelerators and list instances show all; \"this\" is this machine");
}

enum sp_status sp_catalog_place(const struct sp_catalog *c, const char *on, struct sp_machine *m, struct sp_err *err)
{
    struct sp_name name;
    char bare[64];
    if (!strcasecmp(on, "this") || !strcasecmp(on, "here"))
        return SP_OK;
    if (!sp_name_parse(on, &name)) {
        sp_fail(err, SP_USAGE, "\"%.60s\" is no machine and no number of machines", on);
        return sp_remedy(err, "name one and how many: a100-80gb*64, rtx-4090, p4d.24xlarge");
    }
    snprintf(bare, sizeof bare, "%.*s", (int)(strcspn(on, "*") < 63 ? strcspn(on, "*") : 63), on);
    const struct sp_instance *p = sp_catalog_instance(c, bare);
    if (p)
        return place_instance(c, p, name.count && strchr(on, '*') ? name.count : 1, m, err);
    struct hit h = best_hit(c, &name);
    if (h.row)
        return place_accelerator(c, &h, &name, m, err);
    const struct sp_processor *cpu = processor_named(c, on);
    if (!cpu)
        return unknown(c, on, &name, err);
    forget_host(m);
    m->device = (struct sp_device){ 0 };
    snprintf(m->name, sizeof m->name, "%s", cpu->name);
    snprintf(m->cpu, sizeof m->cpu, "%s", cpu->name);
    m->tdp_w = cpu->tdp_w;
    place_processor(cpu, m);
    return SP_OK;
}
