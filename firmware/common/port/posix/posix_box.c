#include "posix_box.h"

#include <stdlib.h>
#include <string.h>

#include "../../core/code.h"
#include "posix_file.h"

static const struct {
    const char *key, *file;
} s_files[] = {{"server_ca", "ca.pem"},
               {"device_cert", "gateway.crt"},
               {"device_key", "gateway.key"},
               {"trust_roots", "trust-roots.txt"}};

static kv_status_t give(const void *value, size_t len, void *out, size_t cap_bytes, size_t *len_bytes)
{
    *len_bytes = len;
    if (len > cap_bytes) {
        return KV_TOO_SMALL;
    }
    memcpy(out, value, len);
    return KV_OK;
}

static const char *name_of(const char *folder)
{
    const char *slash = strrchr(folder, '/');
    return slash == NULL ? folder : slash + 1;
}

static kv_status_t get(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    const posix_box_t *box = ctx;
    if (strcmp(key, "gateway_code") == 0) {
        const char *name = name_of(box->folder);
        return give(name, strlen(name), out, cap_bytes, len_bytes);
    }
    for (size_t i = 0; i < sizeof(s_files) / sizeof(s_files[0]); i++) {
        char path[POSIX_BOX_PATH_MAX_CHARS + 1];
        size_t len = 0;
        if (strcmp(key, s_files[i].key) != 0 || !posix_path(path, sizeof(path), box->folder, s_files[i].file)) {
            continue;
        }
        char *contents = posix_file_read(path, &len);
        if (contents == NULL) {
            return KV_MISSING;
        }
        kv_status_t status = give(contents, len, out, cap_bytes, len_bytes);
        explicit_bzero(contents, len);
        free(contents);
        return status;
    }
    return KV_MISSING;
}

static kv_status_t set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx;
    (void)key;
    (void)value;
    (void)len_bytes;
    return KV_FAILED;
}

static kv_status_t erase(void *ctx, const char *key)
{
    (void)ctx;
    (void)key;
    return KV_FAILED;
}

bool posix_box_init(posix_box_t *box, const char *folder)
{
    char *resolved = realpath(folder, NULL);
    if (resolved == NULL || strlen(resolved) > POSIX_BOX_PATH_MAX_CHARS) {
        free(resolved);
        return false;
    }
    strcpy(box->folder, resolved);
    free(resolved);
    box->port = (port_kv_t){.ctx = box, .get = get, .set = set, .erase = erase};
    const char *name = name_of(box->folder);
    return code_is_valid(name, strlen(name));
}
