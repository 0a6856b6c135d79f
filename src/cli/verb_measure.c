/* cli/verb_measure.c - the cost of any command, booked; its output and exit
 * status pass through.
 *
 * The command starts first and is booked while it runs, so that a short one isn't
 * kept waiting by the ledger.
 *
 * Own failures are 125, 126 (cannot be run) and 127 (not found), a killed command
 * 128 + the signal, as env and timeout have it.  Signals from other processes are
 * passed on; those of the terminal reach the command by themselves.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../report/report.h"
#include "work.h"

enum { TICK_S = 60, CANNOT_RUN = 126, NOT_FOUND = 127, KILLED = 128 };
static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT };

static volatile sig_atomic_t child; /* the one global: a handler has no argument */

/* A signal that was ignored when we began (nohup) stays ignored, by us and by the command. */
static bool is_ignored(int number)
{
    struct sigaction now;
    return !sigaction(number, NULL, &now) && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (child > 0 && info->si_code <= 0) /* sent by a process, not by the terminal */
        kill((pid_t)child, number);
}

static void wake(int number)
{
    (void)number;
}

/* Handlers for the time of the command; the caller has the signals blocked. */
static void take_signals(void)
{
    struct sigaction a = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART }, tick = { .sa_handler = wake };
    struct itimerval every = { { TICK_S, 0 }, { TICK_S, 0 } };
    for (size_t i = 0; i < SP_COUNT(passed_on); i++)
        if (!is_ignored(passed_on[i]))
            sigaction(passed_on[i], &a, NULL);
    sigaction(SIGALRM, &tick, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

/* Runs in the child: what was asked, or errno down the pipe. */
static void become(char **argv, int pipe_end, bool json, const sigset_t *before)
{
    for (size_t i = 0; i < SP_COUNT(passed_on); i++)
        if (!is_ignored(passed_on[i]))
            signal(passed_on[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
    if (json)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    execvp(argv[0], argv);
    int wrong = errno;
    if (write(pipe_end, &wrong, sizeof wrong) != sizeof wrong)
        _exit(CANNOT_RUN);
    _exit(NOT_FOUND);
}

struct child { pid_t pid; int wrong, status; sigset_t before; };

/* The command runs when this returns, or `wrong` says why it doesn't. */
static enum sp_status spawn(struct child *c, char **argv, bool json, struct sp_err *err)
{
    sigset_t all;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return sp_fail(err, SP_IO, "starting the command: %s", strerror(errno));
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &c->before);
    c->pid = fork();
    if (c->pid == 0)
        become(argv, ends[1], json, &c->before);
    close(ends[1]);
    enum sp_status st = c->pid < 0 ? sp_fail(err, SP_IO, "starting the command: %s", strerror(errno)) : SP_OK;
    child = c->pid;
    if (!st)
        take_signals();
    sigprocmask(SIG_SETMASK, &c->before, NULL);
    if (st || read(ends[0], &c->wrong, sizeof c->wrong) != sizeof c->wrong)
        c->wrong = 0; /* closed by exec: it runs */
    close(ends[0]);
    return st;
}

static enum sp_status wait_for(struct book *b, struct child *c, struct sp_err *err)
{
    enum sp_status st = SP_OK;
    while (!st && waitpid(c->pid, &c->status, 0) < 0) {
        if (errno != EINTR)
            st = sp_fail(err, SP_IO, "waiting for the command: %s", strerror(errno));
        sp_meter_tick(b->meter);
    }
    child = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
    return st;
}

/* What the command's end means: the exit status to pass on, and a failure to book. */
static int judge(const struct child *e, const char *command, struct sp_err *failed)
{
    if (e->wrong) {
        sp_fail(failed, e->wrong == ENOENT ? SP_MISSING : SP_IO, "%s: %s", command, strerror(e->wrong));
        return e->wrong == ENOENT ? NOT_FOUND : CANNOT_RUN;
    }
    if (WIFSIGNALED(e->status)) {
        sp_fail(failed, SP_INTERRUPTED, "%s: ended by signal %d (%s)", command, WTERMSIG(e->status), strsignal(WTERMSIG(e->status)));
        return KILLED + WTERMSIG(e->status);
    }
    if (WEXITSTATUS(e->status))
        sp_fail(failed, SP_IO, "%s: exit status %d", command, WEXITSTATUS(e->status));
    return WEXITSTATUS(e->status);
}

static json_t *command_json(const struct verb_call *call)
{
    json_t *list = json_array();
    for (int i = 0; list && i < call->n_operands; i++) {
        json_t *word = json_string(call->operands[i]);
        json_array_append_new(list, word ? word : json_string("(not UTF-8)"));
    }
    return list;
}

static enum sp_status answer(struct verb_call *call, const struct book *b, int status, const char *source, struct sp_err *err)
{
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:o, s:i, s:o, s:s, s:I, s:s}", "schema", "sparsam.measure/1", "command", command_json(call), "exit_status",
                                 status, "measured", sp_cost_json(&b->measured), "energy_source", source, "run", (json_int_t)b->run, "head", b->head);
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    if (!call->common.quiet) {
        fprintf(stderr, "sparsam: %s\n", call->operands[0]);
        sp_report_cost(&b->measured, stderr);
        fprintf(stderr, "  energy: %s\n", source);
        if (b->head[0])
            fprintf(stderr, "  booked as run %lld, head %s\n", (long long)b->run, b->head);
    }
    return SP_OK;
}

/* Booked while the command runs; what can be known of a fault before is said before. */
static void start_booking(struct book *b, const struct verb_call *call, const struct sp_machine *m)
{
    struct sp_err booking;
    if (book_start(b, call, m, json_pack("{s:o}", "command", command_json(call)), NULL, &booking))
        sp_log(SP_LOG_WARN, "not booked: %s", booking.what);
}

static void end_booking(struct book *b, int status, const struct sp_err *why)
{
    struct sp_err booking;
    if (book_write(b, NULL, NULL, json_pack("{s:i}", "exit_status", status), why, &booking))
        sp_log(SP_LOG_WARN, "not booked: %s", booking.what); /* the command did its work: its status stands */
}

static enum sp_status measure_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_machine m;
    struct book b;
    struct child c = { 0 };
    struct sp_err failed = { 0 };
    char source[256];
    TRY(work_machine(&call->common, &m, err));
    TRY(book_meter(&b, call, &m, err));
    sp_meter_children(b.meter);
    enum sp_status st = spawn(&c, call->operands, call->common.json, err);
    start_booking(&b, call, &m);
    if (!st)
        st = wait_for(&b, &c, err);
    book_measure(&b);
    int status = st ? 0 : judge(&c, call->operands[0], &failed);
    snprintf(source, sizeof source, "%s", sp_meter_energy_source(b.meter));
    end_booking(&b, status, st ? err : failed.status ? &failed : NULL);
    TRY(st);
    call->exit_status = status;
    if (!c.wrong)
        return answer(call, &b, status, source, err);
    *err = failed;
    return err->status;
}

const struct verb sp_verb_measure = {
    .name = "measure",
    .help = "run any command and book what it cost",
    .operands = "COMMAND [ARGUMENT...]",
    .operands_min = 1,
    .operands_max = VERB_OPERANDS_ANY,
    .rest = true,
    .own_failure = 125,
    .text = "Runs the command, with its input, output and signals passed through, and books time,\n"
            "processor time, peak memory, energy, CO2e and money. The summary goes to standard\n"
            "error. With --json the object goes to standard output and the command's own output\n"
            "to standard error.\n"
            "\n"
            "The exit status is the command's, 128 + N when signal N ended it; 125 when sparsam\n"
            "itself failed, 126 when the command cannot be run, 127 when there is none.\n"
            "\n"
            "  sparsam measure -- make -j2\n"
            "  sparsam measure --zone DE python3 train.py\n",
    .run = measure_run,
};
