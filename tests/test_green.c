/* tests/test_green.c - hours and power caps: calendar against the C library's,
 * decisions by hand, a sinusoid that must reach the oracle and noise that must save
 * nothing, futures that may not change a decision, energies that may not change a
 * cap, and the published series and traces where they are at hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include "shared.h"

#include "plan/green.h"
#include "recipe/recipe.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static void near(double is, double want, double tolerance, const char *what)
{
    if (!(fabs(is - want) <= tolerance))
        fail_msg("%s is %.6f, wanted %.6f within %g", what, is, want, tolerance);
}

static const char *file_of(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/sparsam_green_%d.csv", (int)getpid());
    OK(sp_write_file(path, text, strlen(text), &err));
    return path;
}

/* ---- calendar and files ---- */

static void test_calendar(void **state)
{
    (void)state;
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    for (int64_t hour = -600000; hour < 1500000; hour += 997) {
        time_t t = (time_t)hour * 3600;
        struct tm utc;
        char is[32], want[64];
        int64_t back;
        assert_non_null(gmtime_r(&t, &utc));
        snprintf(want, sizeof want, "%s %04d-%02d-%02d %02d:00", days[utc.tm_wday], utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour);
        assert_string_equal(sp_hours_show(hour, is, sizeof is), want);
        assert_true(sp_hours_parse(is + 4, &back) && back == hour);
    }
    int64_t hour;
    assert_true(sp_hours_parse("2020-03-01T17:45:00Z", &hour) && hour == 439745); /* date -ud @$((439745 * 3600)) */
    assert_true(sp_hours_parse("2020-03-01", &hour) && hour == 439728);
    assert_false(sp_hours_parse("2020-13-01 00:00", &hour));
    assert_false(sp_hours_parse("yesterday", &hour));
    assert_false(sp_hours_parse("2020-03-01 25:00", &hour));
}

static void test_read(void **state)
{
    (void)state;
    struct sp_hours h;
    OK(sp_hours_read(&h, file_of("Time,Carbon Intensity\n2020-01-01 02:00:00,30\n2020-01-01 00:00:00,10\n2020-01-01 00:30:00,20\n2020-01-01 03:00,\n"), NULL, NULL, 1, &err));
    assert_int_equal(h.n, 4);
    near(h.g[0], 15, 1e-12, "mean of two half hours");
    near(h.g[2], 30, 1e-12, "an hour out of order");
    assert_true(isnan(h.g[1]) && isnan(h.g[3]));
    sp_hours_clear(&h);
    OK(sp_hours_read(&h, file_of("t,price,carbon_intensity\n2020-01-01,1,7\n"), NULL, NULL, 1, &err));
    near(h.g[0], 7, 0, "the column that says intensity");
    sp_hours_clear(&h);
    OK(sp_hours_read(&h, file_of("t,price,carbon_intensity\n2020-01-01,1,7\n"), "price", NULL, 1, &err));
    near(h.g[0], 1, 0, "the column that is named");
    sp_hours_clear(&h);
}

static void test_read_refused(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        { "Time,g\nsoon,1\n", "soon" }, { "Time,g\n2020-01-01,-4\n", "below 0" },        { "Time,g\n2020-01-01,much\n", "much" },
        { "Time\n2020-01-01\n", "one column" }, { "Time,g\n", "no row" }, { "Time,g\n1900-01-01,1\n2200-01-01,1\n", "hours" },
        { "zone,month,h00,h01,h02,h03,h04,h05,h06,h07,h08,h09,h10,h11,h12,h13,h14,h15,h16,h17,h18,h19,h20,h21,h22,h23\n"
          "ES,2,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24\n", "ES" },
    };
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_hours h = { 0 };
        assert_true(sp_hours_read(&h, file_of(bad[i].text), NULL, "ES", 1, &err) != SP_OK);
        if (!strstr(err.what, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.what, bad[i].says);
        assert_null(h.g);
    }
}

static void test_profile(void **state)
{
    (void)state;
    struct sp_hours h;
    double g[28];
    bool chosen[28];
    struct sp_when_ask ask = { 2, 22, false };
    OK(sp_hours_read(&h, file_of("zone,month,h00,h01,h02,h03,h04,h05,h06,h07,h08,h09,h10,h11,h12,h13,h14,h15,h16,h17,h18,h19,h20,h21,h22,h23\n"
                                 "ES,2,9,9,9,9,9,9,9,9,9,9,9,9,9,1,1,9,9,9,9,9,9,9,9,9\n"), NULL, "es", 2, &err));
    assert_true(h.profile);
    assert_true(sp_hours_forecast(&h, 24 * 42, 24, g));
    sp_when_choose(&ask, g, chosen);
    for (int i = 0; i < 24; i++)
        assert_int_equal(chosen[i], i == 13 || i == 14);
    sp_hours_clear(&h);
}

/* ---- choosing ---- */

static void chosen_is(const double *g, int n, struct sp_when_ask ask, const char *want)
{
    bool chosen[32];
    (void)n;
    sp_when_choose(&ask, g, chosen);
    for (int i = 0; i < ask.hours + ask.slack; i++)
        assert_int_equal(chosen[i], want[i] == 'x');
}

static void test_choose(void **state)
{
    (void)state;
    static const double g[] = { 5, 1, 9, 2, 3, 9, 1, 9 };
    chosen_is(g, 8, (struct sp_when_ask){ 3, 5, true }, ".x.x..x.");
    chosen_is(g, 8, (struct sp_when_ask){ 2, 6, false }, "...xx...");
    chosen_is(g, 8, (struct sp_when_ask){ 2, 0, false }, "xx");
    chosen_is(g, 8, (struct sp_when_ask){ 1, 7, false }, ".x......"); /* of equals the first */
    chosen_is(g, 8, (struct sp_when_ask){ 8, 0, true }, "xxxxxxxx");
}

/* ---- forecasts ---- */

enum { LONG = 24 * 56 };

static struct sp_hours hours_of(double (*at)(int hour), int n)
{
    struct sp_hours h = { .n = n, .first = 438288 /* 2020-01-01 */, .g = sp_alloc((size_t)n * sizeof(double)) };
    assert_non_null(h.g);
    for (int i = 0; i < n; i++)
        h.g[i] = at(i);
    return h;
}

static double sinusoid(int hour)
{
    return 200 + 100 * sin(2 * 3.14159265358979 * hour / 24);
}

/* Of nothing but the hour (splitmix64). */
static double noise(int hour)
{
    uint64_t z = ((uint64_t)hour + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return 100 + 200 * (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static double real_like(int hour)
{
    return 50 + 0.5 * sinusoid(hour) + 0.3 * noise(hour) + 0.3 * noise(hour / 30);
}

static const struct sp_when_ask both[] = { { 4, 24, true }, { 4, 24, false } };

static void test_sinusoid_reaches_oracle(void **state)
{
    (void)state;
    struct sp_hours h = hours_of(sinusoid, LONG);
    for (size_t i = 0; i < SP_COUNT(both); i++) {
        struct sp_when_test r;
        OK(sp_when_evaluate(&h, &both[i], &r, &err));
        assert_true(r.starts == LONG - SP_WARM_UP - 28 + 1);
        assert_true(r.saved_oracle > 0.4);
        near(r.share, 1, 1e-9, "share of the oracle's saving");
        near(r.saved_persistence, r.saved_oracle, 1e-9, "yesterday's saving");
    }
    struct sp_when_ask day = { 4, 20, true }; /* the best four hours of a day, 200 +- 100: 270 degrees, 255, 285 and 240 */
    struct sp_when_test r;
    OK(sp_when_evaluate(&h, &day, &r, &err));
    near(r.oracle, 200 - 100 * (1 + 2 * sin(1.30899694) + sin(1.04719755)) / 4, 1e-6, "the oracle's intensity");
    sp_hours_clear(&h);
}

static void test_noise_saves_nothing(void **state)
{
    (void)state;
    struct sp_hours h = hours_of(noise, 24 * 200);
    for (size_t i = 0; i < SP_COUNT(both); i++) {
        struct sp_when_test r;
        OK(sp_when_evaluate(&h, &both[i], &r, &err));
        near(r.saved.likely, 0, 0.02, "saving on noise");
        near(r.saved_persistence, 0, 0.02, "yesterday's saving on noise");
        assert_true(r.saved_oracle > 0.25);
        assert_true(r.saved.low < 0 && r.saved.high > 0);
    }
    sp_hours_clear(&h);
}

static void test_never_above_oracle(void **state)
{
    (void)state;
    struct sp_hours h = hours_of(real_like, LONG);
    h.g[900] = h.g[901] = NAN; /* starts whose window has them are passed over */
    for (int64_t hours = 1; hours <= 25; hours += 12)
        for (int64_t slack = 0; slack <= 48; slack += 24)
            for (int cut = 0; cut < 2; cut++) {
                struct sp_when_ask a = { hours, slack, cut };
                struct sp_when_test r;
                OK(sp_when_evaluate(&h, &a, &r, &err));
                assert_true(r.oracle <= r.planned + 1e-9 && r.oracle <= r.now + 1e-9 && r.oracle <= r.persistence + 1e-9);
                int64_t window = hours + slack; /* the two hours stand in it, or in the day before it */
                assert_int_equal(r.passed_over, window < 24 ? 2 * (window + 1) : window + 25);
                if (!slack)
                    near(r.saved.likely, 0, 1e-12, "saving without slack");
            }
    struct sp_when_ask a = { 4, 24, true };
    struct sp_when_test r;
    OK(sp_when_evaluate(&h, &a, &r, &err));
    assert_true(r.saved.likely > 1.05 * r.saved_persistence && r.share > 0.5); /* a pattern within noise: means beat one day */
    h.n = SP_WARM_UP + 27;
    assert_int_equal(sp_when_evaluate(&h, &a, &r, &err), SP_LIMIT);
    sp_hours_clear(&h);
}

/* Whatever comes, the same is decided; what was before is not the same to it. */
static void test_future_is_not_seen(void **state)
{
    (void)state;
    enum { WINDOW = 72 };
    struct sp_hours h = hours_of(real_like, LONG), other = hours_of(real_like, LONG);
    for (int t = SP_WARM_UP; t + WINDOW <= LONG; t += 37) {
        double is[WINDOW], again[WINDOW], day[WINDOW], day_again[WINDOW];
        for (int i = 0; i < LONG; i++)
            other.g[i] = i < t ? h.g[i] : i % 3 ? 1e6 * noise(i + 7) : NAN;
        assert_true(sp_hours_forecast(&h, t, WINDOW, is) && sp_hours_forecast(&other, t, WINDOW, again));
        assert_memory_equal(is, again, sizeof is);
        assert_true(sp_hours_yesterday(&h, t, WINDOW, day) && sp_hours_yesterday(&other, t, WINDOW, day_again));
        assert_memory_equal(day, day_again, sizeof day);
        other.g[t - 1] += 100;
        assert_true(sp_hours_forecast(&other, t, WINDOW, again));
        assert_true(memcmp(is, again, sizeof is) != 0);
    }
    h.n = SP_WARM_UP; /* a forecast at the file's end reads nothing behind it */
    double end[WINDOW];
    assert_true(sp_hours_forecast(&h, SP_WARM_UP, WINDOW, end));
    sp_hours_clear(&h);
    sp_hours_clear(&other);
}

static void test_published_hours(void **state)
{
    (void)state;
    const char *path = shared_file("facts/grid_hourly_2020_gb.csv");
    struct sp_hours h;
    struct sp_when_test r;
    if (!path)
        skip();
    OK(sp_hours_read(&h, path, NULL, NULL, 1, &err));
    OK(sp_when_evaluate(&h, &both[0], &r, &err));
    assert_true(r.starts > 8500 && r.passed_over == 0);
    assert_true(r.share >= 0.6 && r.share <= 1);
    near(r.now, 213, 6, "mean intensity of 2020"); /* 212.9, as others computed from the same series */
    sp_hours_clear(&h);
}

/* ---- caps ---- */

static const char HEAD[] = "work,power_limit,time_per_epoch,average_power\n";

static const char *traces_of(const char *rows)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s%s", HEAD, rows);
    return file_of(text);
}

static void test_traces(void **state)
{
    (void)state;
    struct sp_cap_gpu g;
    OK(sp_cap_read(&g, traces_of("a,250,10,200\nb,100,9,90\na,100,20,95\na,150,12,140\nb,250,9,90\nc,100,5,5\nc,150,5,5\nd,250,1,1\n"), &err));
    assert_int_equal(g.given, 4);
    assert_int_equal(g.n, 2); /* c lacks the largest limit, d any other */
    assert_int_equal(g.skipped, 2);
    near(g.top_w, 250, 0, "largest limit");
    assert_string_equal(g.work[0].name, "a");
    assert_int_equal(g.work[0].n, 3);
    near(g.work[0].at[0].limit_w, 100, 0, "limits in order");
    sp_cap_clear(&g);
    OK(sp_cap_read(&g, file_of("power_limit,time_per_epoch\n100,2\n200,1\n"), &err)); /* one workload, no power */
    assert_true(isnan(g.work[0].at[0].power_w));
    sp_cap_clear(&g);
    static const struct { const char *text, *says; } bad[] = {
        { "a,250,10,200\na,250,11,200\n", "twice" }, { "a,250,0,200\n", "above 0" }, { "a,250,1,-3\n", "above 0" }, { "a,x,1,1\n", "number" }, { "a,250,1,1\n", "another one" },
    };
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_cap_gpu none = { 0 };
        assert_true(sp_cap_read(&none, traces_of(bad[i].text), &err) != SP_OK);
        if (!strstr(err.what, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.what, bad[i].says);
        assert_null(none.work);
    }
}

static void test_rules_by_hand(void **state)
{
    (void)state;
    struct sp_cap_work w = { .n = 4, .at = { { 100, 2.0, 90 }, { 150, 1.2, 140 }, { 200, 1.05, 180 }, { 250, 1, 220 } } };
    static const struct { enum sp_cap_rule rule; double x; int at; } want[] = {
        { SP_CAP_LABEL, 0.6, 1 }, { SP_CAP_LABEL, 0.61, 2 }, { SP_CAP_LABEL, 1, 3 }, { SP_CAP_DRAW, 0.68, 1 }, { SP_CAP_DRAW, 0.9, 2 }, { SP_CAP_DRAW, 1.2, 3 },
        { SP_CAP_TIME, 1, 3 },    { SP_CAP_TIME, 1.05, 2 },  { SP_CAP_TIME, 1.2, 1 }, { SP_CAP_TIME, 2, 0 },
    };
    for (size_t i = 0; i < SP_COUNT(want); i++)
        assert_int_equal(sp_cap_choose(want[i].rule, want[i].x, &w, 250), want[i].at);
    w.at[2].time_s = 1.5; /* going down it stops at the first that is too slow */
    assert_int_equal(sp_cap_choose(SP_CAP_TIME, 1.2, &w, 250), 3);
    struct sp_cap_gpu g = { .top_w = 250, .n = 1, .work = &w };
    struct sp_cap_score s = { 0 };
    sp_cap_score(&s, SP_CAP_LABEL, 0.6, &g);
    near(s.saved, 1 - 1.2 * 140 / 220, 1e-12, "energy saved");
    near(s.slower, 0.2, 1e-12, "time added");
}

/* GPUs that obey a law: under a cap c below its draw D a workload draws c and takes (D / c)^p of the time. */
static void lawful(struct sp_cap_gpu *g, struct sp_cap_work *w, int n, double power)
{
    *g = (struct sp_cap_gpu){ .top_w = 101, .n = n, .given = n, .work = w };
    for (int i = 0; i < n; i++) {
        w[i] = (struct sp_cap_work){ .n = 32 };
        for (int k = 0; k < 32; k++) {
            double limit = 70 + k, draw = fmin(limit, 100);
            w[i].at[k] = (struct sp_cap_point){ limit, pow(100 / draw, power), draw };
        }
    }
}

static void test_learned(void **state)
{
    (void)state;
    static struct sp_cap_gpu g[2];
    static struct sp_cap_work w[2][3];
    double x;
    lawful(&g[0], w[0], 3, 0.5);
    lawful(&g[1], w[1], 3, 0.25);
    /* 0.9 of 4.3 % on the law of 1/2: (1 / x)^0.5 <= 1.0387, x >= 0.9269; on that of 1/4: x >= 0.8591 */
    OK(sp_cap_learn(SP_CAP_DRAW, g, 2, 1, 0.043, &x, &err));
    near(x, 0.93, 1e-9, "x of the first");
    OK(sp_cap_learn(SP_CAP_DRAW, g, 2, 0, 0.043, &x, &err));
    near(x, 0.86, 1e-9, "x of the second");
    struct sp_cap_score each[2], all, by_rule = { 0 };
    sp_cap_oracle(g, 2, 0.043, each, &all);
    assert_true(all.slower <= 0.043);
    OK(sp_cap_learn(SP_CAP_DRAW, g, 2, -1, 0.043, &x, &err));
    sp_cap_score(&by_rule, SP_CAP_DRAW, x, &g[0]);
    sp_cap_score(&by_rule, SP_CAP_DRAW, x, &g[1]);
    assert_true(all.saved >= by_rule.saved);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++)
            for (int p = 0; p < 32; p++)
                w[i][k].at[p].power_w = NAN;
    assert_int_equal(sp_cap_learn(SP_CAP_DRAW, g, 2, -1, 0.043, &x, &err), SP_FORMAT);
}

/* Whatever energies the GPU to cap has, the caps are the same: of rule time with any power, of rule draw with any
 * power under a cap, of rule label with anything. */
static void test_energies_are_not_seen(void **state)
{
    (void)state;
    static struct sp_cap_gpu g[2];
    static struct sp_cap_work w[2][3];
    int before[SP_CAP_RULES][3];
    lawful(&g[0], w[0], 3, 0.5);
    lawful(&g[1], w[1], 3, 0.3);
    for (int again = 0; again < 2; again++) {
        for (int r = 0; r < SP_CAP_RULES; r++) {
            double x;
            OK(sp_cap_learn((enum sp_cap_rule)r, g, 2, 1, 0.043, &x, &err));
            for (int i = 0; i < 3; i++) {
                int at = sp_cap_choose((enum sp_cap_rule)r, x, &w[1][i], g[1].top_w);
                if (again)
                    assert_int_equal(at, before[r][i]);
                before[r][i] = at;
            }
        }
        for (int i = 0; i < 3; i++)
            for (int p = 0; p < 31; p++)
                w[1][i].at[p].power_w = 500 - noise(32 * i + p);
    }
}

static void test_published_traces(void **state)
{
    (void)state;
    static const char *const names[] = { "facts/power_cap_traces_p100.csv", "facts/power_cap_traces_rtx6000.csv", "facts/power_cap_traces_v100.csv" };
    struct sp_cap_gpu g[3];
    if (!shared_file(names[0]))
        skip();
    for (int i = 0; i < 3; i++)
        OK(sp_cap_read(&g[i], shared_file(names[i]), &err));
    struct sp_cap_score each[3], bound;
    sp_cap_oracle(g, 3, 0.043, each, &bound);
    assert_int_equal(bound.works, 45 + 52 + 68);
    assert_true(bound.saved > 0.13 && bound.saved < 0.16);
    for (int r = SP_CAP_DRAW; r <= SP_CAP_TIME; r++) {
        struct sp_cap_score all = { 0 };
        for (int i = 0; i < 3; i++) {
            double x;
            OK(sp_cap_learn((enum sp_cap_rule)r, g, 3, i, 0.043, &x, &err));
            sp_cap_score(&all, (enum sp_cap_rule)r, x, &g[i]);
        }
        assert_true(all.saved >= 0.10 && all.slower <= 0.043 && all.saved < bound.saved);
    }
    for (int r = 0; r < SP_CAP_RULES; r++) { /* what is compiled in is what they teach */
        double x;
        OK(sp_cap_learn((enum sp_cap_rule)r, g, 3, -1, 0.043, &x, &err));
        near(sp_cap_rules[r].all, x, 1e-9, sp_cap_rules[r].name);
    }
    struct sp_cap_effect e[SP_CAP_EFFECTS];
    sp_cap_effects(g, 3, sp_cap_rules[SP_CAP_DRAW].all, e);
    for (int i = 0; i < SP_CAP_EFFECTS; i++) {
        assert_int_equal(e[i].works, sp_cap_effects_known[i].works);
        near(sp_cap_effects_known[i].saved.likely, e[i].saved.likely, 6e-4, "saved");
        near(sp_cap_effects_known[i].slower.high, e[i].slower.high, 6e-4, "slower");
    }
    for (int i = 0; i < 3; i++)
        sp_cap_clear(&g[i]);
}

/* ---- the technique ---- */

static void test_technique(void **state)
{
    (void)state;
    const struct sp_technique *green = NULL;
    for (const struct sp_technique *const *t = sp_techniques; *t; t++)
        if (!strcmp((*t)->name, "green"))
            green = *t;
    assert_non_null(green);
    struct sp_text text = { 0 };
    sp_text_printf(&text, "Time,Carbon Intensity\n");
    for (int i = 0; i < SP_WARM_UP; i++) {
        char when[32];
        sp_text_printf(&text, "%s,%.6f\n", sp_hours_show(438288 + i, when, sizeof when) + 4, sinusoid(i));
    }
    const char *path = file_of(text.at);
    sp_text_clear(&text);
    void *options = sp_zalloc(1, green->options_bytes);
    struct sp_option_set set = { green->options, options };
    char word[5][80] = { "--green-zone=PL", "--green-zone=FR", "--green-zone=DE", "--green-hourly" }, *argv[] = { word[0], word[1], word[2], word[3], word[4] };
    int operands;
    struct sp_recipe r;
    snprintf(word[4], sizeof word[4], "%s", path);
    sp_recipe_defaults(&r);
    sp_option_defaults(&set, 1);
    assert_int_equal(green->recipe(&r, options, &err), SP_USAGE);
    OK(sp_option_parse(&set, 1, 5, argv, &operands, &err));
    OK(green->recipe(&r, options, &err));
    assert_string_equal(r.place.zone, "FR");
    near(r.place.co2e_per_kwh, 105, 1, "the four cleanest hours of the sinusoid");
    sp_free(options);
}

static int remove_file(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/sparsam_green_%d.csv", (int)getpid());
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar),      cmocka_unit_test(test_read),           cmocka_unit_test(test_read_refused),
        cmocka_unit_test(test_profile),       cmocka_unit_test(test_choose),         cmocka_unit_test(test_sinusoid_reaches_oracle),
        cmocka_unit_test(test_noise_saves_nothing), cmocka_unit_test(test_never_above_oracle), cmocka_unit_test(test_future_is_not_seen),
        cmocka_unit_test(test_published_hours), cmocka_unit_test(test_traces),       cmocka_unit_test(test_rules_by_hand),
        cmocka_unit_test(test_learned),       cmocka_unit_test(test_energies_are_not_seen), cmocka_unit_test(test_published_traces),
        cmocka_unit_test(test_technique),
    };
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
