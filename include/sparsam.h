/* sparsam.h - what an AI model costs, how it gets cheaper, what that really saved.
 *
 * A program:
 *     #include <sparsam.h>
 *     #include <stdio.h>
 *     int main(void)
 *     {
 *         char text[4096];
 *         struct sparsam_machine *m = NULL;
 *         if (sparsam_machine_open(&m, NULL) == SPARSAM_OK)
 *             puts(sparsam_machine_text(m, text, sizeof text));
 *         sparsam_machine_close(m);
 *         return m == NULL;
 *     }
 *
 * Handles are opaque and belong to the caller until closed; closing NULL does
 * nothing.  Option structs begin with their size, so that a program compiled
 * against an older header keeps working: start from SPARSAM_..._OPTIONS.
 * A function that fails returns a status and leaves its sentence for
 * sparsam_error(), which is kept for each thread.  Nothing here prints or exits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SPARSAM_H
#define SPARSAM_H
#include <stddef.h>
#include <stdint.h>

#define SPARSAM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#define SPARSAM_API __attribute__((visibility("default")))

enum sparsam_status {
    SPARSAM_OK,
    SPARSAM_NOMEM,
    SPARSAM_USAGE,
    SPARSAM_SHAPE,
    SPARSAM_FORMAT,
    SPARSAM_IO,
    SPARSAM_LIMIT,
    SPARSAM_UNSUPPORTED,
    SPARSAM_DIVERGED,
    SPARSAM_INTERRUPTED,
    SPARSAM_MISSING,
};

/* The library's version, which may be newer than SPARSAM_VERSION of this header. */
SPARSAM_API const char *sparsam_version(void);
/* The sentence of this thread's last failure: what was found, what was wanted, the way out.  "" before any. */
SPARSAM_API const char *sparsam_error(void);

/* ---- the machine ---- */
struct sparsam_machine;
struct sparsam_machine_options {
    size_t size;    /* sizeof this struct                                */
    int threads;    /* 0: as many as this process may use                */
};
#define SPARSAM_MACHINE_OPTIONS { sizeof(struct sparsam_machine_options), 0 }
/* options NULL: all defaults. */
SPARSAM_API enum sparsam_status sparsam_machine_open(struct sparsam_machine **out,
                                                     const struct sparsam_machine_options *options);
SPARSAM_API void sparsam_machine_close(struct sparsam_machine *m);
/* One line about it into buf; returns buf. */
SPARSAM_API const char *sparsam_machine_text(const struct sparsam_machine *m, char *buf, size_t cap);
SPARSAM_API int sparsam_machine_threads(const struct sparsam_machine *m);

#ifdef __cplusplus
}
#endif
#endif
