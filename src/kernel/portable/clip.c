/* clip: the factor that brings a gradient of this squared norm to at most max_norm. */
static void sp_clip_portable(const struct sp_clip_args *a, int phase, int64_t task)
{
    float norm = sqrtf(*a->sumsq);
    *a->norm = norm;
    *a->factor = norm <= *a->max_norm || *a->max_norm <= 0 ? 1 : *a->max_norm / norm;
    (void)phase;
    (void)task;
}
