/* api/api.h - what the files behind include/sparsam.h share.  [door of api]
 * Deliberately tiny: the public functions are declared in sparsam.h alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_API_H
#define SP_API_H
#include <sparsam.h>
#include "../base/base.h"
#include "../cost/cost.h"

struct sparsam_machine { struct sp_machine m; };

/* Keeps the sentence for sparsam_error() and gives the public status. */
enum sparsam_status sp_api_status(enum sp_status st, const struct sp_err *err);
#endif
