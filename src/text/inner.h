/* text/inner.h - what the files of this room share: the tokenizer's tables and steps.
 *
 * The model works on `raw` strings: for byte-level tokenizers these are the real
 * bytes (the file's "Ġthe" is " the"), otherwise the file's own UTF-8 strings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TEXT_INNER_H
#define SP_TEXT_INNER_H
#include <jansson.h>
#include <pthread.h>
#include "text.h"

enum {
    SP_TOK_VOCAB_MAX = 1 << 20, /* token numbers                       */
    SP_TOK_MERGES_MAX = 1 << 22,
    SP_TOK_TOKEN_BYTES_MAX = 1 << 12, /* one token's string                  */
    SP_TOK_ADDED_BYTES_MAX = 1 << 21, /* contents of all added tokens        */
    SP_TOK_FILE_MAX = 64 << 20,       /* tokenizer.json                      */
    SP_TOK_STEPS_MAX = 8,             /* normalizers; pre-tokenizers; ids around a text */
    SP_TOK_PATTERN_MAX = 4096,        /* bytes of a regular expression       */
    SP_TOK_INPUT_MAX = 1 << 30,       /* bytes of one text                   */
};

/* ---- tables (table.c) ---- */
struct sp_tok_map {
    uint64_t *key, *value;
    size_t cap, n;
}; /* key ~0 is reserved */
enum sp_status sp_tok_map_put(struct sp_tok_map *m, uint64_t key, uint64_t value, struct sp_err *err);
bool sp_tok_map_get(const struct sp_tok_map *m, uint64_t key, uint64_t *value);
void sp_tok_map_clear(struct sp_tok_map *m);
uint64_t sp_tok_hash(const char *s, size_t n);
/* Strings to numbers; the strings stay where they are. */
struct sp_tok_name {
    const char *at;
    uint32_t n;
    int32_t id;
};
struct sp_tok_names {
    struct sp_tok_name *slot;
    size_t cap, n;
};
enum sp_status sp_tok_names_put(struct sp_tok_names *t, const char *s, size_t n, int32_t id, struct sp_err *err);
int32_t sp_tok_names_get(const struct sp_tok_names *t, const char *s, size_t n); /* -1: absent */
void sp_tok_names_clear(struct sp_tok_names *t);
enum sp_status sp_tok_nomem(struct sp_err *err);

/* ---- characters and patterns (pattern.c, regex.c) ---- */
enum sp_tok_class { SP_TOK_LETTER, SP_TOK_NUMBER, SP_TOK_SPACE, SP_TOK_OTHER };
/* The character at s (n >= 1): its class, length in bytes; invalid UTF-8 is one byte of OTHER, code -1. */
enum sp_tok_class sp_tok_class_at(const unsigned char *s, size_t n, size_t *len, int32_t *code);
bool sp_tok_is_word(const unsigned char *s, size_t n); /* \w at s */
/* Length of the match at s (n >= 1); these patterns match everywhere, at least one byte. */
typedef size_t sp_tok_match_fn(const unsigned char *s, size_t n);
struct sp_tok_pattern {
    const char *text;           /* as in the file                      */
    bool literal;               /* a string, not an expression         */
    sp_tok_match_fn *match;     /* a known pattern                     */
    struct sp_tok_regex *regex; /* any other                           */
};
extern const char sp_tok_gpt2_pattern[];
sp_tok_match_fn *sp_tok_known_pattern(const char *text); /* NULL: not one of them */
size_t sp_tok_match_gpt2(const unsigned char *s, size_t n);
enum sp_status sp_tok_pattern_init(struct sp_tok_pattern *p, struct sp_arena *mem, const char *text, bool literal,
                                   struct sp_err *err);
void sp_tok_pattern_clear(struct sp_tok_pattern *p);
/* First match at or after `from`; none: *begin = *end = n. */
enum sp_status sp_tok_pattern_next(const struct sp_tok_pattern *p, const char *s, size_t n, size_t from, size_t *begin,
                                   size_t *end, struct sp_err *err);
enum sp_status sp_tok_regex_new(struct sp_tok_regex **out, const char *text, struct sp_err *err);
void sp_tok_regex_free(struct sp_tok_regex *r);
enum sp_status sp_tok_regex_next(const struct sp_tok_regex *r, const char *s, size_t n, size_t from, size_t *begin,
                                 size_t *end, struct sp_err *err);

/* ---- the steps of a tokenizer ---- */
enum sp_tok_norm_kind { SP_TOK_NFC, SP_TOK_NFD, SP_TOK_NFKC, SP_TOK_NFKD, SP_TOK_PREPEND, SP_TOK_REPLACE };
struct sp_tok_norm {
    enum sp_tok_norm_kind kind;
    const char *from, *to;
};

enum sp_tok_pre_kind { SP_TOK_SPLIT, SP_TOK_BYTE_LEVEL, SP_TOK_DIGITS, SP_TOK_METASPACE };
enum sp_tok_behavior { SP_TOK_REMOVED, SP_TOK_ISOLATED, SP_TOK_WITH_PREVIOUS, SP_TOK_WITH_NEXT, SP_TOK_CONTIGUOUS };
enum sp_tok_scheme { SP_TOK_ALWAYS, SP_TOK_FIRST, SP_TOK_NEVER };
struct sp_tok_pre {
    enum sp_tok_pre_kind kind;
    struct sp_tok_pattern pattern; /* SPLIT, BYTE_LEVEL with use_regex, DIGITS, METASPACE with split */
    enum sp_tok_behavior behavior;
    bool invert, use_regex, prefix_space, individual, split;
    enum sp_tok_scheme scheme; /* METASPACE                           */
    const char *replacement;
};

enum {
    SP_TOK_SPECIAL = 1,
    SP_TOK_ADDED = 2,
    SP_TOK_LITERAL = 4,
    SP_TOK_USED = 8,
    SP_TOK_NORMALIZED = 16,
    SP_TOK_LSTRIP = 32,
    SP_TOK_RSTRIP = 64,
    SP_TOK_SINGLE_WORD = 128,
    SP_TOK_IN_VOCAB = 256,
    SP_TOK_UNMATCHED = 512
};
struct sp_tok_token {
    const char *raw, *out;        /* as the model sees it; the bytes it decodes to */
    uint32_t n_raw, n_out, flags; /* LITERAL: not in the byte map, never made by merging */
};

/* Added tokens as a tree over bytes: leftmost, then longest. */
struct sp_tok_tree {
    struct sp_tok_map edge;
    int32_t *end;
    size_t n, cap;
    bool first[256];
};

struct sp_tok_cached {
    uint64_t hash;
    uint8_t n_key, n_ids;
    char key[22];
    int32_t ids[8];
};
struct sp_tok_symbol {
    int32_t id, prev, next;
};
struct sp_tok_scratch {
    pthread_mutex_t lock;
    struct sp_tok_cached *cache; /* direct-mapped, SP_TOK_CACHE slots   */
    struct sp_tok_symbol *symbol;
    size_t symbol_cap;
    uint64_t *heap; /* rank << 32 | place                  */
    size_t heap_n, heap_cap;
};

struct sp_tokenizer {
    struct sp_arena mem;
    struct sp_tok_token *token; /* [n_vocab]                           */
    int32_t n_vocab, bos, eos, unk;
    struct sp_tok_names names; /* raw strings of the model's vocabulary */
    struct sp_tok_map merge;   /* left << 32 | right -> rank << 32 | id */
    int32_t byte_id[256];      /* byte-level: its token; else <0xHH>; -1 */
    bool byte_level, byte_fallback, fuse_unk, ignore_merges;
    bool splits_at_mark; /* no token holds a U+2581 behind another character */
    bool strict_unknown; /* an unknown character fails          */
    struct sp_tok_norm norm[SP_TOK_STEPS_MAX];
    struct sp_tok_pre pre[SP_TOK_STEPS_MAX];
    int n_norm, n_pre, n_before, n_behind;
    int32_t before[SP_TOK_STEPS_MAX], behind[SP_TOK_STEPS_MAX]; /* the post-processor's ids */
    const char *dec_from, *dec_to;                              /* decoder: Replace                    */
    bool dec_byte_level, dec_byte_fallback, dec_strip_space;
    struct sp_tok_tree raw_added, norm_added;
    struct sp_tok_scratch scratch;
};

/* ---- vocabulary (vocab.c) ---- */
enum sp_status sp_tok_new(struct sp_tokenizer **out, struct sp_err *err);
enum sp_status sp_tok_reserve(struct sp_tokenizer *t, int32_t n_vocab, struct sp_err *err);
/* Puts a token of the model: name as in the file (byte-level: unmapped here). */
enum sp_status sp_tok_put(struct sp_tokenizer *t, const char *name, size_t n, int32_t id, struct sp_err *err);
enum sp_status sp_tok_put_raw(struct sp_tokenizer *t, const char *raw, size_t n, int32_t id, struct sp_err *err);
enum sp_status sp_tok_add(struct sp_tokenizer *t, const char *content, size_t n, int32_t id, uint32_t flags,
                          struct sp_err *err);
enum sp_status sp_tok_put_merge(struct sp_tokenizer *t, int32_t left, int32_t right, uint32_t rank, struct sp_err *err);
/* After the last token: byte tokens, decoded bytes, trees of added tokens. */
enum sp_status sp_tok_finish(struct sp_tokenizer *t, struct sp_err *err);
/* The byte-level alphabet: byte to code point; a name back to bytes, false when a character isn't in it. */
int32_t sp_tok_byte_char(int byte);
bool sp_tok_unmap(const char *name, size_t n, char *out, size_t *n_out);
void sp_tok_map_bytes(struct sp_text *out, const char *raw, size_t n);

/* ---- running (normalize.c, merge.c, split.c) ---- */
enum sp_status sp_tok_normalize(const struct sp_tokenizer *t, const char *s, size_t n, struct sp_text *out,
                                struct sp_err *err);
/* One pre-token to ids. */
enum sp_status sp_tok_word(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err);
/* Pre-tokenizers from step i on, then the model.  first: s is where the text begins. */
enum sp_status sp_tok_pieces(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                             struct sp_err *err);
int32_t sp_tok_tree_find(const struct sp_tok_tree *tree, const char *s, size_t n, size_t *len); /* at s; -1 */

/* ---- reading (load.c, load_steps.c, llama2c.c) ---- */
enum sp_status sp_tok_load_steps(struct sp_tokenizer *t, const json_t *root, struct sp_err *err);
enum sp_status sp_tok_load_post(struct sp_tokenizer *t, const json_t *post, struct sp_err *err);
enum sp_status sp_tok_load_llama2c(struct sp_tokenizer **out, const char *path, struct sp_err *err);
/* Normalizer, decoder and byte fallback of a Llama 2 tokenizer. */
enum sp_status sp_tok_llama2_steps(struct sp_tokenizer *t, struct sp_err *err);
/* Pre-tokenizer and decoder of a byte-level one; use_regex: GPT-2's pattern. */
enum sp_status sp_tok_byte_level_steps(struct sp_tokenizer *t, bool use_regex, struct sp_err *err);
#endif
