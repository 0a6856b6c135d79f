/* base/event.c - watch events, the clock, log lines and the progress bar.
 *
 * Progress and log share standard error, so they live together: a log line first
 * wipes the live bar, which is drawn again at its next turn.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "base.h"

enum { LINE_MAX_BYTES = 512, BAR = 24, WIDTH_FALLBACK = 80 };
static const double LIVE_EVERY_S = 0.1, PLAIN_EVERY_S = 5;

static _Atomic bool line_open; /* a live bar stands on the terminal */

void sp_tell(const struct sp_watch *w, const struct sp_event *e)
{
    if (w && w->on)
        w->on(w->self, e);
}

double sp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- log ---- */

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static _Atomic int log_level = -1; /* -1: ask the environment first */

void sp_log_set(enum sp_log_level level)
{
    atomic_store(&log_level, (int)level);
}

static int log_level_now(void)
{
    int level = atomic_load(&log_level);
    if (level >= 0)
        return level;
    const char *wish = getenv("SPARSAM_LOG");
    level = SP_LOG_WARN;
    for (size_t i = 0; wish && i < SP_COUNT(level_names); i++)
        if (!strcmp(wish, level_names[i]))
            level = (int)i;
    int unset = -1;
    atomic_compare_exchange_strong(&log_level, &unset, level);
    return level;
}

static void wipe_line(void)
{
    if (atomic_exchange(&line_open, false))
        fputs("\r\033[K", stderr);
}

void sp_log(enum sp_log_level level, const char *fmt, ...)
{
    if ((int)level > log_level_now())
        return;
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    sp_vformat(line, sizeof line, fmt, ap);
    va_end(ap);
    line[sp_utf8_whole(line, strlen(line))] = 0;
    flockfile(stderr);
    wipe_line();
    fprintf(stderr, "sparsam: %s: %s\n", level_names[level], line);
    funlockfile(stderr);
}

/* ---- progress ---- */

void sp_progress_begin(struct sp_progress *p, const char *what, bool quiet)
{
    const char *term = getenv("TERM");
    bool live = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb");
    double now = sp_now();
    *p = (struct sp_progress){ .what = what, .began = now, .last = live ? 0 : now, .first = -1 };
    p->live = live;
    p->quiet = quiet;
    p->open = true;
}

static int terminal_width(void)
{
    struct winsize w;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col > 20 ? w.ws_col : WIDTH_FALLBACK;
}

static void add_bar(struct sp_text *t, double part)
{
    int full = (int)(part * BAR);
    sp_text_printf(t, " [");
    for (int i = 0; i < BAR; i++)
        sp_text_add(t, i < full ? "#" : ".", 1);
    sp_text_printf(t, "]");
}

static struct sp_text progress_line(const struct sp_progress *p, double done, double total, const char *extra)
{
    struct sp_text t = { .max = LINE_MAX_BYTES };
    char a[32], b[32];
    double spent = sp_now() - p->began, rate = spent > 0 ? (done - p->first) / spent : 0;
    double part = total > 0 ? fmin(fmax(done / total, 0), 1) : 0;
    sp_text_printf(&t, "%s", p->what);
    if (total > 0 && p->live)
        add_bar(&t, part);
    if (total > 0)
        sp_text_printf(&t, " %5.1f %%", 100 * part);
    else
        sp_text_printf(&t, " %s", sp_show_number(done, a, sizeof a));
    if (rate > 0)
        sp_text_printf(&t, "  %s/s", sp_show_number(rate, a, sizeof a));
    if (rate > 0 && total > 0)
        sp_text_printf(&t, "  %s left", sp_show_time(floor((total - done) / rate + 0.5), b, sizeof b));
    if (extra && *extra)
        sp_text_printf(&t, "  %s", extra);
    return t;
}

void sp_progress_show(struct sp_progress *p, double done, double total, const char *extra)
{
    double now = sp_now();
    if (p->first < 0)
        p->first = done; /* work resumed does not count as speed */
    if (p->quiet || !p->open || now - p->last < (p->live ? LIVE_EVERY_S : PLAIN_EVERY_S))
        return;
    p->last = now;
    struct sp_text t = progress_line(p, done, total, extra);
    size_t room = p->live ? (size_t)terminal_width() - 1 : t.n;
    int n = (int)sp_utf8_whole(t.at ? t.at : "", t.n < room ? t.n : room);
    flockfile(stderr);
    if (p->live)
        fprintf(stderr, "\r%.*s\033[K", n, t.at ? t.at : "");
    else
        fprintf(stderr, "%.*s\n", n, t.at ? t.at : "");
    fflush(stderr);
    atomic_store(&line_open, p->live);
    funlockfile(stderr);
    sp_text_clear(&t);
}

void sp_progress_end(struct sp_progress *p, const char *closing)
{
    if (!p->open)
        return;
    p->open = false;
    if (p->quiet)
        return;
    char time[32];
    flockfile(stderr);
    wipe_line();
    fprintf(stderr, "%s: %s, %s\n", p->what, closing && *closing ? closing : "done",
            sp_show_time(sp_now() - p->began, time, sizeof time));
    funlockfile(stderr);
}
