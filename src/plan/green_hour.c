/* plan/green_hour.c - which hours of the grid to work in, decided without knowing
 * what is to come, and how well such decisions did on the hours of a file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "green.h"

enum { HOURS_BYTES_MAX = 256 << 20, DAYS = 14 /* of history in a forecast */, PROFILE_DAYS = 56 };
static const double OTHER_KIND = 0.25; /* a working day counts so much in the forecast of a weekend's day, and the other way round */

/* ---- calendar (proleptic Gregorian; Hinnant 2013, days_from_civil and back) ---- */

static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, year = y - era * 400, day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, day = days - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365, of_year = day - (365 * year + year / 4 - year / 100), mp = (5 * of_year + 2) / 153;
    *d = of_year - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = year + era * 400 + (*m <= 2);
}

static int weekday_of(int64_t hour) /* 0: Monday; 1970-01-01 was a Thursday */
{
    int64_t days = hour >= 0 ? hour / 24 : -((-hour + 23) / 24);
    return (int)(((days + 3) % 7 + 7) % 7);
}

bool sp_hours_parse(const char *text, int64_t *hour)
{
    int y, m, d, h = 0, end = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &y, &m, &d, &end) != 3 || !end)
        return false;
    if (text[end] && sscanf(text + end, "%*[ T]%2d", &h) != 1)
        return false;
    if (y < 1900 || y > 2200 || m < 1 || m > 12 || d < 1 || d > 31 || h < 0 || h > 23)
        return false;
    *hour = 24 * days_of(y, m, d) + h;
    return true;
}

const char *sp_hours_show(int64_t hour, char *buf, size_t cap)
{
    static const char *const names[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    int64_t days = hour >= 0 ? hour / 24 : -((-hour + 23) / 24), y, m, d;
    date_of(days, &y, &m, &d);
    snprintf(buf, cap, "%s %04d-%02d-%02d %02d:00", names[weekday_of(hour)], (int)y, (int)m, (int)d, (int)(hour - 24 * days));
    return buf;
}

/* ---- files ---- */

static bool says(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (; *text; text++)
        if (!strncasecmp(text, word, n))
            return true;
    return false;
}

static enum sp_status intensity_column(const struct sp_csv *t, const char *name, int *out, struct sp_err *err)
{
    if (name)
        return sp_csv_need(t, name, out, err);
    *out = 1;
    for (int i = t->columns - 1; i > 0; i--)
        if (says(t->cell[i], "intensity"))
            *out = i;
    if (t->columns > 1)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "one column, a time and an intensity are wanted");
    return sp_where(err, "%s", t->name);
}

static enum sp_status time_at(const struct sp_csv *t, int row, int64_t *hour, struct sp_err *err)
{
    if (sp_hours_parse(sp_csv_at(t, row, 0), hour))
        return SP_OK;
    sp_fail(err, SP_FORMAT, "\"%.40s\" is no time, one like 2020-03-01 17:00 is wanted", sp_csv_at(t, row, 0));
    return sp_where(err, "%s row %d", t->name, row + 1);
}

static enum sp_status span_of(const struct sp_csv *t, int64_t *first, int *n, struct sp_err *err)
{
    int64_t low = INT64_MAX, high = INT64_MIN, hour;
    for (int i = 0; i < t->rows; i++) {
        TRY(time_at(t, i, &hour, err));
        low = hour < low ? hour : low;
        high = hour > high ? hour : high;
    }
    if (t->rows && high - low < SP_HOURS_MAX) {
        *first = low;
        *n = (int)(high - low + 1);
        return SP_OK;
    }
    sp_fail(err, SP_LIMIT, t->rows ? "more than %d hours from first to last" : "no row; at most %d hours can be read", SP_HOURS_MAX);
    return sp_where(err, "%s", t->name);
}

/* Means over the readings of each hour. */
static enum sp_status add_up(const struct sp_csv *t, int column, struct sp_hours *h, int *readings, struct sp_err *err)
{
    for (int i = 0; i < t->rows; i++) {
        int64_t hour = 0;
        double g;
        TRY(time_at(t, i, &hour, err));
        TRY(sp_csv_real(t, i, column, &g, err));
        int at = (int)(hour - h->first);
        if (g < 0) {
            sp_fail(err, SP_FORMAT, "an intensity of %g g/kWh is below 0", g);
            return sp_where(err, "%s row %d", t->name, i + 1);
        }
        if (isnan(g))
            continue;
        h->g[at] = readings[at]++ ? h->g[at] + (g - h->g[at]) / readings[at] : g;
    }
    return SP_OK;
}

static enum sp_status read_series(const struct sp_csv *t, const char *name, struct sp_hours *h, struct sp_err *err)
{
    int column;
    TRY(intensity_column(t, name, &column, err));
    TRY(span_of(t, &h->first, &h->n, err));
    int *readings = sp_zalloc((size_t)h->n, sizeof *readings);
    h->g = sp_alloc((size_t)h->n * sizeof *h->g);
    enum sp_status st = readings && h->g ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for %d hours", h->n);
    for (int i = 0; !st && i < h->n; i++)
        h->g[i] = NAN;
    if (!st)
        st = add_up(t, column, h, readings, err);
    sp_free(readings);
    return st;
}

static enum sp_status profile_row(const struct sp_csv *t, const char *zone, int month, int *row, struct sp_err *err)
{
    int zones, months;
    TRY(sp_csv_need(t, "zone", &zones, err));
    TRY(sp_csv_need(t, "month", &months, err));
    for (int i = 0; zone && i < t->rows; i++) {
        double m;
        TRY(sp_csv_real(t, i, months, &m, err));
        if (!strcasecmp(sp_csv_at(t, i, zones), zone) && (int)m == month) {
            *row = i;
            return SP_OK;
        }
    }
    sp_fail(err, SP_USAGE, zone ? "no profile of zone \"%s\" in month %d" : "profiles are by zone and month, no zone%.0s is named (month %d)", zone ? zone : "", month);
    sp_where(err, "%s", t->name);
    return sp_remedy(err, "--zone with one of the file's, --month 1 to 12");
}

static enum sp_status read_profile(const struct sp_csv *t, int h00, const char *zone, int month, struct sp_hours *h, struct sp_err *err)
{
    int row = 0;
    TRY(profile_row(t, zone, month, &row, err));
    h->profile = true;
    h->n = 24 * PROFILE_DAYS;
    h->first = 24 * days_of(2020, month, 1);
    h->g = sp_alloc((size_t)h->n * sizeof *h->g);
    if (!h->g)
        return sp_fail(err, SP_NOMEM, "out of memory for a profile");
    for (int i = 0; i < h->n; i++)
        TRY(sp_csv_real(t, row, h00 + i % 24, &h->g[i], err));
    return SP_OK;
}

enum sp_status sp_hours_read(struct sp_hours *out, const char *path, const char *column, const char *zone, int month, struct sp_err *err)
{
    struct sp_csv t;
    struct sp_hours h = { 0 };
    const char *base = strrchr(path, '/');
    TRY(sp_csv_read(&t, path, HOURS_BYTES_MAX, err));
    snprintf(h.name, sizeof h.name, "%s", base ? base + 1 : path);
    int h00 = sp_csv_column(&t, "h00");
    enum sp_status st = h00 >= 0 && sp_csv_column(&t, "h23") == h00 + 23 ? read_profile(&t, h00, zone, month, &h, err) : read_series(&t, column, &h, err);
    sp_csv_clear(&t);
    if (st)
        sp_hours_clear(&h);
    else
        *out = h;
    return st;
}

void sp_hours_clear(struct sp_hours *h)
{
    sp_free(h->g);
    *h = (struct sp_hours){ 0 };
}

/* ---- forecasts: they read hours before t, and no other ---- */

static bool is_weekend(const struct sp_hours *h, int at)
{
    return weekday_of(h->first + at) >= 5;
}

/* Of hour k >= t: the same hour of the DAYS last days that lie before t. */
static double usual(const struct sp_hours *h, int t, int k)
{
    double sum = 0, weight = 0;
    int last = k - 24 * ((k - t) / 24 + 1);
    for (int at = last; at > last - 24 * DAYS && at >= 0; at -= 24) {
        double w = is_weekend(h, at) == is_weekend(h, k) ? 1 : OTHER_KIND;
        if (isnan(h->g[at]))
            continue;
        sum += w * h->g[at];
        weight += w;
    }
    return weight > 0 ? sum / weight : NAN;
}

/* How far hour k was from what was usual before it. */
static double unusual(const struct sp_hours *h, int k)
{
    return k < 0 ? NAN : h->g[k] - usual(h, k, k);
}

/* Share of an hour's deviation that the next hour keeps, in the last days before t. */
static double keeps(const struct sp_hours *h, int t)
{
    double both = 0, square = 0, before = NAN;
    for (int k = t - 24 * DAYS > 0 ? t - 24 * DAYS : 0; k < t; k++) {
        double d = unusual(h, k);
        if (!isnan(d) && !isnan(before)) {
            both += d * before;
            square += before * before;
        }
        before = d;
    }
    return square > 0 ? fmin(0.99, fmax(0, both / square)) : 0;
}

bool sp_hours_forecast(const struct sp_hours *h, int t, int n, double *out)
{
    double off = unusual(h, t - 1), fade = keeps(h, t), part = isnan(off) ? 0 : off;
    for (int i = 0; i < n; i++) {
        part *= fade;
        out[i] = usual(h, t, t + i);
        if (isnan(out[i]))
            return false;
        out[i] = fmax(0, out[i] + part);
    }
    return true;
}

bool sp_hours_yesterday(const struct sp_hours *h, int t, int n, double *out)
{
    for (int i = 0; i < n; i++) {
        int at = t + i - 24 * (i / 24 + 1);
        if (at < 0 || isnan(h->g[at]))
            return false;
        out[i] = h->g[at];
    }
    return true;
}

/* ---- choosing ---- */

static void choose_one_by_one(const struct sp_when_ask *a, const double *g, bool *chosen)
{
    for (int64_t k = 0; k < a->hours; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < a->hours + a->slack; i++)
            if (!chosen[i] && (best < 0 || g[i] < g[best]))
                best = i;
        chosen[best] = true;
    }
}

void sp_when_choose(const struct sp_when_ask *a, const double *g, bool *chosen)
{
    double sum = 0, least;
    int64_t start = 0;
    memset(chosen, 0, (size_t)(a->hours + a->slack) * sizeof *chosen);
    if (a->interruptible) {
        choose_one_by_one(a, g, chosen);
        return;
    }
    for (int64_t i = 0; i < a->hours; i++)
        sum += g[i];
    least = sum;
    for (int64_t i = 1; i <= a->slack; i++) {
        sum += g[i + a->hours - 1] - g[i - 1];
        if (sum < least - 1e-9 * fabs(least)) { /* of equals the first */
            least = sum;
            start = i;
        }
    }
    for (int64_t i = 0; i < a->hours; i++)
        chosen[start + i] = true;
}

/* ---- how it did ---- */

static double mean_of(const double *g, const bool *chosen, int64_t window, int64_t hours)
{
    double sum = 0;
    for (int64_t i = 0; i < window; i++)
        sum += chosen[i] ? g[i] : 0;
    return sum / (double)hours;
}

struct start { double now, planned, persistence, oracle, forecast; };

static bool one_start(const struct sp_hours *h, const struct sp_when_ask *a, int t, struct start *s)
{
    int window = (int)(a->hours + a->slack);
    double forecast[SP_WINDOW_MAX], yesterday[SP_WINDOW_MAX];
    bool chosen[SP_WINDOW_MAX];
    const double *came = h->g + t;
    *s = (struct start){ 0 };
    for (int i = 0; i < window; i++)
        if (isnan(came[i]))
            return false;
    if (!sp_hours_forecast(h, t, window, forecast) || !sp_hours_yesterday(h, t, window, yesterday))
        return false;
    for (int i = 0; i < a->hours; i++)
        s->now += came[i] / (double)a->hours;
    sp_when_choose(a, forecast, chosen);
    s->planned = mean_of(came, chosen, window, a->hours);
    s->forecast = mean_of(forecast, chosen, window, a->hours);
    sp_when_choose(a, yesterday, chosen);
    s->persistence = mean_of(came, chosen, window, a->hours);
    sp_when_choose(a, came, chosen);
    s->oracle = mean_of(came, chosen, window, a->hours);
    return true;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static double share_of(double *sorted, int n, double share)
{
    return sorted[(int)lround(share * (n - 1))];
}

static void sum_up(struct sp_when_test *r, double *saved, double *off)
{
    int n = r->starts;
    r->now /= n;
    r->planned /= n;
    r->persistence /= n;
    r->oracle /= n;
    qsort(saved, (size_t)n, sizeof *saved, by_value);
    qsort(off, (size_t)n, sizeof *off, by_value);
    double mean = r->now > 0 ? 1 - r->planned / r->now : 0, low = share_of(saved, n, 0.1), high = share_of(saved, n, 0.9);
    r->saved = sp_range(fmin(low, mean), mean, fmax(high, mean), SP_HOW_MODEL);
    r->saved_persistence = r->now > 0 ? 1 - r->persistence / r->now : 0;
    r->saved_oracle = r->now > 0 ? 1 - r->oracle / r->now : 0;
    r->share = r->saved_oracle > 0 ? mean / r->saved_oracle : 0;
    r->off_low = share_of(off, n, 0.1);
    r->off_high = share_of(off, n, 0.9);
}

static void try_all(const struct sp_hours *h, const struct sp_when_ask *a, struct sp_when_test *r, double *saved, double *off)
{
    struct start s;
    for (int t = SP_WARM_UP; t + a->hours + a->slack <= h->n; t++) {
        if (!one_start(h, a, t, &s)) {
            r->passed_over++;
            continue;
        }
        saved[r->starts] = s.now > 0 ? 1 - s.planned / s.now : 0;
        off[r->starts] = s.forecast > 0 ? s.planned / s.forecast : 1;
        r->starts++;
        r->now += s.now;
        r->planned += s.planned;
        r->persistence += s.persistence;
        r->oracle += s.oracle;
    }
}

enum sp_status sp_when_evaluate(const struct sp_hours *h, const struct sp_when_ask *a, struct sp_when_test *out, struct sp_err *err)
{
    struct sp_when_test r = { 0 };
    double *saved = sp_alloc((size_t)h->n * sizeof *saved), *off = sp_alloc((size_t)h->n * sizeof *off);
    enum sp_status st = saved && off ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for %d starts", h->n);
    if (!st)
        try_all(h, a, &r, saved, off);
    if (!st && !r.starts) {
        sp_fail(err, SP_LIMIT, "%d hours are too few: %d of history and a window of %d are wanted without a gap", h->n, SP_WARM_UP, (int)(a->hours + a->slack));
        st = sp_where(err, "%s", h->name);
    }
    if (!st) {
        sum_up(&r, saved, off);
        *out = r;
    }
    sp_free(saved);
    sp_free(off);
    return st;
}
