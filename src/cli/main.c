/* cli/main.c - the command line.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

int main(void)
{
    puts("sparsam");
    return 0;
}
