/* learn/checkpoint.c - what a run needs to go on: parameters, moments, the step.
 *
 * One safetensors file, sealed: its last tensor is the hash of all before it, so
 * that a file and its hash can't be parted.  A new one is whole and on the disk
 * under a third name before the last becomes the one before, and it the last: at
 * every moment one that is whole has one of the two names.  The price is room for
 * three while one is written.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "learn.h"

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

static bool kept(const struct sp_state_entry *e)
{
    return e->kind == SP_STATE_PARAM || e->kind == SP_STATE_MOMENT;
}

/* ---- writing ---- */

static enum sp_status write_new(const struct paths *p, const struct sp_tensor_out *t, int n, struct sp_err *err)
{
    TRY(sp_safetensors_write_sealed(p->at[NEW], t, n, err));
    if (sp_is_file(p->at[LAST]))
        TRY(sp_move_file(p->at[LAST], p->at[BEFORE], err));
    return sp_move_file(p->at[NEW], p->at[LAST], err);
}

enum sp_status sp_checkpoint_save(const char *folder, const struct sp_live *l, int64_t step, double seconds, struct sp_err *err)
{
    const struct sp_state *s = &l->job->state;
    int32_t number = (int32_t)step;
    float time = (float)seconds;
    struct paths *p = sp_alloc(sizeof *p);
    struct sp_tensor_out *t = sp_zalloc((size_t)s->n + 2, sizeof *t);
    int n = 0;
    enum sp_status st = p && t ? make_paths(p, folder, err) : sp_fail(err, SP_NOMEM, "no memory for a checkpoint");
    if (!st)
        st = sp_make_folder(folder, err);
    for (int i = 0; !st && i < s->n; i++)
        if (kept(&s->entry[i]))
            t[n++] = (struct sp_tensor_out){ s->entry[i].name, s->entry[i].type, l->state.at + s->entry[i].at, s->entry[i].type.format };
    if (!st) {
        t[n++] = (struct sp_tensor_out){ "train/step", SP_TYPE(SP_I32, 1), &number, SP_I32 };
        t[n++] = (struct sp_tensor_out){ "train/seconds", SP_TYPE(SP_F32, 1), &time, SP_F32 };
        st = write_new(p, t, n, err);
    }
    sp_free(t);
    sp_free(p);
    return st;
}

/* ---- reading ---- */

static enum sp_status read_into(const struct sp_safetensors *f, struct sp_live *l, struct sp_err *err)
{
    const struct sp_state *s = &l->job->state;
    for (int i = 0; i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        const struct sp_tensor *t = kept(e) ? sp_safetensors_find(f, e->name) : NULL;
        if (!kept(e))
            continue;
        if (!t || t->bytes != (uint64_t)sp_type_bytes(&e->type)) {
            sp_fail(err, SP_FORMAT, "%s has no %s of the model's size", f->map.path, e->name);
            return sp_remedy(err, "it belongs to another recipe; choose another --out or --no-resume");
        }
    }
    for (int i = 0; i < s->n; i++)
        if (kept(&s->entry[i]))
            TRY(sp_tensor_read(sp_safetensors_find(f, s->entry[i].name), s->entry[i].type.format, l->state.at + s->entry[i].at, err));
    return SP_OK;
}

static enum sp_status read_opened(const struct sp_safetensors *f, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
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
    *step = number;
    *seconds = (double)time;
    return SP_OK;
}

static enum sp_status read_one(const char *path, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    struct sp_safetensors f;
    enum sp_status st = sp_check_seal(path, err);
    if (!st)
        st = sp_safetensors_open(&f, path, err);
    if (!st) {
        st = read_opened(&f, l, step, seconds, err);
        sp_safetensors_close(&f);
    }
    if (st && !err->remedy[0])
        sp_remedy(err, "--no-resume begins anew");
    return st;
}

/* The one before, where the last could not be read (err says why).  Missing is only what was never there.  The
 * damaged one is put out of the way, lest the next save puts it in the place of the good one. */
static enum sp_status fall_back(const struct paths *p, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    char line[1200];
    struct sp_err second = { 0 }, ignored;
    bool there = sp_is_file(p->at[LAST]);
    enum sp_status st = read_one(p->at[BEFORE], l, step, seconds, &second);
    if (st && !there && st != SP_MISSING)
        *err = second;
    if (st)
        return err->status;
    err->remedy[0] = 0;
    sp_log(SP_LOG_WARN, "%s; the checkpoint before it is used (step %lld)%s%s", sp_err_line(err, line, sizeof line), (long long)*step,
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

enum sp_status sp_checkpoint_load(const char *folder, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    struct paths *p = sp_alloc(sizeof *p);
    if (!p)
        return sp_fail(err, SP_NOMEM, "no memory to read a checkpoint");
    enum sp_status st = make_paths(p, folder, err);
    if (!st) {
        st = read_one(p->at[LAST], l, step, seconds, err);
        st = is_damage(st) ? fall_back(p, l, step, seconds, err) : st;
    }
    sp_free(p);
    return st;
}
