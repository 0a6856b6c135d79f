/* text/pre_names.c - the names that GGUF gives to ways of splitting text (tokenizer.ggml.pre), and the
 * regular expressions behind them: applied one after another, matches and what lies between are pieces.
 *
 * The expressions are those of the models' published tokenizer.json files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

#define ENDINGS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES  "\\s+(?!\\S)|\\s+"
#define CASED(tail, digits)                                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" tail                   \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" tail "|" digits       \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|" SPACES
#define LLAMA3 ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|" SPACES
#define QWEN2  ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|" SPACES
#define GPT2   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|" SPACES
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"                  \
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|" SPACES
/* Letters with case, as DeepSeek lists them. */
#define LETTERS                                                                                                                                                                                              \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-"                         \
    "Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ"                                                                                                               \
    "ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-" \
    "𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"

static const struct sp_tok_pre_name rows[] = {
    { .names = { "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
                 "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4", "jais", "trillion",
                 "granite-docling" },
      .patterns = { GPT2 } },
    { .names = { "mpt", "olmo" }, .patterns = { GPT2 }, .nfc = true },
    { .names = { "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2" },
      .patterns = { "\\p{N}", GPT2 } },
    { .names = { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                 "jina-v5-nano" },
      .patterns = { LLAMA3 },
      .ignore_merges = true,
      .add_bos = true },
    { .names = { "dbrx", "smaug-bpe", "glm4", "chatglm-bpe" }, .patterns = { LLAMA3 } },
    { .names = { "qwen2" }, .patterns = { QWEN2 }, .nfc = true },
    { .names = { "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "solar-open", "grok-2", "kormo", "f2llmv2" },
      .patterns = { QWEN2 } },
    { .names = { "qwen35" },
      .patterns = { ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
                            "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|" SPACES },
      .nfc = true },
    { .names = { "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2" },
      .patterns = { CASED(ENDINGS "?", "\\p{N}{1,3}") } },
    { .names = { "tekken" }, .patterns = { CASED("", "\\p{N}") }, .ignore_merges = true, .add_bos = true },
    { .names = { "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4" },
      .patterns = { "\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3 } },
    { .names = { "deepseek-llm" },
      .patterns = { "[\r\n]", LETTERS, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+",
                    "\\p{N}+" } },
    { .names = { "deepseek-coder" },
      .patterns = { "[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}" } },
    { .names = { "falcon", "default" },
      .patterns = { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
    { .names = { "bloom", "poro-chat", "gpt3-finnish" }, .patterns = { " ?[^(\\s|.,!?…。，、।۔،)]+" } },
    { .names = { "viking" }, .patterns = { " ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}" } },
    { .names = { "superbpe" }, .patterns = { "\\p{N}+", "(?=(\\d{3})+(?!\\d))" } },
    { .names = { "bailingmoe", "bailingmoe2", "llada-moe" },
      .patterns = { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| "
                    "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|" SPACES } },
    { .names = { "seed-coder" },
      .patterns = { ENDINGS "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|" SPACES } },
};

const struct sp_tok_pre_name *sp_tok_pre_named(const char *name)
{
    for (size_t i = 0; i < SP_COUNT(rows); i++)
        for (int k = 0; k < SP_TOK_PRE_ALIASES && rows[i].names[k]; k++)
            if (strcmp(rows[i].names[k], name) == 0)
                return &rows[i];
    return NULL;
}

/* The expression that a step stands for, or NULL. */
static const char *expression(const struct sp_tok_pre *p)
{
    if (p->kind == SP_TOK_SPLIT && p->behavior == SP_TOK_ISOLATED && !p->invert && !p->pattern.literal)
        return p->pattern.text;
    if (p->kind == SP_TOK_DIGITS && p->behavior == SP_TOK_ISOLATED)
        return "\\p{N}";
    return p->kind == SP_TOK_BYTE_LEVEL && p->use_regex && !p->prefix_space ? sp_tok_gpt2_pattern : NULL;
}

static bool splits_so(const struct sp_tokenizer *t, const struct sp_tok_pre_name *row)
{
    int k = 0;
    for (int i = 0; i < t->n_pre; i++) {
        const struct sp_tok_pre *p = &t->pre[i];
        if (p->kind == SP_TOK_BYTE_LEVEL && !p->use_regex && !p->prefix_space)
            continue;
        const char *text = expression(p), *want = k < SP_TOK_PRE_PATTERNS ? row->patterns[k++] : NULL;
        if (!text || !want || strcmp(text, want) != 0)
            return false;
    }
    return k == SP_TOK_PRE_PATTERNS || !row->patterns[k];
}

const char *sp_tok_pre_name_of(const struct sp_tokenizer *t)
{
    bool nfc = t->n_norm == 1 && t->norm[0].kind == SP_TOK_NFC;
    const char *near = NULL;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        if (!splits_so(t, &rows[i]))
            continue;
        if (rows[i].ignore_merges == t->ignore_merges && rows[i].nfc == nfc)
            return rows[i].names[0];
        near = near ? near : rows[i].names[0];
    }
    return near;
}
