/* base/event.h - what long work says while it goes on: watch events, progress,
 * log lines, signals.  learn and infer report to a watch; the verb plugs meter,
 * ledger and the progress bar into it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_EVENT_H
#define SP_EVENT_H
#include <stdbool.h>
#include <stdint.h>
#include "base.h"

enum sp_event_kind {
    SP_EVENT_PHASE_BEGIN,  /* .phase                                     */
    SP_EVENT_PHASE_END,
    SP_EVENT_STEP,         /* .done of .total, .loss, .rate, .grad_norm  */
    SP_EVENT_TOKEN,        /* one generated token: .text, .token         */
    SP_EVENT_CHECKPOINT,   /* .text: the path written                    */
    SP_EVENT_QUALITY,      /* .loss on held-out data at step .done       */
    SP_EVENT_NOTE,         /* .text                                      */
};
struct sp_event {
    enum sp_event_kind kind;
    const char *phase, *text;
    int64_t done, total, token;
    int64_t tokens;                    /* tokens of work in this step    */
    double loss, lr, grad_norm, tokens_per_s;
};
struct sp_watch { void (*on)(void *self, const struct sp_event *e); void *self; };
void sp_tell(const struct sp_watch *w, const struct sp_event *e); /* w or w->on may be NULL */

/* A live bar on a terminal, a plain line every few seconds otherwise, nothing when quiet. */
struct sp_progress { const char *what; double began, last, first; bool live, quiet, open; };
void sp_progress_begin(struct sp_progress *p, const char *what, bool quiet);
void sp_progress_show(struct sp_progress *p, double done, double total, const char *extra);
void sp_progress_end(struct sp_progress *p, const char *closing);

enum sp_log_level { SP_LOG_ERROR, SP_LOG_WARN, SP_LOG_INFO, SP_LOG_DEBUG };
void sp_log_set(enum sp_log_level level);  /* default WARN; SPARSAM_LOG=error|warn|info|debug */
void sp_log(enum sp_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

double sp_now(void);                       /* monotonic seconds            */

/* SIGINT and SIGTERM set a flag; a second SIGINT ends at once. */
void sp_signals_install(void);
int sp_signal_pending(void);               /* the signal's number, or 0    */
void sp_signal_forget(void);               /* it was heeded: a later one is a first one again */
#endif
