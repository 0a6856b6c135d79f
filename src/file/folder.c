/* file/folder.c - folders: making, asking, listing.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"

enum { DEPTH_MAX = 32 };

bool sp_is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool sp_is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

static enum sp_status make_one(const char *path, struct sp_err *err)
{
    if (!mkdir(path, 0777) || errno == EEXIST)
        return SP_OK;
    int code = errno;
    enum sp_status st = sp_fail(err, SP_IO, "folder %s can't be made: %s", path, strerror(code));
    return code == EACCES || code == EROFS || code == EPERM ? sp_remedy(err, "name a folder that may be written to") : st;
}

enum sp_status sp_make_folder(const char *path, struct sp_err *err)
{
    char *copy = sp_strdup(path);
    enum sp_status st = SP_OK;
    if (!copy)
        return sp_fail(err, SP_NOMEM, "no memory to make folder %s", path);
    for (char *p = copy + 1; !st; p++) {
        if (*p != '/' && *p)
            continue;
        char was = *p;
        *p = 0;
        st = make_one(copy, err);
        *p = was;
        if (!was)
            break;
    }
    sp_free(copy);
    if (!st && !sp_is_folder(path))
        return sp_fail(err, SP_IO, "%s exists and is not a folder", path);
    return st;
}

char *sp_path_join(struct sp_arena *mem, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return sp_arena_printf(mem, "%s%s%s", folder, n && folder[n - 1] != '/' ? "/" : "", name);
}

struct list { const char **at; int n, cap, max; struct sp_arena *mem; };

static enum sp_status add(struct list *l, const char *path, struct sp_err *err)
{
    if (l->n == l->max)
        return sp_fail(err, SP_LIMIT, "more than %d files", l->max);
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        const char **more = sp_realloc(l->at, (size_t)cap * sizeof *more);
        if (!more)
            return sp_fail(err, SP_NOMEM, "no memory to list files");
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = path;
    return SP_OK;
}

static enum sp_status walk(struct list *l, const char *path, int depth, struct sp_err *err);

static enum sp_status walk_entries(struct list *l, DIR *d, const char *path, int depth, struct sp_err *err)
{
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char *full = sp_path_join(l->mem, path, e->d_name);
        if (!full)
            return sp_fail(err, SP_NOMEM, "no memory to list %s", path);
        TRY(walk(l, full, depth + 1, err));
    }
    return SP_OK;
}

/* Links to files count as files; links to folders are not followed: they may go in circles. */
static enum sp_status walk(struct list *l, const char *path, int depth, struct sp_err *err)
{
    struct stat st0;
    errno = 0;
    if (sp_is_file(path))
        return add(l, path, err);
    if ((depth ? lstat(path, &st0) : stat(path, &st0)) || !S_ISDIR(st0.st_mode))
        return depth ? SP_OK : sp_fail(err, SP_MISSING, "%s: %s", path, strerror(errno ? errno : ENOTDIR));
    if (depth > DEPTH_MAX)
        return sp_fail(err, SP_LIMIT, "%s: folders nested deeper than %d", path, DEPTH_MAX);
    DIR *d = opendir(path);
    if (!d)
        return sp_fail(err, SP_IO, "%s: %s", path, strerror(errno));
    enum sp_status st = walk_entries(l, d, path, depth, err);
    closedir(d);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum sp_status sp_list_files(const char *path, int max, struct sp_arena *mem, const char ***out, int *n, struct sp_err *err)
{
    struct list l = { .max = max, .mem = mem };
    enum sp_status st = walk(&l, path, 0, err);
    const char **kept = st ? NULL : sp_arena_take(mem, (size_t)(l.n + 1) * sizeof *kept);
    if (!st && !kept)
        st = sp_fail(err, SP_NOMEM, "no memory to list %s", path);
    if (!st) {
        if (l.n)
            memcpy(kept, l.at, (size_t)l.n * sizeof *kept);
        qsort(kept, (size_t)l.n, sizeof *kept, by_name);
        *out = kept;
        *n = l.n;
    }
    sp_free(l.at);
    return st;
}
