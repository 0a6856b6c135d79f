/* tests/test_hostile.c - the abuse cases that are known of GGUF and safetensors files (fuzz/corpus): each is refused in one
 * sentence that names the file, what is wrong in it and what to do, with no more memory than a small multiple of the file.
 *
 * Cases: ggml's gguf.cpp and its issues (18674, 19856, 25821, 26318, 26690 of llama.cpp; 17042 of Ollama; 2289 of LM
 * Studio), safetensors' attacks/.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"

static struct sp_err err;

/* says: what must stand in the sentence. (byte_tokens and bos_past_end are taken: what is no byte's name is text, an id past the
 * end none; the fuzz targets run over them.) */
static const struct { const char *file, *says; } gguf[] = {
    { "many_tensors", "tensors" }, { "many_keys", "keys" }, { "long_text", "ends or lies" }, { "long_list", "ends or lies" }, { "list_overflow", "ends or lies" },
    { "list_of_lists", "array of arrays" }, { "key_empty", "key of 0" }, { "key_twice", "stands twice" }, { "align_huge", "general.alignment" },
    { "align_zero", "general.alignment" }, { "align_text", "general.alignment" }, { "name_long", "name" }, { "name_zero", "name" }, { "name_twice", "stands twice" },
    { "dims_five", "dimensions" }, { "dims_negative", "larger than can be" }, { "dims_overflow", "larger than can be" }, { "type_removed", "number format is 4" },
    { "type_unknown", "number format is 99" }, { "data_past_end", "leaves the file" }, { "data_overlap", "no overlap" }, { "data_hole", "no hole" },
    { "version0", "version 0" }, { "version1", "version 1" }, { "version4", "version 4" }, { "endian", "endianness" }, { "empty", "empty" },
    { "layers_many", "num_hidden_layers" }, { "layers_some", "missing" }, { "heads_zero", "num_attention_heads" }, { "width_other", "shape" }, { "ffn_other", "shape" },
    { "kind_of_width", "hidden_size" }, { "parts", "3 parts" }, { "scores_kind", "tokenizer.ggml.scores" }, { "scores_few", "tokenizer.ggml.scores" },
    { "types_kind", "tokenizer.ggml.token_type" }, { "types_text", "tokenizer.ggml.token_type" }, { "merges_kind", "tokenizer.ggml.merges" },
}, safetensors[] = {
    { "length_huge", "header" }, { "length_past", "header" }, { "length_zero", "header" }, { "short", "" }, { "offset_past", "data_offsets" }, { "offset_back", "data_offsets" },
    { "same_bytes", "" }, { "hole", "" }, { "behind", "" }, { "shape_other", "shape" }, { "shape_overflow", "overflows" }, { "shape_negative", "negative" },
    { "shape_exponent", "" }, { "dims_nine", "list of more than" }, { "half_bytes", "bits" }, { "dtype_unknown", "Q9" }, { "twice", "" }, { "zero_in_name", "NUL byte" },
    { "deep", "nests deeper" }, { "metadata", "" }, { "no_object", "" }, { "not_utf8", "" },
};

static void told(const char *path, const char *says)
{
    if (getenv("SHOW"))
        print_message("%s | %s | %s | %s\n", path, err.where, err.what, err.remedy);
    else if (!strstr(err.where, path) || !err.what[0] || !strstr(err.what, says) || !err.remedy[0])
        fail_msg("%s: wanted \"%s\", the file's name and a remedy: where \"%s\", what \"%s\", remedy \"%s\"", path, says, err.where, err.what, err.remedy);
}

static enum sp_status open_whole(const char *path)
{
    struct sp_weights w;
    struct sp_tokenizer *t = NULL;
    struct sp_export e = { 0 };
    TRY(sp_weights_open(&w, path, &err));
    enum sp_status st = sp_export_begin(&e, &w, true, &err); /* every tensor with its shape */
    st = st ? st : sp_weights_tokenizer(&w, NULL, &t, &err);
    sp_export_clear(&e);
    sp_tokenizer_free(t);
    sp_weights_close(&w);
    return st;
}

static enum sp_status open_tensors(const char *path)
{
    struct sp_safetensors s;
    TRY(sp_safetensors_open(&s, path, &err));
    sp_safetensors_close(&s);
    return SP_OK;
}

/* Of the process, so far. */
static long peak_kb(void)
{
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) ? 0 : use.ru_maxrss;
}

static void refused(const char *kind, const char *file, const char *says, enum sp_status (*open)(const char *))
{
    enum { MORE_KB = 64 << 10 };
    char path[128];
    uint64_t live = sp_mem_live();
    long before = peak_kb();
    snprintf(path, sizeof path, "fuzz/corpus/%s/%s.%s", kind, file, kind);
    if (access(path, R_OK))
        fail_msg("no seed %s", path);
    err = (struct sp_err){ 0 };
    if (!open(path) && !getenv("SHOW"))
        fail_msg("%s was taken", path);
    told(path, says);
    assert_int_equal(sp_mem_live(), live);
    assert_true(peak_kb() - before < MORE_KB);
}

static void gguf_files(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(gguf); i++)
        refused("gguf", gguf[i].file, gguf[i].says, open_whole);
    print_message("%zu files refused\n", SP_COUNT(gguf));
}

static void safetensors_files(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(safetensors); i++)
        refused("safetensors", safetensors[i].file, safetensors[i].says, open_tensors);
    print_message("%zu files refused\n", SP_COUNT(safetensors));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(gguf_files), cmocka_unit_test(safetensors_files) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
