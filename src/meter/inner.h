/* meter/inner.h - the parts of the meter: small files read, RAPL, NVML, memory.  [private to meter]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_METER_INNER_H
#define SP_METER_INNER_H
#include "meter.h"

/* ---- small files ---- */
enum { PATH_LEN = 512, SMALL_FILE_MAX = 65536 };
const char *sp_meter_sysfs(void);                      /* "/sys", or $SPARSAM_SYSFS */
/* First line without its newline; 0 or errno. */
int sp_meter_line(const char *path, char *buf, size_t cap);
int sp_meter_u64(const char *path, uint64_t *out);
/* Value after "key" and a colon in a file like /proc/meminfo or /proc/cpuinfo; false when absent. */
bool sp_meter_field(const char *path, const char *key, char *buf, size_t cap);

/* ---- RAPL: energy counters of processor packages and their memory, in microjoules ---- */
enum { RAPL_MAX = 16 };
struct sp_rapl_zone { char path[PATH_LEN], name[40]; uint64_t range, last; bool readable, counts; int error; };
struct sp_rapl { int n; struct sp_rapl_zone at[RAPL_MAX]; };
void sp_rapl_open(struct sp_rapl *r);
bool sp_rapl_readable(const struct sp_rapl *r);        /* at least one zone that counts      */
void sp_rapl_start(struct sp_rapl *r);
/* Joules since the reading before (start or this); wraps at the zone's range.  Call at least once a wrap. */
double sp_rapl_take(struct sp_rapl *r);

/* ---- NVML: energy counters of NVIDIA devices, in millijoules; the library is loaded when asked for ---- */
enum { NVML_MAX = 16 };
struct sp_nvml { void *library; int n; void *device[NVML_MAX]; uint64_t last[NVML_MAX]; bool counts[NVML_MAX]; const char *why; };
void sp_nvml_open(struct sp_nvml *v);
void sp_nvml_close(struct sp_nvml *v);
bool sp_nvml_readable(const struct sp_nvml *v);
void sp_nvml_start(struct sp_nvml *v);
double sp_nvml_take(struct sp_nvml *v);

/* ---- memory and processor time ---- */
bool sp_peak_reset(void);                              /* /proc/self/clear_refs; false: not possible */
double sp_peak_bytes(void);                            /* of this process since the reset, or its whole life */
double sp_peak_children(void);                         /* the largest waited-for child               */
double sp_cpu_seconds(bool own);                       /* user and system, of waited-for children; own: and this process */
#endif
