/* model/weights.h - the kinds of model files.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WEIGHTS_H
#define SP_WEIGHTS_H
#include "model.h"

/* A llama2.c checkpoint: fills config, bin and tensors of an empty w. */
enum sp_status sp_weights_open_bin(struct sp_weights *w, const char *path, struct sp_err *err);
/* A GGUF file: the same, and its header. */
enum sp_status sp_weights_open_gguf(struct sp_weights *w, const char *path, struct sp_err *err);
/* n numbers from one format to another; n: whole blocks of both. */
void sp_tensor_convert(void *to, enum sp_format to_format, const void *from, enum sp_format from_format, int64_t n);
/* Names the file that was refused, and a way out where the sentence knows none. */
static inline enum sp_status sp_file_refused(struct sp_err *err, const char *path)
{
    if ((err->status == SP_FORMAT || err->status == SP_LIMIT || err->status == SP_SHAPE || err->status == SP_MISSING) && !err->remedy[0])
        sp_remedy(err, "the file is damaged or made to mislead: fetch it again where it is published");
    return sp_where(err, "%s", path);
}

#endif
