/* data/html.c - the readable text of an HTML page.
 *
 * libxml2 parses it, and is loaded on first use: the program starts faster, and
 * works without it where no HTML is read.  The tree is walked without recursion.
 *
 * It doesn't: run scripts, follow links, or judge what is boilerplate beyond
 * elements and class names that say so.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <libxml/HTMLparser.h>
#include "inner.h"

static const char *const left_out[] = { "script", "style",  "head",   "nav",      "noscript", "template", "form",
                                        "button", "select", "svg",    "iframe",   "object",   "canvas",   "video",
                                        "audio",  "footer", "header", "textarea", "math" };
static const char *const navigation[] = { "nav",        "docnav",      "navbar", "navigation", "navheader", "navfooter",
                                          "breadcrumb", "breadcrumbs", "toc",    "banner",     "menu",      "sidebar" };
static const char *const apart[] = { "p",  "div", "h1", "h2",    "h3",      "h4",      "h5",         "h6",     "pre",
                                     "ul", "ol",  "dl", "table", "section", "article", "blockquote", "figure", "hr" };
static const char *const own_line[] = { "li", "dt", "dd", "tr", "br", "caption", "figcaption", "summary" };

static struct {
    pthread_once_t once;
    htmlDocPtr (*read)(const char *, int, const char *, const char *, int);
    void (*free)(xmlDocPtr);
} lib = { .once = PTHREAD_ONCE_INIT };

static void load(void)
{
    void *so = dlopen("libxml2.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!so)
        so = dlopen("libxml2.so", RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return;
    *(void **)&lib.read = dlsym(so, "htmlReadMemory");
    *(void **)&lib.free = dlsym(so, "xmlFreeDoc");
}

static bool among(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}
#define AMONG(name, list) among(name, list, SP_COUNT(list))

/* Whether class or id of the element has a word that says navigation. */
static bool says_navigation(const xmlNode *e)
{
    for (const xmlAttr *a = e->properties; a; a = a->next) {
        if (!a->children || !a->children->content ||
            (strcmp((const char *)a->name, "class") != 0 && strcmp((const char *)a->name, "id") != 0))
            continue;
        const char *s = (const char *)a->children->content;
        for (size_t k; *s; s += k + (s[k] != 0)) {
            char word[32];
            k = strcspn(s, " \t\n");
            snprintf(word, sizeof word, "%.*s", (int)(k < sizeof word ? k : 0), s);
            if (AMONG(word, navigation))
                return true;
        }
    }
    return false;
}

/* What is written, and what has to come before the next word. */
struct page {
    struct sp_text *out;
    size_t begin;
    int breaks, pre;
    bool gap;
};

static void want_breaks(struct page *p, int n)
{
    p->breaks = n > p->breaks ? n : p->breaks;
}

static void settle(struct page *p)
{
    if (p->out->n > p->begin) {
        if (p->breaks)
            sp_text_add(p->out, "\n\n", (size_t)p->breaks);
        else if (p->gap)
            sp_text_add(p->out, " ", 1);
    }
    p->breaks = 0;
    p->gap = false;
}

static void add_text(struct page *p, const char *s)
{
    if (p->pre) {
        s += p->breaks && *s == '\n'; /* HTML drops the line end behind <pre> */
        if (*s)
            settle(p);
        sp_text_add(p->out, s, strlen(s));
        return;
    }
    while (*s) {
        size_t k = strcspn(s, " \t\r\n\f");
        if (k) {
            settle(p);
            sp_text_add(p->out, s, k);
        }
        s += k;
        k = strspn(s, " \t\r\n\f");
        p->gap = p->gap || k;
        s += k;
    }
}

/* Entering or leaving an element. */
static void edge(struct page *p, const xmlNode *e, bool enter)
{
    const char *name = (const char *)e->name;
    if (AMONG(name, apart))
        want_breaks(p, 2);
    else if (AMONG(name, own_line))
        want_breaks(p, 1);
    else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0)
        p->gap = true;
    if (strcmp(name, "pre") == 0)
        p->pre += enter ? 1 : -1;
}

/* Writes one node; returns whether its children are to be visited. */
static bool visit(struct page *p, const xmlNode *e)
{
    if (e->type == XML_TEXT_NODE || e->type == XML_CDATA_SECTION_NODE) {
        if (e->content)
            add_text(p, (const char *)e->content);
        return false;
    }
    if (e->type != XML_ELEMENT_NODE || AMONG((const char *)e->name, left_out) || says_navigation(e))
        return false;
    edge(p, e, true);
    return e->children != NULL;
}

static void walk(struct page *p, const xmlNode *root)
{
    const xmlNode *e = root;
    while (e) {
        if (visit(p, e)) {
            e = e->children;
            continue;
        }
        if (e->type == XML_ELEMENT_NODE && !e->children && !AMONG((const char *)e->name, left_out))
            edge(p, e, false);
        while (e && e != root && !e->next) {
            e = e->parent;
            if (e && e->type == XML_ELEMENT_NODE)
                edge(p, e, false);
        }
        e = e && e != root ? e->next : NULL;
    }
}

enum sp_status sp_data_html(const char *html, size_t n, struct sp_text *out, struct sp_err *err)
{
    pthread_once(&lib.once, load);
    if (!lib.read || !lib.free) {
        sp_fail(err, SP_UNSUPPORTED, "HTML can't be read: libxml2.so.2 isn't installed");
        return sp_remedy(err, "apt-get install libxml2");
    }
    if (n > INT32_MAX)
        return sp_fail(err, SP_LIMIT, "an HTML page of %zu bytes; at most %d are read", n, INT32_MAX);
    const char *encoding = sp_utf8_valid(html, n) ? "UTF-8" : NULL; /* otherwise as the page says */
    htmlDocPtr doc = lib.read(html, (int)n, NULL, encoding,
                              HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                  HTML_PARSE_COMPACT);
    if (!doc)
        return sp_fail(err, SP_FORMAT, "not an HTML page");
    struct page p = { .out = out, .begin = out->n };
    for (const xmlNode *e = doc->children; e; e = e->next)
        walk(&p, e);
    if (out->n > p.begin)
        sp_text_add(out, "\n", 1);
    lib.free(doc);
    return out->full ? sp_fail(err, SP_NOMEM, "no memory for the page's text") : SP_OK;
}
