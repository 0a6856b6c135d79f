/* bits/inner.h - what the files of bits share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BITS_INNER_H
#define SP_BITS_INNER_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "bits.h"

/* No number of x is infinite, or no number at all. */
static inline bool sp_bits_sound(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return isfinite(sum);
}

/* tensor.c: rows [first, first + n) as sp_export_rows makes them, by all threads; and all of a tensor's numbers, in format `as`
 * and Hugging Face's order, as whoever reads `stored`, its bytes in format f, has them. */
enum sp_status sp_bits_rows(const struct sp_export *e, const struct sp_export_tensor *t, int64_t first, int64_t n, enum sp_format f, struct sp_pool *pool, void *to,
                            struct sp_err *err);
enum sp_status sp_bits_read_back(const struct sp_export_tensor *t, enum sp_format f, const void *stored, enum sp_format as, void *to, struct sp_err *err);

/* stream.c: a model on windows, part by part.  begin makes what enters the first layer; open brings a part, with the
 * statistics `what` in its MICRO program, and run sends all windows through one of its programs, MICRO or SCORE; on: what comes
 * out enters the next part.  Of the whole work, told to watch, that is from `from` to `to`.  open and shut end the part before. */
struct sp_bits_stream {
    const struct sp_weights *w; const struct sp_windows *windows; const struct sp_machine *machine; struct sp_pool *pool; const struct sp_watch *watch;
    /* A row of the embedding; NULL: as it is stored. */
    enum sp_status (*row)(void *self, const char *tensor, int32_t id, int64_t cols, float *to, struct sp_err *err); void *self;
    struct sp_scratch hidden;      /* [windows][context, width], f32       */
    struct sp_job job; struct sp_live live; struct sp_bits_taps taps; /* of the part */
    char *embedding;
};
enum sp_status sp_bits_stream_begin(struct sp_bits_stream *s, double to, int what, struct sp_err *err);
enum sp_status sp_bits_stream_open(struct sp_bits_stream *s, enum sp_build_part part, int layer, int what, struct sp_err *err);
enum sp_status sp_bits_stream_run(struct sp_bits_stream *s, enum sp_run run, bool on, double from, double to, struct sp_err *err);
void sp_bits_stream_shut(struct sp_bits_stream *s);
void sp_bits_stream_clear(struct sp_bits_stream *s);
#endif
