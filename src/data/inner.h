/* data/inner.h - what the files of this room share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_DATA_INNER_H
#define SP_DATA_INNER_H
#include "data.h"

/* The readable text of an HTML page, appended to out: paragraphs apart by an empty line. */
enum sp_status sp_data_html(const char *html, size_t n, struct sp_text *out, struct sp_err *err);
uint64_t sp_data_hash(const char *s, size_t n);
#endif
