/* tests/test_checkpoint.c - a checkpoint damaged in every region, cut short, or made
 * by an enemy: the one before it is used, or a sentence names file and remedy.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "learn/learn.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static char folder[] = "/tmp/sparsam-checkpoint-XXXXXX", last[96], before[96], damaged[96], fresh[96];
static struct sp_job job;
static struct sp_live live;
static unsigned char *states[2]; /* at steps 10 and 20 */

enum { STEPS = 10 };

static void begin_job(struct sp_job *j, struct sp_live *l, int64_t width)
{
    struct sp_model_config c = { .family = SP_FAMILY_LLAMA, .vocab = 7, .context = 8, .layers = 1, .width = width, .heads = 2, .kv_heads = 1, .ffn = 12,
                                 .tied = true, .bos = -1, .activation = SP_SILU };
    struct sp_train_shape t = { .batch = 1, .tokens = 8, .score_batch = -1, .compute = SP_F32, .adamw = { .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8 } };
    struct sp_machine m;
    sp_machine_portable(&m);
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_train(&c, &t, &m, NULL, NULL, j, &err));
    OK(sp_live_new(l, j, NULL, false, &err));
    OK(sp_live_init(l, 1, &err));
}

static int set_up(void **u)
{
    (void)u;
    if (!mkdtemp(folder))
        return -1;
    snprintf(last, sizeof last, "%s/checkpoint.safetensors", folder);
    snprintf(before, sizeof before, "%s/checkpoint.old.safetensors", folder);
    snprintf(damaged, sizeof damaged, "%s/checkpoint.damaged.safetensors", folder);
    snprintf(fresh, sizeof fresh, "%s/checkpoint.new.safetensors", folder);
    begin_job(&job, &live, 8);
    sp_log_set(SP_LOG_ERROR);
    return 0;
}

static int tear_down(void **u)
{
    char command[96];
    (void)u;
    free(states[0]);
    free(states[1]);
    sp_live_clear(&live);
    sp_job_clear(&job);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static bool kept(const struct sp_state_entry *e)
{
    return e->kind == SP_STATE_PARAM || e->kind == SP_STATE_MOMENT;
}

/* Two checkpoints whose numbers differ everywhere. */
static void write_both(void)
{
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < job.state.n; i++)
            for (int64_t n = 0; kept(&job.state.entry[i]) && n < sp_type_elements(&job.state.entry[i].type); n++)
                ((float *)sp_live_state(&live, job.state.entry[i].name))[n] = (float)(k + 1) * (float)(n + i + 1);
        OK(sp_checkpoint_save(folder, &live, NULL, STEPS * (k + 1), 0.5 + k, &err));
        free(states[k]);
        states[k] = malloc((size_t)job.state.bytes);
        memcpy(states[k], live.state.at, (size_t)job.state.bytes);
    }
    unlink(damaged);
}

static bool state_is(const unsigned char *want)
{
    for (int i = 0; i < job.state.n; i++) {
        const struct sp_state_entry *e = &job.state.entry[i];
        if (kept(e) && memcmp(live.state.at + e->at, want + e->at, (size_t)sp_type_bytes(&e->type)))
            return false;
    }
    return true;
}

/* ---- the ways to damage a file ---- */

static struct sp_text content(const char *path)
{
    struct sp_text t = { 0 };
    OK(sp_read_file(&t, path, 1 << 24, &err));
    return t;
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A header of one's own, sealed as ours: nothing but its rules protects the reader. */
static void put_sealed(const char *path, const char *header, size_t data)
{
    struct sp_out o;
    unsigned char word[8] = { 0 }, zeros[512] = { 0 };
    size_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        word[i] = (unsigned char)((uint64_t)n >> 8 * i);
    OK(sp_out_open(&o, path, &err));
    OK(sp_out_write(&o, word, 8, &err));
    OK(sp_out_write(&o, header, n, &err));
    OK(sp_out_write(&o, zeros, data, &err));
    OK(sp_out_seal(&o, &err));
    OK(sp_out_commit(&o, &err));
}

static void flip(const char *path, double place)
{
    struct sp_text t = content(path);
    size_t at = place < 0 ? t.n + (size_t)(int64_t)place : place < 1 ? (size_t)(place * (double)t.n) : (size_t)place - 1;
    t.at[at] = (char)(t.at[at] ^ 0x04);
    put(path, t.at, t.n);
    sp_text_clear(&t);
}

static void cut(const char *path, double share)
{
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    off_t to = share < 0 ? s.st_size + (off_t)share : (off_t)(share * (double)s.st_size);
    assert_int_equal(truncate(path, to), 0);
}

static void longer(const char *path, double by)
{
    struct sp_text t = content(path);
    for (int i = 0; i < (int)by; i++)
        sp_text_add(&t, "\0", 1);
    put(path, t.at, t.n);
    sp_text_clear(&t);
}

static void of_another_model(const char *path, double width)
{
    struct sp_job j;
    struct sp_live l;
    char other[96], from[128];
    begin_job(&j, &l, (int64_t)width);
    snprintf(other, sizeof other, "%s/other", folder);
    OK(sp_checkpoint_save(other, &l, NULL, 5, 1, &err));
    snprintf(from, sizeof from, "%s/checkpoint.safetensors", other);
    assert_int_equal(rename(from, path), 0);
    sp_live_clear(&l);
    sp_job_clear(&j);
}

static void no_step(const char *path, double unused)
{
    (void)unused;
    put_sealed(path, "{\"content/blake2b\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[0,64]}}", 0);
}

static void negative_step(const char *path, double unused)
{
    struct sp_tensor_out t[2] = { { "train/step", SP_TYPE(SP_I32, 1), &(int32_t){ -7 }, SP_I32 }, { "train/seconds", SP_TYPE(SP_F32, 1), &(float){ 1 }, SP_F32 } };
    (void)unused;
    OK(sp_safetensors_write_sealed(path, t, 2, &err));
}

static const char *const hostile[] = {
    "", "{", "[]", "null", "{}", "{\"a\":1}",
    "{\"train/step\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]},\"train/seconds\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
    "{\"train/step\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}",
    "{\"train/step\":{\"dtype\":\"I32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,64]}}",
    "{\"train/step\":{\"dtype\":\"I32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
    "{\"train/step\":{\"dtype\":\"XX\",\"shape\":[1],\"data_offsets\":[0,4]}}",
    "{\"__metadata__\":3}",
};

static void hostile_header(const char *path, double which)
{
    put_sealed(path, hostile[(int)which], 0);
}

static void long_claim(const char *path, double unused)
{
    unsigned char b[256];
    (void)unused;
    memset(b, 0xff, sizeof b);
    put(path, b, sizeof b);
}

static void a_folder(const char *path, double unused)
{
    (void)unused;
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0);
}

static const struct { const char *name; void (*damage)(const char *path, double how); double how; } row[] = {
    { "a bit of the header's length", flip, 1 }, { "a bit of its highest byte", flip, 8 }, { "a bit of the first brace", flip, 9 },
    { "a bit of the header", flip, 60 }, { "another bit of the header", flip, 301 }, { "a bit of the data", flip, 0.5 },
    { "a bit of the data's end", flip, -65 }, { "the first bit of the seal", flip, -64 }, { "the last bit of the seal", flip, -1 },
    { "empty", cut, 0 }, { "a byte missing", cut, -1 }, { "its seal missing", cut, -64 }, { "half of it missing", cut, 0.5 },
    { "only its beginning", cut, 0.001 }, { "a byte too much", longer, 1 }, { "64 bytes too much", longer, 64 },
    { "another model's", of_another_model, 16 }, { "no step in it", no_step, 0 }, { "a negative step", negative_step, 0 },
    { "a header of 2^64 bytes", long_claim, 0 }, { "a folder", a_folder, 0 },
    { "hostile", hostile_header, 0 }, { "hostile", hostile_header, 1 }, { "hostile", hostile_header, 2 }, { "hostile", hostile_header, 3 },
    { "hostile", hostile_header, 4 }, { "hostile", hostile_header, 5 }, { "hostile", hostile_header, 6 }, { "hostile", hostile_header, 7 },
    { "hostile", hostile_header, 8 }, { "hostile", hostile_header, 9 }, { "hostile", hostile_header, 10 }, { "hostile", hostile_header, 11 },
};

/* ---- the tests ---- */

static void whole_ones_are_read(void **u)
{
    int64_t step = 0;
    double seconds = 0;
    (void)u;
    write_both();
    memset(live.state.at, 0, (size_t)job.state.bytes);
    OK(sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err));
    assert_int_equal(step, 2 * STEPS);
    assert_true(seconds > 1.4 && seconds < 1.6);
    assert_true(state_is(states[1]));
    assert_true(access(damaged, F_OK) && access(fresh, F_OK));
}

static void the_one_before_is_used(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        int64_t step = 0;
        double seconds = 0;
        write_both();
        row[i].damage(last, row[i].how);
        memset(live.state.at, 0, (size_t)job.state.bytes);
        enum sp_status st = sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err);
        if (st || step != STEPS || !state_is(states[0]))
            fail_msg("%s: status %d, step %lld: %s", row[i].name, st, (long long)step, err.what);
        if (row[i].damage != a_folder && (!access(last, F_OK) || access(damaged, F_OK)))
            fail_msg("%s: it was not set aside", row[i].name);
        rmdir(last);
        OK(sp_checkpoint_save(folder, &live, NULL, STEPS + 1, 1, &err)); /* the good one stays the one before */
        row[i].damage(last, row[i].how);
        assert_int_equal(sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err), SP_OK);
        assert_int_equal(step, STEPS);
        rmdir(last);
    }
    print_message("%zu ways to damage a checkpoint\n", SP_COUNT(row));
}

/* None is whole: a sentence with the file's name and a way out, and nothing is removed or renamed. */
static void none_is_said(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        int64_t step = -1;
        double seconds;
        char line[1200];
        write_both();
        row[i].damage(last, row[i].how);
        unlink(before);
        err = (struct sp_err){ 0 };
        enum sp_status st = sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err);
        sp_err_line(&err, line, sizeof line);
        if (st == SP_OK || st == SP_MISSING || st != err.status || step != -1)
            fail_msg("%s: status %d, step %lld", row[i].name, st, (long long)step);
        if (!strstr(line, last) || !err.remedy[0] || strchr(line, '\n'))
            fail_msg("%s: says \"%s\"", row[i].name, line);
        assert_int_equal(access(last, F_OK), 0);
        rmdir(last);
        unlink(last);
    }
}

/* Both renames of a save may be cut off; a new one that nobody renamed is written over. */
static void cut_between_renames(void **u)
{
    int64_t step = 0;
    double seconds;
    (void)u;
    write_both();
    assert_int_equal(rename(last, before), 0);
    put(fresh, "half", 4);
    OK(sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err));
    assert_int_equal(step, 2 * STEPS);
    assert_true(state_is(states[1]));
    OK(sp_checkpoint_save(folder, &live, NULL, 3 * STEPS, 1, &err));
    OK(sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err));
    assert_int_equal(step, 3 * STEPS);
    assert_int_equal(access(before, F_OK), 0);
    assert_true(access(fresh, F_OK));
}

/* No memory is no damage: the last one stays where it is. */
static void no_memory_is_no_damage(void **u)
{
    int64_t step = 0, n = 0;
    double seconds;
    enum sp_status st = SP_NOMEM;
    (void)u;
    write_both();
    for (; st && n < 10000; n++) {
        uint64_t live_blocks = sp_mem_live();
        err = (struct sp_err){ 0 };
        sp_mem_fail_at(n);
        st = sp_checkpoint_load(folder, &live, NULL, &step, &seconds, &err);
        sp_mem_fail_at(-1);
        assert_true(st == SP_OK || st == SP_NOMEM);
        assert_int_equal(sp_mem_live(), live_blocks);
        assert_true(access(damaged, F_OK) && !access(last, F_OK));
    }
    assert_int_equal(step, 2 * STEPS);
    print_message("%lld allocations failed in turn\n", (long long)n - 1);
    assert_true(n > 10);
}

/* What a killed writer left is removed by the next; a living writer's file is not. */
static void leftovers_are_removed(void **u)
{
    char dead[160], path[128];
    struct sp_out o;
    (void)u;
    snprintf(path, sizeof path, "%s/thing", folder);
    snprintf(dead, sizeof dead, "%s.tmp-1-0", path);
    put(dead, "half", 4);
    OK(sp_out_open(&o, path, &err));
    assert_true(access(dead, F_OK));
    OK(sp_write_file(path, "short", 5, &err)); /* while the other is being written */
    OK(sp_out_write(&o, "long", 4, &err));
    OK(sp_out_commit(&o, &err));
    struct sp_text t = content(path);
    assert_int_equal(t.n, 4);
    sp_text_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_ones_are_read), cmocka_unit_test(the_one_before_is_used), cmocka_unit_test(none_is_said),
        cmocka_unit_test(cut_between_renames), cmocka_unit_test(no_memory_is_no_damage), cmocka_unit_test(leftovers_are_removed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
