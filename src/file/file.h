/* file/file.h - the world of bytes: mapped files, atomic writing, folders,
 * compression, JSON, YAML, CSV, content hashes.  [door of file]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FILE_H
#define SP_FILE_H
#include <jansson.h>
#include "../base/base.h"

/* A file mapped read-only.  While a guard is open on this thread, a file that is
 * truncated underneath (SIGBUS) becomes an error instead of a dead process. */
struct sp_map { const unsigned char *at; size_t bytes; char *path; int fd; };
enum sp_status sp_map_open(struct sp_map *m, const char *path, struct sp_err *err);
void sp_map_close(struct sp_map *m);
/* Copies bytes [from, from+n) of the map; a truncated file gives SP_IO with the file's name. */
enum sp_status sp_map_copy(const struct sp_map *m, size_t from, size_t n, void *to, struct sp_err *err);
/* Bytes [from, from+n) aren't needed for now: their pages no longer count as this process's memory. */
void sp_map_forget(const struct sp_map *m, size_t from, size_t n);
/* Memory [to, to+n), of a mapping of the caller's, takes bytes [from, from+n) of the file without a copy: whole pages are
 * the file's own until they are written; what is less than a page is copied, and everything where `to` doesn't
 * stand in its page as `from` does. */
enum sp_status sp_map_onto(const struct sp_map *m, size_t from, size_t n, void *to, struct sp_err *err);
/* Such memory watched: a page that the file has no more, because somebody made it shorter, becomes zeros and `lost`
 * true, in place of a dead process. */
struct sp_lent { const unsigned char *at; size_t bytes; _Atomic bool lost; struct sp_lent *next; };
struct sp_lent *sp_map_lend(const void *at, size_t bytes); /* NULL: no memory */
void sp_map_lend_end(struct sp_lent *w);                     /* before the memory is unmapped; NULL is fine */
/* Runs fn(arg) with faults inside the map turned into SP_IO. */
enum sp_status sp_map_guard(const struct sp_map *m, enum sp_status (*fn)(void *arg, struct sp_err *err),
                            void *arg, struct sp_err *err);

/* Written under a temporary name in the same folder; commit syncs the file, renames, syncs the
 * folder.  What a killed writer left behind is removed by the next one of the same path.  A
 * device or pipe is written in place.  A failed write has already abandoned it. */
struct sp_out { FILE *f; char *path, *temp; };
enum sp_status sp_out_open(struct sp_out *o, const char *path, struct sp_err *err);
enum sp_status sp_out_write(struct sp_out *o, const void *p, size_t n, struct sp_err *err);
enum sp_status sp_out_commit(struct sp_out *o, struct sp_err *err); /* or says why not, and removes */
void sp_out_abandon(struct sp_out *o);     /* safe after commit */
/* A seal: the last SP_SEAL_BYTES of a file are the BLAKE2b-256 of all bytes before them, in hex. */
enum { SP_SEAL_BYTES = 64 };
enum sp_status sp_out_seal(struct sp_out *o, struct sp_err *err);         /* appends it; commit comes next */
enum sp_status sp_check_seal(const char *path, struct sp_err *err);       /* SP_FORMAT: damaged; SP_MISSING */
enum sp_status sp_move_file(const char *from, const char *to, struct sp_err *err); /* within a folder, which is synced */
enum sp_status sp_write_file(const char *path, const void *p, size_t n, struct sp_err *err);

/* n pieces of so many bytes, to be written and read again: in memory up to 16 MiB all in all, else in an unnamed file in
 * $TMPDIR, or /var/tmp.  A piece must have been written before it is read. */
struct sp_scratch { unsigned char *at; size_t piece; int64_t n; int fd; /* + 1; 0: none */ };
enum sp_status sp_scratch_new(struct sp_scratch *s, size_t piece, int64_t n, struct sp_err *err);
enum sp_status sp_scratch_write(struct sp_scratch *s, int64_t i, const void *from, struct sp_err *err);
enum sp_status sp_scratch_read(const struct sp_scratch *s, int64_t i, void *to, struct sp_err *err);
void sp_scratch_clear(struct sp_scratch *s);

/* Whole file as text, at most max bytes; .gz and .zst are unpacked (max counts unpacked bytes). */
enum sp_status sp_read_file(struct sp_text *out, const char *path, size_t max, struct sp_err *err);
enum sp_status sp_make_folder(const char *path, struct sp_err *err);      /* like mkdir -p */
bool sp_is_folder(const char *path);
bool sp_is_file(const char *path);
/* Regular files below path (or path itself), sorted by name, at most max; into arena
 * memory.  Names that begin with a dot and linked folders are passed over. */
enum sp_status sp_list_files(const char *path, int max, struct sp_arena *mem, const char ***out,
                             int *n, struct sp_err *err);
char *sp_path_join(struct sp_arena *mem, const char *folder, const char *name);

/* JSON (jansson).  Depth, duplicate keys and size are bounded. */
enum sp_status sp_json_parse(json_t **out, const char *text, size_t n, const char *what, struct sp_err *err);
enum sp_status sp_json_read(json_t **out, const char *path, size_t max, struct sp_err *err);
enum sp_status sp_json_write(const char *path, const json_t *j, struct sp_err *err);
enum sp_status sp_json_print(struct sp_text *out, const json_t *j, size_t flags, struct sp_err *err); /* flags: jansson's */
/* Before a value is built: sp_json_print and sp_json_write refuse it (SP_NOMEM) when memory has run out on this thread
 * since, so that a setter whose status nobody looked at leaves no hole.  sp_json_ran_out asks. */
void sp_json_begin(void);
bool sp_json_ran_out(void);
/* Field readers: key absent or null gives `fallback`; wrong type or out of bounds is SP_FORMAT naming the key. */
enum sp_status sp_json_int(const json_t *j, const char *key, int64_t min, int64_t max, int64_t fallback,
                           int64_t *out, struct sp_err *err);
enum sp_status sp_json_real(const json_t *j, const char *key, double min, double max, double fallback,
                            double *out, struct sp_err *err);
enum sp_status sp_json_bool(const json_t *j, const char *key, bool fallback, bool *out, struct sp_err *err);
enum sp_status sp_json_text(const json_t *j, const char *key, const char *fallback, const char **out,
                            struct sp_err *err);

/* A recipe file: every scalar is handed to `each` as dotted key and text, in order; sequences repeat the key.
 * A value left out or null is passed over; key and value live only during the call. */
enum sp_status sp_yaml_read(const char *path,
                            enum sp_status (*each)(void *self, const char *key, const char *value, struct sp_err *err),
                            void *self, struct sp_err *err);

/* A table of comma-separated values (RFC 4180).  The first row names the columns; row 0 is the one behind it. */
struct sp_csv { const char *name; int rows, columns; const char **cell; char *text; };
enum sp_status sp_csv_read(struct sp_csv *out, const char *path, size_t max, struct sp_err *err); /* text: owned */
/* The same of a text that is changed in place and must outlive the table; name: for sentences. */
enum sp_status sp_csv_parse(struct sp_csv *out, char *text, const char *name, struct sp_err *err);
void sp_csv_clear(struct sp_csv *t);
int sp_csv_column(const struct sp_csv *t, const char *name);              /* -1: there is none */
enum sp_status sp_csv_need(const struct sp_csv *t, const char *name, int *column, struct sp_err *err);
const char *sp_csv_at(const struct sp_csv *t, int row, int column);       /* "" when the column is -1 */
/* An empty field is NAN; anything that is no number is SP_FORMAT with row and column. */
enum sp_status sp_csv_real(const struct sp_csv *t, int row, int column, double *out, struct sp_err *err);

/* BLAKE2b-256 (libsodium), in hex. */
struct sp_hash { char hex[65]; };
enum sp_status sp_hash_bytes(struct sp_hash *out, const void *p, size_t n, struct sp_err *err);
enum sp_status sp_hash_file(struct sp_hash *out, const char *path, struct sp_err *err);
#endif
