#include "posix_overlay.h"

#include <string.h>

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    const posix_overlay_t *overlay = ctx;
    for (size_t i = overlay->count; i > 0; i--) { /* said twice: the last one counts */
        if (strcmp(overlay->values[i - 1].key, key) != 0) {
            continue;
        }
        *len_bytes = strlen(overlay->values[i - 1].value);
        if (*len_bytes > cap_bytes) {
            return KV_TOO_SMALL;
        }
        memcpy(out, overlay->values[i - 1].value, *len_bytes);
        return KV_OK;
    }
    return overlay->below == NULL ? KV_MISSING
                                  : overlay->below->get(overlay->below->ctx, key, out, cap_bytes, len_bytes);
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx;
    (void)key;
    (void)value;
    (void)len_bytes;
    return KV_FAILED; /* a factory's image is not written */
}

static kv_status_t erase(void *ctx, const char *key)
{
    (void)ctx;
    (void)key;
    return KV_FAILED;
}

void posix_overlay_init(posix_overlay_t *overlay)
{
    *overlay = (posix_overlay_t){.port = {.ctx = overlay, .get = get, .set = set, .erase = erase}};
}

bool posix_overlay_set(posix_overlay_t *overlay, const char *key, const char *value)
{
    if (overlay->count == POSIX_OVERLAY_MAX || strlen(key) > KV_KEY_MAX_CHARS) {
        return false;
    }
    strcpy(overlay->values[overlay->count].key, key);
    overlay->values[overlay->count].value = value;
    overlay->count++;
    return true;
}
