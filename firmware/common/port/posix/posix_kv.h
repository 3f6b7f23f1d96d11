/* Settings and small state in a folder, one file a key, so that a person can look at them and change one with an
 * editor.
 *
 * A set goes to a temporary name, is synced and renamed: whole or not at all. Files are their owner's alone: passwords
 * are among them. */
#pragma once

#include "../port_kv.h"

#define POSIX_KV_MAX_KEYS 64           /* more: KV_FULL */
#define POSIX_KV_VALUE_MAX_BYTES 65536 /* longer: KV_FULL */
#define POSIX_KV_FOLDER_MAX_CHARS 4000

typedef struct {
    port_kv_t port;
    char folder[POSIX_KV_FOLDER_MAX_CHARS + 1];
} posix_kv_t;

/* Makes the folder where it is not there. False: errno says why. */
bool posix_kv_open(posix_kv_t *kv, const char *folder);
