/* examples/predict.c RECIPE - what one training step of a recipe costs, before anything is spent.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sparsam.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct sparsam_machine *here = NULL;
    struct sparsam_prediction p = SPARSAM_PREDICTION;
    if (argc != 2) {
        fprintf(stderr, "usage: predict RECIPE.yaml\n");
        return 2;
    }
    int failed = sparsam_machine_open(&here, NULL) || sparsam_predict_training(here, argv[1], &p);
    if (failed)
        fprintf(stderr, "%s\n", sparsam_error());
    else
        printf("%.0f parameters, %.3g FLOPs a step, %.1f MB at most\n", p.parameters, p.flops_step,
               p.memory_peak_bytes / 1e6);
    sparsam_machine_close(here);
    return failed;
}
