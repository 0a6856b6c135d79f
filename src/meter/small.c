/* meter/small.c - one-line files of /proc and /sys, memory peaks, processor time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "inner.h"

const char *sp_meter_sysfs(void)
{
    const char *given = getenv("SPARSAM_SYSFS");
    return given && *given ? given : "/sys";
}

int sp_meter_line(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t n = read(fd, buf, cap - 1);
    int wrong = n < 0 ? errno : 0;
    close(fd);
    buf[n > 0 ? n : 0] = 0;
    buf[strcspn(buf, "\n")] = 0;
    return wrong;
}

int sp_meter_u64(const char *path, uint64_t *out)
{
    char buf[64], *end;
    int wrong = sp_meter_line(path, buf, sizeof buf);
    if (wrong)
        return wrong;
    errno = 0;
    unsigned long long v = strtoull(buf, &end, 10);
    if (errno || end == buf || *end)
        return EINVAL;
    *out = v;
    return 0;
}

bool sp_meter_field(const char *path, const char *key, char *buf, size_t cap)
{
    char line[1024];
    size_t n = strlen(key);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *p = line + n;
        if (strncmp(line, key, n))
            continue;
        p += strspn(p, " \t");
        if (*p++ != ':')
            continue;
        p += strspn(p, " \t");
        snprintf(buf, cap, "%.*s", (int)strcspn(p, "\n"), p);
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

bool sp_peak_reset(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, "5", 1) == 1;
    if (fd >= 0)
        close(fd);
    return done;
}

double sp_peak_bytes(void)
{
    char text[64];
    struct rusage u;
    if (sp_meter_field("/proc/self/status", "VmHWM", text, sizeof text))
        return 1024 * strtod(text, NULL);
    return getrusage(RUSAGE_SELF, &u) ? 0 : 1024.0 * (double)u.ru_maxrss;
}

double sp_peak_children(void)
{
    struct rusage u;
    return getrusage(RUSAGE_CHILDREN, &u) ? 0 : 1024.0 * (double)u.ru_maxrss;
}

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + 1e-6 * (double)t->tv_usec;
}

double sp_cpu_seconds(bool own)
{
    struct rusage self = { 0 }, children = { 0 };
    if (own)
        getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return seconds(&self.ru_utime) + seconds(&self.ru_stime) + seconds(&children.ru_utime) + seconds(&children.ru_stime);
}
