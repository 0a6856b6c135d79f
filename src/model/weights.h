/* model/weights.h - the kinds of model files.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WEIGHTS_H
#define SP_WEIGHTS_H
#include "model.h"

/* A llama2.c checkpoint: fills config, bin and tensors of an empty w. */
enum sp_status sp_weights_open_bin(struct sp_weights *w, const char *path, struct sp_err *err);
#endif
