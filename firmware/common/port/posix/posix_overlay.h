/* Values that stand before a factory image's, as the command line gives them: `--broker` is as if the image said so. */
#pragma once

#include "../port_kv.h"

#define POSIX_OVERLAY_MAX 16

typedef struct {
    const port_kv_t *below; /* NULL: nothing */
    struct {
        char key[KV_KEY_MAX_CHARS + 1];
        const char *value; /* the caller's, and stays */
    } values[POSIX_OVERLAY_MAX];
    size_t count;
    port_kv_t port;
} posix_overlay_t;

void posix_overlay_init(posix_overlay_t *overlay);
/* False: the key is too long, or there are too many. */
bool posix_overlay_set(posix_overlay_t *overlay, const char *key, const char *value);
