/* data/data.h - documents from files, token streams from documents, batches from
 * token streams.  [door of data]
 *
 * Everything here is repeatable: the order of documents is the order of file names
 * and lines, the split depends on their content, a batch on (seed, step, micro)
 * alone, so a resumed run needs no state of the reader.
 *
 * It does not: stream from disk (the text is held in memory, see SP_DATA_BYTES_MAX),
 * shuffle documents, or clean text beyond taking it out of its container.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_DATA_H
#define SP_DATA_H
#include "../base/base.h"
#include "../text/text.h"

/* ---- documents --------------------------------------------------------------
 * .txt, .md   one document a file, or several (enum sp_data_split)
 * .jsonl      one document a line: an object whose "text" (or the named key) is a string
 * .html .htm  one document a file: headings, paragraphs, lists and code as text;
 *             script, style, navigation left out (libxml2, loaded on first use)
 * each also with .gz or .zst behind.  A folder is searched recursively, files sorted by name. */
enum {
    SP_DATA_FILES_MAX = 1 << 20,     /* files in a folder            */
    SP_DATA_DOCUMENTS_MAX = 1 << 24, /* documents in all             */
    SP_DATA_SKIPPED_KEPT = 16,       /* reasons kept in the report   */
};
#define SP_DATA_BYTES_MAX (4ull << 30) /* text held in memory, in bytes */

enum sp_data_split {
    SP_DATA_SPLIT_EOT,   /* .txt is cut at every <|endoftext|>; without one it is one document (default) */
    SP_DATA_SPLIT_NONE,  /* .txt is one document                                                        */
    SP_DATA_SPLIT_BLANK, /* .txt is cut at every run of two or more empty lines                         */
};
struct sp_data_options {
    const char *key; /* JSON key; NULL: "text"                    */
    enum sp_data_split split;
    uint64_t bytes_max; /* text bytes to keep; 0: SP_DATA_BYTES_MAX. What lies past it is reported, not an error */
    bool keep_duplicates;
};
struct sp_document {
    struct sp_slice text;
    const char *file; /* where it came from                        */
    int64_t line;     /* 1-based, in .jsonl; 0 otherwise           */
    uint64_t hash;    /* of the text; decides the split            */
};
struct sp_data_report {
    int64_t files, files_skipped;                /* read; of a kind that is not known      */
    int64_t given, used, empty, duplicate, over; /* documents; given = used + empty + duplicate + over */
    uint64_t bytes_used;
    int n_skipped;                             /* files_skipped, first SP_DATA_SKIPPED_KEPT */
    const char *skipped[SP_DATA_SKIPPED_KEPT]; /* "path: why"                       */
};
struct sp_documents {
    struct sp_document *at;
    int64_t n;
    struct sp_data_report report;
    char hash[65]; /* BLAKE2b-256 over the texts' own BLAKE2b-256, in order, hex */
    struct sp_arena mem;
};
/* options NULL: defaults.  A malformed line or file is SP_FORMAT, naming file:line. */
enum sp_status sp_documents_read(struct sp_documents *out, const char *path, const struct sp_data_options *options,
                                 const struct sp_watch *watch, struct sp_err *err);
void sp_documents_free(struct sp_documents *d);
/* "used 812 of 830 documents (12 duplicate, 6 empty), 2 files skipped" into buf; returns buf. */
const char *sp_data_report_line(const struct sp_data_report *r, char *buf, size_t cap);

/* Held-out part: documents whose hash falls below `fraction` (two or more documents;
 * at least one on each side), or the last `fraction` of a single document's bytes,
 * cut at a line's end where one is near.  Slices point into the documents. */
struct sp_split {
    struct sp_slice *train, *valid;
    int64_t n_train, n_valid;
};
enum sp_status sp_documents_split(const struct sp_documents *d, double fraction, struct sp_split *out,
                                  struct sp_err *err);
void sp_split_free(struct sp_split *s);

/* ---- token stream --------------------------------------------------------------
 * start, document, eos, document, eos ... where start is bos before every document
 * (if the tokenizer's post-processor adds it), else one eos (if there is one), else
 * nothing.  Every token of every document is then predicted once; only without any
 * special token is the very first one not, and its bytes are not counted. */
struct sp_tokens {
    uint16_t *u16; /* exactly one of the two                    */
    int32_t *i32;
    int64_t n; /* tokens                                    */
    int64_t documents;
    uint64_t text_bytes;     /* bytes that the predicted tokens stand for */
    int32_t vocab, bos, eos; /* bos -1 where it isn't used                */
};
enum sp_status sp_tokens_build(struct sp_tokens *out, const struct sp_slice *docs, int64_t n_docs,
                               struct sp_tokenizer *t, const struct sp_watch *watch, struct sp_err *err);
void sp_tokens_free(struct sp_tokens *t);
int32_t sp_tokens_at(const struct sp_tokens *t, int64_t i);

/* ---- batches ---------------------------------------------------------------------
 * ids, targets i32[b*t], weights f32[b*t]; targets[i] is the token after ids[i];
 * weight 1 counts, 0 doesn't (padding, and a bos as target).
 *
 * Training: row r of (seed, step, micro) is the window at a random place, uniform
 * over all starts, from a counter-based generator.  Needs tokens->n >= 2; a stream
 * shorter than t+1 gives padded rows.  Written are rows first .. first+b-1, a rank's part of the batch. */
void sp_batch_fill(const struct sp_tokens *tokens, uint64_t seed, int64_t step, int64_t micro, int64_t first, int64_t b,
                   int64_t t, int32_t *ids, int32_t *targets, float *weights);
/* Evaluation: window w holds targets w*t+1 .. (w+1)*t; all windows cover every target
 * exactly once.  fill writes rows for windows first .. first+b-1, padding what lies
 * past the end, and returns how many windows are real. */
int64_t sp_window_count(const struct sp_tokens *tokens, int64_t t);
int64_t sp_window_fill(const struct sp_tokens *tokens, int64_t first, int64_t b, int64_t t, int32_t *ids,
                       int32_t *targets, float *weights);
#endif
