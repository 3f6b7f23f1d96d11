#include "chip_wifi.h"

#include <stdatomic.h>
#include <string.h>

#include "../port_log.h"
#include "chip_events.h"
#include "chip_log.h"
#include "esp_event.h"
#include "esp_netif.h"
#include "esp_netif_sntp.h"
#include "esp_timer.h"
#include "esp_wifi.h"

/* Brazil's own, and one for everywhere; the one that the local network names by DHCP comes before both. */
#define TIME_SERVERS ESP_SNTP_SERVER_LIST("a.st1.ntp.br", "pool.ntp.org")
#define TIME_SERVER_COUNT 2
/* The access point is asked again after so long: at once, a wrong password would keep the radio sending. */
#define TRY_AGAIN_US 3000000

ESP_EVENT_DEFINE_BASE(CHIP_WIFI_EVENT); /* the timer's word to the event task, in which all else of Wi-Fi happens */
#define CHIP_WIFI_TRY_AGAIN 0

static const char *TAG = "wifi";

static esp_timer_handle_t s_timer;
static wifi_config_t s_config;    /* of the device's task */
static atomic_bool s_wanted;      /* there is a network to join */
static uint8_t s_said_reason = 0; /* of the event task */

static void ask_to_try_again(void *ctx)
{
    (void)ctx;
    (void)esp_event_post(CHIP_WIFI_EVENT, CHIP_WIFI_TRY_AGAIN, NULL, 0, 0);
}

static const char *sentence_of(uint8_t reason)
{
    switch (reason) {
    case WIFI_REASON_NO_AP_FOUND:
    case WIFI_REASON_NO_AP_FOUND_W_COMPATIBLE_SECURITY:
    case WIFI_REASON_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD:
    case WIFI_REASON_NO_AP_FOUND_IN_RSSI_THRESHOLD:
        return "No network of that name, and as safe as its password asks for, is in reach.";
    case WIFI_REASON_AUTH_EXPIRE:
    case WIFI_REASON_AUTH_FAIL:
    case WIFI_REASON_4WAY_HANDSHAKE_TIMEOUT:
    case WIFI_REASON_HANDSHAKE_TIMEOUT:
    case WIFI_REASON_MIC_FAILURE:
        return "The access point turns the password away.";
    default: /* dozens */
        return "The connection to the access point was lost, or not made.";
    }
}

static void on_disconnected(const wifi_event_sta_disconnected_t *lost)
{
    chip_events_network(false);
    if (lost->reason != s_said_reason && lost->reason != WIFI_REASON_ASSOC_LEAVE) {
        s_said_reason = lost->reason;
        chip_log.write(NULL, LOG_WARNING, TAG, sentence_of(lost->reason));
    }
    (void)esp_timer_start_once(s_timer, TRY_AGAIN_US);
}

static void on_wifi(void *ctx, esp_event_base_t base, int32_t id, void *data)
{
    (void)ctx, (void)base;
    switch (id) {
    case WIFI_EVENT_STA_START:
        (void)esp_timer_stop(s_timer);
        (void)esp_wifi_connect();
        break;
    case WIFI_EVENT_STA_DISCONNECTED:
        on_disconnected(data);
        break;
    case WIFI_EVENT_STA_STOP:
        (void)esp_timer_stop(s_timer);
        chip_events_network(false);
        break;
    default: /* scans, access points, ... */
        break;
    }
}

static void on_address(void *ctx, esp_event_base_t base, int32_t id, void *data)
{
    (void)ctx, (void)base, (void)data;
    if (id == IP_EVENT_STA_GOT_IP) {
        s_said_reason = 0;
        (void)esp_netif_sntp_start();
        chip_events_network(true);
    } else if (id == IP_EVENT_STA_LOST_IP) {
        chip_events_network(false);
    }
}

static void on_try_again(void *ctx, esp_event_base_t base, int32_t id, void *data)
{
    (void)ctx, (void)base, (void)id, (void)data;
    if (atomic_load(&s_wanted)) {
        (void)esp_wifi_connect();
    }
}

/* Before our own handler of addresses: what DHCP takes from the list of servers is put back before they are asked. */
static bool prepare_time(void)
{
    esp_sntp_config_t config = ESP_NETIF_SNTP_DEFAULT_CONFIG_MULTIPLE(TIME_SERVER_COUNT, TIME_SERVERS);
    config.start = false; /* with the first address: a question that can't be sent is asked again 15 s later */
    config.wait_for_sync = false;
    config.server_from_dhcp = true;
    config.renew_servers_after_new_IP = true;
    config.index_of_first_server = 1;
    return esp_netif_sntp_init(&config) == ESP_OK;
}

static bool prepare_radio(void)
{
    const esp_timer_create_args_t timer = {.callback = ask_to_try_again, .name = "wifi"};
    wifi_init_config_t wifi = WIFI_INIT_CONFIG_DEFAULT();
    wifi.nvs_enable = false; /* its settings are ours to keep */
    return (s_timer != NULL || esp_timer_create(&timer, &s_timer) == ESP_OK) && esp_wifi_init(&wifi) == ESP_OK &&
           esp_wifi_set_mode(WIFI_MODE_STA) == ESP_OK;
}

static bool prepare_network(void)
{
    return esp_netif_create_default_wifi_sta() != NULL;
}

static bool listen(void)
{
    return esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_wifi, NULL) == ESP_OK &&
           esp_event_handler_register(IP_EVENT, ESP_EVENT_ANY_ID, on_address, NULL) == ESP_OK &&
           esp_event_handler_register(CHIP_WIFI_EVENT, CHIP_WIFI_TRY_AGAIN, on_try_again, NULL) == ESP_OK;
}

static bool prepare_sockets(void)
{
    return esp_netif_init() == ESP_OK;
}

static bool prepare_events(void)
{
    return esp_event_loop_create_default() == ESP_OK;
}

/* Where it failed it goes on the next time: what was done must not be done twice. */
static bool is_up(void)
{
    static bool (*const STEPS[])(void) = {
        prepare_sockets, prepare_events, prepare_network, prepare_time, listen, prepare_radio,
    };
    static size_t done;
    const size_t steps = sizeof(STEPS) / sizeof(STEPS[0]);
    while (done < steps && STEPS[done]()) {
        done++;
    }
    return done == steps;
}

static void restart(void *ctx)
{
    (void)ctx;
    if (!is_up()) {
        chip_log.write(NULL, LOG_ERROR, TAG, "The radio can't be started.");
        return;
    }
    (void)esp_wifi_stop();
    if (!atomic_load(&s_wanted)) {
        chip_log.write(NULL, LOG_ERROR, TAG, "No Wi-Fi is configured: type `set wifi_ssid NAME` at the console.");
        return;
    }
    (void)esp_wifi_set_config(WIFI_IF_STA, &s_config);
    (void)esp_wifi_start();
}

static void start(void *ctx, const char *ssid, const char *password, const char *apn)
{
    (void)apn;
    s_config = (wifi_config_t){0};
    /* Both fields may be filled to their last byte, without an end (esp_wifi_types_generic.h). */
    memcpy(s_config.sta.ssid, ssid, strnlen(ssid, sizeof(s_config.sta.ssid)));
    memcpy(s_config.sta.password, password, strnlen(password, sizeof(s_config.sta.password)));
    /* With a password no weaker network of the same name is joined: anybody can put up an open one. */
    s_config.sta.threshold.authmode = password[0] == '\0' ? WIFI_AUTH_OPEN : WIFI_AUTH_WPA2_PSK;
    s_config.sta.sae_pwe_h2e = WPA3_SAE_PWE_BOTH;
    /* Of several access points of that name the one in the next room, and not the first that answers. */
    s_config.sta.scan_method = WIFI_ALL_CHANNEL_SCAN;
    s_config.sta.sort_method = WIFI_CONNECT_AP_BY_SIGNAL;
    atomic_store(&s_wanted, ssid[0] != '\0');
    restart(ctx);
}

static bool signal_dbm(void *ctx, int32_t *out)
{
    (void)ctx;
    wifi_ap_record_t found;
    if (!is_up() || esp_wifi_sta_get_ap_info(&found) != ESP_OK) {
        return false;
    }
    *out = found.rssi;
    return true;
}

void chip_wifi_init(port_network_t *port)
{
    *port = (port_network_t){.start = start, .restart = restart, .signal_dbm = signal_dbm};
}
