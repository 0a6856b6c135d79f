/* bench/bench_text.c - tokenizers: megabytes of text a second, on one thread.
 *
 *   build/bench/bench_text TEXT TOKENIZER...     files of plain text and tokenizer.json (or folders, or a GGUF file)
 *
 * The text is cut behind the first line end after every 10,000 bytes, as documents of a data set come; each is
 * encoded by itself.  The best of PASSES goes over all of it counts, by processor time, and the first (an empty cache)
 * stands beside it.  Without arguments: bytes, merges of its own making, on text by chance.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file/file.h"
#include "model/model.h"
#include "text/text.h"

enum { DOCUMENT = 10000, PASSES = 5, VOCAB = 4000, CHANCE_BYTES = 2 << 20, TEXT_MAX = 1 << 30 };

static double processor_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum sp_status pass(struct sp_tokenizer *t, const struct sp_text *text, struct sp_ids *ids, double *seconds, struct sp_err *err)
{
    double began = processor_s();
    ids->n = 0;
    for (size_t at = 0, end; at < text->n; at = end) {
        const char *line = at + DOCUMENT < text->n ? memchr(text->at + at + DOCUMENT, '\n', text->n - at - DOCUMENT) : NULL;
        end = line ? (size_t)(line - text->at) + 1 : text->n;
        TRY(sp_tokenizer_encode(t, text->at + at, end - at, false, ids, err));
    }
    *seconds = processor_s() - began;
    return SP_OK;
}

static enum sp_status measure(const char *name, struct sp_tokenizer *t, const struct sp_text *text, struct sp_err *err)
{
    struct sp_ids ids = { 0 };
    double first = 0, best = 1e9, s = 0;
    enum sp_status st = SP_OK;
    for (int i = 0; i < PASSES && !st; i++) {
        st = pass(t, text, &ids, &s, err);
        first = i ? first : s;
        best = s < best ? s : best;
    }
    if (!st)
        printf("%-56s %8zu tokens  %7.2f MB/s  first pass %7.2f\n", name, ids.n, (double)text->n / best / 1e6, (double)text->n / first / 1e6);
    sp_ids_clear(&ids);
    return st;
}

static enum sp_status open_one(const char *path, struct sp_tokenizer **t, struct sp_err *err)
{
    size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 5, ".gguf"))
        return sp_tokenizer_load(t, path, err);
    struct sp_weights w;
    TRY(sp_weights_open(&w, path, err));
    enum sp_status st = sp_weights_tokenizer(&w, NULL, t, err);
    sp_weights_close(&w);
    return st;
}

static enum sp_status by_files(int n, char **path, struct sp_err *err)
{
    struct sp_text text = { .max = TEXT_MAX };
    enum sp_status st = sp_read_file(&text, path[0], TEXT_MAX, err);
    for (int i = 1; i < n && !st; i++) {
        struct sp_tokenizer *t = NULL;
        st = open_one(path[i], &t, err);
        if (!st)
            st = measure(path[i], t, &text, err);
        sp_tokenizer_free(t);
    }
    sp_text_clear(&text);
    return st;
}

/* Words of a few syllables, the short ones often. */
static void chance(struct sp_text *text)
{
    static const char *const syllable[] = { "an", "be", "cor", "di", "en", "fa", "ger", "ho", "in", "ka", "lo", "me", "nu", "or", "pra", "st" };
    struct sp_random r = { .key = sp_random_key(1, "bench") };
    for (int words = 1; text->n < CHANCE_BYTES && !text->full; words++) {
        for (double more = sp_random_unit(&r); more < 0.9; more += sp_random_unit(&r))
            sp_text_printf(text, "%s", syllable[(int)(sp_random_unit(&r) * sp_random_unit(&r) * 16)]);
        sp_text_add(text, words % 12 ? " " : ".\n", words % 12 ? 1 : 2);
    }
}

static enum sp_status by_chance(struct sp_err *err)
{
    struct sp_text text = { .max = TEXT_MAX };
    struct sp_tokenizer *bytes = NULL, *bpe = NULL;
    chance(&text);
    struct sp_slice all = { text.at, text.n };
    enum sp_status st = sp_tokenizer_bytes(&bytes, NULL, err);
    if (!st)
        st = measure("bytes, text by chance", bytes, &text, err);
    if (!st)
        st = sp_bpe_train(&bpe, &all, 1, VOCAB, NULL, 0, NULL, err);
    if (!st)
        st = measure("byte-level BPE of its own making, text by chance", bpe, &text, err);
    sp_tokenizer_free(bytes);
    sp_tokenizer_free(bpe);
    sp_text_clear(&text);
    return st;
}

int main(int argc, char **argv)
{
    struct sp_err err = { 0 };
    char line[1024];
    if ((argc > 2 ? by_files(argc - 1, argv + 1, &err) : by_chance(&err))) {
        fprintf(stderr, "bench_text: %s\n", sp_err_line(&err, line, sizeof line));
        return 1;
    }
    return 0;
}
