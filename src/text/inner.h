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
    SP_TOK_TREE_MAX = 1 << 23,        /* nodes of a tree: bytes of all added tokens, of all pieces */
    SP_TOK_FILE_MAX = 64 << 20,       /* tokenizer.json                      */
    SP_TOK_STEPS_MAX = 16,            /* normalizers; pre-tokenizers; decoders; ids around a text */
    SP_TOK_PATTERN_MAX = 4096,        /* bytes of a regular expression       */
    SP_TOK_AFFIX_MAX = 64,            /* bytes of a prefix or suffix of pieces */
    SP_TOK_INPUT_MAX = 1 << 30,       /* bytes of one text                   */
};

/* ---- tables (table.c) ---- */
struct sp_tok_entry {
    uint64_t key, value;
};
struct sp_tok_map {
    struct sp_tok_entry *slot;
    size_t cap, n;
}; /* key ~0 is reserved: an empty slot */
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
bool sp_tok_is_punctuation(int32_t code);              /* class P, and all of ASCII's */
/* Length of the match at s (n >= 1); these patterns match everywhere, at least one byte. */
typedef size_t sp_tok_match_fn(const unsigned char *s, size_t n);
struct sp_tok_pattern {
    const char *text;           /* as in the file                      */
    bool literal;               /* a string, not an expression         */
    sp_tok_match_fn *match;     /* a known pattern                     */
    struct sp_tok_regex *regex; /* any other                           */
};
extern const char sp_tok_gpt2_pattern[], sp_tok_llama3_pattern[], sp_tok_qwen2_pattern[];
sp_tok_match_fn *sp_tok_known_pattern(const char *text); /* NULL: not one of them */
size_t sp_tok_match_gpt2(const unsigned char *s, size_t n);
enum sp_status sp_tok_pattern_init(struct sp_tok_pattern *p, struct sp_arena *mem, const char *text, bool literal,
                                   struct sp_err *err);
void sp_tok_pattern_clear(struct sp_tok_pattern *p);
/* First match at or after `from`; none: *begin = *end = n.  last: where the match before ended (SIZE_MAX: there was
 * none); an empty match there doesn't count, any other does. */
enum sp_status sp_tok_pattern_next(const struct sp_tok_pattern *p, const char *s, size_t n, size_t from, size_t last,
                                   size_t *begin, size_t *end, struct sp_err *err);
enum sp_status sp_tok_regex_new(struct sp_tok_regex **out, const char *text, struct sp_err *err);
void sp_tok_regex_free(struct sp_tok_regex *r);
enum sp_status sp_tok_regex_next(const struct sp_tok_regex *r, const char *s, size_t n, size_t from, size_t last,
                                 size_t *begin, size_t *end, struct sp_err *err);

/* ---- the steps of a tokenizer ---- */
/* SentencePiece's precompiled_charsmap: a double array over bytes, and the texts it points into. */
struct sp_tok_charsmap {
    const unsigned char *blob; /* as read, for writing it back        */
    const uint32_t *unit;      /* [n_unit]                            */
    const char *text;          /* [n_text], zeros between             */
    size_t n_blob, n_unit, n_text;
};
enum sp_tok_norm_kind {
    SP_TOK_NFC,
    SP_TOK_NFD,
    SP_TOK_NFKC,
    SP_TOK_NFKD,
    SP_TOK_LOWERCASE,
    SP_TOK_STRIP_ACCENTS,
    SP_TOK_NMT,
    SP_TOK_BYTES, /* ByteLevel as a normalizer */
    SP_TOK_PREPEND,
    SP_TOK_REPLACE,
    SP_TOK_STRIP,
    SP_TOK_BERT,
    SP_TOK_PRECOMPILED,
    SP_TOK_NORMS
};
extern const char *const sp_tok_norm_names[SP_TOK_NORMS]; /* as tokenizer.json spells them */
struct sp_tok_norm {
    enum sp_tok_norm_kind kind;
    struct sp_tok_pattern pattern;       /* REPLACE                             */
    const char *to;                      /* REPLACE, PREPEND                    */
    bool left, right;                    /* STRIP                               */
    bool clean, chinese, accents, lower; /* BERT; accents: strips them          */
    struct sp_tok_charsmap map;          /* PRECOMPILED                         */
};

enum sp_tok_pre_kind {
    SP_TOK_SPLIT,
    SP_TOK_BYTE_LEVEL,
    SP_TOK_METASPACE,
    SP_TOK_DIGITS,
    SP_TOK_PUNCTUATION,
    SP_TOK_WHITESPACE, /* \w+|[^\w\s]+          */
    SP_TOK_WHITESPACE_SPLIT,
    SP_TOK_LENGTH
};
enum sp_tok_behavior { SP_TOK_REMOVED, SP_TOK_ISOLATED, SP_TOK_WITH_PREVIOUS, SP_TOK_WITH_NEXT, SP_TOK_CONTIGUOUS };
extern const char *const sp_tok_behaviors[5];
enum sp_tok_scheme { SP_TOK_ALWAYS, SP_TOK_FIRST, SP_TOK_NEVER };
extern const char *const sp_tok_schemes[3];
struct sp_tok_pre {
    enum sp_tok_pre_kind kind;
    struct sp_tok_pattern pattern; /* SPLIT, BYTE_LEVEL with use_regex, METASPACE with split */
    enum sp_tok_behavior behavior;
    bool invert, use_regex, prefix_space, split;
    bool spells; /* BYTE_LEVEL: bytes become the characters that stand for them (the model isn't byte_level) */
    enum sp_tok_scheme scheme; /* METASPACE                           */
    const char *replacement;
    int64_t length; /* LENGTH: characters                  */
};

enum sp_tok_dec_kind {
    SP_TOK_DEC_BYTE_LEVEL,
    SP_TOK_DEC_BYTE_FALLBACK,
    SP_TOK_DEC_FUSE,
    SP_TOK_DEC_REPLACE,
    SP_TOK_DEC_STRIP,
    SP_TOK_DEC_METASPACE,
    SP_TOK_DEC_WORDPIECE,
    SP_TOK_DEC_SUFFIX /* BPEDecoder */
};
struct sp_tok_dec {
    enum sp_tok_dec_kind kind;
    struct sp_tok_pattern pattern; /* REPLACE                             */
    const char *from, *to;         /* STRIP: content; METASPACE: replacement; WORDPIECE: prefix; SUFFIX: suffix */
    int start, stop;               /* STRIP                               */
    bool cleanup;                  /* WORDPIECE                           */
    enum sp_tok_scheme scheme;     /* METASPACE                           */
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
    SP_TOK_UNMATCHED = 512,
    SP_TOK_BYTE = 1024,       /* decodes to one byte of a run of bytes */
    SP_TOK_SPACE_AFTER = 2048 /* a space follows unless it is the last one */
};
struct sp_tok_token {
    const char *raw, *out, *first;         /* as the model sees it; the bytes it decodes to; the same as first token */
    uint32_t n_raw, n_out, n_first, flags; /* LITERAL: not in the byte map, never made by merging */
};

/* Strings as a tree over bytes. */
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
    struct sp_tok_best *best; /* Unigram: the best way to each place */
    size_t best_cap;
    struct sp_text piece[SP_TOK_STEPS_MAX]; /* a step's copy of a piece            */
    struct { /* what may not become a special token: the text, a mark a byte; of a text's normalized part, all or nothing */
        const char *text;
        const unsigned char *mark; /* NULL: nothing is barred */
        size_t n;
        bool all;
    } barred;
};
enum sp_tok_model { SP_TOK_BPE, SP_TOK_UNIGRAM, SP_TOK_WORDPIECE, SP_TOK_WORDLEVEL };

struct sp_tokenizer {
    struct sp_arena mem;
    enum sp_tok_model model;
    struct sp_tok_token *token; /* [n_vocab]                           */
    double *score;              /* [n_vocab]: Unigram, and BPE made of scores; else NULL */
    int32_t n_vocab, bos, eos, unk;
    struct sp_tok_names names; /* raw strings of the model's vocabulary */
    struct sp_tok_map merge;   /* left << 32 | right -> rank << 32 | id */
    int32_t byte_id[256];      /* byte-level: its token; else <0xHH>; -1 */
    int32_t ascii_id[128];     /* the vocabulary's number of a character; -1 */
    bool byte_level, byte_fallback, fuse_unk, ignore_merges;
    bool splits_at_mark;             /* no token holds a U+2581 behind another character */
    const char *prefix, *suffix;     /* of a word's later pieces (BPE, WordPiece); of its last (BPE); "" */
    int64_t word_chars_max;          /* WordPiece                           */
    double score_unk;                /* Unigram                             */
    struct sp_tok_tree start, later; /* Unigram: pieces; WordPiece: words' beginnings, later pieces without prefix */
    struct sp_tok_norm norm[SP_TOK_STEPS_MAX];
    struct sp_tok_pre pre[SP_TOK_STEPS_MAX];
    struct sp_tok_dec dec[SP_TOK_STEPS_MAX];
    int n_norm, n_pre, n_dec, n_before, n_behind;
    int32_t before[SP_TOK_STEPS_MAX], behind[SP_TOK_STEPS_MAX]; /* the post-processor's ids */
    bool joins;                                                 /* no decoder: tokens are joined by spaces */
    const char *strip;                                          /* of the whole decoded text, this character: */
    int strip_start, strip_stop;                                /* at most so many times in front, behind */
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
struct sp_tok_ranked { uint64_t rank, key; };  /* key: left << 32 | right */
/* The merges, the first first; sp_free.  NULL: out of memory, and *n is 0. */
struct sp_tok_ranked *sp_tok_merges_ranked(const struct sp_tokenizer *t, size_t *n);
enum sp_status sp_tok_put_merge(struct sp_tokenizer *t, int32_t left, int32_t right, uint32_t rank, struct sp_err *err);
/* After the last token: byte tokens, decoded bytes, trees of added tokens. */
enum sp_status sp_tok_finish(struct sp_tokenizer *t, struct sp_err *err);
/* The byte-level alphabet: byte to code point; a name back to bytes, false when a character isn't in it. */
int32_t sp_tok_byte_char(int byte);
bool sp_tok_unmap(const char *name, size_t n, char *out, size_t *n_out);
void sp_tok_map_bytes(struct sp_text *out, const char *raw, size_t n);

enum sp_status sp_tok_tree_add(struct sp_tok_tree *tree, const char *s, size_t n, int32_t id, struct sp_err *err);
void sp_tok_tree_clear(struct sp_tok_tree *tree);
/* The longest string of the tree that s begins with, -1: none; *len its length. */
int32_t sp_tok_tree_find(const struct sp_tok_tree *tree, const char *s, size_t n, size_t *len);
/* Fills out, first and flags of a token by the decoders (decode_steps.c); sp_tok_check_decoders comes before. */
enum sp_status sp_tok_decoded(struct sp_tokenizer *t, struct sp_tok_token *k, struct sp_err *err);
enum sp_status sp_tok_check_decoders(struct sp_tokenizer *t, struct sp_err *err);

/* ---- running (normalize.c, characters.c, charsmap.c, merge.c, unigram.c, wordpiece.c, split.c) ---- */
enum sp_status sp_tok_normalize(const struct sp_tokenizer *t, const char *s, size_t n, struct sp_text *out,
                                struct sp_err *err);
/* LOWERCASE, STRIP_ACCENTS, NMT, BYTES, BERT: character by character. */
void sp_tok_characters(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out);
void sp_tok_charsmap_run(const struct sp_tok_charsmap *m, const char *s, size_t n, struct sp_text *out);
enum sp_status sp_tok_charsmap_read(struct sp_tok_charsmap *m, struct sp_arena *mem, const void *blob, size_t n,
                                    struct sp_err *err);
enum sp_status sp_tok_charsmap_text(struct sp_tok_charsmap *m, struct sp_arena *mem, const char *base64,
                                    struct sp_err *err);
enum sp_status sp_tok_unigram(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err);
enum sp_status sp_tok_wordpiece(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out,
                                struct sp_err *err);
/* One pre-token to ids. */
enum sp_status sp_tok_word(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err);
/* Pre-tokenizers from step i on, then the model.  first: s is where the text begins. */
enum sp_status sp_tok_pieces(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                             struct sp_err *err);

/* ---- reading (load.c, load_model.c, load_steps.c, load_out.c, llama2c.c, parts.c) ---- */
enum sp_status sp_tok_check_model(struct sp_tokenizer *t, const json_t *model, struct sp_err *err);
enum sp_status sp_tok_load_model(struct sp_tokenizer *t, const json_t *model, struct sp_err *err);
int32_t sp_tok_model_token(const struct sp_tokenizer *t, const char *name, size_t n); /* name as in the file; -1 */
typedef enum sp_status sp_tok_step_fn(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err);
/* Walks Sequences; `list` is their key. */
enum sp_status sp_tok_each_step(struct sp_tokenizer *t, const json_t *j, const char *list, sp_tok_step_fn *fn,
                                struct sp_err *err);
enum sp_status sp_tok_too_many(struct sp_err *err);
enum sp_status sp_tok_keep(struct sp_tokenizer *t, const char *s, const char **out, struct sp_err *err);
/* {"String": s} or {"Regex": s}. */
enum sp_status sp_tok_json_pattern(const json_t *j, const char **text, bool *literal, struct sp_err *err);
enum sp_status sp_tok_json_scheme(const json_t *j, enum sp_tok_scheme *scheme, struct sp_err *err);
enum sp_status sp_tok_load_decoder(struct sp_tokenizer *t, const json_t *j, struct sp_err *err);
/* How a GGUF name splits text (pre_names.c): names[0] is the usual one of those that mean the same. */
enum { SP_TOK_PRE_ALIASES = 18, SP_TOK_PRE_PATTERNS = 6 };
struct sp_tok_pre_name {
    const char *names[SP_TOK_PRE_ALIASES], *patterns[SP_TOK_PRE_PATTERNS];
    bool ignore_merges, add_bos, nfc;
};
const struct sp_tok_pre_name *sp_tok_pre_named(const char *name); /* NULL: not known     */
const char *sp_tok_pre_name_of(const struct sp_tokenizer *t);     /* NULL: there is none */
/* Scores as merge ranks: every way to cut a token into two is a merge, a better score comes first. */
enum sp_status sp_tok_merges_of_scores(struct sp_tokenizer *t, struct sp_err *err);
enum sp_status sp_tok_load_steps(struct sp_tokenizer *t, const json_t *root, struct sp_err *err);
enum sp_status sp_tok_load_post(struct sp_tokenizer *t, const json_t *post, struct sp_err *err);
enum sp_status sp_tok_load_llama2c(struct sp_tokenizer **out, const char *path, struct sp_err *err);
/* Normalizers, decoders and byte fallback of a Llama 2 tokenizer; prefix: a space in front of every text. */
enum sp_status sp_tok_llama2_steps(struct sp_tokenizer *t, bool prefix, struct sp_err *err);
/* Pre-tokenizer and decoder of a byte-level one; use_regex: GPT-2's pattern. */
enum sp_status sp_tok_byte_level_steps(struct sp_tokenizer *t, bool use_regex, struct sp_err *err);
#endif
