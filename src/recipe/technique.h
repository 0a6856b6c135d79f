/* recipe/technique.h - a way to spend less.  Part of the door of recipe.
 *
 * A technique rewrites the plain data (recipe), the graph before its gradient
 * (graph), or weights that exist (weights).  It has no estimate of its own: what
 * it saves is the count with it minus the count without it.  Rows live in the
 * room technique, above; this const table is the one thing that points upwards.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TECHNIQUE_H
#define SP_TECHNIQUE_H
#include "../base/base.h"

struct sp_recipe;
struct sp_graph;

struct sp_technique {
    const char *name, *help;
    const char *cite;                       /* key of a catalogue row: where its published effect stands */
    const struct sp_option *options;        /* of a struct of options_bytes; NULL: none */
    size_t options_bytes;
    /* Any of these may be NULL. */
    enum sp_status (*recipe)(struct sp_recipe *r, const void *options, struct sp_err *err);
    enum sp_status (*graph)(struct sp_graph *g, const void *options, struct sp_err *err);
    enum sp_status (*weights)(struct sp_recipe *r, const void *options, struct sp_err *err);
};
extern const struct sp_technique *const sp_techniques[]; /* NULL-terminated; defined in technique/techniques.c */
#endif
