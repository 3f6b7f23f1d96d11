#include "host_device.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "../../app/loop.h"
#include "../../app/power_up.h"
#include "demo_board.h"
#include "host_faults.h"
#include "host_journal.h"
#include "host_options.h"
#include "host_report.h"
#include "host_settings.h"
#include "host_slots.h"
#include "host_storage.h"
#include "posix_crypto.h"
#include "posix_events.h"
#include "posix_file.h"
#include "posix_http.h"
#include "posix_identity.h"
#include "posix_log.h"
#include "posix_mqtt.h"
#include "posix_random.h"
#include "posix_reboot.h"
#include "sim_sensors.h"

#define ONCE_LIMIT_MS 60000
#define WAIT_MAX_MS 1000 /* the report is due so often */

static const char *TAG = "device";

/* All of a device. What libraries take comes from the heap; what is ours is here. */
static struct {
    host_options_t options;
    host_storage_t storage;
    posix_log_t log;
    posix_clock_t clock;
    posix_network_t network;
    posix_events_t events;
    posix_mqtt_t mqtt;
    posix_identity_t identity;
    posix_http_t http;
    host_slots_t slots;
    posix_console_t console;
    posix_reboot_t reboot;
    host_faults_t faults;
    host_report_t report;
    host_journal_t journal;
    demo_board_t demo;
    sim_sensors_t sensors;
    loop_ports_t ports;
    app_t app;
    loop_t loop;
} s_host;

static bool open_ports(const board_t *board, uint32_t seed, const char *gateway_code)
{
    const port_ota_t *ota = s_host.options.launched ? host_slots_open(&s_host.slots, &s_host.reboot.port) : NULL;
    const port_log_t *log = &s_host.log.port;
    char link[POSIX_PATH_MAX_CHARS + 1];
    posix_network_init(&s_host.network, seed, board->has_modem);
    posix_identity_init(&s_host.identity, log, &s_host.clock, s_host.storage.factory, s_host.storage.kv, gateway_code);
    s_host.faults = (host_faults_t){
        .clock = &s_host.clock, .network = &s_host.network, .say = posix_console_say, .say_ctx = &s_host.console};
    if (!posix_events_init(&s_host.events, WAIT_MAX_MS) ||
        !posix_mqtt_init(&s_host.mqtt, log, &s_host.network, posix_identity_tls, &s_host.identity)) {
        fprintf(stderr, "The device can't start: %s.\n", strerror(errno));
        return false;
    }
    if (!posix_path(link, sizeof(link), s_host.options.state, "console") ||
        !posix_console_init(&s_host.console, s_host.options.console, link, host_faults_command, &s_host.faults)) {
        fprintf(stderr, "The console can't be opened: %s.\n", strerror(errno));
        return false;
    }
    posix_events_add(&s_host.events, posix_clock_source(&s_host.clock));
    posix_events_add(&s_host.events, posix_network_source(&s_host.network));
    posix_events_add(&s_host.events, posix_mqtt_source(&s_host.mqtt));
    posix_events_add(&s_host.events, posix_console_source(&s_host.console));
    posix_events_add(&s_host.events, posix_identity_source(&s_host.identity));
    posix_http_init(&s_host.http, log, &s_host.network, posix_identity_tls, &s_host.identity);
    s_host.http.via = s_host.options.http_via;
    posix_events_add(&s_host.events, posix_http_source(&s_host.http));
    s_host.ports = (loop_ports_t){.clock = &s_host.clock.port,
                                  .random = &posix_random,
                                  .log = log,
                                  .events = &s_host.events.port,
                                  .mqtt = &s_host.mqtt.port,
                                  .network = &s_host.network.port,
                                  .reboot = &s_host.reboot.port,
                                  .identity = &s_host.identity.port,
                                  .http = &s_host.http.port,
                                  .ota = ota,
                                  .board = board,
                                  .say = posix_console_say,
                                  .say_ctx = &s_host.console};
    return true;
}

/* False: a setting of the command line is none, or the journal that was asked for can't be kept. */
static bool begin_app(const board_t *board, uint32_t place)
{
    app_options_t options = {.gateway_code = s_host.storage.gateway_code,
                             .family = board->family,
                             .hardware = board->hardware,
                             .firmware = FIRMWARE_VERSION,
                             .boot = s_host.storage.boot,
                             .boot_reason = (uint32_t)s_host.reboot.reason,
                             .place = place,
                             .pair_refused_s = s_host.options.pair_refused_s,
                             .has_modem = board->has_modem,
                             .flash = s_host.storage.flash,
                             .kv = s_host.storage.kv,
                             .factory = s_host.storage.factory,
                             .crypto = &posix_crypto,
                             .ota = s_host.ports.ota,
                             .product = board->product,
                             .chip = "host",
                             .chip_id = IMAGE_CHIP_HOST,
                             .trial_s = s_host.options.trial_s,
                             .update_spread_s = s_host.options.update_spread_s,
                             .self_test = board->self_test,
                             .self_test_ctx = board->ctx};
    const port_identity_t *identity = &s_host.identity.port;
    const port_clock_t *clock = &s_host.clock.port;
    (void)identity->validity(identity->ctx, PAIR_FACTORY, &options.factory_pair);
    (void)identity->validity(identity->ctx, PAIR_RENEWED, &options.renewed_pair);
    if (!app_init(&s_host.app, &options, clock->since_boot_ms(clock->ctx), posix_random.next(posix_random.ctx))) {
        posix_log(&s_host.log.port, LOG_ERROR, TAG, "readings can't be kept in its state folder");
    }
    if (!host_settings_check(&s_host.options.overlay, &s_host.app.config)) {
        return false;
    }
    loop_init(&s_host.loop, &s_host.app, &s_host.ports);
    host_report_init(&s_host.report, &s_host.app, &s_host.network, s_host.options.report);
    if (!host_journal_open(&s_host.journal, s_host.options.journal, &s_host.app.outbox)) {
        fprintf(stderr, "The journal %s can't be written: %s.\n", s_host.options.journal, strerror(errno));
        return false;
    }
    return true;
}

static int run(void)
{
    const port_clock_t *clock = &s_host.clock.port;
    bool in_time = true;
    while (!posix_events_told_to_stop() && in_time) {
        int64_t unix_ms;
        loop_turn(&s_host.loop);
        uint64_t since_boot_ms = clock->since_boot_ms(clock->ctx);
        (void)posix_clock_unix_ms(&s_host.clock, &unix_ms);
        host_report_step(&s_host.report, since_boot_ms, unix_ms);
        host_journal_step(&s_host.journal, &s_host.app.outbox);
        if (s_host.options.once && s_host.app.acknowledged > 0) {
            break;
        }
        in_time = !s_host.options.once || since_boot_ms < ONCE_LIMIT_MS;
    }
    loop_end(&s_host.loop);
    return in_time ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void end(void)
{
    posix_mqtt_drop(&s_host.mqtt);
    posix_http_end(&s_host.http);
    posix_identity_end(&s_host.identity);
    host_journal_close(&s_host.journal);
    host_storage_close(&s_host.storage);
}

int host_device_main(int argc, char **argv, const board_t *board, void (*use)(const sensors_t *sensors))
{
    mallopt(M_ARENA_MAX, 1); /* a look-up's thread would get 64 MiB of addresses of its own */
    switch (host_options_read(&s_host.options, argc, argv, board->family)) {
    case HOST_OPTIONS_DONE:
        return EXIT_SUCCESS;
    case HOST_OPTIONS_WRONG:
        return EXIT_FAILURE;
    case HOST_OPTIONS_GOOD:
        break;
    }
    if (s_host.options.launched) {
        (void)prctl(PR_SET_NAME, board->family); /* started by a descriptor, it has the number of that */
    }
    posix_log_init(&s_host.log, s_host.options.log_level);
    posix_clock_init(&s_host.clock, s_host.options.knows_time, s_host.options.clock_offset_s);
    posix_reboot_init(&s_host.reboot, s_host.options.launched, argv);
    if (!host_storage_open(&s_host.storage, &s_host.options, &s_host.log.port)) {
        return EXIT_FAILURE;
    }
    uint32_t place = power_up_place(s_host.storage.gateway_code);
    sim_sensors_init(&s_host.sensors, place);
    use(&s_host.sensors.sensors);
    if (s_host.options.demo_sensors) {
        board = demo_board_init(&s_host.demo, board, s_host.storage.gateway_code);
    }
    if (!open_ports(board, place, s_host.storage.gateway_code)) {
        return EXIT_FAILURE;
    }
    int code = begin_app(board, place) ? run() : EXIT_FAILURE;
    end();
    return code;
}
