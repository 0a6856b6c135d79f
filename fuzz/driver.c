/* fuzz/driver.c - feeds files to a fuzz target without a fuzzer: the seed corpus
 * in `make check`.  Arguments are files and folders; prints a count line.
 *
 * Each file is also fed cut short at eight lengths and with single bits flipped,
 * the same ones every time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20, PATH_CAP = 4096, CUTS = 8, FLIPS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as large as the input, so that a sanitizer sees the first byte past it. */
static void feed(const uint8_t *data, size_t n, size_t flip)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        exit(1);
    memcpy(copy, data, n);
    if (flip && n)
        copy[flip * 2654435761u % n] ^= (uint8_t)(1u << flip % 8);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int feed_file(const char *path)
{
    static uint8_t data[FILE_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    feed(data, n, 0);
    for (size_t i = 0; i < CUTS; i++)
        feed(data, n * i / CUTS, 0);
    for (size_t i = 1; i <= FLIPS; i++)
        feed(data, n, i);
    return 1;
}

static int feed_path(const char *path)
{
    struct stat st;
    char below[PATH_CAP];
    int n = 0;
    if (stat(path, &st))
        return 0;
    if (!S_ISDIR(st.st_mode))
        return feed_file(path);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below)
            continue;
        n += feed_path(below);
    }
    if (d)
        closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++)
        n += feed_path(argv[i]);
    printf("%d passed, %d failed, 0 skipped\n", n, n == 0);
    return n == 0;
}
