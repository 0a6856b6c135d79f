/* examples/version.c - the library's version, and that header and library agree.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sparsam.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("header %s, library %s\n", SPARSAM_VERSION, sparsam_version());
    return strcmp(SPARSAM_VERSION, sparsam_version()) != 0;
}
