#include "posix_random.h"

#include <stdlib.h>
#include <sys/random.h>

static uint32_t next(void *ctx)
{
    (void)ctx;
    uint32_t out;
    /* So few bytes come whole or not at all, and not at all means a kernel without it: guessable numbers are none. */
    if (getrandom(&out, sizeof(out), 0) != sizeof(out)) {
        abort();
    }
    return out;
}

const port_random_t posix_random = {.next = next};
