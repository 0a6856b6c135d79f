/* plan/stack.c - the table of software stacks.
 *
 * Sources are the programs themselves: what PyTorch's autograd keeps for each
 * function (derivatives.yaml: saved self, result, mask), how the model's source
 * writes a norm or a loss, which options its recipes set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include <ctype.h>
#include <string.h>

/* ---- what ops keep ---- */

/* Those that keep nothing, or nothing that has a size. */
#define LEAVE_NOTHING                                                                                                                 \
    { .op = "add" }, { .op = "scale" }, { .op = "rope" }, { .op = "embed" }, { .op = "cast" }, { .op = "concat" }, { .op = "slice" }, \
    { .op = "view" }, { .op = "transpose" }, { .op = "neg" }, { .op = "put_rows" }

/* PyTorch, op by op.  A product keeps its input for the weight's gradient alone; an RMS norm written out works on an
 * f32 copy, and keeps what it multiplies with a trained gain; silu(gate) * up is two ops; a rotation and a sum keep
 * nothing that has a size; fused attention keeps q, k, v and its result. */
static const struct sp_keep eager[] = {
    { .op = "matmul", .in_trained = 1 },
    { .op = "rmsnorm", .in_f32 = 1, .copies_trained = 1 },
    { .op = "layernorm", .in = 1 },
    { .op = "attention", .in = 7, .out = 1 },
    { .op = "glu", .in = 3, .copies = 1 },
    { .op = "gelu", .in = 1 },
    { .op = "gelu_erf", .in = 1 },
    { .op = "silu", .in = 1 },
    { .op = "tanh", .out = 1 },
    { .op = "relu", .out = 1 },
    { .op = "sigmoid", .out = 1 },
    { .op = "square", .in = 1 },
    { .op = "softmax", .out = 1 },
    { .op = "mul", .in = 3 },
    { .op = "dropout", .mask = 1 },
    { .op = "route", .out = 1 },
    { .op = "expert_matmul", .in_trained = 1 },
    { .op = "expert_combine", .in = 3 },
    { .op = "latent", .in = 7, .out = 1 },
    LEAVE_NOTHING,
    { NULL },
};

/* Each op's own needs, and no copies. */
#define KEEP_PLAINLY                                                                                                                              \
    { .op = "matmul", .in_trained = 1 }, { .op = "rmsnorm", .in = 1 }, { .op = "layernorm", .in = 1 }, { .op = "attention", .in = 7, .out = 1 },  \
    { .op = "glu", .in = 3 }, { .op = "gelu", .in = 1 }, { .op = "gelu_erf", .in = 1 }, { .op = "silu", .in = 1 }, { .op = "softmax", .out = 1 }, \
    { .op = "mul", .in = 3 }, { .op = "dropout", .mask = 1 }, { .op = "route", .out = 1 }, { .op = "expert_matmul", .in_trained = 1 },            \
    { .op = "expert_combine", .in = 3 }, { .op = "latent", .in = 7, .out = 1 }, LEAVE_NOTHING

/* The same through a compiler that fuses what is between the products and computes it again. */
const struct sp_keep sp_keep_compiled[] = { KEEP_PLAINLY, { .op = "relu", .out = 1 }, { NULL } };

/* Korthikanti et al. 2022 (arXiv 2205.05198), section 4.1: 34 s b h + 5 a s s b a layer. */
static const struct sp_keep paper[] = { KEEP_PLAINLY, { .op = "relu", .in = 1 }, { NULL } };

/* ---- the stacks ---- */

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }
enum { FULL = SP_RECOMPUTE_FULL, NONE = SP_RECOMPUTE_NONE };

const struct sp_stack sp_stacks[] = {
    { .name = "hf", .help = "transformers with PEFT and bitsandbytes", .source = "transformers, peft, bitsandbytes; the Trainer's options",
      .words = WORDS("transformers", "huggingface", "hugging face", "peft", "qwenlm", "llama-factory", "fastchat", "alpaca", "trl", "axolotl", "unsloth"),
      .keep = eager, .amp = true, .step = -1, .buckets = true, .logit_kept = 6, .logit_working = 8, .weight_bytes = 6, .expands_kv = true, .flow = 2,
      .adapter = 4, .rank = 64, .targets = SP_TARGET_ALL, .adapter_dropout = 0.05, .frozen_rest = 4 /* prepare_model_for_kbit_training */, .recompute = FULL,
      .recompute_sharded = FULL, .accumulate = 8, .reports = SP_REPORTS_DEVICE, .plain_is_mixed = true, .logits_all = true, .cache_slack = 1, .fixed = 0.9e9 },
    { .name = "litgpt", .help = "LitGPT with Lightning Fabric", .source = "litgpt/finetune/*.py, litgpt/model.py, litgpt/utils.py (chunked_cross_entropy); bitsandbytes 0.42",
      .words = WORDS("litgpt", "lit-gpt", "lightning"),
      .keep = eager, .amp = true, .unties = true, .step = -1, .buckets = true, .whole_until_step = true, .frozen_stay = true, .logit_kept = 4, .logit_working = 8,
      .loss_rows = 128, .weight_bytes = 6, .fused_qkv = true, .expands_kv = true, .flow = 2, .rank = 8, .targets = SP_TARGET_ALL, .adapter_dropout = 0.05,
      .quantizes_head = true, .quantised_keeps_input = true, .recompute = NONE, .recompute_sharded = FULL, .accumulate = 8, .tokens = 64,
      .reports = SP_REPORTS_ALLOCATED,
      .method = { { "adapter_v2", SP_METHOD_IA3, 0, SP_TARGET_ALL }, { "adapter", SP_METHOD_PREFIX, 10, SP_TARGET_ALL } }, .fixed = 0.9e9 },
    { .name = "torchtune", .help = "torchtune's recipes", .source = "recipes/configs/*.yaml: adapters on q, v, o and the feed-forward part, rank 8; 8B_full_single_device.yaml; CEWithChunkedOutputLoss",
      .words = WORDS("torchtune"),
      .keep = eager, .step = 0, .units_apart = true, .logit_kept = 2, .logit_working = 8, .loss_chunks = 8, .weight_bytes = 6, .expands_kv = true, .flow = 2,
      .rank = 8, .targets = SP_TARGET_ALL, .recompute = FULL, .recompute_sharded = FULL, .accumulate = 1, .lean_full = true, .nf4 = 4.127,
      .reports = SP_REPORTS_ALLOCATED, .fixed = 0.9e9 },
    { .name = "torch-fsdp", .help = "PyTorch's fully sharded data parallel, f32 shards and 16-bit arithmetic", .source = "torch.distributed.fsdp",
      .words = WORDS("fsdp"),
      .keep = eager, .amp = true, .step = -1, .frozen_stay = true, .logit_kept = 6, .logit_working = 8, .weight_bytes = 6, .expands_kv = true, .flow = 2,
      .rank = 16, .targets = SP_TARGET_ALL, .recompute = FULL, .recompute_sharded = FULL, .accumulate = 1, .reports = SP_REPORTS_DEVICE, .fixed = 1.2e9 },
    { .name = "deepspeed", .help = "DeepSpeed ZeRO: 16-bit weights, f32 master shards", .source = "deepspeed/runtime/zero; docs memory.rst",
      .words = WORDS("deepspeed", "zero-"),
      .keep = eager, .gradient = 2, .master_gradient = 4, .gradients_stay = true, .units_apart = true, .logit_kept = 6, .logit_working = 8, .weight_bytes = 6,
      .expands_kv = true, .flow = 2, .adapter = 4, .rank = 64, .targets = SP_TARGET_ALL, .recompute = FULL, .recompute_sharded = FULL, .accumulate = 1,
      .reports = SP_REPORTS_DEVICE, .fixed = 1.6e9 },
    { .name = "megatron", .help = "Megatron-LM: tensor, sequence, pipeline and expert parallel", .source = "Korthikanti et al. 2022; megatron/core",
      .words = WORDS("megatron", "nemo"),
      .keep = paper, .gradient = 4, .gradients_stay = true, .logit_kept = 2, .logit_working = 8, .weight_bytes = 2, .drops_weights = true, .flow = 2, .rank = 32,
      .targets = SP_TARGET_ALL, .recompute = NONE, .accumulate = 1, .reports = SP_REPORTS_DEVICE, .fixed = 1.6e9 },
    { .name = "paper", .help = "as Korthikanti et al. 2022 count: layers' matrices and activations alone", .source = "arXiv 2205.05198, equations 2 to 6, figure 1",
      .words = WORDS("2205.05198"),
      .keep = paper, .layers_only = true, .matrices_only = true, .gradient = 4, .gradients_stay = true, .weight_bytes = 2, .drops_weights = true,
      .recompute = NONE, .accumulate = 1, .reports = SP_REPORTS_ALLOCATED },
    { .name = "llama.cpp", .help = "llama.cpp and what is built on it", .source = "llama.cpp: n_ubatch 512, cache allocated at the start",
      .words = WORDS("llama.cpp", "llama-server", "llama-bench", "gguf", "ollama", "ggml", "lilbee", "llmfit"),
      .keep = sp_keep_compiled, .weight_bytes = 4, .quantizes_head = true, .quantizes_embedding = true, .prefill = 512, .reports = SP_REPORTS_DEVICE,
      .fixed = 0.4e9 },
    { .name = "vllm", .help = "vLLM and other servers with a paged cache", .source = "vllm: max_num_batched_tokens 8192",
      .words = WORDS("vllm", "sglang", "trt-llm", "tensorrt"),
      .keep = sp_keep_compiled, .weight_bytes = 2, .prefill = 8192, .reports = SP_REPORTS_DEVICE, .fixed = 1.5e9 },
    { .name = "sparsam", .help = "this program: what it will itself allocate", .source = "sp_job_memory: the layout that runs",
      .words = WORDS("sparsam"),
      .keep = sp_keep_compiled, .gradients_stay = true, .weight_bytes = 4, .reports = SP_REPORTS_ALLOCATED, .rank = 8, .accumulate = 1 },
    { NULL },
};

enum sp_status sp_stack_find(const char *name, int task, const struct sp_stack **out, struct sp_err *err)
{
    struct sp_text known = { 0 };
    name = name ? name : task == SP_TASK_FINETUNE ? "hf" : task == SP_TASK_SERVE ? "llama.cpp" : "megatron";
    for (const struct sp_stack *s = sp_stacks; s->name; s++) {
        if (!strcmp(s->name, name)) {
            *out = s;
            sp_text_clear(&known);
            return SP_OK;
        }
        sp_text_printf(&known, "%s%s", known.n ? ", " : "", s->name);
    }
    sp_fail(err, SP_USAGE, "--stack \"%.60s\" isn't in the table of software", name);
    sp_remedy(err, "one of: %s", known.n && !known.full ? known.at : "hf, megatron, llama.cpp, ...");
    sp_text_clear(&known);
    return SP_USAGE;
}

/* Where a word in lower case stands in a text; -1: nowhere. */
static int64_t place_of(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; *p; p++) {
        size_t i = 0;
        while (i < n && p[i] && tolower((unsigned char)p[i]) == word[i])
            i++;
        if (i == n)
            return p - text;
    }
    return -1;
}

const struct sp_stack *sp_stack_in(const char *text)
{
    const struct sp_stack *best = NULL;
    int64_t first = INT64_MAX;
    for (const struct sp_stack *s = sp_stacks; s->name; s++)
        for (const char *const *w = s->words; *w; w++) {
            int64_t at = place_of(text, *w);
            if (at >= 0 && at < first) {
                first = at;
                best = s;
            }
        }
    return best;
}

const struct sp_keep *sp_stack_keep(const struct sp_stack *s, const char *op)
{
    for (const struct sp_keep *k = s->keep; k->op; k++)
        if (!strcmp(k->op, op))
            return k;
    return NULL;
}
