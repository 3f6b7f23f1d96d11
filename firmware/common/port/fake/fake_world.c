#include "fake_world_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Chance */

uint32_t fake_world_random(fake_world_t *world)
{
    /* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). */
    world->random += 0x9E3779B97F4A7C15U;
    uint64_t z = world->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

uint32_t fake_world_below(fake_world_t *world, uint32_t bound)
{
    return (uint32_t)(((uint64_t)fake_world_random(world) * bound) >> 32);
}

static uint32_t next_random(void *ctx)
{
    return fake_world_random(ctx);
}

/* Time */

uint64_t fake_world_device_ms(const fake_world_t *world)
{
    const uint64_t on_ms = world->now_ms - world->powered_ms;
    return world->base_ms + on_ms + on_ms * world->drift_ppm / 1000000;
}

int64_t fake_world_unix_ms(const fake_world_t *world)
{
    return FAKE_WORLD_UNIX_MS + (int64_t)world->now_ms;
}

static uint64_t since_boot_ms(void *ctx)
{
    return fake_world_device_ms(ctx);
}

/* What the power took with it does nothing any more. */
bool fake_world_is_dead(const fake_world_t *world)
{
    return !world->has_power || world->flash.power_is_off || world->kv.power_is_off;
}

/* Events */

static bool is_of_connection(event_type_t type)
{
    return type == EVENT_MQTT_CONNECTED || type == EVENT_MQTT_FAILED || type == EVENT_MQTT_CLOSED ||
           type == EVENT_MQTT_ACKED || type == EVENT_MQTT_MESSAGE;
}

void fake_world_plan(fake_world_t *world, uint64_t in_ms, event_t event)
{
    assert(world->event_count < FAKE_WORLD_EVENTS_MAX);
    world->events[world->event_count++] = (fake_world_event_t){
        .at_ms = world->now_ms + in_ms,
        .order = world->order++,
        .of = is_of_connection(event.type) ? world->connection : world->boots,
        .event = event,
    };
}

void fake_world_plan_plain(fake_world_t *world, uint64_t in_ms, event_type_t type)
{
    fake_world_plan(world, in_ms, (event_t){.type = type});
}

static void drop(fake_world_t *world, size_t at)
{
    world->events[at] = world->events[--world->event_count];
}

void fake_world_drop_stale(fake_world_t *world)
{
    for (size_t i = world->event_count; i > 0; i--) {
        const fake_world_event_t *planned = &world->events[i - 1];
        if (planned->of != (is_of_connection(planned->event.type) ? world->connection : world->boots)) {
            drop(world, i - 1);
        }
    }
}

void fake_world_drop_all_of(fake_world_t *world, event_type_t type)
{
    for (size_t i = world->event_count; i > 0; i--) {
        if (world->events[i - 1].event.type == type) {
            drop(world, i - 1);
        }
    }
}

static fake_world_event_t *earliest(fake_world_t *world)
{
    fake_world_event_t *found = NULL;
    for (size_t i = 0; i < world->event_count; i++) {
        fake_world_event_t *planned = &world->events[i];
        if (found == NULL || planned->at_ms < found->at_ms ||
            (planned->at_ms == found->at_ms && planned->order < found->order)) {
            found = planned;
        }
    }
    return found;
}

static int64_t told_unix_ms(fake_world_t *world)
{
    if (world->clock_garbage) {
        return fake_world_below(world, 2) == 0 ? 0 : INT64_MAX - 5;
    }
    const int64_t noise_ms = world->clock_noise_ms;
    return fake_world_unix_ms(world) + world->clock_off_ms +
           (int64_t)fake_world_below(world, 2 * world->clock_noise_ms + 1) - noise_ms;
}

/* What the world does as an event gets to the device. */
static void deliver(fake_world_t *world, event_t *event)
{
    switch (event->type) {
    case EVENT_NETWORK_UP:
        world->network_told = true;
        fake_world_drop_all_of(world, EVENT_CLOCK);
        fake_world_plan_plain(world, world->sntp_after_ms, EVENT_CLOCK);
        break;
    case EVENT_NETWORK_DOWN:
        world->network_told = false;
        break;
    case EVENT_CLOCK:
        if (event->unix_ms == 0) {
            event->unix_ms = told_unix_ms(world);
            fake_world_plan_plain(world, world->sntp_every_ms, EVENT_CLOCK);
        }
        world->rtc_known = world->keeps_rtc;
        world->rtc_off_ms = event->unix_ms - fake_world_unix_ms(world);
        break;
    case EVENT_MQTT_CONNECTED:
        world->hears_connect = false;
        world->connected = true;
        if (world->mood == FAKE_BROKER_DROPS) {
            fake_world_lose_connection(world, 1, FAILURE_CLOSED);
        }
        break;
    case EVENT_MQTT_FAILED:
    case EVENT_MQTT_CLOSED:
        fake_world_end_connection(world, true);
        break;
    case EVENT_TICK:
    case EVENT_MQTT_ACKED:
    case EVENT_MQTT_MESSAGE:
    case EVENT_SAMPLE:
    case EVENT_MEASURED:
    case EVENT_CONSOLE_LINE:
    case EVENT_RENEWAL_DONE:
        break;
    }
}

static bool is_told_the_time(const fake_world_t *world)
{
    return world->sntp && world->network_told && !world->black_hole;
}

static bool next_event(void *ctx, uint32_t timeout_ms, event_t *out)
{
    fake_world_t *world = ctx;
    if (timeout_ms > world->stop_ms - world->now_ms) {
        timeout_ms = (uint32_t)(world->stop_ms - world->now_ms);
    }
    for (;;) {
        fake_world_event_t *planned = earliest(world);
        if (planned == NULL || planned->at_ms > world->now_ms + timeout_ms) {
            world->now_ms += timeout_ms;
            return false;
        }
        if (planned->at_ms > world->now_ms) {
            timeout_ms -= (uint32_t)(planned->at_ms - world->now_ms);
            world->now_ms = planned->at_ms;
        }
        *out = planned->event;
        drop(world, (size_t)(planned - world->events));
        if (out->type == EVENT_CLOCK && out->unix_ms == 0 && !is_told_the_time(world)) {
            fake_world_plan_plain(world, world->sntp_every_ms, EVENT_CLOCK);
            continue;
        }
        deliver(world, out);
        return true;
    }
}

/* Clock, console, board, identity, log */

void fake_world_set_clock(fake_world_t *world, int64_t off_ms)
{
    world->clock_off_ms = off_ms;
    fake_world_drop_all_of(world, EVENT_CLOCK);
    fake_world_plan_plain(world, 0, EVENT_CLOCK);
}

void fake_world_type(fake_world_t *world, const char *line)
{
    (void)snprintf(world->line, sizeof(world->line), "%s", line);
    fake_world_plan(world, 0, (event_t){.type = EVENT_CONSOLE_LINE, .line = world->line});
}

static void append(char *text, size_t *len, const char *line)
{
    const size_t line_len = strlen(line);
    if (*len + line_len + 2 <= FAKE_WORLD_LOG_BYTES) {
        memcpy(text + *len, line, line_len);
        *len += line_len;
        memcpy(text + *len, "\n", 2);
        (*len)++;
    }
}

static void say(void *ctx, const char *line)
{
    fake_world_t *world = ctx;
    append(world->said, &world->said_bytes, line);
}

static void write_log(void *ctx, log_level_t level, const char *tag, const char *text)
{
    fake_world_t *world = ctx;
    (void)level;
    (void)tag;
    if (world->keeps_log) {
        append(world->log, &world->log_bytes, text);
    }
}

size_t fake_world_logged_times(const fake_world_t *world, const char *text)
{
    size_t count = 0;
    for (const char *at = strstr(world->log, text); at != NULL; at = strstr(at + 1, text)) {
        count++;
    }
    return count;
}

bool fake_world_logged(const fake_world_t *world, const char *text)
{
    return fake_world_logged_times(world, text) > 0;
}

bool fake_world_was_said(const fake_world_t *world, const char *text)
{
    return strstr(world->said, text) != NULL;
}

static bool measure(void *ctx, uint8_t index, const char *own_code, uint64_t device_ms, sample_t *out)
{
    fake_world_t *world = ctx;
    const char *const codes[FAKE_WORLD_DEVICES_MAX] = {own_code, "D02", "D03"};
    (void)device_ms;
    if (index == 0) {
        world->rounds++;
    }
    if (index >= world->devices) {
        return false;
    }
    const bool good = sample_init(out, codes[index]) &&
                      sample_add(out, "n", "", (decimal_t){.digits = world->next_serial}) &&
                      sample_add(out, "temperatura", "°C", (decimal_t){.digits = 235, .places = 1});
    assert(good);
    world->next_serial++;
    return true;
}

static void leds(void *ctx, led_t run, led_t fault)
{
    fake_world_t *world = ctx;
    world->run = run;
    world->fault = fault;
    world->lights++;
}

static void renew(void *ctx, const char *url, const char *gateway_code)
{
    fake_world_t *world = ctx;
    assert(strcmp(gateway_code, FAKE_WORLD_GATEWAY) == 0);
    (void)snprintf(world->renew_url, sizeof(world->renew_url), "%s", url);
    event_t event = {.type = EVENT_RENEWAL_DONE, .renewal = {.ok = world->renews}};
    if (world->renews) {
        const int64_t life_s = world->not_after_unix_s - world->not_before_unix_s;
        world->renewals++;
        world->not_before_unix_s = fake_world_unix_ms(world) / 1000;
        world->not_after_unix_s = world->not_before_unix_s + life_s;
        event.renewal.not_before_unix_s = world->not_before_unix_s;
        event.renewal.not_after_unix_s = world->not_after_unix_s;
    }
    fake_world_plan(world, 1500, event);
}

static bool validity(void *ctx, int64_t *not_before_unix_s, int64_t *not_after_unix_s)
{
    const fake_world_t *world = ctx;
    *not_before_unix_s = world->not_before_unix_s;
    *not_after_unix_s = world->not_after_unix_s;
    return world->not_after_unix_s != 0;
}

static void reboot(void *ctx, reboot_reason_t reason)
{
    fake_world_t *world = ctx;
    if (fake_world_is_dead(world)) {
        return;
    }
    world->to_reboot = true;
    world->device_stuck = false;
    switch (reason) {
    case REBOOT_RECOVERY:
        world->reason_of_boot = BOOT_RECOVERY;
        break;
    case REBOOT_CONSOLE:
        world->reason_of_boot = BOOT_CONSOLE;
        break;
    case REBOOT_UPDATE:
        world->reason_of_boot = BOOT_UPDATE;
        break;
    }
}

static boot_reason_t reason(void *ctx)
{
    const fake_world_t *world = ctx;
    return world->reason_of_boot;
}

/* Power */

void fake_world_init(fake_world_t *world, uint64_t seed, uint32_t sectors, size_t samples)
{
    memset(world, 0, sizeof(*world));
    world->random = seed;
    world->network_up = world->sntp = world->keeps_rtc = world->keeps_log = world->renews = true;
    world->network_ms = 100;
    world->host = "broker.example";
    world->connect_ms = 120;
    world->ack_ms = 40;
    world->sntp_after_ms = 200;
    world->sntp_every_ms = 3600 * 1000;
    world->clock_noise_ms = 20;
    world->drift_ppm = 20; /* ESP32 modules' crystals: 10 ppm, and as much for temperature and age */
    world->devices = 1;
    world->health_every_s = 1;
    world->reboot_ms = 400;
    world->cut_ms = 3000;
    world->next_serial = world->first_serial_of_step = 1;
    world->medium = malloc((size_t)sectors * OUTBOX_SECTOR_BYTES);
    world->cut_cap = samples;
    world->cut_serials = calloc(samples, sizeof(*world->cut_serials));
    assert(world->medium != NULL && world->cut_serials != NULL);
    fake_broker_init(&world->broker, samples * 2, samples);
    fake_flash_init(&world->flash, world->medium, sectors * OUTBOX_SECTOR_BYTES, seed);
    fake_flash_blank(&world->flash);
    fake_kv_init(&world->kv);
    fake_kv_init(&world->factory);
    fake_kv_put_text(&world->factory, "broker_uri", "mqtts://broker.example:8883");
    fake_kv_put_text(&world->factory, "wifi_ssid", "plant");

    world->clock_port = (port_clock_t){.ctx = world, .since_boot_ms = since_boot_ms};
    world->random_port = (port_random_t){.ctx = world, .next = next_random};
    world->log_port = (port_log_t){.ctx = world, .write = write_log};
    world->events_port = (port_events_t){.ctx = world, .next = next_event};
    fake_world_link_ports(world);
    world->reboot_port = (port_reboot_t){.ctx = world, .reboot = reboot, .reason = reason};
    world->identity_port = (port_identity_t){.ctx = world, .validity = validity, .renew = renew};
    world->board = (board_t){.family = "dcu-0080", .hardware = "C", .ctx = world, .measure = measure, .leds = leds};
    world->ports = (loop_ports_t){.clock = &world->clock_port,
                                  .random = &world->random_port,
                                  .log = &world->log_port,
                                  .events = &world->events_port,
                                  .mqtt = &world->mqtt_port,
                                  .network = &world->network_port,
                                  .reboot = &world->reboot_port,
                                  .identity = &world->identity_port,
                                  .board = &world->board,
                                  .say = say,
                                  .say_ctx = world};
}

void fake_world_free(fake_world_t *world)
{
    fake_broker_free(&world->broker);
    free(world->medium);
    free(world->cut_serials);
}

void fake_world_power_up(fake_world_t *world, boot_reason_t why)
{
    fake_flash_power_on(&world->flash);
    fake_kv_power_on(&world->kv);
    world->has_power = true;
    world->to_reboot = false;
    world->boots++;
    world->event_count = 0;
    world->powered_ms = world->now_ms;
    world->reason_of_boot = why;
    world->network_told = world->network_started = false;
    app_options_t options = {
        .gateway_code = FAKE_WORLD_GATEWAY,
        .family = world->board.family,
        .hardware = world->board.hardware,
        .firmware = "1.4.0",
        .boot = world->boots,
        .boot_reason = (uint32_t)why,
        .place = 0x5A17C3D9U,
        .has_modem = world->board.has_modem,
        .health_every_s = world->health_every_s,
        .flash = &world->flash.port,
        .kv = &world->kv.port,
        .factory = &world->factory.port,
    };
    (void)validity(world, &options.not_before_unix_s, &options.not_after_unix_s);
    (void)app_init(&world->app, &options, fake_world_device_ms(world), fake_world_random(world));
    app_set_memory(&world->app, 150000, 120000);
    loop_init(&world->loop, &world->app, &world->ports);
    if (world->rtc_known) {
        fake_world_plan(world, 0,
                        (event_t){.type = EVENT_CLOCK, .unix_ms = fake_world_unix_ms(world) + world->rtc_off_ms});
    }
}

static void come_back(fake_world_t *world, bool had_power, uint64_t after_ms, boot_reason_t why)
{
    fake_world_end_connection(world, true);
    world->has_power = false;
    world->rtc_known = world->rtc_known && had_power;
    world->now_ms += after_ms;
    world->stop_ms = world->stop_ms > world->now_ms ? world->stop_ms : world->now_ms;
    fake_world_power_up(world, why);
}

void fake_world_cut_power(fake_world_t *world)
{
    world->power_cuts++;
    for (uint32_t serial = world->first_serial_of_step; serial < world->next_serial; serial++) {
        assert(world->cut_count < world->cut_cap);
        world->cut_serials[world->cut_count++] = serial;
    }
    come_back(world, false, world->cut_ms, BOOT_POWER_ON);
}

static void turn(fake_world_t *world)
{
    world->turns++;
    loop_turn(&world->loop);
    if (world->flash.power_is_off || world->kv.power_is_off) {
        fake_world_cut_power(world);
    } else if (world->to_reboot) {
        world->reboots++;
        come_back(world, true, world->reboot_ms, world->reason_of_boot);
    }
    world->first_serial_of_step = world->next_serial;
}

bool fake_world_run_until(fake_world_t *world, uint64_t for_ms, bool (*done)(const fake_world_t *world))
{
    world->stop_ms = world->now_ms + for_ms;
    while (world->now_ms < world->stop_ms) {
        if (done != NULL && done(world)) {
            return true;
        }
        turn(world);
    }
    return done != NULL && done(world);
}

void fake_world_run(fake_world_t *world, uint64_t for_ms)
{
    (void)fake_world_run_until(world, for_ms, NULL);
}

uint32_t fake_world_missing(const fake_world_t *world)
{
    uint32_t missing = 0;
    size_t cut = 0;
    for (uint32_t serial = 1; serial < world->next_serial; serial++) {
        if (cut < world->cut_count && world->cut_serials[cut] == serial) {
            cut++;
        } else if (!fake_broker_has(&world->broker, serial)) {
            missing++;
        }
    }
    return missing;
}
