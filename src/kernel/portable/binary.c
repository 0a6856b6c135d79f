/* binary: y = scale (alpha a + beta b) or scale alpha beta a b, b repeated every nb; a block of 16384 a task. */
enum { SP_BINARY_BLOCK = 16384 };

static void sp_binary_portable(const struct sp_binary_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_BINARY_BLOCK, end = i + SP_BINARY_BLOCK < a->n ? i + SP_BINARY_BLOCK : a->n;
    float scale = a->scale ? *a->scale : 1;
    for (; i < end; i++) {
        float x = a->alpha * sp_load(a->a, i, a->a_format);
        if (a->b) {
            float b = a->beta * sp_load(a->b, i % a->nb, a->b_format);
            x = a->kind ? x * b : x + b;
        }
        sp_store(a->y, i, a->y_format, x * scale);
    }
    (void)phase;
}
