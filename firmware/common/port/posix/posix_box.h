/* A unit's folder of a factory's box as the factory partition that it stands for: where it has no nvs.bin, its PEM
 * files by the keys of docs/identity.md ("NVS keys"). Read-only. */
#pragma once

#include "../port_kv.h"

#define POSIX_BOX_PATH_MAX_CHARS 4095

typedef struct {
    char folder[POSIX_BOX_PATH_MAX_CHARS + 1];
    port_kv_t port;
} posix_box_t;

/* False: there is no such folder, or its name is no code of a gateway. */
bool posix_box_init(posix_box_t *box, const char *folder);
