/* copy: a part of a matrix to a part of another, any formats; a task is 64 rows. */
static void sp_copy_portable(const struct sp_copy_args *a, int phase, int64_t task)
{
    int64_t end = task * 64 + 64 < a->rows ? task * 64 + 64 : a->rows;
    for (int64_t i = task * 64; i < end; i++)
        for (int64_t j = 0; j < a->cols; j++)
            sp_store(a->dst, a->dst_at + i * a->ldd + j, a->dst_format,
                     sp_load(a->src, a->src_at + i * a->lds + j, a->src_format));
    (void)phase;
}
