#include "chip_kv.h"

#include <string.h>

#include "../../core/bounds.h"
#include "nvs_flash.h"

static kv_status_t status_of(esp_err_t error)
{
    switch (error) {
    case ESP_OK:
        return KV_OK;
    case ESP_ERR_NVS_NOT_FOUND:
        return KV_MISSING;
    case ESP_ERR_NVS_INVALID_LENGTH:
        return KV_TOO_SMALL;
    case ESP_ERR_NVS_NOT_ENOUGH_SPACE:
        return KV_FULL;
    default: /* ESP-IDF may have more of them */
        return KV_FAILED;
    }
}

static kv_status_t get_blob(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    const chip_kv_t *kv = ctx;
    *len_bytes = cap_bytes;
    return status_of(nvs_get_blob(kv->handle, key, out, len_bytes));
}

static kv_status_t get_text(const chip_kv_t *kv, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    size_t len = 0; /* with its NUL, which the caller's buffer need not have room for */
    char exact[CONFIG_VALUE_MAX_BYTES + 1];
    kv_status_t status = status_of(nvs_get_str(kv->handle, key, NULL, &len));
    if (status != KV_OK) {
        return status;
    }
    *len_bytes = len - 1;
    if (len <= cap_bytes) {
        return status_of(nvs_get_str(kv->handle, key, out, &len));
    }
    if (len - 1 > cap_bytes || len > sizeof(exact)) {
        return KV_TOO_SMALL;
    }
    status = status_of(nvs_get_str(kv->handle, key, exact, &len));
    memcpy(out, exact, len - 1);
    return status;
}

static kv_status_t get_factory(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    const chip_kv_t *kv = ctx;
    nvs_type_t type = NVS_TYPE_ANY;
    kv_status_t status = status_of(nvs_find_key(kv->handle, key, &type));
    if (status != KV_OK) {
        return status;
    }
    if (type == NVS_TYPE_STR) {
        return get_text(kv, key, out, cap_bytes, len_bytes);
    }
    *len_bytes = 1;
    if (type != NVS_TYPE_U8) {
        return KV_FAILED;
    }
    return cap_bytes < 1 ? KV_TOO_SMALL : status_of(nvs_get_u8(kv->handle, key, out));
}

static kv_status_t set_blob(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    const chip_kv_t *kv = ctx;
    esp_err_t error = nvs_set_blob(kv->handle, key, value, len_bytes);
    return status_of(error == ESP_OK ? nvs_commit(kv->handle) : error);
}

static kv_status_t erase_key(void *ctx, const char *key)
{
    const chip_kv_t *kv = ctx;
    esp_err_t error = nvs_erase_key(kv->handle, key);
    if (error == ESP_ERR_NVS_NOT_FOUND) {
        return KV_OK;
    }
    return status_of(error == ESP_OK ? nvs_commit(kv->handle) : error);
}

static kv_status_t missing(void *ctx, const char *key, void *out, size_t cap_bytes, size_t *len_bytes)
{
    (void)ctx, (void)key, (void)out, (void)cap_bytes, (void)len_bytes;
    return KV_MISSING;
}

static kv_status_t never_set(void *ctx, const char *key, const void *value, size_t len_bytes)
{
    (void)ctx, (void)key, (void)value, (void)len_bytes;
    return KV_FAILED;
}

static kv_status_t never_erase(void *ctx, const char *key)
{
    (void)ctx, (void)key;
    return KV_FAILED;
}

const port_kv_t chip_kv_missing = {.get = missing, .set = never_set, .erase = never_erase};

bool chip_kv_open(chip_kv_t *kv, port_kv_t *port)
{
    esp_err_t error = nvs_flash_init();
    if (error == ESP_ERR_NVS_NO_FREE_PAGES || error == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        error = nvs_flash_erase() == ESP_OK ? nvs_flash_init() : ESP_FAIL;
    }
    if (error != ESP_OK || nvs_open(CHIP_KV_NAMESPACE, NVS_READWRITE, &kv->handle) != ESP_OK) {
        return false;
    }
    *port = (port_kv_t){.ctx = kv, .get = get_blob, .set = set_blob, .erase = erase_key};
    return true;
}

bool chip_factory_open(chip_kv_t *kv, port_kv_t *port)
{
    if (nvs_flash_init_partition(CHIP_FACTORY_PARTITION) != ESP_OK) {
        return false;
    }
    if (nvs_open_from_partition(CHIP_FACTORY_PARTITION, CHIP_FACTORY_NAMESPACE, NVS_READONLY, &kv->handle) != ESP_OK) {
        return false;
    }
    *port = (port_kv_t){.ctx = kv, .get = get_factory, .set = never_set, .erase = never_erase};
    return true;
}
