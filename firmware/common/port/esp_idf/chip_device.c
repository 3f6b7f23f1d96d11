#include "chip_device.h"

#include <string.h>

#include "../../app/loop.h"
#include "../../app/power_up.h"
#include "chip_clock.h"
#include "chip_console.h"
#include "chip_crypto.h"
#include "chip_events.h"
#include "chip_flash.h"
#include "chip_http.h"
#include "chip_identity.h"
#include "chip_kv.h"
#include "chip_leds.h"
#include "chip_log.h"
#include "chip_mqtt.h"
#include "chip_ota.h"
#include "chip_reboot.h"
#include "chip_wifi.h"
#include "esp_app_desc.h"
#include "esp_system.h"
#include "esp_task_wdt.h"
#include "sdkconfig.h"

#define TRIAL_HUNG_S 60  /* behind the core's own end of a trial: what says nothing by then hangs */
#define FACTORY_FORMAT 1 /* docs/identity.md, "NVS keys": another one would be misread */

static const char *TAG = "device";

/* All of a device's memory, but what ESP-IDF takes for itself. */
static app_t s_app;
static loop_t s_loop;
static board_t s_board;
static chip_kv_t s_kv_handle, s_factory_handle;
static port_kv_t s_kv, s_factory;
static port_flash_t s_flash;
static port_mqtt_t s_mqtt;
static port_http_t s_http;
static port_network_t s_network;
static port_identity_t s_identity;
static loop_ports_t s_ports;
static char s_gateway_code[CODE_MAX_CHARS + 1];

static void log_error(const char *text)
{
    chip_log.write(NULL, LOG_ERROR, TAG, text);
}

static bool flash_missing_read(void *ctx, uint32_t offset_bytes, void *out, size_t len_bytes)
{
    (void)ctx, (void)offset_bytes, (void)out, (void)len_bytes;
    return false;
}

static bool flash_missing_write(void *ctx, uint32_t offset_bytes, const void *data, size_t len_bytes)
{
    (void)ctx, (void)offset_bytes, (void)data, (void)len_bytes;
    return false;
}

static bool flash_missing_erase(void *ctx, uint32_t offset_bytes, size_t len_bytes)
{
    (void)ctx, (void)offset_bytes, (void)len_bytes;
    return false;
}

static void open_factory(void)
{
    uint8_t format = 0;
    size_t len = 0;
    if (!chip_factory_open(&s_factory_handle, &s_factory)) {
        log_error("There is no factory image in the partition fctry: flash the nvs.bin of this unit.");
        s_factory = chip_kv_missing;
    } else if (s_factory.get(s_factory.ctx, "format", &format, sizeof(format), &len) != KV_OK ||
               format != FACTORY_FORMAT) {
        log_error("The factory image is of a format that this firmware does not know: update one of them.");
        s_factory = chip_kv_missing;
    }
}

static void open_storage(void)
{
    if (!chip_kv_open(&s_kv_handle, &s_kv)) {
        log_error("Settings can't be kept: the partition nvs can't be used.");
        s_kv = chip_kv_missing;
    }
    open_factory();
    if (!chip_flash_open(&s_flash)) {
        log_error("Readings can't be kept: there is no partition outbox.");
        s_flash = (port_flash_t){.size_bytes = 2 * OUTBOX_SECTOR_BYTES,
                                 .read = flash_missing_read,
                                 .write = flash_missing_write,
                                 .erase = flash_missing_erase};
    }
}

static void open_ports(const board_t *board)
{
    s_board = *board;
    if (s_board.leds == NULL && chip_leds_init()) {
        s_board.leds = chip_leds_set;
    }
    if (!chip_mqtt_init(&s_mqtt)) {
        log_error("There is no memory for the task that keeps the connection; the device restarts.");
        esp_restart();
    }
    chip_http_init(&s_http);
    chip_wifi_init(&s_network);
    if (!chip_console_start()) {
        log_error("There is no console: its UART can't be had.");
    }
    s_ports = (loop_ports_t){
        .clock = &chip_clock,
        .random = &chip_random,
        .log = &chip_log,
        .events = &chip_events,
        .mqtt = &s_mqtt,
        .network = &s_network,
        .reboot = &chip_reboot,
        .identity = &s_identity,
        .http = &s_http,
        .ota = &chip_ota,
        .board = &s_board,
        .say = chip_console_say,
    };
}

static void begin_app(void)
{
    uint32_t boots = 0;
    (void)power_up_count(&s_kv, &boots);
    app_options_t options = {
        .gateway_code = s_gateway_code,
        .family = s_board.family,
        .hardware = s_board.hardware,
        .firmware = esp_app_get_description()->version,
        .boot = boots,
        .boot_reason = (uint32_t)chip_reboot.reason(chip_reboot.ctx),
        .place = power_up_place(s_gateway_code),
        .has_modem = s_board.has_modem && s_network.restart_modem != NULL,
        .flash = &s_flash,
        .kv = &s_kv,
        .factory = &s_factory,
        .crypto = &chip_crypto,
        .ota = &chip_ota,
        .product = s_board.product,
        .chip = CONFIG_IDF_TARGET,
        .chip_id = CONFIG_IDF_FIRMWARE_CHIP_ID,
        .trial_s = UPDATE_TRIAL_S,
        .self_test = s_board.self_test,
        .self_test_ctx = s_board.ctx,
    };
    (void)s_identity.validity(s_identity.ctx, PAIR_FACTORY, &options.factory_pair);
    (void)s_identity.validity(s_identity.ctx, PAIR_RENEWED, &options.renewed_pair);
    if (!app_init(&s_app, &options, chip_clock.since_boot_ms(chip_clock.ctx), chip_random.next(chip_random.ctx))) {
        log_error("Readings can't be kept: they are sent while there is a connection, and lost without.");
    }
    loop_init(&s_loop, &s_app, &s_ports);
}

void chip_device_run(const board_t *board)
{
    static const chip_events_owners_t owners = {chip_mqtt_accepts, chip_http_accepts, chip_http_used};
    chip_ota_watch_trial(UPDATE_TRIAL_S + TRIAL_HUNG_S);
    chip_events_init(&owners);
    open_storage();
    chip_clock_init(&s_kv);
    if (!power_up_gateway_code(&s_factory, s_gateway_code)) {
        log_error("The factory image has no gateway code: this unit can't report to anybody.");
    }
    chip_identity_init(&s_identity, &s_kv, &s_factory, s_gateway_code);
    open_ports(board);
    begin_app();
    /* A turn takes CHIP_EVENTS_WAIT_MAX_MS, and what a write to flash or a stalled connection adds; the watchdog waits
     * for CONFIG_ESP_TASK_WDT_TIMEOUT_S. */
    (void)esp_task_wdt_add(NULL);
    for (;;) {
        app_set_memory(&s_app, esp_get_free_heap_size(), esp_get_minimum_free_heap_size());
        loop_turn(&s_loop);
        chip_clock_keep();
        (void)esp_task_wdt_reset();
    }
}
