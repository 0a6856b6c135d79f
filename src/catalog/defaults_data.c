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
};
const int sp_default_rows_n = sizeof sp_default_rows / sizeof *sp_default_rows;
