#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "esp_netif.h"

#define ESP_STUB_SERVERS_MAX 3

typedef struct {
    bool server_from_dhcp, wait_for_sync, start, renew_servers_after_new_IP;
    size_t index_of_first_server, num_of_servers;
    const char *servers[ESP_STUB_SERVERS_MAX];
} esp_sntp_config_t;

/* clang-format off */
#define ESP_SNTP_SERVER_LIST(...) {__VA_ARGS__}
#define ESP_NETIF_SNTP_DEFAULT_CONFIG_MULTIPLE(count, list) {.start = true, .num_of_servers = (count), .servers = list}
/* clang-format on */

esp_err_t esp_netif_sntp_init(const esp_sntp_config_t *config);
esp_err_t esp_netif_sntp_start(void);
