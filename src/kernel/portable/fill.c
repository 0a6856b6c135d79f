/* fill: one value everywhere, 65536 elements a task. */
static void sp_fill_portable(const struct sp_fill_args *a, int phase, int64_t task)
{
    int64_t i = task * 65536, end = i + 65536 < a->n ? i + 65536 : a->n;
    for (; i < end; i++)
        a->y[i] = a->value;
    (void)phase;
}
