/* tests/test_csv.c - room file: tables of comma-separated values (RFC 4180).
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "file/file.h"

static enum sp_status parse(struct sp_csv *t, const char *text, struct sp_err *err)
{
    static char copy[4096];
    snprintf(copy, sizeof copy, "%s", text);
    return sp_csv_parse(t, copy, "t.csv", err);
}

/* The forms that RFC 4180 section 2 lists. */
static void test_forms(void **state)
{
    struct sp_csv t;
    struct sp_err err = { 0 };
    (void)state;
    assert_int_equal(parse(&t, "\xEF\xBB\xBF" "name,said,n\r\n\"a, b\",\"he said \"\"no\"\"\",1.5\r\n\r\nc,\"two\nlines\",\n", &err), SP_OK);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.columns, 3);
    assert_string_equal(sp_csv_at(&t, 0, 0), "a, b");
    assert_string_equal(sp_csv_at(&t, 0, sp_csv_column(&t, "said")), "he said \"no\"");
    assert_string_equal(sp_csv_at(&t, 1, 1), "two\nlines");
    assert_string_equal(sp_csv_at(&t, 1, -1), "");
    double v;
    assert_int_equal(sp_csv_real(&t, 0, 2, &v, &err), SP_OK);
    assert_true(v == 1.5);
    assert_int_equal(sp_csv_real(&t, 1, 2, &v, &err), SP_OK);
    assert_true(isnan(v));
    assert_int_equal(sp_csv_real(&t, 1, 0, &v, &err), SP_FORMAT);
    sp_csv_clear(&t);
}

static void test_refused(void **state)
{
    static const struct { const char *text, *says; } bad[] = {
        { "", "empty" }, { "\n\n", "empty" }, { "a,b\n1\n", "line 2: 1 fields, the first row has 2" },
        { "a,b\n1,2,3\n", "line 2: 3 fields" }, { "a,b\n1,\"2\n", "line 2: a quote is opened" },
    };
    struct sp_csv t;
    (void)state;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_err err = { 0 };
        assert_int_equal(parse(&t, bad[i].text, &err), SP_FORMAT);
        assert_non_null(strstr(err.what, bad[i].says));
        assert_string_equal(err.where, "t.csv");
    }
}

static void test_read(void **state)
{
    char path[] = "/tmp/sparsam-csv-XXXXXX";
    struct sp_csv t;
    struct sp_err err = { 0 };
    int fd = mkstemp(path), c;
    (void)state;
    assert_true(fd >= 0 && write(fd, "x,y\n1,2\n", 8) == 8);
    assert_int_equal(sp_csv_read(&t, path, 100, &err), SP_OK);
    assert_int_equal(sp_csv_need(&t, "y", &c, &err), SP_OK);
    assert_string_equal(sp_csv_at(&t, 0, c), "2");
    assert_int_equal(sp_csv_need(&t, "z", &c, &err), SP_FORMAT);
    sp_csv_clear(&t);
    err = (struct sp_err){ 0 };
    assert_int_equal(sp_csv_read(&t, path, 4, &err), SP_LIMIT);
    assert_int_equal(write(fd, "\0", 1), 1);
    err = (struct sp_err){ 0 };
    assert_int_equal(sp_csv_read(&t, path, 100, &err), SP_FORMAT);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_forms), cmocka_unit_test(test_refused), cmocka_unit_test(test_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
