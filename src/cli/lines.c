/* cli/lines.c - lines of standard input.  On a terminal they are edited, and those before are at hand (libedit);
 * otherwise they are read as they stand.
 *
 * A signal while it waits takes a begun line back, a second one ends the input: signals are let in only while it waits, so that
 * none is lost between looking for one and waiting.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "run.h"

enum { LINE_MAX_BYTES = 16 << 20, CHUNK = 1 << 16, HISTORY = 500 };

struct lines {
    EditLine *edit;                /* NULL: not a terminal */
    History *history;
    bool quiet;
    bool more, dropped;            /* within a line that goes on; the last one was taken back */
    char at[CHUNK];
    size_t n, taken;
};

/* Bytes of standard input; 0: its end, -1: a signal. */
static ssize_t wait_and_read(void *to, size_t n)
{
    struct pollfd fd = { .fd = 0, .events = POLLIN };
    sigset_t held, was;
    ssize_t got = -1;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, &was);
    if (sp_signal_pending())
        errno = EINTR;
    else if (ppoll(&fd, 1, NULL, &was) >= 0)
        got = read(0, to, n);
    int why = errno;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    errno = why;
    return got;
}

/* ---- edited ---- */

static char *prompt(EditLine *e)
{
    static char first[] = ">>> ", later[] = "... ";
    struct lines *l;
    el_get(e, EL_CLIENTDATA, &l);
    return l->more ? later : first;
}

/* One character: libedit wants it wide. */
static int next_character(EditLine *e, wchar_t *c)
{
    mbstate_t state = { 0 };
    char byte;
    (void)e;
    for (int i = 0; i < 8; i++) {
        ssize_t n = wait_and_read(&byte, 1);
        if (n <= 0)
            return (int)n;
        size_t k = mbrtowc(c, &byte, 1, &state);
        if (k <= 1)
            return 1;
        if (k == (size_t)-1)
            memset(&state, 0, sizeof state); /* no character begins so: passed over */
    }
    return -1;
}

static enum sp_status begin_editing(struct lines *l, struct sp_err *err)
{
    HistEvent e;
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8"))
        setlocale(LC_CTYPE, "C.UTF-8");
    l->history = history_init();
    l->edit = el_init("sparsam", stdin, isatty(1) ? stdout : stderr, stderr);
    if (!l->edit || !l->history)
        return sp_fail(err, SP_NOMEM, "no memory to edit lines");
    history(l->history, &e, H_SETSIZE, HISTORY);
    history(l->history, &e, H_SETUNIQUE, 1);
    el_set(l->edit, EL_CLIENTDATA, l);
    el_set(l->edit, EL_EDITOR, "emacs");
    el_set(l->edit, EL_HIST, history, l->history);
    el_set(l->edit, EL_PROMPT, prompt);
    el_set(l->edit, EL_GETCFN, next_character);
    el_source(l->edit, NULL); /* a person's own ~/.editrc; none is no error */
    return SP_OK;
}

static enum lines_end edit_one(struct lines *l, struct sp_text *line)
{
    HistEvent e;
    int n = 0;
    errno = 0;
    const char *s = el_gets(l->edit, &n);
    bool again = l->dropped;
    l->dropped = false;
    if (s && n > 0) {
        n -= s[n - 1] == '\n';
        sp_text_add(line, s, (size_t)n);
        if (n)
            history(l->history, &e, H_ENTER, line->at + line->n - (size_t)n);
        return LINES_GOT;
    }
    const LineInfo *typed = el_line(l->edit);
    bool begun = typed->lastchar > typed->buffer;
    el_reset(l->edit);
    fputs(n < 0 && errno == EINTR ? "^C\n" : "\n", isatty(1) ? stdout : stderr);
    if (sp_signal_pending() != SIGINT || (again && !begun && !l->more))
        return LINES_OVER;
    sp_signal_forget();
    l->dropped = true;
    if (!begun && !l->more && !l->quiet)
        fputs("(once more, or Ctrl-D, ends)\n", stderr);
    return LINES_DROPPED;
}

/* ---- as they stand ---- */

static enum lines_end read_one(struct lines *l, struct sp_text *line)
{
    for (size_t was = line->n;;) {
        const char *end = memchr(l->at + l->taken, '\n', l->n - l->taken);
        size_t k = (end ? (size_t)(end - l->at) : l->n) - l->taken;
        sp_text_add(line, l->at + l->taken, k);
        l->taken += k + (end != NULL);
        if (end || line->full)
            return LINES_GOT;
        ssize_t n = wait_and_read(l->at, sizeof l->at);
        if (n <= 0)
            return n == 0 && line->n > was ? LINES_GOT : LINES_OVER;
        l->n = (size_t)n;
        l->taken = 0;
    }
}

/* ---- both ---- */

enum sp_status lines_next(struct lines *l, struct sp_text *line, enum lines_end *end, struct sp_err *err)
{
    line->n = 0;
    line->max = LINE_MAX_BYTES;
    for (l->more = false;; l->more = true) {
        size_t was = line->n;
        *end = l->edit ? edit_one(l, line) : read_one(l, line);
        if (line->full)
            return sp_fail(err, SP_LIMIT, "a line of more than %d bytes", LINE_MAX_BYTES);
        if (*end || line->n == was || line->at[line->n - 1] != '\\')
            break;
        line->at[line->n - 1] = '\n';
    }
    sp_text_reserve(line, 1);
    return line->full ? sp_fail(err, SP_NOMEM, "no memory for a line") : SP_OK;
}

enum sp_status lines_new(struct lines **out, bool quiet, struct sp_err *err)
{
    struct lines *l = sp_zalloc(1, sizeof *l);
    enum sp_status st = l ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to read lines");
    if (!st)
        l->quiet = quiet;
    if (!st && isatty(0))
        st = begin_editing(l, err);
    if (!st && l->edit && !quiet)
        fputs("/help lists what can be said to the program, Ctrl-C stops an answer, Ctrl-D ends.\n", stderr);
    if (st)
        lines_free(l);
    else
        *out = l;
    return st;
}

void lines_free(struct lines *l)
{
    if (!l)
        return;
    if (l->edit)
        el_end(l->edit);
    if (l->history)
        history_end(l->history);
    sp_free(l);
}

bool lines_edited(const struct lines *l)
{
    return l->edit != NULL;
}
