/* learn/checkpoint.c - what a run needs to go on: parameters, moments, the step.
 *
 * One safetensors file, sealed: its last tensor is the hash of all before it, so
 * that a file and its hash can't be parted.  A new one is whole and on the disk
 * under a third name before the last becomes the one before, and it the last: at
 * every moment one that is whole has one of the two names.  The price is room for
 * three while one is written.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "inner.h"

enum { PATH_MAX_BYTES = 4096 };
enum { LAST, BEFORE, NEW, DAMAGED, NAMES };
static const char *const file_names[NAMES] = { "checkpoint.safetensors", "checkpoint.old.safetensors", "checkpoint.new.safetensors",
                                               "checkpoint.damaged.safetensors" };
struct paths { char at[NAMES][PATH_MAX_BYTES]; };

static enum sp_status make_paths(struct paths *p, const char *folder, struct sp_err *err)
{
    for (int i = 0; i < NAMES; i++) {
        int n = snprintf(p->at[i], sizeof p->at[i], "%s/%s", folder, file_names[i]);
        if (n < 0 || n >= PATH_MAX_BYTES)
            return sp_fail(err, SP_LIMIT, "%s: the path is longer than %d bytes", folder, PATH_MAX_BYTES);
    }
    return SP_OK;
}

/* ---- what is kept ---- */

/* Entries of the state; moments that several ranks have between them are brought together when their turn comes. */
struct kept { const char *name; struct sp_type type; void *at; bool shared; };
struct list { struct kept *at; int n; struct sp_arena names; };

static bool put(struct list *k, const struct sp_live *l, const struct sp_state_entry *e, char moment)
{
    const char *name = moment ? sp_arena_printf(&k->names, "%c/%s", moment, strchr(e->name, '/') + 1) : e->name;
    k->at[k->n++] = (struct kept){ name, e->type, moment ? NULL : l->state.at + e->at, moment != 0 };
    return name != NULL;
}

static enum sp_status make_list(struct list *k, const struct sp_live *l, struct sp_err *err)
{
    const struct sp_state *s = &l->job->state;
    bool shared = l->job->train.adamw.ranks > 1, whole = true;
    *k = (struct list){ .at = sp_zalloc(2 * (size_t)s->n + 1, sizeof *k->at) };
    for (int i = 0; k->at && i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        if (e->kind == SP_STATE_PARAM || (e->kind == SP_STATE_MOMENT && !shared))
            whole &= put(k, l, e, 0);
        if (e->kind == SP_STATE_GRAD && shared)
            whole &= put(k, l, e, 'm'), whole &= put(k, l, e, 'v');
    }
    return k->at && whole ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for a list of %d tensors", s->n);
}

static void clear_list(struct list *k)
{
    sp_free(k->at);
    sp_arena_clear(&k->names);
}

/* What the first rank has done is done for all. */
static enum sp_status together(struct moments *m, enum sp_status st, struct sp_err *err)
{
    struct sp_err broken = { 0 };
    if (sp_link_broken(m->link))
        return st;
    if (moments_done(m, &broken)) {
        *err = broken;
        return broken.status;
    }
    return sp_link_agree(m->link, st, err);
}

/* ---- writing ---- */

static enum sp_status write_new(const struct paths *p, const struct sp_tensor_out *t, int n, struct sp_err *err)
{
    TRY(sp_safetensors_write_sealed(p->at[NEW], t, n, err));
    if (sp_is_file(p->at[LAST]))
        TRY(sp_move_file(p->at[LAST], p->at[BEFORE], err));
    return sp_move_file(p->at[NEW], p->at[LAST], err);
}

static enum sp_status write_list(const char *folder, const struct list *k, struct moments *m, int64_t step, double seconds, struct sp_err *err)
{
    int32_t number = (int32_t)step;
    float time = (float)seconds;
    struct paths *p = sp_alloc(sizeof *p);
    struct sp_tensor_out *t = sp_zalloc((size_t)k->n + 2, sizeof *t);
    enum sp_status st = p && t ? make_paths(p, folder, err) : sp_fail(err, SP_NOMEM, "no memory for a checkpoint");
    if (!st)
        st = sp_make_folder(folder, err);
    for (int i = 0; !st && i < k->n; i++)
        t[i] = (struct sp_tensor_out){ .name = k->at[i].name, .type = k->at[i].type, .at = k->at[i].at, .as = k->at[i].type.format,
                                       .bring = k->at[i].shared ? moments_collect : NULL, .self = m };
    if (!st) {
        t[k->n] = (struct sp_tensor_out){ .name = "train/step", .type = SP_TYPE(SP_I32, 1), .at = &number, .as = SP_I32 };
        t[k->n + 1] = (struct sp_tensor_out){ .name = "train/seconds", .type = SP_TYPE(SP_F32, 1), .at = &time, .as = SP_F32 };
        st = write_new(p, t, k->n + 2, err);
    }
    sp_free(t);
    sp_free(p);
    return st;
}

enum sp_status sp_checkpoint_save(const char *folder, struct sp_live *l, struct sp_link *link, int64_t step, double seconds, struct sp_err *err)
{
    struct moments m = { .link = link, .live = l };
    struct list k;
    if (sp_link_rank(link)) {
        TRY(moments_serve(&m, err));
        return sp_link_agree(link, SP_OK, err);
    }
    enum sp_status st = make_list(&k, l, err);
    if (!st)
        st = write_list(folder, &k, &m, step, seconds, err);
    clear_list(&k);
    return together(&m, st, err);
}

/* ---- reading ---- */

struct loading { struct list kept; struct moments moments; struct paths *paths; int64_t step; double seconds; };

static enum sp_status read_into(const struct sp_safetensors *f, struct loading *l, struct sp_err *err)
{
    const struct list *k = &l->kept;
    for (int i = 0; i < k->n; i++) {
        const struct sp_tensor *t = sp_safetensors_find(f, k->at[i].name);
        if (!t || t->bytes != (uint64_t)sp_type_bytes(&k->at[i].type)) {
            sp_fail(err, SP_FORMAT, "%s has no %s of the model's size", f->map.path, k->at[i].name);
            return sp_remedy(err, "it belongs to another recipe; choose another --out or --no-resume");
        }
    }
    for (int i = 0; i < k->n; i++) {
        const struct sp_tensor *t = sp_safetensors_find(f, k->at[i].name);
        if (k->at[i].shared)
            TRY(moments_deal(&l->moments, k->at[i].name, t, err));
        else
            TRY(sp_tensor_read(t, k->at[i].type.format, k->at[i].at, err));
    }
    return SP_OK;
}

static enum sp_status read_opened(const struct sp_safetensors *f, struct loading *l, struct sp_err *err)
{
    int32_t number = 0;
    float time = 0;
    const struct sp_tensor *n = sp_safetensors_find(f, "train/step"), *t = sp_safetensors_find(f, "train/seconds");
    if (!n || n->bytes != sizeof number || !t || t->bytes != sizeof time)
        return sp_fail(err, SP_FORMAT, "%s is no checkpoint: it has no step number", f->map.path);
    TRY(sp_map_copy(&f->map, n->at, sizeof number, &number, err));
    TRY(sp_map_copy(&f->map, t->at, sizeof time, &time, err));
    if (number < 0 || !(time >= 0))
        return sp_fail(err, SP_FORMAT, "%s is no checkpoint: its step is %d after %g seconds", f->map.path, (int)number, (double)time);
    TRY(read_into(f, l, err));
    l->step = number;
    l->seconds = (double)time;
    return SP_OK;
}

static enum sp_status read_one(const char *path, struct loading *l, struct sp_err *err)
{
    struct sp_safetensors f;
    enum sp_status st = sp_check_seal(path, err);
    if (!st)
        st = sp_safetensors_open(&f, path, err);
    if (!st) {
        st = read_opened(&f, l, err);
        sp_safetensors_close(&f);
    }
    if (st && !err->remedy[0])
        sp_remedy(err, "--no-resume begins anew");
    return st;
}

/* The one before, where the last could not be read (err says why).  Missing is only what was never there.  The
 * damaged one is put out of the way, lest the next save puts it in the place of the good one. */
static enum sp_status fall_back(struct loading *l, struct sp_err *err)
{
    const struct paths *p = l->paths;
    char line[1200];
    struct sp_err second = { 0 }, ignored;
    bool there = sp_is_file(p->at[LAST]);
    enum sp_status st = read_one(p->at[BEFORE], l, &second);
    if (st && !there && st != SP_MISSING)
        *err = second;
    if (st)
        return err->status;
    err->remedy[0] = 0;
    sp_log(SP_LOG_WARN, "%s; the checkpoint before it is used (step %lld)%s%s", sp_err_line(err, line, sizeof line), (long long)l->step,
           there ? ", and it is set aside as " : "", there ? file_names[DAMAGED] : "");
    if (there)
        sp_move_file(p->at[LAST], p->at[DAMAGED], &ignored);
    *err = (struct sp_err){ 0 };
    return SP_OK;
}

static bool is_damage(enum sp_status st)
{
    return st == SP_FORMAT || st == SP_MISSING || st == SP_IO || st == SP_UNSUPPORTED || st == SP_LIMIT;
}

static enum sp_status read_newest(struct loading *l, const char *folder, struct sp_err *err)
{
    l->paths = sp_alloc(sizeof *l->paths);
    enum sp_status st = l->paths ? make_list(&l->kept, l->moments.live, err) : sp_fail(err, SP_NOMEM, "no memory to read a checkpoint");
    if (!st)
        st = make_paths(l->paths, folder, err);
    if (!st) {
        st = read_one(l->paths->at[LAST], l, err);
        st = is_damage(st) && !sp_link_broken(l->moments.link) ? fall_back(l, err) : st;
    }
    clear_list(&l->kept);
    sp_free(l->paths);
    return st;
}

enum sp_status sp_checkpoint_load(const char *folder, struct sp_live *l, struct sp_link *link, int64_t *step, double *seconds, struct sp_err *err)
{
    struct loading k = { .moments = { .link = link, .live = l } };
    if (sp_link_rank(link)) {
        TRY(moments_serve(&k.moments, err));
        TRY(sp_link_agree(link, SP_OK, err));
    } else {
        TRY(together(&k.moments, read_newest(&k, folder, err), err));
    }
    double told[2] = { (double)k.step, k.seconds };
    TRY(sp_link_sum(link, told, 2, err));
    *step = (int64_t)told[0];
    *seconds = told[1];
    return SP_OK;
}
