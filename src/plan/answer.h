/* plan/answer.h - the whole answer to a question: memory, time, serving, energy,
 * money, of one way to do a job; and the search for the cheapest.  Part of the
 * door of plan.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ANSWER_H
#define SP_ANSWER_H
#include "ask.h"
#include "energy.h"
#include "here.h"
#include "memory.h"
#include "serve.h"
#include "hours.h"
#include "where.h"

struct sp_planned_with {
    const struct sp_catalog *catalog;      /* prices; NULL: none                                                     */
    const struct sp_rates *rates;          /* measured on this machine, may be NULL                                  */
    double deadline_s;                     /* training: at most so long; 0: as long as it takes                      */
    bool cut_given;                        /* the person said how it is cut; else it is cut so that it fits          */
    bool count_given;                      /* and how many devices; else as many as memory and deadline take         */
    bool counts_least;                     /* devices_least is looked for, however many are used                     */
    double budget;                         /* what it may cost, in the answer's currency; 0: whatever it costs       */
    double price_per_hour;                 /* rent of a device; negative: the catalogue's                            */
    const char *currency;                  /* of that, and of the answer; NULL: of the price found                   */
    struct sp_money_rates money_rates;
};
struct sp_planned {
    struct sp_ask ask;                     /* completed: devices, cut                                                */
    bool here;                             /* on this machine's processor; then memory, serve are not filled   */
    struct sp_memory_plan memory;
    struct sp_time_plan time;              /* training, with tokens                                                  */
    struct sp_serve_plan serve;            /* task serve                                                             */
    struct sp_energy_plan energy;
    struct sp_plan_money money;            /* rented and owned; cost.money is the rent on demand, else the own machine's */
    struct sp_cost cost;                   /* of the whole training; of a million tokens of answers when served; of one answer here */
    struct sp_plan_questions asked;        /* kernel rows without a measured rate                                    */
    int64_t devices, devices_least;        /* used; the least that holds it, 0: nobody looked                        */
    bool fits, in_time, in_budget;         /* in_budget: false too when there is a budget and no price               */
};
/* a: model, job and machine given, not completed.  What doesn't fit is an answer (fits false), not an error. */
enum sp_status sp_plan_answer(const struct sp_ask *a, const struct sp_planned_with *with, struct sp_planned *out, struct sp_explain *explain, struct sp_err *err);
/* Makes m a machine of n such devices: embodied carbon and price go with them. */
void sp_machine_set_devices(struct sp_machine *m, int64_t n);

/* ---- the cheapest ---- */
enum sp_best_by { SP_BEST_MONEY = 1, SP_BEST_TIME, SP_BEST_ENERGY, SP_BEST_CO2E };
extern const char *const sp_best_names[];  /* "none", "money", ...; NULL-terminated */
enum { SP_BEST_MAX = 64 };
struct sp_best_ask {
    const struct sp_planned_with *with;    /* deadline, budget, prices; counts and cuts are searched */
    enum sp_best_by by;
    int n; const struct sp_machine *machine; /* places to try, device.count 1 */
};
struct sp_best {
    int tried, fit, within, n;             /* ways looked at, that fit in memory, within budget and deadline, kept in plan */
    bool on_frontier[SP_BEST_MAX];         /* no other is better in money, time, energy and CO2e at once */
    struct sp_planned plan[SP_BEST_MAX];   /* best first; then the others of the frontier */
};
/* Machine, count, cut, precision and technique: every way that a allows (what the person gave stays).  Owned: sp_free. */
enum sp_status sp_plan_best(const struct sp_ask *a, const struct sp_best_ask *ask, struct sp_best **out, struct sp_err *err);
#endif
