/* base/event.c - watch, progress, log lines, signals, the clock.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 24 };
static const double LIVE_EVERY_S = 0.1, PLAIN_EVERY_S = 5;

double sp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sp_tell(const struct sp_watch *w, const struct sp_event *e)
{
    if (w && w->on)
        w->on(w->self, e);
}

/* ---- progress ---- */

void sp_progress_begin(struct sp_progress *p, const char *what, bool quiet)
{
    *p = (struct sp_progress){ .what = what, .began = sp_now(), .quiet = quiet, .live = isatty(STDERR_FILENO) == 1, .open = true };
}

static void bar(double share, char out[BAR + 1])
{
    for (int i = 0; i < BAR; i++)
        out[i] = i < (int)(share * BAR) ? '#' : '.';
    out[BAR] = 0;
}

void sp_progress_show(struct sp_progress *p, double done, double total, const char *extra)
{
    double now = sp_now(), share = total > 0 ? done / total : 0;
    char picture[BAR + 1], left[32] = "";
    if (!p->open || p->quiet || (now - p->last < (p->live ? LIVE_EVERY_S : PLAIN_EVERY_S) && share < 1))
        return;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    p->last = now;
    if (share > 0 && now - p->began > 0.5)
        sp_show_time((now - p->began) * (1 - share) / share, left, sizeof left);
    bar(share, picture);
    if (p->live)
        fprintf(stderr, "\r%s [%s] %3.0f%%  %s%s%s\033[K", p->what, picture, 100 * share, extra ? extra : "", *left ? "  left " : "", left);
    else
        fprintf(stderr, "%s %3.0f%%  %s%s%s\n", p->what, 100 * share, extra ? extra : "", *left ? "  left " : "", left);
    fflush(stderr);
}

void sp_progress_end(struct sp_progress *p, const char *closing)
{
    char took[32];
    if (p->open && !p->quiet)
        fprintf(stderr, "%s%s: %s in %s%s\n", p->live ? "\r" : "", p->what, closing ? closing : "done",
                sp_show_time(sp_now() - p->began, took, sizeof took), p->live ? "\033[K" : "");
    p->open = false;
}

/* ---- log ---- */

static _Atomic int level = -1;

static int current_level(void)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    int now = atomic_load(&level);
    const char *env = now < 0 ? getenv("SPARSAM_LOG") : NULL;
    if (now < 0) {
        now = SP_LOG_WARN;
        for (int i = 0; env && i < (int)SP_COUNT(names); i++)
            if (!strcmp(env, names[i]))
                now = i;
        atomic_store(&level, now);
    }
    return now;
}

void sp_log_set(enum sp_log_level l)
{
    atomic_store(&level, (int)l);
}

void sp_log(enum sp_log_level l, const char *fmt, ...)
{
    static const char *const prefix[] = { "error: ", "warning: ", "", "debug: " };
    char line[1024];
    va_list ap;
    if ((int)l > current_level())
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    fprintf(stderr, "sparsam: %s%s\n", prefix[l], line);
}

/* ---- signals ---- */

static volatile sig_atomic_t pending;

static void on_signal(int number)
{
    if (pending && number == SIGINT) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    pending = number;
}

void sp_signals_install(void)
{
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    sigemptyset(&a.sa_mask);
    a.sa_flags = SA_RESTART;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int sp_signal_pending(void)
{
    return (int)pending;
}
