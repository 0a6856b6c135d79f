/* kernel/embed.h - portable kernels: one text, compiled here and printed into
 * exported C.
 *
 * A portable kernel is a file portable/NAME.c in C99 without includes.  It may
 * use args.h, portable/prelude.c, load.c and math.c, which precede it, and ends with
 *
 *   static void sp_NAME_portable(const struct sp_NAME_args *a, int phase, int64_t task)
 *
 * NAME's wrapper NAME.c in kernel/ reads
 *
 *   #include "embed.h"
 *   #include "portable/NAME.c"
 *   SP_EMBED(NAME)
 *
 * and may then use SP_TEXT(NAME) as .source and SP_FN(NAME) as the portable row's fn.
 * Functions are `static`; those that a program may not call carry SP_MAYBE_UNUSED.
 * Names of helpers start with sp_NAME_, for all texts of a program stand in one file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_EMBED_H
#define SP_EMBED_H
#include "kernel.h"
#include "portable/prelude.c"
#include "portable/load.c"
#include "portable/math.c"

#define SP_TEXT(name) sp_text_of_##name
#define SP_FN(name) sp_portable_row_##name

/* The file's bytes and a NUL, in read-only data. */
#define SP_EMBED_TEXT(name, path)                                                                   \
    __asm__(".pushsection .rodata\n"                                                                \
            ".globl sp_text_of_" #name "\n"                                                         \
            ".hidden sp_text_of_" #name "\n"                                                        \
            "sp_text_of_" #name ":\n"                                                               \
            ".incbin \"src/kernel/" path "\"\n"                                                     \
            ".byte 0\n"                                                                             \
            ".popsection\n");                                                                       \
    extern const char sp_text_of_##name[] __attribute__((visibility("hidden")));

/* The portable row of family NAME as SP_FN(NAME), where several families share a text. */
#define SP_PORTABLE_ROW(name)                                                                       \
    static void sp_portable_row_##name(const void *args, int phase, int64_t task, void *scratch)    \
    {                                                                                               \
        (void)scratch;                                                                              \
        sp_##name##_portable(args, phase, task);                                                    \
    }

#define SP_EMBED(name)                                                                              \
    SP_EMBED_TEXT(name, "portable/" #name ".c")                                                     \
    SP_PORTABLE_ROW(name)

/* Tasks of `block` that n needs. */
static inline int64_t sp_blocks(int64_t n, int64_t block)
{
    return (n + block - 1) / block;
}

/* Rows of a field table: SP_F(gemm, a, IN, "const void *"). */
#define SP_F(family, field, kind_, type) { #field, SP_FIELD_##kind_, offsetof(struct sp_##family##_args, field), type }
#endif
