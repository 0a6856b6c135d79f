/* base/cpus.c - how many processors this process may use.
 *
 * The number of processors in the machine is not the answer: a batch scheduler
 * sets an affinity mask, a container a quota of processor time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "base.h"
#include "cpus.h"

enum { CPUS_MAX = 8192, PATH_BYTES = 1024, LEVELS_MAX = 32 };

static int affinity(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t bytes = CPU_ALLOC_SIZE(CPUS_MAX);
    int n = 1;
    if (set && !sched_getaffinity(0, bytes, set))
        n = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    return n < 1 ? 1 : n;
}

static bool read_line(const char *path, char *buf, size_t cap)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(buf, (int)cap, f);
    if (f)
        fclose(f);
    return ok;
}

/* The quota of one group in processors; INFINITY when it sets none. */
static double quota_at(const char *folder)
{
    char path[PATH_BYTES + 64], line[128], word[32];
    double quota, period;
    sp_format(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    if (!read_line(path, line, sizeof line))
        return INFINITY;
    char *gap = strchr(line, ' ');
    if (!gap || (size_t)(gap - line) >= sizeof word)
        return INFINITY;
    *gap = 0;
    gap[1 + strcspn(gap + 1, "\n")] = 0;
    if (!sp_parse_real(line, &quota) || !sp_parse_real(gap + 1, &period) || period <= 0)
        return INFINITY; /* "max 100000" */
    return quota / period;
}

/* The older layout: one pair of files, as a container sees its own group. */
static double quota_v1(void)
{
    char a[64], b[64];
    double quota, period;
    if (!read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", a, sizeof a) ||
        !read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", b, sizeof b))
        return INFINITY;
    a[strcspn(a, "\n")] = b[strcspn(b, "\n")] = 0;
    if (!sp_parse_real(a, &quota) || !sp_parse_real(b, &period) || quota <= 0 || period <= 0)
        return INFINITY;
    return quota / period;
}

/* The own group's path ("0::/a/b" in /proc/self/cgroup); "" when there is none. */
static void own_group(char *path, size_t cap)
{
    char line[PATH_BYTES];
    path[0] = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "0::", 3)) {
            line[strcspn(line, "\n")] = 0;
            sp_format(path, cap, "%s", line + 3);
        }
    if (f)
        fclose(f);
}

static double quota_least(void)
{
    char path[PATH_BYTES];
    own_group(path, sizeof path);
    double least = quota_v1();
    for (int i = 0; i < LEVELS_MAX; i++) {
        double q = quota_at(strcmp(path, "/") ? path : "");
        least = q < least ? q : least;
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return least;
}

int sp_cpus_usable(void)
{
    double n = affinity(), quota = ceil(quota_least());
    n = quota < n ? quota : n;
    return n < 1 ? 1 : (int)n;
}
