/* tests/test_file.c - room file: maps, writing, reading, folders, JSON, YAML, hashes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>
#include "file/file.h"

static char folder[] = "/tmp/sparsam-test-XXXXXX";
static struct sp_arena mem;

static const char *in(const char *name)
{
    return sp_path_join(&mem, folder, name);
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    sp_arena_clear(&mem);
    return system(command);
}

/* Files in the test's folder, dotted ones too. */
static int count_files(void)
{
    char command[100];
    int n = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", folder);
    FILE *f = popen(command, "r");
    if (fscanf(f, "%d", &n) != 1)
        n = -1;
    pclose(f);
    return n;
}

/* ---- maps ---- */

static enum sp_status sum(void *arg, struct sp_err *err)
{
    const struct sp_map *m = arg;
    unsigned total = 0;
    (void)err;
    for (size_t i = 0; i < m->bytes; i += 512)
        total += ((const volatile unsigned char *)m->at)[i];
    return total ? SP_OK : SP_FORMAT;
}

static enum sp_status sum_two(void *arg, struct sp_err *err)
{
    struct sp_map **m = arg;
    TRY(sp_map_guard(m[1], sum, m[1], err));
    return sp_map_guard(m[1], sum, m[0], err); /* a fault of the outer file inside the inner guard */
}

/* Of the same test: the library takes the signal once, and each test of this framework takes it anew. */
static void pages_lent(void)
{
    struct sp_err e = { 0 };
    struct sp_map m = { 0 };
    struct sp_block b;
    static unsigned char big[1 << 16];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (unsigned char)(i * 7 + i / 256);
    put(in("onto"), big, sizeof big);
    assert_int_equal(sp_map_open(&m, in("onto"), &e), SP_OK);
    assert_int_equal(sp_block_new(&b, 4 * sizeof big, &e), SP_OK);
    struct sp_lent *lent = sp_map_lend(b.at, b.bytes), *other = sp_map_lend(big, sizeof big);
    assert_true(lent && other);
    static const struct { size_t from, n, to; } cases[] = {
        { 0, 65536, 0 }, { 100, 65000, 65536 + 100 }, { 5000, 100, 5000 }, { 5000, 9000, 77 /* another place in its page */ }, { 8192, 4096, 4096 }, { 65536, 0, 0 },
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        assert_int_equal(sp_map_onto(&m, cases[i].from, cases[i].n, b.at + cases[i].to, &e), SP_OK);
        assert_memory_equal(b.at + cases[i].to, big + cases[i].from, cases[i].n);
    }
    assert_int_equal(sp_map_onto(&m, 65000, 1000, b.at, &e), SP_FORMAT);
    assert_int_equal(sp_map_onto(&m, SIZE_MAX, 2, b.at, &e), SP_FORMAT);
    b.at[65536 + 30000] ^= 1; /* the process's own from now on */
    assert_int_equal(m.at[30000], big[30000]);
    assert_false(lent->lost);
    assert_int_equal(truncate(in("onto"), 4096), 0);
    assert_int_equal(b.at[65536 + 60000], 0);
    assert_true(lent->lost);
    assert_false(other->lost);
    sp_map_lend_end(lent);
    sp_map_lend_end(other);
    sp_block_free(&b);
    sp_map_close(&m);
}

static void test_map(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    struct sp_map m = { 0 }, other = { 0 };
    static char big[1 << 16], to[1 << 16];
    memset(big, 7, sizeof big);
    const char *path = in("map"), *second = in("map2");
    put(path, big, sizeof big);
    put(second, big, sizeof big);
    assert_int_equal(sp_map_open(&m, path, &e), SP_OK);
    assert_int_equal(sp_map_open(&other, second, &e), SP_OK);
    assert_int_equal(sp_map_copy(&m, 10, 100, to, &e), SP_OK);
    assert_memory_equal(to, big, 100);
    assert_int_equal(sp_map_copy(&m, sizeof big, 1, to, &e), SP_FORMAT);
    assert_int_equal(sp_map_copy(&m, SIZE_MAX, 2, to, &e), SP_FORMAT);
    assert_int_equal(sp_map_guard(&m, sum, &m, &e), SP_OK);
    assert_int_equal(truncate(path, 4096), 0);
    for (int i = 0; i < 3; i++) {
        e = (struct sp_err){ 0 };
        assert_int_equal(sp_map_copy(&m, 0, sizeof big, to, &e), SP_IO);
        assert_non_null(strstr(e.what, path));
        assert_int_equal(sp_map_guard(&m, sum, &m, &e), SP_IO);
    }
    struct sp_map *both[] = { &m, &other };
    assert_int_equal(sp_map_guard(&m, sum_two, both, &e), SP_IO);
    assert_non_null(strstr(e.what, path));
    assert_int_equal(sp_map_guard(&other, sum, &other, &e), SP_OK);
    sp_map_close(&m);
    sp_map_close(&other);
    sp_map_close(&m);
    assert_int_equal(sp_map_open(&m, in("none"), &e), SP_MISSING);
    assert_int_equal(sp_map_open(&m, folder, &e), SP_IO);
    put(path, "", 0);
    assert_int_equal(sp_map_open(&m, path, &e), SP_OK);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(sp_map_copy(&m, 0, 0, to, &e), SP_OK);
    sp_map_close(&m);
    pages_lent();
}

/* ---- writing ---- */

static const char *text_of(const char *path)
{
    struct sp_err e;
    struct sp_text t = { 0 };
    assert_int_equal(sp_read_file(&t, path, 1000, &e), SP_OK);
    const char *s = sp_arena_printf(&mem, "%s", t.at);
    sp_text_clear(&t);
    return s;
}

static void test_write(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    const char *path = in("out"), *link = in("link");
    assert_int_equal(sp_write_file(path, "one", 3, &e), SP_OK);
    assert_string_equal(text_of(path), "one");
    int files = count_files();
    struct sp_out o = { 0 };
    assert_int_equal(sp_out_open(&o, path, &e), SP_OK);
    assert_int_equal(sp_out_write(&o, "two", 3, &e), SP_OK);
    assert_string_equal(text_of(path), "one"); /* not before commit */
    sp_out_abandon(&o);
    sp_out_abandon(&o);
    assert_int_equal(count_files(), files);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(sp_write_file(link, "three", 5, &e), SP_OK);
    assert_string_equal(text_of(path), "three"); /* through the link, which stays */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(!lstat(link, &st) && S_ISLNK(st.st_mode));
    assert_int_equal(sp_write_file(in("no/such/folder"), "x", 1, &e), SP_IO);
    assert_int_equal(sp_write_file(folder, "x", 1, &e), SP_IO);
    assert_non_null(strstr(e.what, "can't be written"));
}

/* Never with the real /dev/null: run as root, a fault would replace the machine's. */
static void test_write_in_place(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    struct stat st;
    char back[8] = "";
    const char *pipe = in("pipe"), *full = in("full");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    int fd = open(pipe, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(sp_write_file(pipe, "x", 1, &e), SP_OK);
    assert_true(!stat(pipe, &st) && S_ISFIFO(st.st_mode)); /* still a pipe, not replaced */
    assert_int_equal(read(fd, back, sizeof back), 1);
    close(fd);
    if (mknod(full, S_IFCHR | 0600, makedev(1, 7)))
        return; /* only root may; test_write_full fills a file instead */
    fd = open(full, O_WRONLY);
    if (fd < 0)
        return; /* a file system without devices */
    close(fd);
    assert_int_equal(sp_write_file(full, "x", 1, &e), SP_IO);
    assert_non_null(strstr(e.what, "No space left"));
    assert_non_null(strstr(e.remedy, "free some space"));
    assert_true(!stat(full, &st) && S_ISCHR(st.st_mode));
}

static void test_write_full(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    static char big[1 << 16];
    const char *path = in("limited");
    assert_int_equal(sp_write_file(path, "old", 3, &e), SP_OK);
    int files = count_files();
    struct rlimit was, small;
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    enum sp_status whole = sp_write_file(path, big, sizeof big, &e);
    struct sp_out o = { 0 };
    enum sp_status opened = sp_out_open(&o, path, &e), piece = SP_OK;
    for (int i = 0; i < 3; i++)
        piece = sp_out_write(&o, big, sizeof big, &e);
    enum sp_status closed = sp_out_commit(&o, &e);
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, SIG_DFL);
    sp_out_abandon(&o);
    assert_int_equal(whole, SP_IO);
    assert_int_equal(opened, SP_OK);
    assert_int_equal(piece, SP_IO);
    assert_int_equal(closed, SP_IO);
    assert_string_equal(text_of(path), "old");
    assert_int_equal(count_files(), files);
}

/* ---- reading ---- */

enum { BIG = 300000 };
static char content[BIG];

static enum sp_status read_as(const char *name, const void *p, size_t n, size_t max, struct sp_text *t, struct sp_err *e)
{
    put(in(name), p, n);
    sp_text_clear(t);
    return sp_read_file(t, in(name), max, e);
}

/* Packed bytes under the ending: whole, at the limit, and cut off everywhere. */
static void check_packed(const char *name, const unsigned char *packed, size_t n)
{
    struct sp_err e = { 0 };
    struct sp_text t = { 0 };
    assert_int_equal(read_as(name, packed, n, BIG, &t, &e), SP_OK);
    assert_int_equal(t.n, BIG);
    assert_memory_equal(t.at, content, BIG);
    assert_int_equal(read_as(name, packed, n, BIG - 1, &t, &e), SP_LIMIT);
    assert_null(t.at);
    for (size_t cut = 0; cut < n; cut += cut < 40 || cut + 40 > n ? 1 : n / 7)
        assert_int_equal(read_as(name, packed, cut, BIG, &t, &e), SP_FORMAT);
    unsigned char *twice = malloc(2 * n);
    memcpy(twice, packed, n);
    memcpy(twice + n, packed, n);
    assert_int_equal(read_as(name, twice, 2 * n, 2 * BIG, &t, &e), SP_OK);
    assert_int_equal(t.n, 2 * BIG);
    twice[n / 2] ^= 0x55;
    twice[n / 2 + 1] ^= 0x55;
    assert_int_equal(read_as(name, twice, n, BIG, &t, &e), SP_FORMAT);
    free(twice);
    assert_int_equal(read_as(name, "plain text", 10, BIG, &t, &e), SP_FORMAT);
    sp_text_clear(&t);
}

static void test_read(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    struct sp_text t = { 0 };
    static unsigned char packed[2 * BIG];
    struct sp_random r = { .key = 1 };
    for (int i = 0; i < BIG; i++)
        content[i] = (char)('a' + (i % 1000 < 500 ? 0 : sp_random_below(&r, 20)));
    assert_int_equal(read_as("plain", content, BIG, BIG, &t, &e), SP_OK);
    assert_true(t.n == BIG && t.at[BIG] == 0);
    assert_int_equal(read_as("plain", content, BIG, BIG - 1, &t, &e), SP_LIMIT);
    assert_int_equal(read_as("plain", "", 0, 0, &t, &e), SP_OK);
    assert_true(t.n == 0 && t.at && t.at[0] == 0);
    sp_text_clear(&t);
    assert_int_equal(sp_read_file(&t, in("absent"), 10, &e), SP_MISSING);
    assert_int_equal(sp_read_file(&t, in("absent.gz"), 10, &e), SP_MISSING);
    assert_int_equal(sp_read_file(&t, in("absent.zst"), 10, &e), SP_MISSING);
    assert_int_equal(sp_read_file(&t, folder, 10, &e), SP_IO);
    z_stream z = { .next_in = (unsigned char *)content, .avail_in = BIG, .next_out = packed, .avail_out = sizeof packed };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    check_packed("x.gz", packed, z.total_out);
    deflateEnd(&z);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, packed, sizeof packed, content, BIG);
    ZSTD_freeCCtx(c);
    check_packed("x.zst", packed, n);
}

/* ---- folders ---- */

static void test_folders(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    const char **files = NULL;
    int n = 0;
    const char *top = in("tree");
    assert_int_equal(sp_make_folder(in("tree/b/c/"), &e), SP_OK);
    assert_int_equal(sp_make_folder(in("tree/b/c"), &e), SP_OK);
    put(in("tree/z"), "", 0);
    put(in("tree/b/c/y"), "", 0);
    put(in("tree/a"), "", 0);
    put(in("tree/.hidden"), "", 0);
    assert_int_equal(symlink("..", in("tree/b/circle")), 0);
    assert_int_equal(symlink("a", in("tree/link")), 0);
    assert_int_equal(sp_list_files(top, 10, &mem, &files, &n, &e), SP_OK);
    const char *const wanted[] = { in("tree/a"), in("tree/b/c/y"), in("tree/link"), in("tree/z") };
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++)
        assert_string_equal(files[i], wanted[i]);
    assert_int_equal(sp_list_files(top, 3, &mem, &files, &n, &e), SP_LIMIT);
    assert_int_equal(sp_list_files(in("tree/a"), 3, &mem, &files, &n, &e), SP_OK);
    assert_int_equal(n, 1);
    assert_int_equal(sp_list_files(in("absent"), 3, &mem, &files, &n, &e), SP_MISSING);
    assert_int_equal(sp_make_folder(in("tree/a/x"), &e), SP_IO);
    assert_int_equal(sp_make_folder(in("tree/a"), &e), SP_IO);
    assert_true(sp_is_folder(top) && !sp_is_file(top) && sp_is_file(in("tree/a")) && !sp_is_folder(in("absent")));
    assert_string_equal(sp_path_join(&mem, "a/", "b"), "a/b");
    assert_string_equal(sp_path_join(&mem, "", "b"), "b");
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    json_t *j = NULL;
    static const char good[] = "{\"i\":12,\"r\":1.5,\"w\":3.0,\"b\":true,\"t\":\"x\",\"n\":null,\"big\":9223372036854775807}";
    assert_int_equal(sp_json_parse(&j, good, strlen(good), "good", &e), SP_OK);
    int64_t i;
    double r;
    bool b;
    const char *t;
    assert_true(!sp_json_int(j, "i", 0, 12, 5, &i, &e) && i == 12);
    assert_true(!sp_json_int(j, "w", 0, 12, 5, &i, &e) && i == 3);
    assert_true(!sp_json_int(j, "absent", 0, 1, 5, &i, &e) && i == 5);
    assert_true(!sp_json_int(j, "n", 0, 1, 5, &i, &e) && i == 5);
    assert_true(!sp_json_int(j, "big", 0, INT64_MAX, 5, &i, &e) && i == INT64_MAX);
    assert_int_equal(sp_json_int(j, "i", 0, 11, 5, &i, &e), SP_FORMAT);
    assert_string_equal(e.what, "\"i\" must be from 0 to 11, not 12");
    assert_int_equal(sp_json_int(j, "r", 0, 11, 5, &i, &e), SP_FORMAT);
    assert_int_equal(sp_json_int(j, "t", 0, 11, 5, &i, &e), SP_FORMAT);
    assert_true(!sp_json_real(j, "r", 0, 2, 5, &r, &e) && r == 1.5);
    assert_true(!sp_json_real(j, "i", 0, 20, 5, &r, &e) && r == 12);
    assert_int_equal(sp_json_real(j, "r", 2, 3, 5, &r, &e), SP_FORMAT);
    assert_int_equal(sp_json_real(j, "b", 2, 3, 5, &r, &e), SP_FORMAT);
    assert_true(!sp_json_bool(j, "b", false, &b, &e) && b);
    assert_int_equal(sp_json_bool(j, "i", false, &b, &e), SP_FORMAT);
    assert_true(!sp_json_text(j, "t", "f", &t, &e) && !strcmp(t, "x"));
    assert_true(!sp_json_text(j, "n", "f", &t, &e) && !strcmp(t, "f"));
    assert_int_equal(sp_json_text(j, "i", "f", &t, &e), SP_FORMAT);
    assert_int_equal(sp_json_write(in("j.json"), j, &e), SP_OK);
    json_t *back = NULL;
    assert_int_equal(sp_json_read(&back, in("j.json"), 1000, &e), SP_OK);
    assert_true(json_equal(j, back));
    json_decref(back);
    assert_int_equal(sp_json_read(&back, in("j.json"), 20, &e), SP_LIMIT);
    json_decref(j);
}

static void test_json_hostile(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", " ", "{", "[1,", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}", "1", "\"x\"", "nul",
        "[1e999]", "[99999999999999999999]", "[01]", "[\"\\ud800\"]", "[\"\xff\"]", "[\"\\u0000\"]", "[\"a\nb\"]", "{1:2}", "[NaN]",
        "[\"\\", "[\"", "{\"a\\", "]]]]", "[\"\xc0\x80\"]",
    };
    uint64_t live = sp_mem_live();
    struct sp_err e = { 0 };
    json_t *j = NULL;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        char *exact = malloc(strlen(rows[i]) + !*rows[i]); /* so that reading past the end is seen */
        memcpy(exact, rows[i], strlen(rows[i]));
        assert_int_equal(sp_json_parse(&j, exact, strlen(rows[i]), "hostile", &e), SP_FORMAT);
        free(exact);
    }
    assert_int_equal(sp_json_parse(&j, "[\"a\0b\"]", 7, "zero", &e), SP_FORMAT);
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(sp_json_parse(&j, deep, sizeof deep, "deep", &e), SP_LIMIT);
    memset(deep + 513, ']', 513);
    assert_int_equal(sp_json_parse(&j, deep, 2 * 513, "deep", &e), SP_LIMIT);
    memset(deep + 512, ']', 512);
    assert_int_equal(sp_json_parse(&j, deep, 2 * 512, "deep", &e), SP_OK);
    json_decref(j);
    static const char quoted[] = "[\"[[[\\\"[[[\"]";
    assert_int_equal(sp_json_parse(&j, quoted, strlen(quoted), "quoted", &e), SP_OK);
    json_decref(j);
    assert_int_equal(sp_mem_live(), live);
}

static void test_json_allocations(void **state)
{
    (void)state;
    static const char good[] = "{\"i\":12,\"r\":[1.5,\"xyz\",{\"u\":true}]}";
    const char *path = in("alloc.json");
    struct sp_err e = { 0 };
    int walked = 0;
    for (bool done = false; !done; walked++) {
        uint64_t live = sp_mem_live();
        json_t *j = NULL, *back = NULL;
        sp_mem_fail_at(walked);
        enum sp_status st = sp_json_parse(&j, good, strlen(good), "good", &e);
        if (!st)
            st = sp_json_write(path, j, &e);
        if (!st)
            st = sp_json_read(&back, path, 1000, &e);
        sp_mem_fail_at(-1);
        done = !st;
        if (st && st != SP_NOMEM)
            fail_msg("allocation %d: %s", walked, e.what);
        json_decref(j);
        json_decref(back);
        assert_int_equal(sp_mem_live(), live);
    }
    print_message("          %d allocations failed in turn\n", walked - 1);
    assert_true(walked > 20);
}

static void test_json_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE"))
        skip();
    test_json(state);
    setlocale(LC_ALL, "C");
}

/* ---- YAML ---- */

static enum sp_status note(void *self, const char *key, const char *value, struct sp_err *err)
{
    if (!strcmp(key, "stop"))
        return sp_fail(err, SP_USAGE, "stopped");
    sp_text_printf(self, "%s=%s;", key, value);
    return SP_OK;
}

static enum sp_status yaml(const char *text, size_t n, struct sp_text *t, struct sp_err *e)
{
    put(in("y.yaml"), text, n);
    sp_text_clear(t);
    return sp_yaml_read(in("y.yaml"), note, t, e);
}

static void test_yaml(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sp_status st;
        const char *wanted; /* the pairs, or a part of the sentence */
    } rows[] = {
        { "a: 1\nb:\n  c: x y\n  d: \"q\\n\"\ne: [1, 2]\nf:\n  - u: 1\n  - u: 2\n", SP_OK, "a=1;b.c=x y;b.d=q\n;e=1;e=2;f.u=1;f.u=2;" },
        { "a: null\nb: ~\nc:\nd: \"\"\ne: \"null\"\nf: []\ng: {}\nh: 1", SP_OK, "d=;e=null;h=1;" },
        { "", SP_OK, "" },
        { "# only a comment\n", SP_OK, "" },
        { "a: 1\na: 2\n", SP_FORMAT, "key a stands twice" },
        { "x:\n  a: 1\ny:\n  a: 1\n", SP_OK, "x.a=1;y.a=1;" },
        { "a: &x 1\nb: *x\n", SP_UNSUPPORTED, "anchors" },
        { "a: *x\n", SP_UNSUPPORTED, "aliases" },
        { "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", SP_UNSUPPORTED, "anchors" },
        { "a: &a {b: 1}\n", SP_UNSUPPORTED, "anchors" },
        { "- a\n- b\n", SP_FORMAT, "not a list" },
        { "just text", SP_FORMAT, "not 'just text'" },
        { "[a]: 1\n", SP_FORMAT, "a key must be text" },
        { "? {a: 1}\n: 2\n", SP_FORMAT, "a key must be text" },
        { "\"\": 1\n", SP_FORMAT, "a key is empty" },
        { "a: 1\n---\nb: 2\n", SP_FORMAT, "one document" },
        { "a: [1, 2\n", SP_FORMAT, "not sound YAML" },
        { "a: \"\\x\"\n", SP_FORMAT, "not sound YAML" },
        { "a:\tb: c: d", SP_FORMAT, "not sound YAML" },
        { "a: \xff\n", SP_FORMAT, "not sound YAML" },
        { "a: \"x\\0y\"\n", SP_FORMAT, "zero byte" },
        { "a: 1\n\nstop: 1\n", SP_USAGE, "stopped" },
    };
    struct sp_text t = { 0 };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_err e = { 0 };
        assert_int_equal(yaml(rows[i].text, strlen(rows[i].text), &t, &e), rows[i].st);
        if (!rows[i].st)
            assert_string_equal(t.at ? t.at : "", rows[i].wanted);
        else if (!strstr(e.what, rows[i].wanted))
            fail_msg("row %zu: %s", i, e.what);
    }
    struct sp_err e = { 0 };
    char line[1100];
    yaml("a: 1\n\nstop: 1\n", 14, &t, &e);
    assert_non_null(strstr(sp_err_line(&e, line, sizeof line), "y.yaml:3: stopped"));
    sp_text_clear(&t);
}

static void test_yaml_limits(void **state)
{
    (void)state;
    struct sp_text t = { 0 }, y = { 0 };
    struct sp_err e = { 0 };
    for (int i = 0; i < 100000; i++)
        sp_text_printf(&y, "[");
    assert_true(yaml(y.at, y.n, &t, &e) != SP_OK);
    sp_text_clear(&y);
    for (int i = 0; i < 20; i++)
        sp_text_printf(&y, "{a: ");
    assert_int_equal(yaml(y.at, y.n, &t, &e), SP_LIMIT);
    sp_text_clear(&y);
    sp_text_printf(&y, "%0*d: 1\n", 300, 1);
    assert_int_equal(yaml(y.at, y.n, &t, &e), SP_LIMIT);
    sp_text_clear(&y);
    sp_text_printf(&y, "a:\n");
    for (int i = 0; i < 5000; i++)
        sp_text_printf(&y, "- %d\n", i);
    assert_int_equal(yaml(y.at, y.n, &t, &e), SP_LIMIT);
    sp_text_clear(&y);
    sp_text_printf(&y, "a: %0*d\n", 2 << 20, 1);
    assert_int_equal(yaml(y.at, y.n, &t, &e), SP_LIMIT);
    sp_text_clear(&y);
    sp_text_clear(&t);
    assert_int_equal(sp_yaml_read(in("absent.yaml"), note, &t, &e), SP_MISSING);
}

/* ---- a recipe written from option tables and read back ---- */

struct recipe { int64_t n; double lr, unset; const char *path, *name; bool on; int kind; struct sp_option_list data; };
static const char *const kinds[] = { "f32", "null", NULL };
static const struct sp_option rows_a[] = {
    { .name = "n", .key = "train.n", .kind = SP_OPT_INT, .at = offsetof(struct recipe, n), .min = 0, .max = 1e12, .help = "many: #1" },
    { .name = "path", .key = "model.path", .kind = SP_OPT_TEXT, .at = offsetof(struct recipe, path) },
    { .name = "unset", .key = "train.deep.unset", .kind = SP_OPT_REAL, .at = offsetof(struct recipe, unset), .fallback = NAN },
    { .name = "kind", .key = "model.kind", .kind = SP_OPT_CHOICE, .at = offsetof(struct recipe, kind), .choices = kinds },
    { 0 },
};
static const struct sp_option rows_b[] = {
    { .name = "lr", .key = "train.lr", .kind = SP_OPT_REAL, .at = offsetof(struct recipe, lr), .min = 0, .max = 1 },
    { .name = "name", .key = "model.name", .kind = SP_OPT_TEXT, .at = offsetof(struct recipe, name) },
    { .name = "on", .key = "train.deep.on", .kind = SP_OPT_FLAG, .at = offsetof(struct recipe, on) },
    { .name = "data", .key = "data", .kind = SP_OPT_LIST, .at = offsetof(struct recipe, data) },
    { 0 },
};
struct reading { struct sp_option_set set[2]; };

static enum sp_status set_one(void *self, const char *key, const char *value, struct sp_err *err)
{
    struct reading *r = self;
    return sp_option_set_key(r->set, 2, key, value, &mem, err);
}

static void test_recipe(void **state)
{
    (void)state;
    struct recipe a = { 0 }, b = { 0 };
    struct reading from = { { { rows_a, &a }, { rows_b, &a } } }, to = { { { rows_a, &b }, { rows_b, &b } } };
    struct sp_err e = { 0 };
    sp_option_defaults(from.set, 2);
    sp_option_defaults(to.set, 2);
    a.n = 123456789012;
    a.lr = 0.1 + 0.2;
    a.name = "null # \"\\ \t\n \303\244: x";
    a.on = true;
    a.kind = 1;
    a.data = (struct sp_option_list){ 2, { "a, b", "" } };
    FILE *f = fopen(in("r.yaml"), "w");
    sp_option_yaml(from.set, 2, f);
    fclose(f);
    if (sp_yaml_read(in("r.yaml"), set_one, &to, &e))
        fail_msg("%s: %s", e.where, e.what);
    assert_true(b.n == a.n && b.lr == a.lr && b.on && b.kind == 1 && isnan(b.unset) && !b.path);
    assert_string_equal(b.name, a.name);
    assert_int_equal(b.data.n, 2);
    assert_string_equal(b.data.at[0], "a, b");
    assert_string_equal(b.data.at[1], "");
}

/* ---- hashes ---- */

static void test_hash(void **state)
{
    (void)state;
    /* BLAKE2b with 32 bytes of output (RFC 7693), from Python's hashlib. */
    static const struct {
        const char *text, *hex;
    } rows[] = {
        { "", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
        { "abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319" },
    };
    struct sp_err e = { 0 };
    struct sp_hash h, f;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        assert_int_equal(sp_hash_bytes(&h, rows[i].text, strlen(rows[i].text), &e), SP_OK);
        assert_string_equal(h.hex, rows[i].hex);
        put(in("h"), rows[i].text, strlen(rows[i].text));
        assert_int_equal(sp_hash_file(&f, in("h"), &e), SP_OK);
        assert_string_equal(f.hex, rows[i].hex);
    }
    put(in("h"), content, BIG); /* more than one piece */
    assert_int_equal(sp_hash_bytes(&h, content, BIG, &e), SP_OK);
    assert_int_equal(sp_hash_file(&f, in("h"), &e), SP_OK);
    assert_string_equal(f.hex, h.hex);
    assert_int_equal(sp_hash_file(&f, in("absent"), &e), SP_MISSING);
    assert_int_equal(sp_hash_file(&f, folder, &e), SP_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_in_place),
        cmocka_unit_test(test_write_full),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_hostile),
        cmocka_unit_test(test_json_allocations),
        cmocka_unit_test(test_json_locale),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_yaml_limits),
        cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
