/* kernel/kernel.h - number formats and kernel families.  [door of kernel]
 *
 * A family is one struct of arguments (args.h), described by a field table, and
 * an array of rows, best first, ending in the portable row that needs nothing.
 * One array, five readers: dispatch, the test of every row against portable,
 * `make bench`, `sparsam machine`, and the C printer, which prints the text of
 * the portable row.  Kernels see pointers and sizes, never tensors or graphs.
 *
 * A call is split into numbered tasks by shape alone; phases are separated by a
 * barrier.  The result never depends on which thread runs which task.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_KERNEL_H
#define SP_KERNEL_H
#include <stddef.h>
#include <stdbool.h>
#include "../base/base.h"
#include "args.h"

/* ---- number formats: one row each ---- */
struct sp_format_row {
    const char *name;              /* "f32"; also its name on the command line  */
    const char *safetensors;       /* dtype in a header, or NULL                */
    int block;                     /* elements a block                          */
    int bytes;                     /* bytes a block                             */
    void (*decode)(float *to, const void *from, int64_t n); /* n: multiple of block */
    void (*encode)(void *to, const float *from, int64_t n);
    const char *gguf;              /* its name beside GGUF files, or NULL       */
    int gguf_type;                 /* ggml's number for it; where gguf is NULL it means nothing */
    /* encode with a scale that is searched: least squares, each place i of the squares times weight[i] (NULL: the
     * format's own choice).  NULL where there is nothing to search. */
    void (*encode_weighted)(void *to, const float *from, const float *weight, int64_t n);
};
extern const struct sp_format_row sp_formats[SP_FORMATS];
int64_t sp_format_bytes(enum sp_format f, int64_t elements);
enum { SP_FORMAT_BLOCK_MAX = 256 };
/* Numbers in blocks as they stand, in runs of 32 (format_grid.c): number j of a run is q[j] d[j / 16] - m[j / 16].  q is a
 * whole number from low to high, or one of the table, which rises; NULL: not a format that can be put. */
struct sp_block_grid { int low, high; const signed char *table; /* of 16, or NULL */ };
const struct sp_block_grid *sp_format_grid(enum sp_format f);
struct sp_grid_run { signed char q[32]; float d[2], m[2]; };
void sp_format_run(enum sp_format f, const void *blocks, int64_t i, struct sp_grid_run *out); /* run i of what stands there */
void sp_format_put(enum sp_format f, void *blocks, int64_t i, const signed char q[32]);       /* scales stay */

/* ---- families ---- */
enum sp_field_kind { SP_FIELD_IN, SP_FIELD_OUT, SP_FIELD_WORK, SP_FIELD_I64, SP_FIELD_I32, SP_FIELD_U64, SP_FIELD_F32, SP_FIELD_F64 };
struct sp_field { const char *name; enum sp_field_kind kind; uint16_t at; const char *ctype; /* printed cast of a pointer */ };

typedef void sp_kernel_fn(const void *args, int phase, int64_t task, void *scratch);

struct sp_kernel_row {
    const char *name;              /* "gemm_f32.avx2": joins program, benchmark, ledger, prediction */
    uint32_t needs;                /* feature bits that must all be present     */
    sp_kernel_fn *fn;
    bool (*fits)(const void *args);/* NULL: any arguments                       */
    size_t scratch_bytes;          /* a thread, at most                         */
    float tolerance;               /* relative, against portable                */
    /* A row whose tasks are cut its own way says so; NULL: the family's. */
    int64_t (*tasks)(const void *args, int phase);
    int phases;                    /* of such a row; 0: the family's            */
    /* gemm only: bytes of the packed form of b, 0 when the row takes b plain; and the writer. */
    int64_t (*pack_bytes)(const struct sp_gemm_args *g);
    void (*pack)(const struct sp_pack_args *p, int64_t task, void *scratch);
};

struct sp_kernel {
    const char *name, *help;
    size_t args_bytes;
    const struct sp_field *fields; /* ends with name NULL; pointers first, inputs in op order */
    int phases;                    /* at least 1 */
    int64_t (*tasks)(const void *args, int phase);
    void (*cut)(void *args, int threads); /* may be NULL; in how many tasks: changes the speed, never a result */
    const struct sp_kernel_row *rows; /* last: needs 0, fits NULL */
    const char *source;            /* text of the portable row, for the printer */
    const char *function;          /* its name in that text: void f(const struct ARGS *, int phase, int64_t task) */
    const char *args_type;         /* "struct sp_gemm_args" */
};
enum { SP_KERNEL_ARGS_MAX = 320, SP_SCRATCH_MAX = 4 << 20 };

extern const struct sp_kernel *const sp_kernels[]; /* NULL-terminated table of families */
extern const struct sp_kernel sp_kernel_gemm, sp_kernel_pack, sp_kernel_unary, sp_kernel_unary_back, sp_kernel_binary,
    sp_kernel_glu, sp_kernel_glu_back, sp_kernel_norm, sp_kernel_norm_back, sp_kernel_softmax, sp_kernel_softmax_back,
    sp_kernel_xent, sp_kernel_soft, sp_kernel_embed, sp_kernel_embed_back, sp_kernel_rope_table, sp_kernel_rope, sp_kernel_attention,
    sp_kernel_attention_back, sp_kernel_dropout, sp_kernel_copy, sp_kernel_put, sp_kernel_concat, sp_kernel_transpose, sp_kernel_fill, sp_kernel_sum_rows,
    sp_kernel_sum, sp_kernel_clip, sp_kernel_adamw, sp_kernel_sgd, sp_kernel_mse;

/* The best row for these arguments on a processor with these feature bits. */
const struct sp_kernel_row *sp_kernel_pick(const struct sp_kernel *k, uint32_t features, const void *args);
/* All phases and tasks of one call.  scratch: one block of scratch_bytes a thread, `stride` bytes apart. */
void sp_kernel_run(const struct sp_kernel *k, const struct sp_kernel_row *row, const void *args,
                   struct sp_pool *pool, void *scratch, size_t stride);
/* Text that precedes all kernels in printed C: args.h and the portable mathematics. */
extern const char *const sp_kernel_prelude;
#endif
