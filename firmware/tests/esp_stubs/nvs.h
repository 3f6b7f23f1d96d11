#pragma once

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

typedef uint32_t nvs_handle_t;

typedef enum { NVS_READONLY, NVS_READWRITE } nvs_open_mode_t;
typedef enum { NVS_TYPE_U8, NVS_TYPE_STR, NVS_TYPE_BLOB, NVS_TYPE_ANY } nvs_type_t;

enum {
    ESP_ERR_NVS_NOT_FOUND = 1,
    ESP_ERR_NVS_INVALID_LENGTH,
    ESP_ERR_NVS_NOT_ENOUGH_SPACE,
    ESP_ERR_NVS_NO_FREE_PAGES,
    ESP_ERR_NVS_NEW_VERSION_FOUND,
};

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *out);
esp_err_t nvs_open_from_partition(const char *partition, const char *name, nvs_open_mode_t mode, nvs_handle_t *out);
esp_err_t nvs_find_key(nvs_handle_t handle, const char *key, nvs_type_t *out);
esp_err_t nvs_get_u8(nvs_handle_t handle, const char *key, uint8_t *out);
esp_err_t nvs_get_str(nvs_handle_t handle, const char *key, char *out, size_t *length);
esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *out, size_t *length);
esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length);
esp_err_t nvs_erase_key(nvs_handle_t handle, const char *key);
esp_err_t nvs_commit(nvs_handle_t handle);
