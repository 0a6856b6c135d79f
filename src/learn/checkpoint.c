/* learn/checkpoint.c - what a run needs to go on: parameters, moments, the step.
 *
 * One safetensors file, so that it is whole or not there.  Its content hash stands
 * beside it; a file that doesn't match is damaged, and the one before is used.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "learn.h"

enum { PATH_MAX_BYTES = 4096 };
static const char *const file_names[2] = { "checkpoint.safetensors", "checkpoint.old.safetensors" };
struct paths { char file[2][PATH_MAX_BYTES], hash[2][PATH_MAX_BYTES]; };

static enum sp_status make_paths(struct paths *p, const char *folder, struct sp_err *err)
{
    for (int i = 0; i < 2; i++) {
        int n = snprintf(p->file[i], sizeof p->file[i], "%s/%s", folder, file_names[i]);
        if (n < 0 || n + 8 >= PATH_MAX_BYTES)
            return sp_fail(err, SP_LIMIT, "%s: the path is longer than %d bytes", folder, PATH_MAX_BYTES - 8);
        memcpy(p->hash[i], p->file[i], (size_t)n);
        memcpy(p->hash[i] + n, ".b2", 4);
    }
    return SP_OK;
}

static bool kept(const struct sp_state_entry *e)
{
    return e->kind == SP_STATE_PARAM || e->kind == SP_STATE_MOMENT;
}

/* ---- writing ---- */

static enum sp_status write_hashed(const char *file, const char *hash, const struct sp_tensor_out *t, int n, struct sp_err *err)
{
    struct sp_hash h;
    TRY(sp_safetensors_write(file, t, n, err));
    TRY(sp_hash_file(&h, file, err));
    return sp_write_file(hash, h.hex, strlen(h.hex), err);
}

static void step_back(const struct paths *p)
{
    if (sp_is_file(p->file[0]) && !rename(p->file[0], p->file[1]) && rename(p->hash[0], p->hash[1]))
        unlink(p->hash[1]);
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
        step_back(p);
        st = write_hashed(p->file[0], p->hash[0], t, n, err);
    }
    sp_free(t);
    sp_free(p);
    return st;
}

/* ---- reading ---- */

static enum sp_status verify(const char *file, const char *hash, struct sp_err *err)
{
    struct sp_hash h;
    struct sp_text want = { 0 };
    if (!sp_is_file(file))
        return sp_fail(err, SP_MISSING, "%s is not there", file);
    TRY(sp_hash_file(&h, file, err));
    bool there = sp_is_file(hash);
    if (there)
        TRY(sp_read_file(&want, hash, 4096, err));
    bool same = want.n >= 64 && !memcmp(want.at, h.hex, 64);
    sp_text_clear(&want);
    if (same)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "%s is damaged: its content does not match its hash%s", file, there ? "" : ", which is missing");
    return sp_remedy(err, "--no-resume begins anew");
}

static enum sp_status read_into(const struct sp_safetensors *f, struct sp_live *l, struct sp_err *err)
{
    const struct sp_state *s = &l->job->state;
    for (int i = 0; i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        const struct sp_tensor *t = kept(e) ? sp_safetensors_find(f, e->name) : NULL;
        if (!kept(e))
            continue;
        if (!t || t->bytes != (uint64_t)sp_type_bytes(&e->type)) {
            sp_fail(err, SP_FORMAT, "the checkpoint has no %s of the model's size", e->name);
            return sp_remedy(err, "it belongs to another recipe; choose another --out or --no-resume");
        }
    }
    for (int i = 0; i < s->n; i++)
        if (kept(&s->entry[i]))
            TRY(sp_tensor_read(sp_safetensors_find(f, s->entry[i].name), s->entry[i].type.format, l->state.at + s->entry[i].at, err));
    return SP_OK;
}

static enum sp_status read_one(const char *file, const char *hash, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    struct sp_safetensors f;
    TRY(verify(file, hash, err));
    TRY(sp_safetensors_open(&f, file, err));
    int32_t number = 0;
    float time = 0;
    const struct sp_tensor *n = sp_safetensors_find(&f, "train/step"), *t = sp_safetensors_find(&f, "train/seconds");
    enum sp_status st = SP_OK;
    if (!n || n->bytes != sizeof number || !t || t->bytes != sizeof time)
        st = sp_fail(err, SP_FORMAT, "%s is no checkpoint: it has no step number", file);
    if (!st)
        st = sp_map_copy(&f.map, n->at, sizeof number, &number, err);
    if (!st)
        st = sp_map_copy(&f.map, t->at, sizeof time, &time, err);
    if (!st)
        st = read_into(&f, l, err);
    sp_safetensors_close(&f);
    if (st)
        return st;
    *step = number;
    *seconds = (double)time;
    return SP_OK;
}

/* The damaged one out of the way, lest the next save puts it in the place of the good one. */
static void set_aside(const struct paths *p, const char *folder)
{
    char aside[PATH_MAX_BYTES];
    int n = snprintf(aside, sizeof aside, "%s/checkpoint.damaged.safetensors", folder);
    if (n > 0 && n < (int)sizeof aside && sp_is_file(p->file[0]) && !rename(p->file[0], aside))
        unlink(p->hash[0]);
}

/* The older one, where the newer could not be read (err says why).  Missing is only what was never there. */
static enum sp_status fall_back(const struct paths *p, const char *folder, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    char line[1200];
    struct sp_err second = { 0 };
    enum sp_status st = read_one(p->file[1], p->hash[1], l, step, seconds, &second);
    if (st && !sp_is_file(p->file[0]) && st != SP_MISSING)
        *err = second;
    if (st)
        return err->status;
    sp_log(SP_LOG_WARN, "%s; the checkpoint before it is used (step %lld)", sp_err_line(err, line, sizeof line), (long long)*step);
    set_aside(p, folder);
    *err = (struct sp_err){ 0 };
    return SP_OK;
}

enum sp_status sp_checkpoint_load(const char *folder, struct sp_live *l, int64_t *step, double *seconds, struct sp_err *err)
{
    struct paths *p = sp_alloc(sizeof *p);
    if (!p)
        return sp_fail(err, SP_NOMEM, "no memory to read a checkpoint");
    enum sp_status st = make_paths(p, folder, err);
    if (!st)
        st = read_one(p->file[0], p->hash[0], l, step, seconds, err);
    if (st && st != SP_LIMIT)
        st = fall_back(p, folder, l, step, seconds, err);
    sp_free(p);
    return st;
}
