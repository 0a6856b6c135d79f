/* fuzz/temp.h - a fuzz input as a file, for readers that take a path.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FUZZ_TEMP_H
#define SP_FUZZ_TEMP_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One folder a process, in memory where there is such a place; path gets FOLDER/name. */
static inline bool fuzz_file(char *path, size_t cap, const char *name, const void *data, size_t n)
{
    char folder[64];
    snprintf(folder, sizeof folder, "%s/sparsam-fuzz-%d", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
    mkdir(folder, 0700);
    snprintf(path, cap, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    bool written = f && fwrite(data, 1, n, f) == n;
    return (f ? !fclose(f) : false) && written;
}

/* Removes the file and, when empty, its folder. */
static inline void fuzz_remove(char *path)
{
    unlink(path);
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    rmdir(path);
}
#endif
