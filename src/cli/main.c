/* cli/main.c - the command line: the only place that prints an error or picks an
 * exit status (0 done, 1 failed, 2 wrong usage).
 *
 * Nothing is started before a verb runs, so that --version answers at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sparsam.h>
#include "verb.h"

/* Asked for before the line could be understood: errors honour it too.  Where the rest of the line belongs to a
 * command, only up to its first word. */
static bool asks_json(int argc, char **argv, bool rest)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--json"))
            return true;
        if (rest && i > 1 && argv[i][0] != '-')
            return false;
    }
    return false;
}

static enum sp_status print_json(json_t *j, struct sp_err *err)
{
    if (json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) || putchar('\n') == EOF)
        return sp_fail(err, SP_IO, "standard output: the answer could not be written");
    return SP_OK;
}

static void report_error(const struct verb *v, bool json, const struct sp_err *err)
{
    char line[1200];
    fprintf(stderr, "sparsam%s%s: %s\n", v ? " " : "", v ? v->name : "", sp_err_line(err, line, sizeof line));
    if (!json)
        return;
    json_t *j = json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "schema", "sparsam.error/1", "error", "code",
                          sp_status_name(err->status), "what", err->what, "where", err->where, "remedy", err->remedy);
    if (j)
        print_json(j, &(struct sp_err){ 0 });
    else /* a sentence that is not UTF-8 */
        printf("{\"schema\":\"sparsam.error/1\",\"error\":{\"code\":\"%s\",\"what\":\"\",\"where\":\"\",\"remedy\":\"\"}}\n",
               sp_status_name(err->status));
    json_decref(j);
}

static enum sp_status run_verb(const struct verb *v, int argc, char **argv, struct verb_call *call, struct sp_arena *mem,
                               struct sp_err *err)
{
    enum verb_wanted wanted;
    struct sp_option_set set[VERB_SETS_MAX];
    TRY(sp_verb_parse(v, argc, argv, call, mem, &wanted, err));
    if (wanted == VERB_HELP) {
        sp_help_verb(v, stdout);
        return SP_OK;
    }
    if (wanted == VERB_PRINT_RECIPE) {
        sp_option_yaml(set, sp_verb_sets(call, set), stdout);
        return SP_OK;
    }
    sp_log_set(call->common.quiet ? SP_LOG_ERROR : SP_LOG_WARN);
    sp_signals_install();
    TRY(v->run(call, err));
    return call->common.json && call->answer ? print_json(call->answer, err) : SP_OK;
}

/* sparsam, --help, help [VERB], --version, --man: true when answered. */
static bool answer_itself(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "--help";
    int words;
    const struct verb *v = !strcmp(first, "help") ? sp_verb_named(argc - 2, argv + 2, &words) : sp_verb_named(argc - 1, argv + 1, &words);
    if (v)
        sp_help_verb(v, stdout);
    else if (!strcmp(first, "help") && argc > 2 && sp_verb_group(argv[2]))
        sp_help_group(argv[2], stdout);
    else if (argc > 1 && sp_verb_group(first) && (argc == 2 || !strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
        sp_help_group(first, stdout);
    else if (!strcmp(first, "--help") || !strcmp(first, "-h") || (!strcmp(first, "help") && argc == 2))
        sp_help_overview(stdout);
    else if (!strcmp(first, "--version"))
        puts("sparsam " SPARSAM_VERSION);
    else if (!strcmp(first, "--man"))
        sp_help_man(stdout);
    else
        return false;
    return true;
}

static enum sp_status no_such_verb(int n, char **word, struct sp_err *err)
{
    const char *name = n > 1 && !strcmp(word[0], "help") ? word[1] : word[0];
    if (sp_verb_group(name)) {
        sp_fail(err, SP_USAGE, "\"%s %s\" is no verb", name, n > 1 ? word[n > 2 && name == word[1] ? 2 : 1] : "");
        return sp_remedy(err, "sparsam %s --help lists what it can do", name);
    }
    const char *near = sp_verb_nearest(name);
    sp_fail(err, SP_USAGE, name[0] == '-' ? "no verb before the option %s" : "no verb is called \"%s\"", name);
    if (near)
        return sp_remedy(err, "did you mean \"sparsam %s\"? sparsam --help lists all", near);
    return sp_remedy(err, "sparsam --help lists all verbs");
}

int main(int argc, char **argv)
{
    struct sp_err err = { 0 };
    struct sp_arena mem = { 0 };
    struct verb_call call = { 0 };
    int words = 0;
    const struct verb *v = sp_verb_named(argc - 1, argv + 1, &words);
    if (v)
        run_verb(v, argc - 1 - words, argv + 1 + words, &call, &mem, &err);
    else if (!answer_itself(argc, argv))
        no_such_verb(argc - 1, argv + 1, &err);
    if (fflush(stdout) || ferror(stdout))
        if (!err.status)
            sp_fail(&err, SP_IO, "standard output: %s", strerror(errno));
    if (err.status && !call.silent)
        report_error(v, call.common.json || asks_json(argc, argv, v && v->rest), &err);
    json_decref(call.answer);
    sp_arena_clear(&mem);
    if (call.silent) /* lest mpirun ends the one that speaks */
        return 0;
    if (call.exit_status)
        return call.exit_status;
    if (err.status && v && v->own_failure)
        return v->own_failure;
    return err.status == SP_USAGE ? 2 : err.status != SP_OK;
}
