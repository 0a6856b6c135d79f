/* plan/law_budget.c - a budget of money, energy, time or device hours in FLOP.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fit.h"

const char *const sp_budget_names[SP_BUDGET_LIMITS] = { "FLOP", "device hours", "money", "energy", "days" };

static bool known(double v)
{
    return v > 0;
}

static enum sp_status lacks(const char *limit, const char *what, const char *remedy, struct sp_err *err)
{
    sp_fail(err, SP_USAGE, "a budget of %s needs %s", limit, what);
    return sp_remedy(err, "%s", remedy);
}

/* Hours of one device that each limit allows; INFINITY: it isn't set. */
static enum sp_status hours_of(const struct sp_budget *b, double hours[SP_BUDGET_LIMITS], struct sp_err *err)
{
    if (known(b->money) && !known(b->price))
        return lacks("money", "what a device costs an hour", "--price, in the same currency", err);
    if (known(b->energy_kwh) && !known(b->watts))
        return lacks("energy", "the watts of a device with its share of host and building", "--watts; a V100 in a server takes about 500", err);
    if (known(b->days) && !known(b->devices))
        return lacks("days", "the number of devices", "--devices, or --on DEVICE*N", err);
    hours[SP_BUDGET_FLOPS] = known(b->flops) ? b->flops / (3600 * b->peak_flops * b->utilisation) : INFINITY;
    hours[SP_BUDGET_HOURS] = known(b->device_hours) ? b->device_hours : INFINITY;
    hours[SP_BUDGET_MONEY] = known(b->money) ? b->money / b->price : INFINITY;
    hours[SP_BUDGET_ENERGY] = known(b->energy_kwh) ? b->energy_kwh * 1000 / b->watts : INFINITY;
    hours[SP_BUDGET_DAYS] = known(b->days) ? b->days * 24 * b->devices : INFINITY;
    return SP_OK;
}

enum sp_status sp_budget_flops(const struct sp_budget *b, double *flops, double *hours, enum sp_budget_limit *tightest, struct sp_err *err)
{
    double limit[SP_BUDGET_LIMITS] = { 0 };
    bool device = known(b->peak_flops) && known(b->utilisation);
    if (!known(b->flops) && !known(b->device_hours) && !known(b->money) && !known(b->energy_kwh) && !known(b->days)) {
        sp_fail(err, SP_USAGE, "no budget is given");
        return sp_remedy(err, "--flops 1e21, or --device-hours, --money, --energy or --days with a device");
    }
    if (!device && !(known(b->flops) && !known(b->device_hours) && !known(b->money) && !known(b->energy_kwh) && !known(b->days)))
        return lacks("anything but FLOP", "a device and the share of its peak that training reaches",
                     "--on DEVICE or --peak FLOP/s, and --mfu: 0.3 to 0.5 of large well-made runs, less of small ones", err);
    if (!device) {
        *flops = b->flops;
        *hours = NAN;
        *tightest = SP_BUDGET_FLOPS;
        return SP_OK;
    }
    TRY(hours_of(b, limit, err));
    int least = 0;
    for (int i = 1; i < SP_BUDGET_LIMITS; i++)
        if (limit[i] < limit[least])
            least = i;
    *hours = limit[least];
    *flops = least == SP_BUDGET_FLOPS ? b->flops : limit[least] * 3600 * b->peak_flops * b->utilisation;
    *tightest = (enum sp_budget_limit)least;
    return SP_OK;
}
