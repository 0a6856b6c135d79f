/* model/model_bert.c - encoders that fill in masked words: BERT (Devlin et al. 2018),
 * RoBERTa, DistilBERT.  A decoder's layers whose tokens see all, normed behind each sum;
 * the head transforms rows before it knows words.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

#define LAYERS .norm1 = "attention.output.LayerNorm", .norm2 = "output.LayerNorm", .q = "attention.self.query", .k = "attention.self.key", \
               .v = "attention.self.value", .o = "attention.output.dense", .up = "intermediate.dense", .down = "output.dense"

static const struct sp_words bert = {
    LAYERS, .embed = "bert.embeddings.word_embeddings", .embed_norm = "bert.embeddings.LayerNorm", .positions = "bert.embeddings.position_embeddings",
    .types = "bert.embeddings.token_type_embeddings", .layer = "bert.encoder.layer.", .transform = "cls.predictions.transform.dense",
    .transform_norm = "cls.predictions.transform.LayerNorm", .head = "cls.predictions.decoder", .head_bias = "cls.predictions.bias" };
static const struct sp_words roberta = {
    LAYERS, .embed = "roberta.embeddings.word_embeddings", .embed_norm = "roberta.embeddings.LayerNorm",
    .positions = "roberta.embeddings.position_embeddings", .types = "roberta.embeddings.token_type_embeddings", .layer = "roberta.encoder.layer.",
    .transform = "lm_head.dense", .transform_norm = "lm_head.layer_norm", .head = "lm_head.decoder", .head_bias = "lm_head.bias" };
static const struct sp_words distilbert = {
    .embed = "distilbert.embeddings.word_embeddings", .embed_norm = "distilbert.embeddings.LayerNorm",
    .positions = "distilbert.embeddings.position_embeddings", .layer = "distilbert.transformer.layer.", .norm1 = "sa_layer_norm",
    .norm2 = "output_layer_norm", .q = "attention.q_lin", .k = "attention.k_lin", .v = "attention.v_lin", .o = "attention.out_lin", .up = "ffn.lin1",
    .down = "ffn.lin2", .transform = "vocab_transform", .transform_norm = "vocab_layer_norm", .head = "vocab_projector",
    .head_bias = "vocab_projector.bias" };

#define WAYS .norm = SP_NORM_LAYER, .norm_at = SP_NORM_OF_SUM, .norm_bias = true, .ungated = true, .qkv_bias = true, .out_bias = true, .mlp_bias = true, \
             .head_bias = true, .embed_norm = true, .masked_head = true, .full = true, .tied = true, .activation = SP_GELU_ERF, \
             .positions = SP_POSITIONS_LEARNED
static const struct sp_kind bert_kinds[] = {
    { "bert", "BertForMaskedLM", "BertForPreTraining", &bert, { WAYS, .context = 512, .token_types = 2 } },
    { "roberta", "RobertaForMaskedLM", "XLMRobertaForMaskedLM", &roberta, { WAYS, .context = 514, .token_types = 1 } },
    { "distilbert", "DistilBertForMaskedLM", NULL, &distilbert, { WAYS, .context = 512 } },
    { 0 },
};

static bool bert_residual(const char *tensor)
{
    (void)tensor;
    return false; /* a norm behind each sum keeps the stream's size */
}

const struct sp_arch sp_arch_bert = {
    .name = "bert", .help = "encoder: every token sees all; fills in masked words", .family = SP_FAMILY_BERT, .kinds = bert_kinds,
    .read = sp_decoder_read, .write = sp_decoder_write, .build = sp_decoder_build, .residual = bert_residual, .prefix = "",
};
