/* tests/test_template.c - chat templates: Jinja's own results, refusals with their line, limits, and special tokens in
 * what people write.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "file/file.h"
#include "text/text.h"
#include "template_cases.h"

static enum sp_status render(const char *source, const json_t *variables, struct sp_template_text *out, struct sp_err *err)
{
    struct sp_template *t = NULL;
    enum sp_status st = sp_template_parse(&t, source, strlen(source), err);
    if (!st)
        st = sp_template_render(t, variables, 1700000000, out, err);
    sp_template_free(t);
    return st;
}

static void like_jinja(void **state)
{
    (void)state;
    json_t *v = json_loads(template_variables, 0, NULL);
    assert_non_null(v);
    for (size_t i = 0; i < SP_COUNT(template_cases); i++) {
        struct sp_template_text out = { 0 };
        struct sp_err err = { 0 };
        char line[1024];
        if (render(template_cases[i].source, v, &out, &err))
            fail_msg("%s: %s", template_cases[i].source, sp_err_line(&err, line, sizeof line));
        sp_text_add(&out.text, "", 1);
        assert_string_equal(out.text.at, template_cases[i].expected);
        sp_template_text_clear(&out);
    }
    print_message("%zu templates\n", SP_COUNT(template_cases));
    json_decref(v);
}

/* The forms in which families end a turn: a special token, or a text. */
static void endings(void **state)
{
    static const struct { const char *source, *special, *stop; } cases[] = {
        { "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}", "<|im_end|>", "" },
        { "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content | trim }} </s>{% endif %}{% endfor %}", "</s>", "" },
        { "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}", NULL, "### user:" },
        { "{% for m in messages %}{{ m.content }}\n{% endfor %}", NULL, "" },
        { "{{ messages[0].content }}", NULL, "" },
    };
    static const char json[] = "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 3, \"content\": \"<|im_start|>\", \"special\": true}, {\"id\": 4, \"content\": "
                               "\"<|im_end|>\", \"special\": true}, {\"id\": 5, \"content\": \"</s>\", \"special\": true}], \"model\": {\"type\": \"WordLevel\", "
                               "\"vocab\": {\"[UNK]\": 0, \"a\": 1, \"b\": 2}, \"unk_token\": \"[UNK]\"}}";
    struct sp_tokenizer *k = NULL;
    struct sp_err err = { 0 };
    (void)state;
    assert_int_equal(sp_tokenizer_from_json(&k, json, sizeof json - 1, &err), SP_OK);
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        struct sp_template *t = NULL;
        struct sp_text stop = { 0 };
        int32_t id = -2;
        assert_int_equal(sp_template_parse(&t, cases[i].source, strlen(cases[i].source), &err), SP_OK);
        assert_int_equal(sp_template_ending(t, k, &id, &stop, &err), SP_OK);
        assert_int_equal(id, cases[i].special ? sp_tokenizer_find(k, cases[i].special) : -1);
        assert_string_equal(stop.n ? stop.at : "", cases[i].stop);
        sp_text_clear(&stop);
        sp_template_free(t);
    }
    sp_tokenizer_free(k);
}

static const struct {
    const char *source;
    enum sp_status status;
    const char *says;
} refused[] = {
    { "\n{{ raise_exception('only ' ~ n) }}", SP_USAGE, "line 2: the template refuses: only 3" },
    { "a\n\n{% if %}", SP_FORMAT, "line 3: found where an expression was expected: '%}'" },
    { "{% if n %}", SP_FORMAT, "the template ends" },
    { "{{ n", SP_FORMAT, "line 1: a tag begun here has no end" },
    { "{{ n | nosuch }}", SP_UNSUPPORTED, "the filter 'nosuch' isn't known" },
    { "{{ n is nosuch }}", SP_UNSUPPORTED, "the test 'nosuch' isn't known" },
    { "{% include 'x' %}", SP_UNSUPPORTED, "the tag 'include' isn't known" },
    { "{{ x.y.z }}", SP_FORMAT, "'y' is asked of 'x', which is undefined" },
    { "{{ nosuch(1) }}", SP_FORMAT, "an undefined value can't be called: 'nosuch'" },
    { "{{ list.append(1) }}", SP_FORMAT, "can't be called" },
    { "{{ 1 + 'a' }}", SP_FORMAT, "an operator has no meaning for an integer and a string" },
    { "{{ 1 // 0 }}", SP_FORMAT, "division by zero" },
    { "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", SP_LIMIT, "levels" },
    { "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", SP_LIMIT, "bytes of memory" },
    { "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", SP_LIMIT, "the template takes more than" },
    { "{{ 'a' * 99999999999 }}", SP_LIMIT, "" },
    { "{{ 9 ** 99 }}", SP_LIMIT, "64 bits" },
    { "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", SP_LIMIT, "nested" },
};

static void refusals(void **state)
{
    (void)state;
    json_t *v = json_loads(template_variables, 0, NULL);
    for (size_t i = 0; i < SP_COUNT(refused); i++) {
        struct sp_template_text out = { 0 };
        struct sp_err err = { 0 };
        char line[1024];
        assert_int_equal(render(refused[i].source, v, &out, &err), refused[i].status);
        sp_err_line(&err, line, sizeof line);
        if (!strstr(line, refused[i].says))
            fail_msg("%s: '%s' doesn't say '%s'", refused[i].source, line, refused[i].says);
        assert_null(out.text.at);
    }
    json_decref(v);
}

static void deep(void **state)
{
    struct sp_err err = { 0 };
    struct sp_template *t = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct sp_text s = { 0 };
        sp_text_printf(&s, "{{ ");
        for (int k = 0; k < 900; k++)
            sp_text_add(&s, i == 0 ? "(" : i == 1 ? "-" : "[", 1);
        sp_text_printf(&s, "1");
        for (int k = 0; k < 900; k++)
            sp_text_add(&s, i == 0 ? ")" : i == 1 ? " " : "]", 1);
        sp_text_printf(&s, " }}");
        assert_int_equal(sp_template_parse(&t, s.at, s.n, &err), SP_LIMIT);
        sp_text_clear(&s);
    }
}

/* The template's own <s> is a token, the user's isn't, whichever way strings are cut and joined. */
static void injection(void **state)
{
    static const char model[] = "{\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                                "\"add_prefix_space\":false,\"use_regex\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
                                "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<\":0,\"s\":1,\">\":2,\"x\":3},\"merges\":[]}}";
    static const struct {
        const char *source, *content;
        int special;
    } rows[] = {
        { "<s>{{ messages[0].content }}<s>", "x<s>x", 2 },
        { "{{ '<s>' ~ messages[0].content | trim }}", " <s> ", 1 },
        { "<{{ messages[0].content }}", "s>", 0 },
        { "{{ messages[0].content.replace('x', '<s>') }}", "x<s>x", 2 },
        { "{{ '<' + messages[0].role + '>' }}", "x", 1 },
        { "{{ messages[0].content.split('x')[0] + 's>' }}", "<x", 0 },
        { "{{ messages[0].content.upper().lower() }}{{ messages | tojson }}", "<s>", 0 },
    };
    struct sp_tokenizer *t = NULL;
    struct sp_err err = { 0 };
    char line[1024];
    (void)state;
    if (sp_tokenizer_from_json(&t, model, sizeof model - 1, &err))
        fail_msg("%s", sp_err_line(&err, line, sizeof line));
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_template_text out = { 0 };
        struct sp_ids ids = { 0 };
        int special = 0;
        json_t *v = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "s", "content", rows[i].content);
        assert_int_equal(render(rows[i].source, v, &out, &err), SP_OK);
        if (i + 1 < SP_COUNT(rows)) { /* JSON's signs aren't in this small vocabulary */
            if (sp_tokenizer_encode_marked(t, out.text.at, (unsigned char *)out.mark.at, out.text.n, &ids, &err))
                fail_msg("%s", sp_err_line(&err, line, sizeof line));
            for (size_t k = 0; k < ids.n; k++)
                special += ids.at[k] == 256;
            assert_int_equal(special, rows[i].special);
        } else
            for (const char *at = out.text.at; (at = memmem(at, (size_t)(out.text.at + out.text.n - at), "<s>", 3)); at++)
                assert_int_equal(out.mark.at[at - out.text.at], 1);
        sp_ids_clear(&ids);
        sp_template_text_clear(&out);
        json_decref(v);
    }
    sp_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(like_jinja), cmocka_unit_test(refusals), cmocka_unit_test(deep), cmocka_unit_test(injection), cmocka_unit_test(endings) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
