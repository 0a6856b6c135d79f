/* dropout: element i is kept by word i % 4 of Philox(key, i / 4, counter); 16384 elements a task. */
enum { SP_DROPOUT_BLOCK = 16384 };

static void sp_dropout_portable(const struct sp_dropout_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_DROPOUT_BLOCK, end = i + SP_DROPOUT_BLOCK < a->n ? i + SP_DROPOUT_BLOCK : a->n;
    uint32_t word[4], drop = (uint32_t)((double)a->p * 4294967296.0 > 4294967295.0 ? 4294967295.0 : (double)a->p * 4294967296.0);
    float keep = a->p < 1 ? 1 / (1 - a->p) : 0;
    for (; i < end; i++) {
        if (i % 4 == 0)
            sp_philox(a->key, (uint64_t)(i / 4), a->counter ? (uint32_t)*a->counter : 0, word);
        sp_store(a->y, i, a->y_format, word[i % 4] >= drop ? keep * sp_load(a->x, i, a->x_format) : 0);
    }
    (void)phase;
}
