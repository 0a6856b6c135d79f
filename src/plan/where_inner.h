/* plan/where_inner.h - a rent found in the catalogue, and the terms of a question.
 * [private to plan]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WHERE_INNER_H
#define SP_WHERE_INNER_H
#include "where.h"

/* A row of instances that has the wanted device, a device-hour at a time, in the currency asked for. */
struct sp_rent {
    const struct sp_instance *row;     /* NULL: nobody offers it                                            */
    double on_demand, spot, reserved;  /* of a device of the job; devices of an instance that idle are paid */
    char currency[4];
    bool other_form;                   /* the row's accelerator is another form or memory of the same part  */
};
/* The cheapest on demand with this provider in this region (NULL: any).  missing_rate: a currency that was met and
 * that no rate leads from. */
void sp_rent_find(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, const char *provider, const char *region, struct sp_rent *out,
                  char missing_rate[4]);
/* false: no rate leads from one to the other. */
bool sp_money_convert(const struct sp_money_rates *rates, double amount, const char *from, const char *to, double *out);
/* A default of the catalogue with its range, or what the person said (not negative). */
struct sp_figure sp_own_term(const struct sp_catalog *c, const char *name, double said);
int sp_where_devices(const struct sp_machine *m);        /* at least 1 */
/* kWh of devices and hosts before the building: as asked, else by sp_plan_energy; high 0: unknown. */
struct sp_figure sp_where_kwh(const struct sp_plan_money_ask *ask);
/* Provider, region, currency and terms that there can be. */
enum sp_status sp_where_check(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_err *err);
#endif
