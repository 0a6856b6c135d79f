/* link/mpi.c - Open MPI's library, loaded under mpirun and at no other time: the one
 * file that knows it.
 *
 * Declared here, so that building needs no MPI header: eight functions of the C
 * interface that Open MPI has kept since version 1.7 (its library is libmpi.so.40
 * since version 3).  Others (MPICH, Intel) have another binary interface, and are told apart
 * by the names of their handles.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"

static const char *const libraries[] = { "libmpi.so.40", "libmpi.so" };

static bool above_one(const char *name)
{
    const char *s = getenv(name);
    int64_t n;
    return s && sp_parse_int(s, &n) && n > 1;
}

/* mpirun of Open MPI; a batch scheduler that speaks PMI or PMIx itself. */
bool link_is_wanted(void)
{
    if (getenv("OMPI_COMM_WORLD_SIZE"))
        return above_one("OMPI_COMM_WORLD_SIZE");
    return above_one("PMI_SIZE") || getenv("PMIX_RANK");
}

struct symbol { const char *name; size_t at; };
#define S(name_, field) { name_, offsetof(struct link_mpi, field) }
static const struct symbol symbols[] = {
    S("ompi_mpi_comm_world", world), S("ompi_mpi_byte", byte), S("ompi_mpi_errors_return", errors_return),
    S("MPI_Init_thread", init),      S("MPI_Finalize", finalize), S("MPI_Comm_rank", rank), S("MPI_Comm_size", size),
    S("MPI_Comm_set_errhandler", handler), S("MPI_Isend", isend), S("MPI_Irecv", irecv), S("MPI_Test", test),
};
#undef S

enum sp_status link_load(struct link_mpi *m, struct sp_err *err)
{
    char why[300] = "";
    for (size_t i = 0; i < SP_COUNT(libraries) && !m->library; i++)
        if (!(m->library = dlopen(libraries[i], RTLD_NOW | RTLD_GLOBAL)) && !why[0]) /* global: its plug-ins look for it */
            snprintf(why, sizeof why, "%s", dlerror());
    if (!m->library) {
        sp_fail(err, SP_MISSING, "started by mpirun, but Open MPI can't be loaded: %s", why);
        return sp_remedy(err, "install openmpi-bin, or start one process without mpirun");
    }
    for (size_t i = 0; i < SP_COUNT(symbols); i++) {
        void *at = dlsym(m->library, symbols[i].name);
        if (!at) {
            sp_fail(err, SP_UNSUPPORTED, "the MPI library found has no %s: it isn't Open MPI", symbols[i].name);
            return sp_remedy(err, "use the mpirun of Open MPI (Debian: openmpi-bin)");
        }
        memcpy((char *)m + symbols[i].at, &at, sizeof at);
    }
    return SP_OK;
}
