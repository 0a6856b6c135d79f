/* bits/size.c - formats of a list by a name, and sizes as people write them.
 *
 * Nothing is read or written: with sp_export_planned a model's size in any format is
 * known from its configuration alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bits.h"

enum { NAMES_MAX = 512 };
#define SIZE_MOST 1e18

static enum sp_status format_named(const char *name, enum sp_format *out, struct sp_err *err)
{
    struct sp_text known = { .max = NAMES_MAX };
    int f = 0;
    while (f < SP_FORMATS && (!sp_formats[f].encode || !sp_formats[f].gguf || strcasecmp(sp_formats[f].name, name))) {
        if (sp_formats[f].encode && sp_formats[f].gguf && !sp_bits_mix_is(sp_formats[f].name))
            sp_text_printf(&known, "%s, ", sp_formats[f].name);
        f++;
    }
    *out = (enum sp_format)f;
    if (f == SP_FORMATS) {
        sp_fail(err, SP_USAGE, "%.40s is neither a format of a GGUF file nor a mix of them", name);
        sp_remedy(err, "%s%s", known.at ? known.at : "", sp_bits_mix_names());
    }
    sp_text_clear(&known);
    return f == SP_FORMATS ? SP_USAGE : SP_OK;
}

enum sp_status sp_bits_named(struct sp_export *e, const char *to, bool pure, bool importance, struct sp_err *err)
{
    enum sp_format f;
    if (!pure && sp_bits_mix_is(to))
        return sp_bits_mix(e, to, importance, err);
    TRY(format_named(to, &f, err));
    for (int i = 0; i < e->n; i++)
        if (e->tensor[i].matrix)
            e->tensor[i].type.format = sp_export_fitting(&e->tensor[i], f);
    return SP_OK;
}

enum sp_status sp_bits_parse_size(const char *s, uint64_t whole, uint64_t *out, struct sp_err *err)
{
    static const struct { const char *unit; double times; } units[] = { { "", 1 }, { "B", 1 }, { "kB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { "KiB", 1024 },
        { "MiB", 1048576 }, { "GiB", 1073741824 }, { "k", 1e3 }, { "M", 1e6 }, { "G", 1e9 } };
    char *end;
    double x = strtod(s, &end), times = !strcmp(end, "%") ? (double)whole / 100 : 0;
    for (size_t i = 0; i < SP_COUNT(units); i++)
        times = !strcasecmp(end, units[i].unit) ? units[i].times : times;
    if (end == s || times <= 0 || !(x > 0) || x * times > SIZE_MOST) {
        sp_fail(err, SP_USAGE, "--size %.40s is no size", s);
        return sp_remedy(err, "45%%, 300MB, 1.5GiB, or bytes");
    }
    *out = (uint64_t)(x * times);
    return SP_OK;
}
