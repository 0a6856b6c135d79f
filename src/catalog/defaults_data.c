/* catalog/defaults_data.c - made from catalog/defaults.csv by `make catalog`: change that, not this.
 * SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

const struct sp_default sp_default_rows[] = {
    { "electricity_price_per_kwh", 0.1032, 0.2872, 0.3943, "EUR", "catalogue", "2024-12", "Eurostat nrg_pc_204: households in the EU; second half of 2024; low Hungary and high Germany" },
    { "server_embodied_g", 500000, 1000000, 3000000, "g", "assumed", "2026-11", "making a rack server: about a tonne in manufacturers' footprint sheets; disks and memory can treble it" },
    { "server_life_years", 3, 4, 6, "years", "assumed", "2026-11", "usual depreciation of servers" },
    { "server_threads", 32, 128, 256, "threads", "assumed", "2026-11", "threads of a server whose processor is not in the table" },
    { "client_embodied_g", 150000, 250000, 400000, "g", "assumed", "2026-11", "making a laptop or desktop: manufacturers' footprint sheets" },
    { "client_life_years", 3, 4, 6, "years", "assumed", "2026-11", "usual life of a personal computer" },
    { "wall_over_tdp", 1.05, 1.25, 1.6, "ratio", "assumed", "2026-11", "power at the plug over rated processor power: memory; fans; conversion losses" },
    { "unknown_full_w_thread", 1.5, 4, 10, "W", "assumed", "2026-11", "power of a busy thread where neither processor nor maker is known" },
    { "accelerator_embodied_g", 80000, 150000, 300000, "g", "assumed", "2026-11", "making a data-centre accelerator: life-cycle studies of the A100 find about 150 kg; newer ones with more stacked memory more" },
    { "electricity_price_per_kwh_usd", 0.08, 0.13, 0.25, "USD", "assumed", "2024-12", "business customers in the USA; low industry and high California; as of the EIA (recalled)" },
    { "own_rest", 0.2, 0.4, 0.8, "ratio", "assumed", "2026-11", "server; network and room of a device over its price: usual in worked comparisons of owning and renting" },
    { "own_months", 36, 48, 72, "months", "assumed", "2026-11", "usual depreciation of servers" },
    { "own_utilisation", 0.3, 0.6, 0.9, "ratio", "assumed", "2026-11", "share of all hours in which an own machine works" },
    { "own_staff", 0.02, 0.05, 0.15, "ratio", "assumed", "2026-11", "upkeep a year over what was bought; a small team pays the high end" },
    { "own_pue", 1.1, 1.56, 2, "ratio", "catalogue", "2024-12", "Uptime Institute survey 2024: mean 1.56; low a cloud and high a room with a split unit" },
    { "spot_repeats", 1.02, 1.1, 1.35, "ratio", "assumed", "2026-11", "work done again after interruptions; with checkpoints" },
    { "stale_price", 0.6, 1, 1.2, "ratio", "assumed", "2026-11", "a rent or price older than a year against today: rents of the A100 fell from 4.10 (2023-11) to 2.79 USD (2026)" },
};
const int sp_default_rows_n = sizeof sp_default_rows / sizeof *sp_default_rows;
