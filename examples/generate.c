/* examples/generate.c MODEL PROMPT - continues a prompt, printing as it goes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sparsam.h>
#include <stdio.h>

static void show(void *self, const char *text)
{
    fputs(text, self);
    fflush(self);
}

int main(int argc, char **argv)
{
    struct sparsam_machine *here = NULL;
    struct sparsam_model *model = NULL;
    struct sparsam_answer a = SPARSAM_ANSWER;
    struct sparsam_generate_options o = SPARSAM_GENERATE_OPTIONS;
    if (argc != 3) {
        fprintf(stderr, "usage: generate MODEL PROMPT\n");
        return 2;
    }
    o.on_text = show;
    o.self = stdout;
    o.temperature = 0.8;
    int failed = sparsam_machine_open(&here, NULL) || sparsam_model_open(&model, here, argv[1], NULL) ||
                 sparsam_generate(model, argv[2], &o, &a);
    if (failed)
        fprintf(stderr, "%s\n", sparsam_error());
    else
        printf("\n[%lld tokens, %.1f a second]\n", (long long)a.tokens, a.generate_s > 0 ? (double)a.tokens / a.generate_s : 0);
    sparsam_answer_clear(&a);
    sparsam_model_close(model);
    sparsam_machine_close(here);
    return failed;
}
