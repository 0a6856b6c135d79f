/* catalog/server_power_data.c - made from catalog/server_power.csv by `make catalog`: change that, not this.
 * SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

const struct sp_server_power sp_server_rows[] = {
    { "amd", "2007-2011", 2007, 2011, { 0.449, 0.516, 0.588, 0.646, 0.696, 0.75, 0.803, 0.854, 0.906, 0.955, 1.0 }, 2.958, 24.765, "SPECpower_ssj2008: load curve from 41 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 36 servers (cloud-carbon-coefficients)" },
    { "amd", "2012-2016", 2012, 2016, { 0.253, 0.402, 0.471, 0.536, 0.611, 0.692, 0.769, 0.834, 0.893, 0.95, 1.0 }, 2.750, 13.625, "SPECpower_ssj2008: load curve from 17 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 19 servers (cloud-carbon-coefficients)" },
    { "amd", "2017-2020", 2017, 2020, { 0.272, 0.467, 0.53, 0.584, 0.635, 0.693, 0.746, 0.805, 0.865, 0.931, 1.0 }, 0.000, 0.000, "SPECpower_ssj2008: load curve from 39 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of  servers (cloud-carbon-coefficients)" },
    { "amd", "2021+", 2021, 2100, { 0.223, 0.393, 0.446, 0.491, 0.545, 0.614, 0.66, 0.727, 0.789, 0.887, 1.0 }, 0.000, 0.000, "SPECpower_ssj2008: load curve from 22 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of  servers (cloud-carbon-coefficients)" },
    { "intel", "2007-2011", 2007, 2011, { 0.415, 0.526, 0.58, 0.622, 0.668, 0.715, 0.767, 0.826, 0.886, 0.945, 1.0 }, 3.046, 22.725, "SPECpower_ssj2008: load curve from 205 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 202 servers (cloud-carbon-coefficients)" },
    { "intel", "2012-2016", 2012, 2016, { 0.228, 0.333, 0.382, 0.429, 0.486, 0.54, 0.606, 0.684, 0.773, 0.899, 1.0 }, 1.728, 7.059, "SPECpower_ssj2008: load curve from 144 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 142 servers (cloud-carbon-coefficients)" },
    { "intel", "2017-2020", 2017, 2020, { 0.137, 0.283, 0.334, 0.389, 0.443, 0.495, 0.565, 0.651, 0.756, 0.878, 1.0 }, 0.510, 3.893, "SPECpower_ssj2008: load curve from 108 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 106 servers (cloud-carbon-coefficients)" },
    { "intel", "2021+", 2021, 2100, { 0.249, 0.333, 0.378, 0.423, 0.466, 0.513, 0.572, 0.654, 0.766, 0.892, 1.0 }, 0.794, 3.913, "SPECpower_ssj2008: load curve from 43 servers (spec.org; spec_data_cleaned_unmelted.csv); watts a thread: median of 8 servers (cloud-carbon-coefficients)" },
};
const int sp_server_rows_n = sizeof sp_server_rows / sizeof *sp_server_rows;
