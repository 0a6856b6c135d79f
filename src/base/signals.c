/* base/signals.c - SIGINT and SIGTERM as a flag that long work looks at.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdatomic.h>
#include "base.h"

static atomic_int pending;

static void on_signal(int number)
{
    if (number == SIGINT && atomic_load(&pending) == SIGINT) {
        signal(SIGINT, SIG_DFL); /* takes effect as the handler returns */
        raise(SIGINT);
        return;
    }
    atomic_store(&pending, number);
}

void sp_signals_install(void)
{
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&a.sa_mask);
    atomic_store(&pending, 0);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

void sp_signal_forget(void)
{
    atomic_store(&pending, 0);
}

int sp_signal_pending(void)
{
    return atomic_load(&pending);
}
