/* text/characters.c - normalizers that change a text character by character: BERT's cleaning,
 * lower case, accents, the control characters of Google's NMT, bytes spelled as characters.
 *
 * What each one does is Hugging Face's (tokenizers/src/normalizers); bytes that aren't UTF-8
 * stay.  Classes are utf8proc's, so characters younger than it count as unassigned.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

enum { PARTS_MAX = 64 }; /* code points that one character decomposes into */

static void put_code(struct sp_text *out, int32_t c)
{
    utf8proc_uint8_t buf[4];
    sp_text_add(out, (const char *)buf, (size_t)utf8proc_encode_char(c, buf));
}

static bool is_mark(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

/* Full lower case of one character, without regard to its neighbours. */
static void put_lower(struct sp_text *out, int32_t c)
{
    if (c == 0x130) { /* the only one that becomes two */
        sp_text_add(out, "i\xcc\x87", 3);
        return;
    }
    put_code(out, c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : utf8proc_tolower(c));
}

/* ---- BERT (Devlin et al. 2018, tokenization.py) ---- */
static bool is_chinese(int32_t c)
{
    static const struct {
        int32_t low, high;
    } blocks[] = { { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xf900, 0xfaff },   { 0x20000, 0x2a6df },
                   { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0x2f800, 0x2fa1f } };
    for (size_t i = 0; i < SP_COUNT(blocks); i++)
        if (c >= blocks[i].low && c <= blocks[i].high)
            return true;
    return false;
}

/* Control, format, private use; tabulator and line ends count as space. */
static bool is_control(int32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

static void bert_parts(const struct sp_tok_norm *r, int32_t c, struct sp_text *out)
{
    utf8proc_int32_t part[PARTS_MAX];
    int last = 0;
    utf8proc_ssize_t n = 1;
    part[0] = c;
    if (r->accents && c >= 0x80)
        n = utf8proc_decompose_char(c, part, PARTS_MAX, UTF8PROC_DECOMPOSE, &last);
    for (utf8proc_ssize_t i = 0; i < n && n <= PARTS_MAX; i++) {
        if (r->accents && part[i] >= 0x80 && utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN)
            continue;
        if (r->lower)
            put_lower(out, part[i]);
        else
            put_code(out, part[i]);
    }
}

static void bert(const struct sp_tok_norm *r, int32_t c, enum sp_tok_class class, struct sp_text *out)
{
    if (r->clean && (c == 0 || c == 0xfffd || is_control(c)))
        return;
    if (r->clean && class == SP_TOK_SPACE)
        c = ' ';
    bool apart = r->chinese && is_chinese(c);
    if (apart)
        sp_text_add(out, " ", 1);
    bert_parts(r, c, out);
    if (apart)
        sp_text_add(out, " ", 1);
}

/* What BERT leaves of shown ASCII is the same, in lower case; returns the length of such a stretch at s. */
static size_t bert_ascii(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out)
{
    size_t k = 0, was = out->n;
    while (k < n && s[k] >= 0x20 && s[k] < 0x7f)
        k++;
    sp_text_add(out, s, k);
    for (size_t i = was; r->lower && i < out->n; i++)
        out->at[i] = (char)(out->at[i] >= 'A' && out->at[i] <= 'Z' ? out->at[i] + 32 : out->at[i]);
    return k;
}

/* ---- the others ---- */
static void nmt(int32_t c, struct sp_text *out)
{
    if ((c >= 1 && c <= 8) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
        return;
    bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    put_code(out, space ? ' ' : c);
}

void sp_tok_characters(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out)
{
    size_t len;
    int32_t c;
    if (r->kind == SP_TOK_BYTES) {
        sp_tok_map_bytes(out, s, n);
        return;
    }
    sp_text_reserve(out, n);
    for (size_t at = 0; at < n; at += len) {
        if (r->kind == SP_TOK_BERT && (len = bert_ascii(r, s + at, n - at, out)))
            continue;
        enum sp_tok_class class = sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &c);
        if (c < 0)
            sp_text_add(out, s + at, len);
        else if (r->kind == SP_TOK_BERT)
            bert(r, c, class, out);
        else if (r->kind == SP_TOK_NMT)
            nmt(c, out);
        else if (r->kind == SP_TOK_LOWERCASE)
            put_lower(out, c);
        else if (!is_mark(c))
            sp_text_add(out, s + at, len);
    }
}
