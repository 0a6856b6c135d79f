/* recipe/recipe.c - the option tables of a recipe's sections, reading, printing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "recipe.h"

#include <string.h>

#define BIG 1e15

#define AT(field) offsetof(struct sp_recipe_model, field)
static const char *const families[] = { "llama", "gpt2", "mlp", NULL };
const struct sp_option sp_recipe_model_options[] = {
    { .name = "model", .key = "model.path", .letter = 'm', .kind = SP_OPT_TEXT, .at = AT(path), .group = "Model", .unit = "PATH",
      .help = "folder or config.json that gives the shape; without it the sizes below do" },
    { .name = "family", .key = "model.family", .kind = SP_OPT_CHOICE, .at = AT(family), .choices = families, .help = "architecture" },
    { .name = "layers", .key = "model.layers", .kind = SP_OPT_INT, .at = AT(layers), .min = 1, .max = 1000, .fallback = 4, .help = "transformer blocks" },
    { .name = "width", .key = "model.width", .kind = SP_OPT_INT, .at = AT(width), .min = 1, .max = 1 << 17, .fallback = 256, .help = "numbers of the residual stream" },
    { .name = "heads", .key = "model.heads", .kind = SP_OPT_INT, .at = AT(heads), .min = 1, .max = 1024, .fallback = 4, .help = "attention heads" },
    { .name = "kv-heads", .key = "model.kv_heads", .kind = SP_OPT_INT, .at = AT(kv_heads), .min = 0, .max = 1024, .fallback = 0,
      .help = "heads of keys and values; 0: as many as --heads" },
    { .name = "head-dim", .key = "model.head_dim", .kind = SP_OPT_INT, .at = AT(head_dim), .min = 0, .max = 512, .fallback = 0, .help = "numbers a head; 0: width / heads" },
    { .name = "ffn", .key = "model.ffn", .kind = SP_OPT_INT, .at = AT(ffn), .min = 0, .max = 1 << 19, .fallback = 0,
      .help = "width of the feed-forward part; 0: the family's usual" },
    { .name = "model-vocab", .key = "model.vocab", .kind = SP_OPT_INT, .at = AT(vocab), .min = 0, .max = 1 << 22, .fallback = 0, .help = "vocabulary; 0: the tokenizer's" },
    { .name = "context", .key = "model.context", .letter = 'c', .kind = SP_OPT_INT, .at = AT(context), .min = 1, .max = 1 << 24, .fallback = 256, .unit = "tokens",
      .help = "longest sequence" },
    { .name = "tied", .key = "model.tied", .kind = SP_OPT_FLAG, .at = AT(tied), .fallback = 1, .help = "the output head is the embedding" },
    { .name = "bias", .key = "model.bias", .kind = SP_OPT_FLAG, .at = AT(bias), .help = "GPT-2 family: linear layers and norms have a bias" },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct sp_recipe_data, field)
static const char *const splits[] = { "eot", "none", "blank", NULL };
const struct sp_option sp_recipe_data_options[] = {
    { .name = "data", .key = "data.path", .letter = 'd', .kind = SP_OPT_TEXT, .at = AT(path), .group = "Data", .unit = "PATH",
      .help = "file or folder of .txt, .jsonl, .html, also .gz and .zst" },
    { .name = "valid", .key = "data.valid_path", .kind = SP_OPT_TEXT, .at = AT(valid_path), .unit = "PATH", .help = "held-out text; without it a share of --data is kept back" },
    { .name = "valid-share", .key = "data.valid_share", .kind = SP_OPT_REAL, .at = AT(valid_share), .min = 0, .max = 0.9, .fallback = 0.1,
      .help = "share of the documents that training doesn't see" },
    { .name = "tokenizer", .key = "data.tokenizer", .kind = SP_OPT_TEXT, .at = AT(tokenizer), .fallback_text = "bpe", .unit = "FILE",
      .help = "a tokenizer.json, or bpe (trained on the data), bytes, chars" },
    { .name = "vocab", .key = "data.vocab", .kind = SP_OPT_INT, .at = AT(vocab), .min = 257, .max = 1 << 20, .fallback = 2048, .unit = "tokens",
      .help = "size of a tokenizer to train" },
    { .name = "text-key", .key = "data.key", .kind = SP_OPT_TEXT, .at = AT(key), .fallback_text = "text", .help = "key of the text in .jsonl" },
    { .name = "split", .key = "data.split", .kind = SP_OPT_CHOICE, .at = AT(split), .choices = splits,
      .help = "what ends a document in .txt: <|endoftext|>, nothing, or blank lines" },
    { .name = "bytes-max", .key = "data.bytes_max", .kind = SP_OPT_INT, .at = AT(bytes_max), .min = 0, .max = 4294967296.0, .fallback = 0, .unit = "bytes",
      .help = "text to keep at most; 0: 4 GB" },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct sp_recipe_train, field)
static const char *const recomputes[] = { "none", "full", "selective", NULL };
static const char *const schedules[] = { "constant", "cosine", "wsd", NULL };
static const char *const caches[] = { "f32", "bf16", "f16", "q8_0", "q4_0", NULL };
static const char *const computes[] = { "f32", "bf16", NULL };
const struct sp_option sp_recipe_train_options[] = {
    { .name = "batch", .key = "train.batch", .letter = 'b', .kind = SP_OPT_INT, .at = AT(batch), .min = 1, .max = 1 << 20, .fallback = 8, .group = "Training", .unit = "sequences",
      .help = "sequences in a micro-step, of all ranks together" },
    { .name = "tokens", .key = "train.tokens", .kind = SP_OPT_INT, .at = AT(tokens), .min = 0, .max = 1 << 24, .fallback = 0, .unit = "tokens",
      .help = "length of a sequence; 0: the context" },
    { .name = "accumulate", .key = "train.accumulate", .kind = SP_OPT_INT, .at = AT(accumulate), .min = 1, .max = 1 << 20, .fallback = 1, .help = "micro-steps an update" },
    { .name = "steps", .key = "train.steps", .kind = SP_OPT_INT, .at = AT(steps), .min = 0, .max = 1e9, .fallback = 0, .help = "updates; 0: no limit" },
    { .name = "tokens-total", .key = "train.tokens_total", .kind = SP_OPT_INT, .at = AT(tokens_total), .min = 0, .max = BIG, .fallback = 0, .unit = "tokens",
      .help = "train on so many tokens; 0: no limit" },
    { .name = "minutes", .key = "train.minutes", .kind = SP_OPT_REAL, .at = AT(minutes), .min = 0, .max = 1e7, .fallback = 0, .unit = "min",
      .help = "train so long; 0: no limit" },
    { .name = "lr", .key = "train.lr", .kind = SP_OPT_REAL, .at = AT(lr), .min = 0, .max = 10, .fallback = 1e-3, .help = "learning rate at its highest" },
    { .name = "min-lr", .key = "train.min_lr", .kind = SP_OPT_REAL, .at = AT(min_lr), .min = 0, .max = 1, .fallback = 0.1, .help = "share of it left at the end" },
    { .name = "warmup", .key = "train.warmup_steps", .kind = SP_OPT_REAL, .at = AT(warmup_steps), .min = 0, .max = 1e9, .fallback = 50, .unit = "steps",
      .help = "steps in which the learning rate rises" },
    { .name = "schedule", .key = "train.schedule", .kind = SP_OPT_CHOICE, .at = AT(schedule), .choices = schedules, .fallback = SP_SCHEDULE_COSINE,
      .help = "course of the learning rate; wsd: warm up, stay, decay" },
    { .name = "decay-fraction", .key = "train.decay_fraction", .kind = SP_OPT_REAL, .at = AT(decay_fraction), .min = 0, .max = 1, .fallback = 0.2,
      .help = "share of the run that wsd decays in" },
    { .name = "weight-decay", .key = "train.weight_decay", .kind = SP_OPT_REAL, .at = AT(weight_decay), .min = 0, .max = 10, .fallback = 0.1, .help = "decoupled decay of matrices" },
    { .name = "beta1", .key = "train.beta1", .kind = SP_OPT_REAL, .at = AT(beta1), .min = 0, .max = 0.999999, .fallback = 0.9, .help = "decay of AdamW's first moment" },
    { .name = "beta2", .key = "train.beta2", .kind = SP_OPT_REAL, .at = AT(beta2), .min = 0, .max = 0.999999, .fallback = 0.95, .help = "decay of its second moment" },
    { .name = "eps", .key = "train.eps", .kind = SP_OPT_REAL, .at = AT(eps), .min = 1e-20, .max = 1, .fallback = 1e-8, .help = "added to the root of the second moment" },
    { .name = "clip", .key = "train.clip", .kind = SP_OPT_REAL, .at = AT(clip), .min = 0, .max = 1e9, .fallback = 1, .help = "largest norm of the gradient; 0: not clipped" },
    { .name = "dropout", .key = "train.dropout", .kind = SP_OPT_REAL, .at = AT(dropout), .min = 0, .max = 0.95, .fallback = 0, .help = "share of activations dropped" },
    { .name = "seed", .key = "train.seed", .kind = SP_OPT_INT, .at = AT(seed), .min = 0, .max = BIG, .fallback = 1, .help = "of weights, batches and dropout" },
    { .name = "compute", .key = "train.compute", .kind = SP_OPT_CHOICE, .at = AT(compute), .choices = computes, .help = "format of matrix inputs; master weights stay f32" },
    { .name = "recompute", .key = "train.recompute", .kind = SP_OPT_CHOICE, .at = AT(recompute), .choices = recomputes, .fallback = 2,
      .help = "what the backward pass computes again instead of keeping it; selective: activations and norms, full: whole layers" },
    { .name = "loss-rows", .key = "train.loss_rows", .kind = SP_OPT_INT, .at = AT(loss_rows), .min = 0, .max = 1 << 24, .fallback = 0, .help = "rows of logits at a time; 0: chosen" },
    { .name = "eval-every", .key = "train.eval_every", .kind = SP_OPT_INT, .at = AT(eval_every), .min = 0, .max = 1e9, .fallback = 0, .unit = "steps", .help = "score held-out text so often; 0: at the end only" },
    { .name = "eval-batches", .key = "train.eval_batches", .kind = SP_OPT_INT, .at = AT(eval_batches), .min = 1, .max = 1e6, .fallback = 20, .help = "batches of such a look" },
    { .name = "checkpoint-every", .key = "train.checkpoint_every", .kind = SP_OPT_INT, .at = AT(checkpoint_every), .min = 0, .max = 1e9, .fallback = 200, .unit = "steps",
      .help = "write a checkpoint so often; 0: at the end only" },
    { .name = "out", .key = "train.out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .unit = "FOLDER", .help = "where model, tokenizer and checkpoints go" },
    { .name = "init", .key = "train.init", .kind = SP_OPT_TEXT, .at = AT(init), .unit = "PATH", .help = "a model whose weights to begin with" },
    { .name = "resume", .key = "train.resume", .kind = SP_OPT_FLAG, .at = AT(resume), .fallback = 1, .help = "go on from the checkpoint in --out" },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct sp_recipe_serve, field)
const struct sp_option sp_recipe_serve_options[] = {
    { .name = "max-tokens", .key = "serve.max_tokens", .letter = 'n', .kind = SP_OPT_INT, .at = AT(max_tokens), .min = -1, .max = 1 << 24, .fallback = -1, .group = "Answering",
      .unit = "tokens", .help = "tokens to generate at most; -1: 128, in a conversation as many as the context holds" },
    { .name = "temperature", .key = "serve.temperature", .letter = 't', .kind = SP_OPT_REAL, .at = AT(temperature), .min = 0, .max = 100, .fallback = 0.8, .help = "0: always the likeliest token" },
    { .name = "top-k", .key = "serve.top_k", .kind = SP_OPT_INT, .at = AT(top_k), .min = 0, .max = 1 << 22, .fallback = 40, .help = "draw from the k likeliest; 0: all" },
    { .name = "top-p", .key = "serve.top_p", .kind = SP_OPT_REAL, .at = AT(top_p), .min = 0, .max = 1, .fallback = 0.95, .help = "draw from the likeliest that make up this share" },
    { .name = "min-p", .key = "serve.min_p", .kind = SP_OPT_REAL, .at = AT(min_p), .min = 0, .max = 1, .fallback = 0.05, .help = "leave out what is less likely than this times the likeliest" },
    { .name = "repeat-penalty", .key = "serve.repeat_penalty", .kind = SP_OPT_REAL, .at = AT(repeat_penalty), .min = 0.01, .max = 100, .fallback = 1, .help = "divides the logits of tokens already there" },
    { .name = "greedy", .key = "serve.greedy", .kind = SP_OPT_FLAG, .at = AT(greedy), .help = "always the likeliest token" },
    { .name = "sample-seed", .key = "serve.seed", .kind = SP_OPT_INT, .at = AT(seed), .min = 0, .max = BIG, .fallback = 1, .help = "the same seed draws the same tokens" },
    { .name = "ignore-end", .key = "serve.ignore_eos", .kind = SP_OPT_FLAG, .at = AT(ignore_eos), .help = "go on past an end token" },
    { .name = "prefill", .key = "serve.prefill", .kind = SP_OPT_INT, .at = AT(prefill), .min = 1, .max = 1 << 16, .fallback = 128, .unit = "tokens", .help = "tokens of a prompt at a time" },
    { .name = "cache", .key = "serve.cache", .kind = SP_OPT_INT, .at = AT(cache), .min = 0, .max = 1 << 24, .fallback = 0, .unit = "tokens", .help = "positions kept; 0: the model's context" },
    { .name = "serve-batch", .key = "serve.batch", .kind = SP_OPT_INT, .at = AT(batch), .min = 1, .max = 4096, .fallback = 1, .help = "sequences at once" },
    { .name = "serve-compute", .key = "serve.compute", .kind = SP_OPT_CHOICE, .at = AT(compute), .choices = computes, .help = "format of matrix inputs" },
    { .name = "cache-format", .key = "serve.cached", .kind = SP_OPT_CHOICE, .at = AT(cached), .choices = caches, .help = "format of cached keys and values; f16 where a head doesn't divide into blocks" },
    { 0 },
};
#undef AT

#define AT(field) offsetof(struct sp_recipe_place, field)
const struct sp_option sp_recipe_place_options[] = {
    { .name = "threads", .key = "place.threads", .kind = SP_OPT_INT, .at = AT(threads), .min = 0, .max = SP_THREADS_MAX, .fallback = 0, .group = "Place", .help = "0: all that may be used" },
    { .name = "zone", .key = "place.zone", .kind = SP_OPT_TEXT, .at = AT(zone), .unit = "ZONE", .help = "grid zone" },
    { .name = "price-kwh", .key = "place.price_per_kwh", .kind = SP_OPT_REAL, .at = AT(price_per_kwh), .min = -1, .max = 1000, .fallback = -1, .help = "tariff; negative: the machine's" },
    { .name = "price-hour", .key = "place.price_per_hour", .kind = SP_OPT_REAL, .at = AT(price_per_hour), .min = -1, .max = 1e6, .fallback = -1, .help = "rent; negative: none" },
    { .name = "co2e-kwh", .key = "place.co2e_per_kwh", .kind = SP_OPT_REAL, .at = AT(co2e_per_kwh), .min = -1, .max = 5000, .fallback = -1, .unit = "g",
      .help = "of the grid in the hours it runs (sparsam plan when); 0 or less: the zone's mean" },
    { .name = "pue", .key = "place.pue", .kind = SP_OPT_REAL, .at = AT(pue), .min = 1, .max = 10, .fallback = 1,
      .help = "what the building takes for each watt of the machine (PUE): cooling, conversion; an assumption" },
    { .name = "currency", .key = "place.currency", .kind = SP_OPT_TEXT, .at = AT(currency), .fallback_text = "EUR", .unit = "CODE", .help = "of both" },
    { 0 },
};
#undef AT

void sp_recipe_sets(struct sp_recipe *r, struct sp_option_set set[SP_RECIPE_SETS])
{
    set[0] = (struct sp_option_set){ sp_recipe_model_options, &r->model };
    set[1] = (struct sp_option_set){ sp_recipe_data_options, &r->data };
    set[2] = (struct sp_option_set){ sp_recipe_train_options, &r->train };
    set[3] = (struct sp_option_set){ sp_recipe_serve_options, &r->serve };
    set[4] = (struct sp_option_set){ sp_recipe_place_options, &r->place };
}

void sp_recipe_defaults(struct sp_recipe *r)
{
    struct sp_option_set set[SP_RECIPE_SETS];
    sp_recipe_sets(r, set);
    sp_option_defaults(set, SP_RECIPE_SETS);
}

/* ---- files ---- */

struct reading { struct sp_option_set set[SP_RECIPE_SETS]; struct sp_arena *mem; };

static enum sp_status one_key(void *self, const char *key, const char *value, struct sp_err *err)
{
    struct reading *r = self;
    return sp_option_set_key(r->set, SP_RECIPE_SETS, key, value, r->mem, err);
}

enum sp_status sp_recipe_read(struct sp_recipe *r, const char *path, struct sp_arena *mem, struct sp_err *err)
{
    struct reading reading = { .mem = mem };
    sp_recipe_sets(r, reading.set);
    return sp_yaml_read(path, one_key, &reading, err);
}

void sp_recipe_print(const struct sp_recipe *r, FILE *out)
{
    struct sp_recipe copy = *r;
    struct sp_option_set set[SP_RECIPE_SETS];
    sp_recipe_sets(&copy, set);
    sp_option_yaml(set, SP_RECIPE_SETS, out);
}

static json_t *value_json(const struct sp_option *o, const void *into)
{
    const void *at = (const char *)into + o->at;
    const char *text;
    switch (o->kind) {
    case SP_OPT_INT: return json_integer(*(const int64_t *)at);
    case SP_OPT_REAL: return json_real(*(const double *)at);
    case SP_OPT_FLAG: return json_boolean(*(const bool *)at);
    case SP_OPT_CHOICE: return json_string(o->choices[*(const int *)at]);
    case SP_OPT_TEXT: text = *(const char *const *)at; return text ? json_string(text) : json_null();
    default: return json_null();
    }
}

json_t *sp_recipe_json(const struct sp_recipe *r)
{
    struct sp_recipe copy = *r;
    struct sp_option_set set[SP_RECIPE_SETS];
    json_t *all = json_object();
    sp_recipe_sets(&copy, set);
    for (int s = 0; all && s < SP_RECIPE_SETS; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++)
            if (json_object_set_new(all, o->key, value_json(o, set[s].into))) {
                json_decref(all);
                return NULL;
            }
    return all;
}

/* ---- the model ---- */

enum sp_status sp_recipe_config(const struct sp_recipe *r, int64_t vocab, struct sp_model_config *out, struct sp_err *err)
{
    const struct sp_recipe_model *m = &r->model;
    struct sp_model_config c = { .family = (enum sp_family)m->family, .vocab = vocab > 0 ? vocab : m->vocab, .context = m->context, .layers = m->layers,
                                 .width = m->width, .heads = m->heads, .kv_heads = m->kv_heads, .head_dim = m->head_dim, .ffn = m->ffn, .tied = m->tied,
                                 .bias = m->bias, .dropout = r->train.dropout, .bos = -1,
                                 .activation = m->family == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    if (m->path) {
        TRY(sp_model_config_read(&c, m->path, err));
        TRY(sp_model_check_runs(&c, err));
        if (vocab > c.vocab) {
            sp_fail(err, SP_USAGE, "the tokenizer has %lld tokens, the model of %s only %lld", (long long)vocab, m->path, (long long)c.vocab);
            return sp_remedy(err, "--tokenizer names the one that belongs to the model");
        }
        *out = c;
        return SP_OK;
    }
    if (!c.vocab && m->family != SP_FAMILY_MLP) {
        sp_fail(err, SP_USAGE, "nothing says how large the model's vocabulary is");
        return sp_remedy(err, "--model-vocab N, or --data FILE, whose tokenizer says it, or --model FOLDER");
    }
    TRY(sp_model_config_finish(&c, err));
    *out = c;
    return SP_OK;
}
