#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"
#include "esp_event.h"

typedef enum { WIFI_MODE_STA } wifi_mode_t;
typedef enum { WIFI_IF_STA } wifi_interface_t;
typedef enum { WIFI_AUTH_OPEN, WIFI_AUTH_WPA2_PSK } wifi_auth_mode_t;
typedef enum { WPA3_SAE_PWE_BOTH = 3 } wifi_sae_pwe_method_t;
typedef enum { WIFI_ALL_CHANNEL_SCAN = 1 } wifi_scan_method_t;
typedef enum { WIFI_CONNECT_AP_BY_SIGNAL } wifi_sort_method_t;
typedef enum { WIFI_EVENT_STA_START, WIFI_EVENT_STA_STOP, WIFI_EVENT_STA_DISCONNECTED } wifi_event_t;

enum {
    WIFI_REASON_AUTH_EXPIRE = 1,
    WIFI_REASON_AUTH_FAIL,
    WIFI_REASON_ASSOC_LEAVE,
    WIFI_REASON_MIC_FAILURE,
    WIFI_REASON_4WAY_HANDSHAKE_TIMEOUT,
    WIFI_REASON_HANDSHAKE_TIMEOUT,
    WIFI_REASON_NO_AP_FOUND,
    WIFI_REASON_NO_AP_FOUND_W_COMPATIBLE_SECURITY,
    WIFI_REASON_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD,
    WIFI_REASON_NO_AP_FOUND_IN_RSSI_THRESHOLD,
};

typedef struct {
    bool nvs_enable;
} wifi_init_config_t;

typedef struct {
    uint8_t reason;
} wifi_event_sta_disconnected_t;

typedef struct {
    int8_t rssi;
} wifi_ap_record_t;

typedef union {
    struct {
        uint8_t ssid[32], password[64];
        wifi_scan_method_t scan_method;
        wifi_sort_method_t sort_method;
        struct {
            wifi_auth_mode_t authmode;
        } threshold;
        wifi_sae_pwe_method_t sae_pwe_h2e;
    } sta;
} wifi_config_t;

/* clang-format off */
#define WIFI_INIT_CONFIG_DEFAULT() {.nvs_enable = true}
/* clang-format on */

extern esp_event_base_t const WIFI_EVENT;

esp_err_t esp_wifi_init(const wifi_init_config_t *config);
esp_err_t esp_wifi_set_mode(wifi_mode_t mode);
esp_err_t esp_wifi_set_config(wifi_interface_t interface, wifi_config_t *config);
esp_err_t esp_wifi_start(void);
esp_err_t esp_wifi_stop(void);
esp_err_t esp_wifi_connect(void);
esp_err_t esp_wifi_sta_get_ap_info(wifi_ap_record_t *out);
