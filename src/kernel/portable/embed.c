/* embed: rows of a table by number, 64 rows a task; embed_back: sums by number, 64 columns a task. */
SP_MAYBE_UNUSED static void sp_embed_portable(const struct sp_embed_args *a, int phase, int64_t task)
{
    int64_t i = task * 64, end = i + 64 < a->m ? i + 64 : a->m, j;
    float line[32];
    int64_t k, n;
    for (; i < end; i++) {
        int64_t id = a->ids[i];
        int sound = id >= 0 && id < a->rows;
        for (j = 0; j < a->n; j += n) {
            n = a->n - j < 32 ? a->n - j : 32;
            if (sound)
                sp_load_many(line, a->table, id * a->n + j, n, a->table_format);
            for (k = 0; k < n; k++)
                sp_store(a->y, i * a->n + j + k, a->y_format, sound ? a->scale * line[k] : 0);
        }
    }
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_embed_back_portable(const struct sp_embed_back_args *a, int phase, int64_t task)
{
    int64_t first = task * 64, end = first + 64 < a->n ? first + 64 : a->n, i, j;
    for (i = 0; a->acc != a->dtable && i < a->rows; i++)
        for (j = first; j < end; j++)
            a->dtable[i * a->n + j] = a->acc ? a->acc[i * a->n + j] : 0;
    for (i = 0; i < a->m; i++) {
        int64_t id = a->ids[i];
        if (id >= 0 && id < a->rows)
            for (j = first; j < end; j++)
                a->dtable[id * a->n + j] += a->scale * sp_load(a->dy, i * a->n + j, a->dy_format);
    }
    (void)phase;
}
