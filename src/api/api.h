/* api/api.h - what the files behind include/sparsam.h share.  [door of api]
 * Deliberately tiny: the public functions are declared in sparsam.h alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_API_H
#define SP_API_H
#include <sparsam.h>
#include "../base/base.h"
#include "../cost/cost.h"

struct sparsam_machine { struct sp_machine m; struct sp_pool *pool; };

/* Keeps the sentence for sparsam_error() and gives the public status. */
enum sparsam_status sp_api_status(enum sp_status st, const struct sp_err *err);
/* Copies an option struct of the caller's size over one of ours that holds the defaults.  given NULL: nothing;
 * SP_USAGE when its size field is not one that this library can have made. */
enum sp_status sp_api_options(void *ours, size_t size, const void *given, const char *what, struct sp_err *err);
/* The same way back: fills as much of the caller's struct as the caller knows. */
void sp_api_result(void *given, const void *ours, size_t size);
#endif
