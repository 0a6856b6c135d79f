/* model/gguf.h - GGUF: the header as read, what its words mean, how its rows stand, and
 * the bytes of a header to be written.  Part of the door of model: other files than models
 * are GGUF too.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GGUF_H
#define SP_GGUF_H
#include "model.h"
#include "../text/text.h"

enum sp_gguf_kind { SP_GGUF_U8, SP_GGUF_I8, SP_GGUF_U16, SP_GGUF_I16, SP_GGUF_U32, SP_GGUF_I32, SP_GGUF_F32, SP_GGUF_BOOL, SP_GGUF_TEXT, SP_GGUF_ARRAY,
                    SP_GGUF_U64, SP_GGUF_I64, SP_GGUF_F64, SP_GGUF_KINDS };

/* key -> n values of one kind, little-endian, at `at` (texts: each behind its u64 length). */
struct sp_gguf_pair { struct sp_slice key; enum sp_gguf_kind kind; bool list; uint64_t n; const unsigned char *at; };
/* A number format as GGUF numbers it. */
struct sp_gguf_type { int id; const char *name; int block, bytes; };
/* dim: fastest first.  at: in the data part. */
struct sp_gguf_tensor { struct sp_slice name; int n; int64_t dim[4], elements; const struct sp_gguf_type *type; uint64_t at, bytes; };
/* Everything points into `header`, a copy of the file's. */
struct sp_gguf {
    unsigned char *header; size_t header_bytes;
    int n_pairs, n;
    struct sp_gguf_pair *pair;     /* by key                 */
    struct sp_gguf_tensor *tensor; /* in the order of the file */
    uint64_t align, data, data_bytes, elements;
    struct sp_arena mem;
};
/* The header of a mapped file, every rule of the format checked. */
enum sp_status sp_gguf_read(struct sp_gguf *g, const struct sp_map *m, struct sp_err *err);
void sp_gguf_clear(struct sp_gguf *g);
const struct sp_gguf_pair *sp_gguf_find(const struct sp_gguf *g, const char *key);      /* NULL: it isn't there */
/* One value, of an array its first: a number of any kind as JSON, or text.  NULL: not there, or of no use. */
json_t *sp_gguf_value(const struct sp_gguf *g, const char *key);
const struct sp_gguf_tensor *sp_gguf_tensor_find(const struct sp_gguf *g, const char *name);
/* Walks a list of texts: *at is its first length word, and goes on. */
struct sp_slice sp_gguf_next_text(const unsigned char **at);
enum sp_format sp_gguf_format(const struct sp_gguf_type *t);          /* SP_FORMATS: none of ours */

/* ---- gguf_config.c: keys ---- */
/* GGUF's name of a model's architecture; NULL: it has none, or this program doesn't write it. */
const char *sp_gguf_arch(const struct sp_model_config *c);
bool sp_gguf_pairs(const char *arch);                                 /* rotary pairs stand side by side in its q and k */
/* What frequency i of a head is divided by: Llama 3's scaling, as rope_freqs.weight holds it. */
double sp_gguf_divisor(const struct sp_model_config *c, int64_t i);
enum sp_status sp_gguf_to_config(const struct sp_gguf *g, struct sp_model_config *out, const struct sp_map *m, struct sp_err *err);

/* ---- gguf_names.c: tensors ---- */
/* The other side's name of a parameter, into out[cap]; false: it has none. */
bool sp_gguf_name(const struct sp_model_config *c, const char *hugging_face, char *out, size_t cap);
bool sp_gguf_name_back(const struct sp_model_config *c, struct sp_slice gguf, char *out, size_t cap);
/* How a parameter, by its Hugging Face name, stands in a GGUF file. */
struct sp_layout sp_gguf_layout(const struct sp_model_config *c, const char *arch, const char *hugging_face);

/* ---- gguf_tokens.c: vocabulary ---- */
enum sp_status sp_gguf_tokenizer(const struct sp_gguf *g, struct sp_tokenizer **out, struct sp_err *err);

/* ---- gguf_keys.c: writing keys ---- */
struct sp_gguf_keys { struct sp_text text; uint64_t n; };
void sp_gguf_put_word(struct sp_gguf_keys *k, const char *key, uint32_t v);
void sp_gguf_put_real(struct sp_gguf_keys *k, const char *key, double v);
void sp_gguf_put_bool(struct sp_gguf_keys *k, const char *key, bool v);
void sp_gguf_put_text(struct sp_gguf_keys *k, const char *key, const char *v);
/* A list of n values, raw; bytes of all. */
void sp_gguf_put_list(struct sp_gguf_keys *k, const char *key, enum sp_gguf_kind kind, uint64_t n, const void *at, size_t bytes);
void sp_gguf_put_texts(struct sp_gguf_keys *k, const char *key, uint64_t n, const struct sp_slice *s);
enum { SP_GGUF_ALIGN = 32 };
static inline uint64_t sp_gguf_aligned(uint64_t bytes) { return (bytes + SP_GGUF_ALIGN - 1) / SP_GGUF_ALIGN * SP_GGUF_ALIGN; }
/* What a header begins with, its keys (which are cleared) included; then each tensor.  *at: where its data begin,
 * moved on to where the next ones do.  t->full: no memory. */
void sp_gguf_put_head(struct sp_text *t, uint64_t tensors, struct sp_gguf_keys *k);
void sp_gguf_put_tensor(struct sp_text *t, const char *name, const struct sp_type *type, uint64_t *at);
void sp_gguf_add(struct sp_text *t, uint64_t v, int bytes);           /* little-endian */
void sp_gguf_add_text(struct sp_text *t, const char *s, size_t n);
void sp_gguf_put_config(struct sp_gguf_keys *k, const struct sp_model_config *c, const char *arch);
enum sp_status sp_gguf_put_tokenizer(struct sp_gguf_keys *k, const struct sp_model_config *c, const struct sp_tokenizer *t, struct sp_err *err);
#endif
