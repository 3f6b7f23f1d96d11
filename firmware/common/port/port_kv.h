/* Settings and small state: keys of up to 15 characters (NVS's limit), values of bytes.
 *
 * Each set is whole or not at all, also when power goes in the middle. What was set is there after the call.
 * A text is kept without its NUL. What NVS holds as a number (the factory's `format`, a u8) comes as its bytes, little
 * endian.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define KV_KEY_MAX_CHARS 15

typedef enum {
    KV_OK,
    KV_MISSING,
    KV_TOO_SMALL, /* the caller's buffer */
    KV_FULL,      /* no room is left on the medium */
    KV_FAILED,    /* the medium can't be read or written, or what it holds is damaged */
} kv_status_t;

typedef struct {
    void *ctx;
    /* *len_bytes: the value's length, with KV_OK and KV_TOO_SMALL. */
    kv_status_t (*get)(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes);
    kv_status_t (*set)(void *ctx, const char *key, const void *value, size_t len_bytes);
    kv_status_t (*erase)(void *ctx, const char *key); /* KV_OK also when it was not there */
} port_kv_t;
