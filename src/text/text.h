/* text/text.h - tokenizers: reading, writing, using and training them.  [door of text]
 *
 * A tokenizer turns UTF-8 text into numbers below its vocabulary's size and back.
 * It is read from the file its model came with (Hugging Face's tokenizer.json, llama2.c's
 * tokenizer.bin, or what a GGUF file says) and gives the numbers that file's own library gives;
 * what this room cannot do exactly as that library does it, it refuses when loading.
 *
 * Kinds: byte-level BPE (GPT-2, Llama 3, Qwen, Pythia), SentencePiece-style BPE
 * with byte fallback (Llama 2, Mistral, Gemma), Unigram (T5, XLM-R), WordPiece (BERT), whole
 * words, one token a byte, one token a character.
 *
 * Known differences: characters younger than the Unicode of utf8proc and PCRE2 have other classes,
 * BERT's accents and punctuation are of a later Unicode than the library's (2015), and a character
 * that BPE neither has nor can spell in bytes, without an unknown token, fails instead of vanishing.
 *
 * Ownership in one sentence: a tokenizer belongs to whoever loaded it, ids and
 * text are appended to what the caller owns, everything else is only read.
 *
 * Threads: encoding locks the tokenizer (it keeps a cache of words); decoding doesn't.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TEXT_H
#define SP_TEXT_H
#include <jansson.h>
#include "../base/base.h"

struct sp_tokenizer;

/* Growing list of token numbers.  Start from {0}.  A failed append sets .full and is
 * otherwise ignored; functions of this room turn it into SP_NOMEM themselves. */
struct sp_ids {
    int32_t *at;
    size_t n, cap;
    bool full;
};
void sp_ids_add(struct sp_ids *ids, int32_t id);
void sp_ids_reserve(struct sp_ids *ids, size_t n); /* n more will not allocate */
void sp_ids_clear(struct sp_ids *ids);

/* Text somewhere else: n bytes, not terminated. */
struct sp_slice {
    const char *at;
    size_t n;
};

/* ---- getting one ----------------------------------------------------------
 * path: a tokenizer.json, a folder that holds one, or a llama2.c tokenizer .bin.
 * tokenizer_config.json beside it, where there is one, names bos and eos.
 * SP_UNSUPPORTED names the part that isn't known; SP_FORMAT what is malformed. */
enum sp_status sp_tokenizer_load(struct sp_tokenizer **out, const char *path, struct sp_err *err);
enum sp_status sp_tokenizer_from_json(struct sp_tokenizer **out, const char *json, size_t n, struct sp_err *err);
/* A vocabulary of the 256 bytes (token number = byte), and `eos` after them unless NULL. */
enum sp_status sp_tokenizer_bytes(struct sp_tokenizer **out, const char *eos, struct sp_err *err);
/* One token for each distinct character of the text, by code point, and `eos` after them unless NULL.
 * Encoding a character that isn't among them fails with SP_MISSING. */
enum sp_status sp_tokenizer_chars(struct sp_tokenizer **out, const char *text, size_t n, const char *eos,
                                  struct sp_err *err);
void sp_tokenizer_free(struct sp_tokenizer *t); /* NULL is fine */
/* Writes a tokenizer.json that Hugging Face tokenizers reads; path names the file. */
enum sp_status sp_tokenizer_save(const struct sp_tokenizer *t, const char *path, struct sp_err *err);

/* ---- a vocabulary in parts: what GGUF metadata (tokenizer.ggml.*) hold ------
 * All arrays are only read; token texts are spelled as in the file. */
struct sp_token_parts {
    const char *model, *pre; /* "llama", "gpt2", "bert", "t5"; the pre-tokenizer's name ("llama-bpe"), NULL: not said */
    int32_t n_tokens, n_merges;
    const struct sp_slice *token; /* [n_tokens]                          */
    const float *score;           /* [n_tokens], or NULL                 */
    const int32_t *type; /* [n_tokens], or NULL: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
    const struct sp_slice *merge;  /* [n_merges] "left right"             */
    const unsigned char *charsmap; /* [n_charsmap] precompiled_charsmap, or NULL */
    size_t n_charsmap;
    int32_t bos, eos, unk, sep, pad, mask, eot; /* token numbers; -1: not said          */
    int8_t add_bos, add_eos, add_sep, add_space_prefix, remove_extra_whitespaces; /* 0 no, 1 yes, -1: not said */
    int8_t lowercase, strip_accents;                                              /* the same; "bert" alone    */
};
void sp_token_parts_init(struct sp_token_parts *p); /* nothing said */
/* Splits text as the model's own tokenizer.json does (llama.cpp's regular expressions differ from it in rare
 * characters).  SP_UNSUPPORTED names a model or pre-tokenizer that isn't known. */
enum sp_status sp_tokenizer_from_parts(struct sp_tokenizer **out, const struct sp_token_parts *parts,
                                       struct sp_err *err);
/* The way back: arrays into mem.  SP_UNSUPPORTED where GGUF has no name for how this tokenizer splits. */
enum sp_status sp_tokenizer_to_parts(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                     struct sp_err *err);

/* Byte-level BPE as Hugging Face's trainer makes it: GPT-2's word pattern, pairs
 * counted over distinct words, the most frequent pair first; of equally frequent
 * pairs the one whose (left, right) bytes are greater, so the result depends on
 * the text alone.  Tokens: the specials, the 256 bytes, then one a merge, up to
 * `vocab` in all (fewer when no pair is left).  The first special becomes eos. */
enum sp_status sp_bpe_train(struct sp_tokenizer **out, const struct sp_slice *docs, int64_t n_docs, int32_t vocab,
                            const char *const *specials, int n_specials, const struct sp_watch *watch,
                            struct sp_err *err);

/* ---- facts ---------------------------------------------------------------- */
int32_t sp_tokenizer_vocab(const struct sp_tokenizer *t);                     /* largest token number + 1 */
int32_t sp_tokenizer_bos(const struct sp_tokenizer *t);                       /* -1: none */
int32_t sp_tokenizer_eos(const struct sp_tokenizer *t);                       /* -1: none */
bool sp_tokenizer_adds_bos(const struct sp_tokenizer *t);                     /* its post-processor puts bos in front */
int32_t sp_tokenizer_find(const struct sp_tokenizer *t, const char *content); /* vocabulary or added token; -1 */
bool sp_tokenizer_is_special(const struct sp_tokenizer *t, int32_t id);
/* The bytes this token stands for (a byte token: that byte), not terminated; NULL and *n = 0 for an unused number. */
const char *sp_tokenizer_token(const struct sp_tokenizer *t, int32_t id, size_t *n);

/* ---- text to numbers and back ----------------------------------------------
 * Appends to *out.  special: put in front and behind what the post-processor says
 * (bos).  Strings of special tokens inside the text become those tokens, as in
 * Hugging Face.  Bytes that aren't UTF-8 are kept where the tokenizer can (byte tokens). */
enum sp_status sp_tokenizer_encode(struct sp_tokenizer *t, const char *text, size_t n, bool special, struct sp_ids *out,
                                   struct sp_err *err);
/* Appends valid UTF-8; bytes that form no character become U+FFFD.  skip_special leaves special tokens out. */
enum sp_status sp_tokenizer_decode(const struct sp_tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                   struct sp_text *out, struct sp_err *err);

/* Decoding one token at a time: never emits half a character, holds at most 3 bytes.  All pieces together are what
 * sp_tokenizer_decode gives, but for byte tokens that form no character (one U+FFFD for each longest part here, one a
 * byte there) and decoders that strip the end of a text. */
struct sp_decoder {
    const struct sp_tokenizer *t;
    unsigned char held[8];
    int n_held;
    int32_t strip; /* leading characters that may still be left out */
    bool skip_special, begun, space;
};
void sp_decoder_init(struct sp_decoder *d, const struct sp_tokenizer *t, bool skip_special);
/* Continues after a prompt: the text of its first new token keeps its leading space. */
void sp_decoder_resume(struct sp_decoder *d);
/* Appends what has become whole; SP_FORMAT for a number outside the vocabulary. */
enum sp_status sp_decoder_push(struct sp_decoder *d, int32_t id, struct sp_text *out, struct sp_err *err);
void sp_decoder_end(struct sp_decoder *d, struct sp_text *out); /* what is still held becomes U+FFFD */

/* ---- chat templates (template*.c) --------------------------------------------
 * A conversation as text, by the template its model carries: the subset of Jinja that published models use, with
 * trim_blocks and lstrip_blocks as Hugging Face sets them.  SP_UNSUPPORTED names what isn't known; a template that
 * calls raise_exception gives SP_USAGE with its words; steps, depth and memory have limits (SP_LIMIT). */
struct sp_template;
enum sp_status sp_template_parse(struct sp_template **out, const char *source, size_t n, struct sp_err *err);
void sp_template_free(struct sp_template *t); /* NULL is fine */
struct sp_template_text {
    struct sp_text text, mark; /* mark: a byte each, 1: it came from messages, tools or documents */
};
void sp_template_text_clear(struct sp_template_text *t);
/* variables: a JSON object (messages, add_generation_prompt, bos_token, ...).  now: seconds since 1970 for
 * strftime_now, 0: the clock's.  A role that is a plain word counts as the template's own text. */
enum sp_status sp_template_render(const struct sp_template *t, const json_t *variables, int64_t now,
                                  struct sp_template_text *out, struct sp_err *err);
/* Text where mark is 1 becomes no special token, whatever it says; the rest as sp_tokenizer_encode without `special`. */
enum sp_status sp_tokenizer_encode_marked(struct sp_tokenizer *t, const char *text, const unsigned char *mark, size_t n,
                                          struct sp_ids *out, struct sp_err *err);
/* messages: [{"role", "content"}].  answer: the answer's beginning stands at the end.  Appends to *out. */
enum sp_status sp_template_tokens(const struct sp_template *t, struct sp_tokenizer *tokenizer, const json_t *messages,
                                  bool answer, struct sp_ids *out, struct sp_err *err);
/* How the template ends an answer: *id is the first special token between an answer and what is said next; without one
 * (-1), *stop gets the text there, less space around it (nothing where it is too short to be a sign). */
enum sp_status sp_template_ending(const struct sp_template *t, struct sp_tokenizer *tokenizer, int32_t *id,
                                  struct sp_text *stop, struct sp_err *err);
/* The template in a model's folder: chat_template.jinja, else tokenizer_config.json's chat_template (of several, the
 * one called "default").  Appends its source; nothing where there is none. */
enum sp_status sp_template_find(const char *folder, struct sp_text *source, struct sp_err *err);
#endif
