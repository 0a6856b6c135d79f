/* kernel/prelude.c - the text that precedes all kernels in printed C.
 *
 * args.h, the reading of formats, the mathematics: embedded as one string.
 * SPDX-License-Identifier: Apache-2.0 */
#include "embed.h"

__asm__(".pushsection .rodata\n"
        "sp_prelude_bytes:\n"
        ".incbin \"src/kernel/args.h\"\n"
        ".incbin \"src/kernel/portable/prelude.c\"\n"
        ".incbin \"src/kernel/portable/load.c\"\n"
        ".incbin \"src/kernel/portable/math.c\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char sp_prelude_bytes[] __attribute__((visibility("hidden")));

const char *const sp_kernel_prelude = sp_prelude_bytes;
