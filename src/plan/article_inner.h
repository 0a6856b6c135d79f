/* plan/article_inner.h - what the files of the rule of thumb share.  Private to plan.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ARTICLE_INNER_H
#define SP_ARTICLE_INNER_H
#include "article.h"

static const double V100_FLOPS = 125e12, A100_FLOPS = 312e12; /* dense, 16 bits, data sheets                          */
static const double PF_DAY = 86400e15;                        /* FLOP of a petaflop/s-day                             */
static const double PASSES = 6;                               /* FLOP a parameter and token: forward 2, backward 4    */

double sp_article_tokens(double pf_days, double parameters);  /* in 10^9, that so many petaflop/s-days are for a model */
double sp_article_whole_up(double v);
enum sp_status sp_article_physical(struct sp_article *a, struct sp_err *err); /* fills .physical, of all models */
void sp_article_cannot(struct sp_article *a, const char *why);                /* a sentence: no physical estimate of one's own */
void sp_article_notes(struct sp_article *a);                  /* the sentences, of cells that are computed             */
#endif
