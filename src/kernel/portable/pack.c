/* pack: the portable product reads b as it is stored, so its packed form is a copy. */
enum { SP_PACK_BLOCK = 65536 };

SP_MAYBE_UNUSED static int64_t sp_pack_size(const struct sp_pack_args *a)
{
    return sp_stored_bytes(a->n * a->k, a->src_format);
}

static void sp_pack_portable(const struct sp_pack_args *a, int phase, int64_t task)
{
    int64_t size = sp_pack_size(a), i = task * SP_PACK_BLOCK, end = i + SP_PACK_BLOCK < size ? i + SP_PACK_BLOCK : size;
    (void)phase;
    for (; i < end; i++)
        ((unsigned char *)a->dst)[i] = ((const unsigned char *)a->src)[i];
}
